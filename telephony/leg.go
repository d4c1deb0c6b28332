package telephony

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/digest"
	"holdfast/telephony/headers"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// sipLeg is one leg as the node has it: its dialog, its audio, and the transaction of its INVITE. Its actor's
// goroutine is the only one that touches it.
type sipLeg struct {
	id     id.Leg // empty as long as a phone rings: the leg has a name when it is answered
	phase  phase
	dialog *dialog.Dialog
	server *transaction.Server // the INVITE that we got
	client *transaction.Client // the INVITE that we sent
	stream *media.Stream
	sound  sound
	way    transaction.Flow // by which our INVITE went; it never changes
	hop    bool             // that leads to another node, which passes on
	peer   string           // ip:port that the party signals from, if not that of the flow

	account *digest.Client // our credentials at the carrier, if it is one
	next    []contact      // of the carrier's servers, those not tried yet
	to      *address       // whom we ring
	trunk   string         // it counts as a call of this trunk's
	offer   []byte         // the caller's session description

	identity []sip.Header // who calls, as the INVITE says besides From
	nat      device.NAT   // of the device

	ring   *ring // of a leg that we rang
	device id.Device
	phone  string // which of the device's phones: its registration's instance
	person bool   // a device and not a carrier
	code   int    // latest provisional or final status

	rangAt     time.Time
	answeredAt time.Time
	why        leg.Cause // of our wish to end it
	held       bool      // the phone put us on hold
	playing    *media.Clip
	bridged    bool
	takesOver  bool     // our 2xx has an offer, the ACK brings the answer
	update     bool     // the peer allows UPDATE
	infos      infoGate // what is passed on to it
	timer      alarm
	unsent     error // why the 2xx could not be sent
}

// evidence is what came with a happening.
type evidence struct {
	res    *sip.Response
	tx     *transaction.Server // of the BYE
	cause  leg.Cause
	remote bool // the party did it
	code   int
	alone  bool // the other party stays
}

// step moves the leg by the table in machine.go and does what that asks.
func (a *actor) step(l *sipLeg, h happening, e evidence) {
	t, ok := after(l.phase, h)
	if !ok {
		return
	}
	l.phase = t.next
	if h == wantEnd {
		l.why = e.cause
	}
	if !l.phase.lives() {
		a.silence(l)
	}
	for _, do := range t.do {
		a.perform(l, do, e)
	}
	if l.phase == gone {
		a.bury(l)
	}
}

func (a *actor) perform(l *sipLeg, do act, e evidence) {
	switch do {
	case noteRinging:
		if l.code = e.res.StatusCode; l.code > sip.StatusTrying {
			a.phoneRings(l)
			a.earlySound(l, e.res)
		}
	case tryToWin:
		a.won(l, e)
	case sendAck:
		a.wrote("ACK", l, l.client.Acknowledge(l.ack()))
	case sendBye:
		a.sendBye(l, e)
	case sendCancel:
		a.wrote("CANCEL", l, l.client.Cancel(whyOf(e.cause).reason.Header()))
	case sendFinal:
		a.sendFinal(l, e)
	case sendOK:
		l.unsent = a.sendOK(l)
	case sendOKBye:
		l.dialog.End(a.node.now())
		a.wrote("200 to BYE", l, e.tx.Respond(e.tx.NewResponse(sip.StatusOK, "")))
	case confirm:
		a.confirmed(l)
	case tellOutcome:
		a.phoneEnded(l, a.outcome(l, e), e.code)
	case tellEnded:
		a.legEnded(l, e)
	}
}

// wrote notes a message that could not be sent. Nothing else can be done: the transaction's own end follows.
func (a *actor) wrote(what string, l *sipLeg, err error) {
	if err != nil && !errors.Is(err, transaction.ErrStopped) {
		a.log.Info("a message could not be sent", "message", what, "leg", string(l.id), "flow", l.dialog.Flow.String(), "err", err)
	}
}

// outcome is how a phone's refusal, or its silence, counts.
func (a *actor) outcome(l *sipLeg, e evidence) call.Outcome {
	if e.code == 0 {
		return call.RingUnreachable
	}
	var reasons []headers.Reason
	if e.res != nil {
		reasons = headers.Reasons(e.res)
	}
	return outcomeOf(e.code, !l.rangAt.IsZero(), l.person, reasons...)
}

func (a *actor) sendBye(l *sipLeg, e evidence) {
	c := e.cause
	if l.why != "" {
		c = l.why // that of the CANCEL which the answer crossed, or of the end that waited for the ACK
	}
	if way, found := a.node.wayBack(a.ref.Tenant, l); found {
		l.dialog.Moved(way)
	}
	a.wrote("BYE", l, a.goodbye(l, whyOf(c).reason).send())
	l.dialog.End(a.node.now())
}

