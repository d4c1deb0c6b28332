package digest

import (
	"net/netip"
	"sync"
	"time"
)

// BanPolicy says when repeated failures lead to a ban and how it grows.
type BanPolicy struct {
	// Failures is how many wrong passwords for one user of one realm from one address are borne. Default 5.
	Failures int
	// Users is for how many users one address may fail before it is banned as a whole. Default 20: an office with a
	// few wrong phones behind one address goes on working.
	Users int
	// First is the first ban, doubled with each further failure up to Longest. Defaults 30 s and 1 h.
	First, Longest time.Duration
	// Memory is how long failures count after the last. Default 1 h.
	Memory time.Duration
	// Entries bounds what is remembered. Default 100,000.
	Entries int
}

func (p BanPolicy) orDefault() BanPolicy {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	setTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&p.Failures, 5)
	set(&p.Users, 20)
	set(&p.Entries, 100_000)
	setTime(&p.First, 30*time.Second)
	setTime(&p.Longest, time.Hour)
	setTime(&p.Memory, time.Hour)
	return p
}

// suspect is an address with a user of a realm, or (user empty) an address.
type suspect struct {
	addr netip.Addr
	user string
}

type record struct {
	failures int
	last     time.Time
	until    time.Time
}

type banTable struct {
	policy BanPolicy

	mu      sync.Mutex
	records map[suspect]*record
}

// banned reports the end of the ban on an address, or on it with this user ("1001@demo.localhost").
func (b *banTable) banned(addr netip.Addr, user string, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range []suspect{{addr.Unmap(), ""}, {addr.Unmap(), user}} {
		if r := b.records[key]; r != nil && now.Before(r.until) {
			return r.until, true
		}
	}
	return time.Time{}, false
}

func (b *banTable) failed(addr netip.Addr, user string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count(suspect{addr.Unmap(), user}, b.policy.Failures, now) {
		b.count(suspect{addr.Unmap(), ""}, b.policy.Users, now)
	}
}

// count adds a failure and reports whether it is the first.
func (b *banTable) count(key suspect, borne int, now time.Time) bool {
	r := b.records[key]
	if r == nil || now.Sub(r.last) > b.policy.Memory {
		b.makeRoom(now)
		r = &record{}
		b.records[key] = r
	}
	r.failures++
	r.last = now
	if r.failures < borne {
		return r.failures == 1
	}
	ban := b.policy.Longest
	if doublings := r.failures - borne; doublings < 20 {
		ban = min(ban, b.policy.First<<doublings)
	}
	r.until = now.Add(ban)
	return r.failures == 1
}

// makeRoom forgets something that is over, and if it finds nothing soon, anything: an attacker with that many addresses
// has won nothing but that.
func (b *banTable) makeRoom(now time.Time) {
	if b.records == nil {
		b.records = map[suspect]*record{}
	}
	looked := 0
	for key, r := range b.records {
		if len(b.records) < b.policy.Entries {
			return
		}
		looked++
		if looked > 64 || now.Sub(r.last) > b.policy.Memory && now.After(r.until) {
			delete(b.records, key)
		}
	}
}

// succeeded forgives the user at this address; the address keeps its own count.
func (b *banTable) succeeded(addr netip.Addr, user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.records, suspect{addr.Unmap(), user})
}
