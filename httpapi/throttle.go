package httpapi

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"holdfast/domain/id"
)

const (
	// freeTries is how many wrong passwords in a row cost nothing but the next try.
	freeTries = 5
	// firstDelay is the wait after the first try beyond freeTries; it doubles with each further one.
	firstDelay = time.Second
	maxDelay   = 60 * time.Second
	// forgetAfter is when failures are forgotten, counted from the last.
	forgetAfter = 15 * time.Minute
	// maxAttempts bounds the memory of the throttle; the oldest are forgotten first.
	maxAttempts = 10_000
)

// attempt names who guesses at what. An account is slowed down only for the
// address that guesses, so that nobody can lock out another cheaply; names that do
// not exist are slowed down alike.
type attempt struct {
	tenant  id.Tenant
	user    id.User
	address string
}

type failures struct {
	count int
	last  time.Time
	until time.Time
}

// throttle slows down guessing at passwords.
type throttle struct {
	now func() time.Time
	mu  sync.Mutex
	all map[attempt]failures
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, all: map[attempt]failures{}}
}

// wait returns how long a must wait before its next try; 0: it may try now.
func (t *throttle) wait(a attempt) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.all[a]
	if !ok || t.now().Sub(f.last) > forgetAfter {
		return 0
	}
	return max(0, f.until.Sub(t.now()))
}

// failed counts a wrong password.
func (t *throttle) failed(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	f := t.all[a]
	if now.Sub(f.last) > forgetAfter {
		f = failures{}
	}
	f.count++
	f.last = now
	if over := f.count - freeTries; over >= 0 {
		f.until = now.Add(time.Duration(math.Min(float64(maxDelay), float64(firstDelay)*math.Pow(2, float64(over)))))
	}
	t.all[a] = f
	if len(t.all) > maxAttempts {
		t.prune(now)
	}
}

// succeeded forgets the failures of a.
func (t *throttle) succeeded(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, a)
}

// prune makes room: what is due to be forgotten goes, else the older half.
func (t *throttle) prune(now time.Time) {
	horizon := forgetAfter
	for len(t.all) > maxAttempts/2 && horizon > 0 {
		for a, f := range t.all {
			if now.Sub(f.last) >= horizon {
				delete(t.all, a)
			}
		}
		horizon = horizon/2 - time.Millisecond
	}
	if len(t.all) > maxAttempts {
		clear(t.all) // all in the same instant: a flood, not people
	}
}

// sourceOf is the part of an address that one client holds: an IPv4 address, or an IPv6 /64.
func sourceOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
