package telephony

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
	"holdfast/telephony/media"
	"holdfast/telephony/registrar"
	"holdfast/telephony/transaction"
)

// caller is who sent an INVITE.
type caller struct {
	tenant   id.Tenant
	number   string
	trunk    string // a carrier's call …
	limit    int
	agent    id.Agent // … or one from a device
	device   id.Device
	settings device.Settings
	private  bool // it does not want to be shown
}

// refusal is the final response for an INVITE that opens no call.
type refusal struct {
	code    int
	headers []sip.Header
	err     error         // for the log, may be nil
	reason  device.Reason // of a REGISTER, for the device's history; none: it is nothing to tell
}

func refuse(code int, err error) *refusal { return &refusal{code: code, err: err} }

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("refused with %d: %v", r.code, r.err) }

// errGaveUp says that the caller hung up before its call was opened.
var errGaveUp = errors.New("the caller gave up")

// invite takes an INVITE outside of any dialog. It runs on the shard's goroutine: what may block is done elsewhere.
func (n *Node) invite(tx *transaction.Server) {
	req := tx.Request()
	if r := n.unfit(req); r != nil {
		n.refuse(tx, r)
		return
	}
	select {
	case n.slots <- struct{}{}:
	default:
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, errors.New("too many callers at one time")))
		return
	}
	n.index.open(tx)
	started := n.start(func() {
		defer func() { <-n.slots }()
		n.openCall(tx)
	})
	if !started {
		n.index.opened(tx)
		<-n.slots
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, nil))
	}
}

// leastHops is the Max-Forwards that an INVITE needs to lead to a phone: by us, another node, proxies, and a carrier's
// exchanges. With fewer, somebody further on would answer 483, which says of an agent's device that it can't be reached, and
// whoever calls so would make one agent after the other Not Ready.
const leastHops = 10

// unfit refuses what can be refused without looking anything up.
func (n *Node) unfit(req *sip.Request) *refusal {
	switch {
	case n.draining.Load():
		return refuse(sip.StatusServiceUnavailable, nil)
	case req.MaxForwards() != nil && *req.MaxForwards() < leastHops:
		return refuse(sip.StatusTooManyHops, nil)
	}
	if r := required(req); r != nil {
		return r
	}
	if req.Recipient.Scheme != "sip" && req.Recipient.Scheme != "sips" && req.Recipient.Scheme != "tel" {
		return refuse(416, nil)
	}
	if n.index.count() >= n.conf.MaxCalls {
		return refuse(sip.StatusServiceUnavailable, errors.New("as many calls as allowed"))
	}
	return nil
}

