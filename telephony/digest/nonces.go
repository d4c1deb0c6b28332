package digest

import (
	"sync"
	"time"
)

// nonceTable remembers which counts of a nonce were used, so that a recorded request cannot be sent again. Only nonces of
// right answers get in: strangers cannot fill it. Two generations, so that forgetting costs nothing.
type nonceTable struct {
	life  time.Duration
	limit int

	mu         sync.Mutex
	young, old map[string]*counts
	turned     time.Time
}

// counts is a window over the nonce counts: requests may overtake each other, none may come twice.
type counts struct {
	highest uint64
	seen    uint64 // bit i: highest-i was used
}

// use takes a count; false if it was used, is too old, or there is no room (the client then gets a new nonce).
func (t *nonceTable) use(c credentials, now time.Time) bool {
	n, ok := parseNC(c.nc)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	w := t.young[c.nonce]
	if w == nil {
		w = t.old[c.nonce]
	}
	if w == nil {
		if len(t.young)+len(t.old) >= t.limit {
			return false
		}
		w = &counts{}
		t.young[c.nonce] = w
	}
	return w.use(n)
}

// turn forgets the older generation once every nonce in it has expired.
func (t *nonceTable) turn(now time.Time) {
	if t.young == nil || now.Sub(t.turned) > 2*t.life {
		t.young, t.old, t.turned = map[string]*counts{}, t.young, now
	}
}

func (w *counts) use(n uint64) bool {
	switch {
	case n > w.highest:
		shift := n - w.highest
		if shift >= 64 {
			w.seen = 0
		} else {
			w.seen <<= shift
		}
		w.seen |= 1
		w.highest = n
		return true
	case w.highest-n >= 64:
		return false
	}
	bit := uint64(1) << (w.highest - n)
	if w.seen&bit != 0 {
		return false
	}
	w.seen |= bit
	return true
}
