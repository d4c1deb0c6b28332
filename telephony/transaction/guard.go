package transaction

import (
	"bytes"
	"net/netip"
	"sync"
	"time"
)

// GuardConfig sets the limits of a Guard.
type GuardConfig struct {
	// PerAddress and AddressBurst bound messages per second from one address (a /64 in IPv6), and at once. Defaults
	// 100 and 400: an office of phones behind one address.
	PerAddress, AddressBurst int
	// PerNetwork and NetworkBurst bound its /24 (/48). Defaults 500 and 2,000.
	PerNetwork, NetworkBurst int
	// Others and OthersBurst bound all sources together that find no room in the table. Defaults 1,000 and 2,000.
	Others, OthersBurst int
	// Trusted are never limited or banned: trunks, the proxy in front, loopback.
	Trusted []netip.Prefix
	// Entries bounds the addresses and networks remembered. Default 65,536.
	Entries int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Guard is a Filter against floods and scanners: token buckets per address and network, bans, and silence for programs
// that announce themselves as scanners. Its memory is bounded. Safe for concurrent use.
type Guard struct {
	conf   GuardConfig
	others bucket

	mu         sync.Mutex
	young, old map[netip.Prefix]*bucket
	turned     time.Time
	bans       map[netip.Addr]time.Time
}

// NewGuard makes a guard; its Allow is a Config.Filter.
func NewGuard(c GuardConfig) *Guard {
	c.PerAddress = positive(c.PerAddress, 100)
	c.AddressBurst = positive(c.AddressBurst, 400)
	c.PerNetwork = positive(c.PerNetwork, 500)
	c.NetworkBurst = positive(c.NetworkBurst, 2000)
	c.Others = positive(c.Others, 1000)
	c.OthersBurst = positive(c.OthersBurst, 2000)
	c.Entries = positive(c.Entries, 65_536)
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Guard{
		conf: c, others: bucket{rate: float64(c.Others), burst: float64(c.OthersBurst)},
		young: map[netip.Prefix]*bucket{}, bans: map[netip.Addr]time.Time{}, turned: c.Now(),
	}
}

// scanners are names that only attack tools use; each is unlikely in any other place of a message.
var scanners = [][]byte{
	[]byte("friendly-scanner"), []byte("sipvicious"), []byte("sundayddr"), []byte("sip-scan"),
	[]byte("VaxSIPUserAgent"), []byte("pplsip"), []byte("SIVuS"), []byte("smap "), []byte("iWar"),
}

// scanLength is how much of a message is searched for them.
const scanLength = 2048

// Allow is the Filter. Sources without an address (attached connections behind a proxy) pass: the proxy limits them.
func (g *Guard) Allow(_ string, source netip.AddrPort, data []byte) bool {
	addr := source.Addr()
	if !addr.IsValid() || g.trusted(addr) {
		return true
	}
	now := g.conf.Now()
	if g.bannedAt(addr, now) {
		return false
	}
	head := data[:min(len(data), scanLength)]
	for _, name := range scanners {
		if bytes.Contains(head, name) {
			return false
		}
	}
	one, network := prefixes(addr)
	return g.take(one, g.conf.PerAddress, g.conf.AddressBurst, now) &&
		g.take(network, g.conf.PerNetwork, g.conf.NetworkBurst, now)
}

// Ban drops everything from an address until then; a later end wins. Trusted addresses cannot be banned.
func (g *Guard) Ban(addr netip.Addr, until time.Time) {
	addr = addr.Unmap()
	if g.trusted(addr) {
		return
	}
	now := g.conf.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for a, end := range g.bans {
		if len(g.bans) < g.conf.Entries && now.Before(end) {
			break
		}
		delete(g.bans, a) // over, or any one when the table is full
	}
	if until.After(g.bans[addr]) {
		g.bans[addr] = until
	}
}

// Unban forgets a ban.
func (g *Guard) Unban(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.bans, addr.Unmap())
}

func (g *Guard) trusted(addr netip.Addr) bool {
	for _, p := range g.conf.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (g *Guard) bannedAt(addr netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	end, ok := g.bans[addr]
	if ok && !now.Before(end) {
		delete(g.bans, addr)
	}
	return ok && now.Before(end)
}

func prefixes(addr netip.Addr) (one, network netip.Prefix) {
	small, large := 32, 24
	if addr.Is6() {
		small, large = 64, 48
	}
	one, _ = addr.Prefix(small)     // the lengths are right
	network, _ = addr.Prefix(large) // for the family
	return one, network
}

// take spends a token of the prefix, or of the others' when there is no room for it.
func (g *Guard) take(p netip.Prefix, rate, burst int, now time.Time) bool {
	return g.bucketOf(p, rate, burst, now).take(now)
}

// generation is how long an unused bucket is remembered at least: it is full again long before.
const generation = time.Minute

func (g *Guard) bucketOf(p netip.Prefix, rate, burst int, now time.Time) *bucket {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.turned) > generation {
		g.young, g.old, g.turned = map[netip.Prefix]*bucket{}, g.young, now
	}
	if b := g.young[p]; b != nil {
		return b
	}
	b := g.old[p]
	switch {
	case b != nil:
		delete(g.old, p)
	case len(g.young)+len(g.old) >= g.conf.Entries:
		return &g.others
	default:
		b = &bucket{rate: float64(rate), burst: float64(burst)}
	}
	g.young[p] = b
	return b
}
