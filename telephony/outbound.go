package telephony

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/digest"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

const (
	// serverTime is how long a carrier's server may be silent before the next one is tried, in T1: 4 s, four INVITEs.
	serverTime = 8
	// mostServers bounds the servers of a carrier that are tried.
	mostServers = 4
)

// trunkFor is the trunk by which an address is dialled: the one that the number's route names, the one that the address
// itself names, or the only one there is.
func (n *Node) trunkFor(ctx context.Context, t id.Tenant, ad leg.Address) (device.Trunk, error) {
	ctx, done := n.reading(ctx)
	defer done()
	route, err := n.dir.Route(ctx, t, ad.URI)
	if err == nil && route.Barred != "" {
		return device.Trunk{}, errors.New(route.Barred)
	}
	name := string(ad.Device)
	if err == nil && route.Kind == call.ToTrunk && len(route.Targets) > 0 {
		name = string(route.Targets[0].Device)
	}
	if trunk, found := n.carriers.named(t, name); found {
		if trunk.Host == "" {
			return trunk, fmt.Errorf("trunk %s has no host", name)
		}
		return trunk, nil
	}
	if trunk, found := n.carriers.only(t); found {
		return trunk, nil
	}
	if err != nil {
		return device.Trunk{}, fmt.Errorf("look up the number's trunk: %w", err)
	}
	return device.Trunk{}, errors.New("the number leads to no trunk with a host")
}

// carrier finds the way of a number out.
func (n *Node) carrier(ctx context.Context, t id.Tenant, ad leg.Address) (contact, error) {
	trunk, err := n.trunkFor(ctx, t, ad)
	if err != nil {
		return contact{}, err
	}
	transport := "UDP"
	uri := "sip:" + escapeUser(ad.URI) + "@" + trunk.Host
	if strings.EqualFold(trunk.Transport, "TCP") {
		transport = "TCP"
		uri += ";transport=tcp"
	}
	servers, err := n.servers(ctx, trunk.Host, transport)
	if err != nil {
		return contact{}, err
	}
	var ways []contact
	for _, to := range servers {
		c := contact{uri: uri, to: uri, flow: transaction.Flow{Transport: transport, Remote: to.String()}, instance: uri, peer: to.String(), trunk: trunkKey(t, trunk.Name), limit: trunk.Limit, shows: showsOf(trunk)}
		if trunk.User != "" && trunk.MD5+trunk.SHA256 != "" {
			c.account = digest.NewHashed(trunk.User, trunk.Realm, trunk.MD5, trunk.SHA256)
		}
		c.unconnected = transport == "TCP"
		ways = append(ways, c)
	}
	ways[0].next = ways[1:]
	return n.firstOf(ctx, ways[0])
}

// servers are the addresses of a trunk's host, best first: those of its SRV records if it names no port (RFC 3263 §4.2),
// else of its A and AAAA records.
func (n *Node) servers(ctx context.Context, host, transport string) ([]netip.AddrPort, error) {
	_, _, err := net.SplitHostPort(host)
	_, literal := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil || literal == nil {
		to, err := n.address(ctx, host)
		return []netip.AddrPort{to}, err
	}
	_, records, err := n.conf.Resolver.LookupSRV(ctx, "sip", strings.ToLower(transport), host)
	if err != nil { // none, mostly
		to, err := n.address(ctx, host)
		return []netip.AddrPort{to}, err
	}
	var found []netip.AddrPort
	var problems error
	for _, r := range records[:min(len(records), mostServers)] {
		to, err := n.address(ctx, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), fmt.Sprint(r.Port)))
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		found = append(found, to)
	}
	if len(found) == 0 {
		return nil, problems
	}
	return found, nil
}

// address finds the address of a host: ip, ip:port, name or name:port (A and AAAA records; 5060 without port).
func (n *Node) address(ctx context.Context, host string) (netip.AddrPort, error) {
	const sipPort = "5060"
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), sipPort
	}
	number, err := n.conf.Resolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve %q: %w", host, err)
	}
	ips, err := n.conf.Resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve %q: %w", host, err)
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(number)), nil
}

// awaitServer gives a carrier's server its time, if there is another one.
func (a *actor) awaitServer(l *sipLeg) {
	if len(l.next) == 0 {
		return
	}
	a.alarms.arm(&l.timer, a.node.now().Add(serverTime*a.node.t1()), func() {
		if l.phase == calling && l.ring == a.ring {
			a.tryNext(l)
			l.ring.note(call.RingUnreachable, 0, l.device)
			a.giveUp(l, leg.Unreachable)
		}
	})
}