// sendFinal refuses the caller's INVITE.
func (a *actor) sendFinal(l *sipLeg, e evidence) {
	w := whyOf(e.cause)
	code := w.code
	switch {
	case e.tx != nil:
		code = sip.StatusRequestTerminated // an early BYE (RFC 3261 §15.1.2)
	case e.code != 0:
		code = e.code
	}
	res := l.server.NewResponse(code, "")
	res.AppendHeader(w.reason.Header())
	if code == sip.StatusServiceUnavailable {
		res.AppendHeader(a.node.retryAfter())
	}
	l.dialog.Rejected(l.server.Request(), a.node.now())
	if err := l.server.Respond(res); !errors.Is(err, transaction.ErrCancelled) {
		a.wrote(fmt.Sprint(code), l, err)
	}
}

// silence ends the leg's audio. It may be called twice.
func (a *actor) silence(l *sipLeg) {
	if l.stream == nil {
		return
	}
	a.node.index.dropStream(l.stream)
	if st, err := l.stream.Stats(); err == nil {
		switch {
		case l == a.customer:
			a.callerIn = st.In
		case l.id != "":
			a.agentIn = st.In
		}
	}
	if err := l.stream.Close(); err != nil {
		a.log.Warn("an audio stream did not close", "leg", string(l.id), "err", err)
	}
	l.stream = nil
}

// bury forgets a leg that is over; BYEs that are still on their way find its tombstone.
func (a *actor) bury(l *sipLeg) {
	a.alarms.disarm(&l.timer)
	a.node.index.bury(l.dialog, a.node.now())
	a.node.uncount(l)
	for i, r := range a.rung {
		if r == l {
			a.rung = append(a.rung[:i], a.rung[i+1:]...)
			return
		}
	}
}

// legEnded tells that a leg of the call is over and does what follows at once: nobody stays behind alone.
func (a *actor) legEnded(l *sipLeg, e evidence) {
	switch l {
	case a.customer:
		if e.remote && a.answeredAt.IsZero() {
			e.cause = leg.Abandoned
		}
		a.gaveUp()
		a.ended(l, e)
		if a.ring != nil {
			a.endRing(call.RingEnded{Outcome: call.RingRescinded}, e.cause)
		}
		if a.talking != nil {
			a.step(a.talking, wantEnd, evidence{cause: e.cause})
		}
	case a.talking:
		a.talking = nil
		a.ended(l, e)
		if !e.alone {
			a.step(a.customer, wantEnd, evidence{cause: e.cause})
		} else {
			a.route()
		}
	}
}

func (a *actor) ended(l *sipLeg, e evidence) {
	if a.endedBy == "" {
		a.cause, a.endedBy = e.cause, "system"
		if e.remote {
			a.endedBy = string(l.id)
		}
	}
	ended := call.LegEnded{Leg: l.id, Cause: e.cause, Remote: e.remote}
	if a.ring != nil {
		ended.RangAt = a.ring.rangAt
	}
	a.report(ended)
}

// invite rings one contact of the ring.
func (a *actor) invite(r *ring, to *address, c contact) {
	r.legs++
	l := &sipLeg{
		phase: calling, ring: r, device: to.Device, person: to.Kind != leg.PSTN, to: to, way: c.flow, hop: c.hop, peer: c.peer,
		phone: c.instance, account: c.account, next: c.next, nat: c.settings.NAT,
	}
	if c.trunk != "" && !a.node.index.enter(c.trunk, c.limit) {
		a.log.Warn("a number can't be called: its trunk has as many calls as allowed", "device", string(to.Device), "trunk", c.trunk, "limit", c.limit)
		r.legs--
		r.note(call.RingTrunkBusy, sip.StatusServiceUnavailable, to.Device)
		return
	}
	l.trunk = c.trunk
	if err := a.sendInvite(l, r, c); err != nil {
		a.log.Info("a phone could not be rung", "device", string(to.Device), "flow", c.flow.String(), "err", err)
		a.silence(l)
		a.node.uncount(l)
		r.legs--
		r.note(call.RingUnreachable, 0, to.Device)
		if errors.Is(err, media.ErrNoPorts) {
			r.note(call.RingOverload, sip.StatusServiceUnavailable, to.Device)
		}
		return
	}
	a.rung = append(a.rung, l)
	a.awaitServer(l)
	if a.setup.inviteOut.IsZero() {
		a.setup.inviteOut = a.node.now()
	}
}

func (a *actor) sendInvite(l *sipLeg, r *ring, c contact) error {
	stream, err := a.node.engine.Open(string(a.ref.Call))
	if err != nil {
		return err
	}
	l.stream = stream
	who := a.shownTo(c, r.order)
	l.identity = who.headers
	l.dialog, err = dialog.New(dialog.Call{
		Target: c.uri, From: who.uri, FromName: who.name, To: c.to, Contact: a.node.contact(c.flow.Transport), Flow: c.flow, Route: c.route,
		Hops: cmp.Or(r.order.Hops, a.in.Hops),
	})
	if err != nil {
		return err
	}
	l.sound = newSound(stream.Addr(), a.codecsFor(c.settings))
	a.node.index.addStream(stream, owner{a, l})
	a.node.index.addLeg(keyOf(l.dialog), owner{a, l})
	if err := a.requestInvite(l); err != nil {
		a.node.index.dropLeg(keyOf(l.dialog))
		return err
	}
	return nil
}