// required refuses extensions that the peer requires and we don't have (RFC 3261 §8.2.2.3).
func required(req *sip.Request) *refusal {
	var unknown []string
	for _, option := range headers.List(req, "Require") {
		if !strings.EqualFold(option, "timer") {
			unknown = append(unknown, option)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	h, err := headers.New("Unsupported", strings.Join(unknown, ", "))
	if err != nil {
		return refuse(sip.StatusBadRequest, err)
	}
	return &refusal{code: sip.StatusBadExtension, headers: []sip.Header{h}}
}

// refuse sends the final response of a refusal.
func (n *Node) refuse(tx *transaction.Server, r *refusal) {
	n.metrics.refused.WithLabelValues(strconv.Itoa(r.code)).Inc()
	if r.err != nil {
		n.log.Info("a caller was refused", "code", r.code, "from", tx.Flow().Remote, "err", r.err)
	}
	res := tx.NewResponse(r.code, "")
	for _, h := range r.headers {
		res.AppendHeader(h)
	}
	if r.code == sip.StatusServiceUnavailable {
		res.AppendHeader(n.retryAfter())
	}
	n.respond(tx, res)
}

// respond answers; nobody is there to be told of a failure but the log.
func (n *Node) respond(tx *transaction.Server, res *sip.Response) {
	err := tx.Respond(res)
	if err != nil && !errors.Is(err, transaction.ErrCancelled) && !errors.Is(err, transaction.ErrStopped) {
		n.log.Info("a response could not be sent", "code", res.StatusCode, "to", tx.Flow().Remote, "err", err)
	}
}

// openCall finds out who calls, makes the call and hands it to the Handler.
func (n *Node) openCall(tx *transaction.Server) {
	who, r := n.identify(n.life, tx)
	var a *actor
	if r == nil {
		a, r = n.admit(tx, who)
	}
	gaveUp := n.index.opened(tx)
	if r != nil {
		n.refuse(tx, r)
		return
	}
	ctx, hangUp := context.WithCancelCause(n.life)
	defer hangUp(nil)
	a.gaveUp = func() { hangUp(errGaveUp) }
	if !n.start(a.run) {
		a.box.post(func() { a.taken(errGaveUp) })
		a.run() // it ends at once: nothing else may begin now
		return
	}
	if gaveUp {
		a.box.post(func() {
			a.taken(errGaveUp)
			a.step(a.customer, sawCancel, evidence{remote: true})
		})
		return
	}
	h := n.handler()
	err := fault.E(fault.Unavailable, "open call", errors.New("the node has no handler yet"))
	if h != nil {
		if err = h.Incoming(ctx, a.in); err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	a.box.post(func() { a.taken(err) })
}

// identify finds out whose call it is: a trunk's by its address, or by digest a trunk's or a device's. A device behind
// a trunk's address is told by its registration.
func (n *Node) identify(ctx context.Context, tx *transaction.Server) (caller, *refusal) {
	req := tx.Request()
	source, err := netip.ParseAddrPort(tx.Flow().Remote)
	if err != nil {
		return caller{}, refuse(sip.StatusForbidden, err)
	}
	signed := len(req.GetHeaders("Authorization")) > 0
	if who, r, known := n.atFixedAddress(ctx, req, tx.Flow()); known && !signed {
		return who, r
	}
	if !signed && !n.isPhone(req, tx.Flow()) {
		trunk, known := n.carriers.from(source.Addr(), req.Recipient.Host)
		if !known {
			if err := n.carriers.look(ctx); err != nil {
				n.log.Info("the trunks could not be read", "err", err)
			}
			trunk, known = n.carriers.from(source.Addr(), req.Recipient.Host)
		}
		if known {
			from := headers.Caller(req, true)
			return caller{tenant: trunk.Tenant, number: shown(from), trunk: trunk.Name, limit: trunk.Limit}, nil
		}
	}
	who, r := n.authenticate(ctx, req, source.Addr())
	if r == nil && who.device != "" {
		r = n.settle(ctx, &who, tx.Flow())
	}
	return who, r
}

// atFixedAddress recognises a device without a password by the address at which it is (SEED-121), if it calls itself
// by its name and our domain.
func (n *Node) atFixedAddress(ctx context.Context, req *sip.Request, from transaction.Flow) (caller, *refusal, bool) {
	claim, _ := claimed(req)
	name, host, _ := strings.Cut(registrar.AOR(claim), "@")
	realm, known := n.carriers.realm(host)
	if name == "" || !known || !strings.EqualFold(string(realm), host) || n.settings.nobody(realm, id.Device(name)) {
		return caller{}, nil, false
	}
	v, err := n.settings.quick(ctx, realm, id.Device(name))
	if err != nil || !v.Fixed() || lettingIn(v, from) != nil {
		return caller{}, nil, false //nolint:nilerr // not recognised here: another way may do
	}
	if _, err := n.secrets.of(ctx, realm, name); fault.KindOf(err) != fault.NotFound {
		return caller{}, nil, false // it has a password, and has to show it
	}
	who := caller{tenant: realm, number: cmp.Or(string(v.Agent), name), agent: v.Agent, device: v.Name, settings: v.Settings, private: hides(req)}
	return who, letCall(v, from), true
}

// settle adds what is set of a caller's device, and refuses what it may not do.
func (n *Node) settle(ctx context.Context, who *caller, from transaction.Flow) *refusal {
	v, err := n.settings.quick(ctx, who.tenant, who.device)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return refuse(sip.StatusForbidden, err)
	case err != nil:
		return refuse(sip.StatusServiceUnavailable, err)
	}
	who.settings = v.Settings
	return letCall(v, from)
}

// authenticate asks for and checks a digest. It tells strangers nothing: unknown users and wrong passwords get the same.
func (n *Node) authenticate(ctx context.Context, req *sip.Request, source netip.Addr) (caller, *refusal) {
	realm, user, r := n.verify(ctx, req, source)
	if r != nil {
		return caller{}, r
	}
	cred, err := n.secrets.of(ctx, realm, user)
	if err != nil {
		return caller{}, refuse(sip.StatusServiceUnavailable, err)
	}
	if cred.Trunk != "" {
		trunk, _ := n.carriers.named(realm, cred.Trunk)
		return caller{tenant: realm, number: shown(headers.Caller(req, true)), trunk: cred.Trunk, limit: trunk.Limit}, nil
	}
	number := string(cred.Agent)
	if number == "" {
		number = string(cred.Device)
	}
	return caller{tenant: realm, number: number, agent: cred.Agent, device: cred.Device, private: hides(req)}, nil
}

// verify checks the digest of a request; it returns the user, or the 401 or 403.
func (n *Node) verify(ctx context.Context, req *sip.Request, source netip.Addr) (id.Tenant, string, *refusal) {
	realm, known := n.carriers.realm(req.From().Address.Host, req.Recipient.Host)
	if !known {
		if err := n.carriers.look(ctx); err != nil {
			n.log.Info("the tenants could not be read", "err", err)
		}
		realm, known = n.carriers.realm(req.From().Address.Host, req.Recipient.Host)
	}
	if !known {
		realm = id.Tenant(req.From().Address.Host) // nobody's: all users are unknown there
	}
	result, err := n.digest.Check(ctx, req, string(realm), source)
	switch {
	case err != nil:
		return "", "", refuse(sip.StatusServiceUnavailable, err)
	case result.Banned:
		n.metrics.banned.Inc()
		return realm, result.User, &refusal{code: sip.StatusForbidden, reason: device.Banned}
	case !result.OK:
		r := &refusal{code: sip.StatusUnauthorized, headers: result.Challenge}
		if result.Wrong {
			r.reason = device.WrongPassword
		}
		if result.Tried {
			n.metrics.unauthorized.Inc()
			n.fragile.answered(req, source)
		} else {
			r.headers = n.fragile.offer(req, source, result.Challenge, n.now())
		}
		return realm, result.User, r
	}
	n.fragile.answered(req, source)
	return realm, result.User, nil
}

// shown is a caller's number as it is told; empty numbers are anonymous.
func shown(p headers.Party) string {
	if p.Anonymous || p.Number == "" {
		return anonymous
	}
	return p.Number
}

// admit makes the call's actor with its customer leg.
func (n *Node) admit(tx *transaction.Server, who caller) (*actor, *refusal) {
	req := tx.Request()
	called := headers.Called(req)
	data, dropped := headers.Attached(req)
	if dropped > 0 {
		n.log.Info("attached data of a caller was dropped", "pairs", dropped)
	}
	boot := n.Boot()
	a := newActor(n, call.Incoming{
		Tenant: who.tenant, Call: id.NewCall(string(*req.CallID()), req.From().Params.GetOr("tag", ""), boot),
		Node: n.conf.Name, Boot: boot, From: who.number, To: called.Number, Trunk: who.trunk, Agent: who.agent,
		Device: who.device, Data: data, Private: who.private, Hops: hopsOf(req), At: n.now(),
	})
	a.from = who.settings
	if r := a.meet(tx, who.limit); r != nil {
		if a.customer != nil {
			a.silence(a.customer)
		}
		return nil, r
	}
	n.metrics.calls.Inc()
	return a, nil
}

// hopsOf is the Max-Forwards of an INVITE that is not used up: never more than is usual, so that nobody keeps a loop alive.
func hopsOf(req *sip.Request) int {
	if n := req.MaxForwards(); n != nil && *n < dialog.MaxForwards {
		return int(*n)
	}
	return dialog.MaxForwards
}

// meet makes the customer leg: its dialog, its audio, and what both may refuse.
func (a *actor) meet(tx *transaction.Server, limit int) *refusal {
	n, req := a.node, tx.Request()
	d, err := dialog.FromInvite(req, tx.Flow(), tx.Tag(), n.contact(tx.Flow().Transport))
	if err == nil {
		_, err = d.Agree(req, n.conf.Sessions, n.now()) // agreed again when it is answered
	}
	if err != nil {
		return refusedBy(err)
	}
	offer, err := description(req)
	if err != nil {
		return refuse(statusOf(err), err)
	}
	stream, err := n.engine.Open(string(a.ref.Call))
	if err != nil {
		if errors.Is(err, media.ErrNoPorts) {
			return refuse(sip.StatusServiceUnavailable, err)
		}
		return refuse(sip.StatusInternalServerError, err)
	}
	l := &sipLeg{id: call.CallerLeg, phase: arriving, dialog: d, server: tx, stream: stream, nat: a.from.NAT}
	l.sound = newSound(stream.Addr(), spoken(a.from, ""))
	l.update = headers.Has(req, "Allow", string(sip.UPDATE))
	a.customer = l
	if l.offer = offer; offer != nil {
		if _, err := l.sound.answer(offer); err != nil {
			return refuse(statusOf(err), err)
		}
	}
	if a.in.Trunk != "" && !n.index.enter(trunkKey(a.in.Tenant, a.in.Trunk), limit) {
		return refuse(sip.StatusBusyHere, errors.New("the trunk has as many calls as allowed"))
	}
	if !n.index.addCall(a) {
		n.leaveTrunk(a)
		return refuse(sip.StatusLoopDetected, errors.New("the call is open already"))
	}
	n.index.addStream(stream, owner{a, l})
	n.index.addLeg(keyOf(d), owner{a, l})
	return nil
}

// refusedBy turns an error of the dialog package into a refusal.
func refusedBy(err error) *refusal {
	var r *dialog.Reply
	if errors.As(err, &r) {
		return &refusal{code: r.Code, headers: r.Headers(), err: err}
	}
	return refuse(sip.StatusBadRequest, err)
}

func trunkKey(t id.Tenant, name string) string { return string(t) + "/" + name }

// leaveTrunk gives back what enter took.
func (n *Node) leaveTrunk(a *actor) {
	if a.in.Trunk != "" {
		n.index.leave(trunkKey(a.in.Tenant, a.in.Trunk))
	}
}

// uncount ends a leg's being a call of its trunk's. It may be called twice.
func (n *Node) uncount(l *sipLeg) {
	if l.trunk != "" {
		n.index.leave(l.trunk)
		l.trunk = ""
	}
}

// gaveUp takes the caller's CANCEL.
func (n *Node) gaveUp(tx *transaction.Server) {
	if n.index.cancelled(tx) {
		return
	}
	o, found := n.index.leg(dialogKey{string(*tx.Request().CallID()), tx.Tag()})
	if !found {
		return
	}
	o.actor.box.post(func() { o.actor.step(o.leg, sawCancel, evidence{cause: leg.Abandoned, remote: true}) })
}