// tryNext rings the next server of a carrier in place of one that is silent or out of service. Until it is connected, it
// counts as a leg of the ring.
func (a *actor) tryNext(l *sipLeg) {
	if len(l.next) == 0 || l.ring != a.ring || l.phase != calling && l.phase != alerting || !l.rangAt.IsZero() {
		return
	}
	c, r, to := contact{next: l.next}.afterThis(), l.ring, l.to
	l.next = nil
	a.node.uncount(l) // the next one takes its place
	a.log.Info("a carrier's server or a way to a phone does not serve; the next one is tried", "flow", l.way.String())
	if c.ready() {
		a.invite(r, to, c)
		return
	}
	r.legs++
	n := a.node
	started := n.start(func() {
		ctx, cancel := context.WithTimeout(n.life, lookupTime)
		defer cancel()
		c, err := n.firstOf(ctx, c)
		a.ask(func() { a.foundNext(r, to, c, err) })
	})
	if !started {
		r.legs--
	}
}

// foundNext rings a next way that has been connected.
func (a *actor) foundNext(r *ring, to *address, c contact, err error) {
	if a.ring != r {
		return
	}
	r.legs--
	switch {
	case err != nil:
		a.log.Info("no other way to a party can be reached", "device", string(to.Device), "err", err)
		r.note(call.RingUnreachable, 0, to.Device)
	case !to.over:
		a.invite(r, to, c)
	}
	a.advance(r)
}

// t1 is the base timer (RFC 3261 §17.1.1.1).
func (n *Node) t1() time.Duration { return orElse(n.conf.Timers.T1, 500*time.Millisecond) }

// authorize answers a carrier's 401 or 407 (RFC 3261 §22.2), once per challenge.
func (a *actor) authorize(l *sipLeg, res *sip.Response) {
	if err := l.account.Learn(l.client.Request(), res); err != nil {
		a.log.Warn("a carrier does not take our credentials; the trunk's realm, user or password is wrong", "code", res.StatusCode, "err", err)
		_ = l.dialog.Answered(res, a.node.now()) // it ends the dialog
		a.step(l, sawFailure, evidence{code: res.StatusCode})
		return
	}
	a.again(l)
}

// earlySound lets a caller whom nobody has answered yet hear what a carrier says before it answers: ringing in its own
// way, or why it does not put the call through (RFC 3960 §3.2). A phone's early sound is not passed on, nor is one of
// several that ring.
func (a *actor) earlySound(l *sipLeg, res *sip.Response) {
	c := a.customer
	if l.person || l.ring != a.ring || l.ring.legs != 1 || c.phase != arriving || c.sound.agreed == nil || l.bridged {
		return
	}
	if body, err := description(res); err != nil || body == nil || l.takeAnswer(res) != nil {
		return // without sound, or it will be seen when the answer comes
	}
	progress := c.server.NewResponse(sip.StatusSessionInProgress, "")
	a.node.dress(progress, c.server.Flow().Transport)
	progress.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	progress.SetBody(c.sound.local.Last)
	if err := c.server.Respond(progress); err != nil {
		if !errors.Is(err, transaction.ErrCancelled) {
			a.wrote("183", c, err)
		}
		return
	}
	c.code = sip.StatusSessionInProgress
	a.settle(c)
	a.settle(l)
	if err := media.Bridge(c.stream, l.stream); err != nil {
		a.log.Error("a carrier's early sound could not be bridged", "err", err)
		return
	}
	l.bridged = true
}

// sign puts the credentials on a request within a dialog that the carrier asked for when it began, if it did, and returns
// the request without them. When they are asked for again, that is what is answered: their nonce is of long ago, and not
// every carrier says so (RFC 7616 §3.3, stale).
func sign(req *sip.Request, account *digest.Client) (plain *sip.Request) {
	if account == nil {
		return req
	}
	plain = req.Clone()
	account.Sign(req)
	return plain
}

// ack is the ACK of the leg's 2xx, with the credentials of its INVITE (RFC 3261 §22.1).
func (l *sipLeg) ack() *sip.Request { return l.dialog.Ack(credentialsOf(l.client.Request())...) }

func credentialsOf(req *sip.Request) (list []sip.Header) {
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, h := range req.GetHeaders(name) {
			list = append(list, sip.HeaderClone(h))
		}
	}
	return list
}
