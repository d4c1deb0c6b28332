package telephony

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/telephony/transaction"
)

const (
	// settingsFresh is how long a device's settings are used without asking again, if nobody says that they changed.
	settingsFresh = 15 * time.Second
	// settingsStale is how long they are used when the directory is away.
	settingsStale = 12 * time.Hour
	// settingsLimit bounds the devices remembered.
	settingsLimit = 50_000
)

// settings are those of the devices that were used lately. A ring does not wait for them: those of a registered phone
// are known since its REGISTER, and what is old is read anew behind its back.
type settings struct {
	dir   Directory
	now   func() time.Time
	start func(func()) bool // a goroutine of the node
	life  context.Context

	mu    sync.Mutex
	known map[settingsKey]knownSettings
}

type settingsKey struct {
	tenant id.Tenant
	device id.Device
}

type knownSettings struct {
	device.Device
	read    time.Time
	doubted bool // the directory changed since
	missing bool // there is none of that name
	reading bool // somebody reads it anew
}

func newSettings(n *Node) *settings {
	return &settings{dir: n.dir, now: n.now, start: n.start, life: n.life, known: map[settingsKey]knownSettings{}}
}

// of finds a device with its settings; fault.NotFound.
func (s *settings) of(ctx context.Context, t id.Tenant, name id.Device) (device.Device, error) {
	k, now := settingsKey{t, name}, s.now()
	s.mu.Lock()
	old, found := s.known[k]
	s.mu.Unlock()
	if found && !old.missing && !old.doubted && now.Sub(old.read) < settingsFresh {
		return old.Device, nil
	}
	v, err := s.dir.Device(ctx, t, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.makeRoom()
		s.known[k] = knownSettings{Device: v, read: now}
		return v, nil
	case fault.KindOf(err) == fault.NotFound:
		delete(s.known, k)
		if len(s.known) < settingsLimit/2 { // strangers don't drive out whom we know
			s.known[k] = knownSettings{read: now, missing: true}
		}
	case found && !old.missing && now.Sub(old.read) < settingsStale:
		return old.Device, nil
	}
	return device.Device{}, fmt.Errorf("read the settings of a device: %w", err)
}

// nobody reports a name that was looked up just now, and that no device has.
func (s *settings) nobody(t id.Tenant, name id.Device) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.known[settingsKey{t, name}]
	return found && old.missing && !old.doubted && s.now().Sub(old.read) < settingsFresh
}

// quick finds a device, and waits only if it is not at hand; fault.NotFound.
func (s *settings) quick(ctx context.Context, t id.Tenant, name id.Device) (device.Device, error) {
	if v, found := s.atHand(t, name); found {
		return v, nil
	}
	return s.of(ctx, t, name)
}

// atHand finds a device without waiting; false if it has to be looked up.
func (s *settings) atHand(t id.Tenant, name id.Device) (device.Device, bool) {
	k, now := settingsKey{t, name}, s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.known[k]
	if !found || old.doubted || old.missing {
		return device.Device{}, false
	}
	if now.Sub(old.read) >= settingsFresh && !old.reading {
		old.reading = s.start(func() { s.again(k) })
		s.known[k] = old
	}
	return old.Device, true
}

// again reads a device that was used although it was old.
func (s *settings) again(k settingsKey) {
	ctx, cancel := context.WithTimeout(s.life, lookupTime)
	defer cancel()
	_, err := s.of(ctx, k.tenant, k.device)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, found := s.known[k]; err != nil && found {
		old.reading = false
		s.known[k] = old
	}
}

// doubt has a tenant's devices looked up when they are next used, all tenants' if t is empty.
func (s *settings) doubt(t id.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.known {
		if t == "" || k.tenant == t {
			v.doubted = true
			s.known[k] = v
		}
	}
}

// makeRoom forgets anything. The lock is held.
func (s *settings) makeRoom() {
	for k := range s.known {
		if len(s.known) < settingsLimit {
			return
		}
		delete(s.known, k)
	}
}

// lettingIn refuses what a device may not do from where it is: by its host (SEED-121) and its transports (SEED-120).
func lettingIn(v device.Device, from transaction.Flow) *refusal {
	if at, fixed := v.FixedAt(); fixed {
		source, err := netip.ParseAddrPort(from.Remote)
		if err != nil || source.Addr().Unmap() != at.Addr().Unmap() {
			return refuse(sip.StatusForbidden, fmt.Errorf("device %s may come from %s only", v.Name, at.Addr()))
		}
	}
	if t := transportOf(from); !v.Allows(t) {
		return refuse(sip.StatusForbidden, fmt.Errorf("device %s may not use %s", v.Name, t))
	}
	return nil
}

