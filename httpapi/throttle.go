package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/id"
)

const (
	// firstDelay is the wait after the first try beyond the free ones; it doubles with
	// each further one.
	firstDelay = time.Second
	// forgetAfter is when failures are forgotten, counted from the last.
	forgetAfter = 15 * time.Minute
	// rememberFor is how long somebody who signed in from an address is known there.
	rememberFor = 30 * 24 * time.Hour
	// knownAgain is how often that is written down anew.
	knownAgain = 24 * time.Hour
)

// pace is how fast one may guess.
type pace struct {
	free int           // wrong passwords in a row that cost nothing but the next try
	most time.Duration // the longest wait
}

// The paces: at one account from one address; from one address at whatever account (an
// office behind one address, where many mistype in the morning, is not slowed down at
// once); at one account from whatever address. The last is a choice: somebody who guesses
// at one account without a pause, from ever new addresses, keeps its owner from signing
// in at a place where the owner never was, and nowhere else. Without it, such guessing
// would be as fast as the machine.
var (
	pairPace    = pace{free: 5, most: 60 * time.Second}
	addressPace = pace{free: 50, most: 60 * time.Second}
	accountPace = pace{free: 20, most: 15 * time.Second}
)

// attempt names who guesses at what. Names that do not exist are slowed down alike.
type attempt struct {
	tenant  id.Tenant
	user    id.User
	address string
}

// throttle slows down guessing at passwords. Three tallies are kept of each attempt, in
// the vault, so that all processes count together. So that nobody can lock out another
// where that one works, who signed in from an address before is slowed down there by its
// own mistakes only, and those count for nobody else.
type throttle struct {
	vault Vault
	now   func() time.Time
}

// tallies are the names of an attempt's tallies.
type tallies struct{ pair, address, account string }

func (a attempt) tallies() tallies {
	name := func(kind string, of ...string) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q", of))
		return kind + ":" + hex.EncodeToString(sum[:16])
	}
	return tallies{
		pair:    name("pair", string(a.tenant), string(a.user), a.address),
		address: name("address", a.address),
		account: name("account", string(a.tenant), string(a.user)),
	}
}

// wait returns how long a must wait before its next try; 0: it may try now.
func (t *throttle) wait(ctx context.Context, a attempt) (time.Duration, error) {
	n := a.tallies()
	all, err := t.vault.Tallies(ctx, n.pair, n.address, n.account)
	if err != nil {
		return 0, unavailable("read tallies", err)
	}
	now := t.now()
	until := all[n.pair].Until
	if !known(all[n.pair], now) {
		for _, other := range []account.Tally{all[n.address], all[n.account]} {
			if other.Until.After(until) {
				until = other.Until
			}
		}
	}
	return max(0, until.Sub(now)), nil
}

// known reports whether somebody signed in there lately.
func known(pair account.Tally, now time.Time) bool {
	return !pair.Good.IsZero() && now.Sub(pair.Good) < rememberFor
}

// failed counts a wrong password.
func (t *throttle) failed(ctx context.Context, a attempt) error {
	n, now := a.tallies(), t.now()
	err := t.vault.Tally(ctx, []string{n.pair, n.address, n.account}, func(all map[string]account.Tally) map[string]account.Tally {
		counted := map[string]account.Tally{n.pair: pairPace.count(all[n.pair], now)}
		if !known(all[n.pair], now) {
			counted[n.address] = addressPace.count(all[n.address], now)
			counted[n.account] = accountPace.count(all[n.account], now)
		}
		return counted
	}, now.Add(forgetAfter))
	return unavailable("count a login", err)
}

// knockPace is how fast somebody at one address may show keys that don't fit. They can't
// be guessed; it bounds what each costs us.
var knockPace = pace{free: 30, most: 60 * time.Second}

// knock counts something that doesn't fit at a door of that kind; fault.TooMany when its
// address must wait. Who has what fits is never asked to.
func (t *throttle) knock(ctx context.Context, door, address string) error {
	if err := t.shut(ctx, door, address); err != nil {
		return err
	}
	name, now := doorOf(door, address), t.now()
	err := t.vault.Tally(ctx, []string{name}, func(all map[string]account.Tally) map[string]account.Tally {
		return map[string]account.Tally{name: knockPace.count(all[name], now)}
	}, now.Add(forgetAfter))
	return unavailable("count a wrong try", err)
}

// shut refuses who must wait at a door.
func (t *throttle) shut(ctx context.Context, door, address string) error {
	name := doorOf(door, address)
	all, err := t.vault.Tallies(ctx, name)
	if err != nil {
		return unavailable("read tallies", err)
	}
	if wait := all[name].Until.Sub(t.now()); wait > 0 {
		return slowDown(wait, "too_many_tries", "Too many wrong tries from your address; try again in %d seconds.", int(wait.Seconds())+1)
	}
	return nil
}

func doorOf(door, address string) string {
	sum := sha256.Sum256([]byte(address))
	return door + ":" + hex.EncodeToString(sum[:16])
}

// count adds a wrong password to t.
func (p pace) count(t account.Tally, now time.Time) account.Tally {
	if now.Sub(t.Last) > forgetAfter {
		t.Failures = 0
	}
	t.Failures++
	t.Last = now
	if over := t.Failures - p.free; over >= 0 {
		t.Until = now.Add(time.Duration(math.Min(float64(p.most), float64(firstDelay)*math.Pow(2, float64(over)))))
	}
	return t
}

// succeeded forgets the failures of a, and remembers that it signed in.
func (t *throttle) succeeded(ctx context.Context, a attempt) error {
	n, now := a.tallies(), t.now()
	all, err := t.vault.Tallies(ctx, n.pair)
	if err != nil {
		return unavailable("read tallies", err)
	}
	if p := all[n.pair]; p.Failures == 0 && now.Sub(p.Good) < knownAgain {
		return nil
	}
	err = t.vault.Tally(ctx, []string{n.pair}, func(map[string]account.Tally) map[string]account.Tally {
		return map[string]account.Tally{n.pair: {Good: now}}
	}, now.Add(rememberFor))
	return unavailable("count a login", err)
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