// favourite is the codec that the customer speaks, so that nothing needs translating.
func (a *actor) favourite() string {
	if agreed := a.customer.sound.agreed; agreed != nil {
		return agreed.Codec.Name
	}
	return ""
}

// requestInvite sends the leg's INVITE, at first or again with a longer session.
func (a *actor) requestInvite(l *sipLeg) error {
	req := l.dialog.Retry(l.sound.offer(), l.dialog.Offer(a.node.conf.Sessions)...)
	for _, h := range a.node.abilities() {
		req.AppendHeader(h)
	}
	for _, h := range l.identity {
		req.AppendHeader(sip.HeaderClone(h))
	}
	if l.person { // a carrier has no business with it
		for _, h := range a.about(l.ring.order) {
			req.AppendHeader(h)
		}
	}
	if l.account != nil {
		l.account.Sign(req)
	}
	client, err := a.node.layer.Request(req, func(res *sip.Response, err error) { a.node.invited(owner{a, l}, res, err) })
	if err != nil {
		return err
	}
	l.client = client
	return nil
}

// about are the headers that tell the agent's device what the call is (interfaces.md).
func (a *actor) about(o call.Ring) []sip.Header {
	var list []sip.Header
	for _, p := range [][2]string{{"X-CC-Call-ID", string(a.ref.Call)}, {"X-CC-Queue", string(o.Queue)}} {
		if p[1] == "" {
			continue
		}
		h, err := headers.New(p[0], p[1])
		if err != nil {
			a.log.Warn("a header was left out", "header", p[0], "err", err)
			continue
		}
		list = append(list, h)
	}
	data, err := headers.AttachedHeaders(o.Data)
	if err != nil {
		a.log.Warn("the attached data was left out", "err", err)
		return list
	}
	return append(list, data...)
}

// answered takes a response to the leg's INVITE, or its lack.
func (a *actor) answered(l *sipLeg, res *sip.Response, err error) {
	switch {
	case err != nil:
		a.tryNext(l)
		a.step(l, sawFailure, evidence{})
	case challenges(res) && l.account != nil && (l.phase == calling || l.phase == alerting):
		a.authorize(l, res)
	case res.StatusCode >= 200 && res.StatusCode < 300:
		a.success(l, res)
	case res.StatusCode == sessionTooSmall && (l.phase == calling || l.phase == alerting) && l.dialog.State == dialog.Calling && l.dialog.TooSmall(res):
		a.again(l)
	default:
		_ = l.dialog.Answered(res, a.node.now()) // of another fork: it rings all the same
		if res.StatusCode < 200 {
			a.step(l, sawProvisional, evidence{res: res})
			return
		}
		if res.StatusCode == sip.StatusServiceUnavailable {
			a.tryNext(l) // RFC 3263 §4.3
		}
		a.step(l, sawFailure, evidence{res: res, code: res.StatusCode})
	}
}

// success takes a 2xx: the first, a repetition of it, or that of another fork, which gets ACK and BYE.
func (a *actor) success(l *sipLeg, res *sip.Response) {
	now := a.node.now()
	first := l.phase == calling || l.phase == alerting || l.phase == leaving
	if first && l.dialog.Answered(res, now) == nil {
		l.update = headers.Has(res, "Allow", string(sip.UPDATE))
		a.step(l, sawSuccess, evidence{res: res})
		a.armSession(l)
		return
	}
	if res.To().Params.GetOr("tag", "") == l.dialog.RemoteTag {
		if l.phase == up && res.CSeq().SeqNo == l.dialog.InviteCSeq {
			a.wrote("ACK", l, l.client.Acknowledge(l.ack()))
		}
		return
	}
	ack, bye, err := l.dialog.Refuse(res, now, whyOf(leg.ElsewhereWon).reason)
	if err != nil {
		a.log.Warn("a forked answer could not be ended", "err", err)
		return
	}
	a.wrote("ACK", l, l.client.Acknowledge(ack))
	_, err = a.node.layer.Request(bye, func(*sip.Response, error) {})
	a.wrote("BYE", l, err)
}

// again sends the INVITE with the session interval that a 422 asked for (RFC 4028 §7.3).
func (a *actor) again(l *sipLeg) {
	if err := a.requestInvite(l); err != nil {
		a.wrote("INVITE", l, err)
		a.step(l, sawFailure, evidence{})
	}
}

// escapeUser writes s as the user part of a URI (RFC 3261 §25.1).
func escapeUser(s string) string {
	const plain = "-_.!~*'()&=+$,"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