// letCall refuses the call of a device that may not call (SEED-122), or not in clear (SEED-128).
func letCall(v device.Device, from transaction.Flow) *refusal {
	switch {
	case !v.Type.Calls():
		return refuse(sip.StatusForbidden, fmt.Errorf("device %s is of type %s: it may not call", v.Name, v.Type))
	case v.SRTP:
		return refuse(sip.StatusNotAcceptableHere, fmt.Errorf("device %s must encrypt its audio, which this node can't", v.Name))
	}
	return lettingIn(v, from)
}

// letRegister refuses the registration of a device that is never called.
func letRegister(v device.Device, from transaction.Flow) *refusal {
	if !v.Type.Called() {
		return refuse(sip.StatusForbidden, fmt.Errorf("device %s is of type %s: it is never called", v.Name, v.Type))
	}
	return lettingIn(v, from)
}

func transportOf(f transaction.Flow) device.Transport {
	return device.Transport(strings.ToLower(f.Transport))
}

// arranged are the ways by which a device may be called, of those that are there: by its type, host, NAT and
// encryption. Of several ways to one phone the device's favourite transport is tried first.
func arranged(v device.Device, ways []contact) []contact {
	if !v.Type.Called() || v.SRTP {
		return nil
	}
	var list []contact
	for _, c := range ways {
		twice := slices.ContainsFunc(list, func(o contact) bool { return o.instance == c.instance })
		if twice || lettingIn(v, transaction.Flow{Transport: c.by(), Remote: c.peer}) != nil {
			continue
		}
		c.settings = v.Settings
		c.follow(v.NAT)
		list = append(list, c)
	}
	if len(v.Transports) < 2 {
		return list
	}
	rank := func(c contact) int { return v.Rank(device.Transport(strings.ToLower(c.by()))) }
	slices.SortStableFunc(list, func(x, y contact) int { return cmp.Compare(rank(x), rank(y)) })
	var first []contact
	for _, c := range list {
		i := slices.IndexFunc(first, func(o contact) bool { return o.samePhone(c) && rank(o) < rank(c) })
		if i < 0 {
			first = append(first, c)
		} else {
			first[i].next = append(first[i].next, c)
		}
	}
	return first
}

// by is the transport between the phone and whichever node holds its connection.
func (c contact) by() string { return cmp.Or(c.transport, c.flow.Transport) }

// follow sends a UDP phone's requests to the address that it named, if its NAT mode says that this is right (SEED-122).
func (c *contact) follow(nat device.NAT) {
	if !nat.ByContact() || c.flow.Transport != "UDP" || c.hop {
		return
	}
	var uri sip.Uri
	if sip.ParseUri(c.uri, &uri) != nil {
		return
	}
	host, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if err != nil {
		return // a name: where its REGISTER came from is better than a look-up
	}
	c.flow.Remote = netip.AddrPortFrom(host, uint16(cmp.Or(uri.Port, sip.DefaultPort("UDP")))).String()
}

// samePhone reports that two registrations of a device are two ways to one phone: the same instance (RFC 5626 §4.1), or
// the same address if they have none.
func (c contact) samePhone(o contact) bool {
	mine, _, named := strings.Cut(c.instance, "|")
	theirs, _, alsoNamed := strings.Cut(o.instance, "|")
	if isURN := strings.HasPrefix(mine, "urn:") || strings.HasPrefix(theirs, "urn:"); isURN {
		return named && alsoNamed && mine == theirs
	}
	return hostOf(c.peer) == hostOf(o.peer)
}

func hostOf(addr string) netip.Addr {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// fixed is the way to a device at a fixed address that is not registered (SEED-121).
func (n *Node) fixed(v device.Device) []contact {
	at, _ := v.FixedAt()
	t := v.FixedTransport()
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), uint16(sip.DefaultPort(strings.ToUpper(string(t)))))
	}
	uri := "sip:" + escapeUser(string(v.Name)) + "@" + at.String()
	if t != device.UDP {
		uri += ";transport=" + string(t)
	}
	flow := transaction.Flow{Transport: strings.ToUpper(string(t)), Remote: at.String()}
	return arranged(v, []contact{{
		uri: uri, to: toURI(v.Tenant, v.Name), flow: flow, instance: "fixed", peer: at.String(), unconnected: flow.Reliable(),
	}})
}
