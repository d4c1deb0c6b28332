package telephony

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
)

// fragile recognises phones that give up when they see a challenge that they don't know (RFC 8760 §2.7 expects them to
// skip it): they are offered MD5 alone. Some are known by name; others by coming back without credentials.
type fragile struct {
	mu   sync.Mutex
	left map[stray]time.Time // who was challenged and has not answered
}

// stray is an address and the user that it speaks for.
type stray struct {
	addr netip.Addr
	user string
}

const (
	// strayMemory is how long an unanswered challenge is remembered: longer than a phone's pause between attempts.
	strayMemory = 10 * time.Minute
	// strayLimit bounds how many are.
	strayLimit = 4096
)

// fragileAgents are the beginnings of User-Agent of phones that refuse to register if SHA-256 is offered at all, in
// whatever order: those of libre before its version 2.
var fragileAgents = []string{"baresip v0.", "baresip v1."}

// offer leaves of the challenges those that the sender of req can bear.
func (f *fragile) offer(req *sip.Request, source netip.Addr, challenges []sip.Header, now time.Time) []sip.Header {
	if !f.is(req, source, now) {
		return challenges
	}
	var plain []sip.Header
	for _, c := range challenges {
		if strings.Contains(c.Value(), "algorithm=MD5") {
			plain = append(plain, c)
		}
	}
	if len(plain) == 0 {
		return challenges // MD5 is not offered here
	}
	return plain
}

func (f *fragile) is(req *sip.Request, source netip.Addr, now time.Time) bool {
	agent := headers.Value(req, "User-Agent")
	for _, a := range fragileAgents {
		if strings.HasPrefix(agent, a) {
			return true
		}
	}
	k := stray{source.Unmap(), req.From().Address.User}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, again := f.left[k]
	if len(f.left) >= strayLimit || f.left == nil {
		f.left = map[stray]time.Time{} // a flood: what it made us forget costs a phone one attempt
	}
	f.left[k] = now
	return again && now.Sub(at) < strayMemory
}

// answered notes that the sender understands the challenges.
func (f *fragile) answered(req *sip.Request, source netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.left, stray{source.Unmap(), req.From().Address.User})
}
