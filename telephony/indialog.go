package telephony

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/sdp"
	"holdfast/telephony/transaction"
)

// errNotSDP says that a body is of a type that we don't read: 415.
var errNotSDP = errors.New("the body is no session description")

// statusOf is the final response for a description that could not be taken.
func statusOf(err error) int {
	if errors.Is(err, errNotSDP) {
		return sip.StatusUnsupportedMediaType
	}
	return sdp.Status(err)
}

// request takes a request of the peer within the leg's dialog.
func (a *actor) request(l *sipLeg, tx *transaction.Server) {
	req := tx.Request()
	if err := l.dialog.Receive(req, a.node.now()); err != nil {
		a.reply(l, tx, err)
		return
	}
	if req.Method != sip.BYE && !l.phase.lives() {
		a.reject(l, tx, sip.StatusCallTransactionDoesNotExists)
		return
	}
	if tx.Flow() != l.dialog.Flow && !l.hop {
		l.dialog.Moved(tx.Flow()) // behind NAT, or back on another connection; the tags prove who it is
	}
	switch req.Method {
	case sip.BYE:
		a.step(l, sawBye, evidence{tx: tx, cause: leg.Hangup, remote: true})
	case sip.INVITE, sip.UPDATE:
		a.renegotiate(l, tx)
	case sip.OPTIONS:
		a.respond(l, tx, a.node.capabilities(tx))
	case sip.INFO:
		a.info(l, tx)
	case sip.REFER:
		a.reject(l, tx, sip.StatusGlobalDecline)
	case sip.PRACK:
		a.reject(l, tx, sip.StatusCallTransactionDoesNotExists) // we send no reliable provisional response
	default:
		a.reject(l, tx, sip.StatusMethodNotAllowed)
	}
}

// reply sends the response that an error of the dialog package names.
func (a *actor) reply(l *sipLeg, tx *transaction.Server, err error) {
	var r *dialog.Reply
	if !errors.As(err, &r) {
		r = &dialog.Reply{Code: sip.StatusInternalServerError}
	}
	a.wrote(r.Error(), l, r.Send(tx))
}

// reject answers a request with a final response and settles what it had begun in the dialog.
func (a *actor) reject(l *sipLeg, tx *transaction.Server, code int) {
	l.dialog.Rejected(tx.Request(), a.node.now())
	res := tx.NewResponse(code, "")
	if code == sip.StatusMethodNotAllowed {
		res.AppendHeader(sip.NewHeader("Allow", allow))
	}
	a.respond(l, tx, res)
}

func (a *actor) respond(l *sipLeg, tx *transaction.Server, res *sip.Response) {
	a.wrote(transaction.Phrase(res.StatusCode), l, tx.Respond(res))
}

// renegotiate answers a re-INVITE or UPDATE by itself: hold, resume, another address, a session refresh. The other
// party's leg is never asked, so that nobody waits for it.
func (a *actor) renegotiate(l *sipLeg, tx *transaction.Server) {
	req := tx.Request()
	timer, err := l.dialog.Agree(req, a.node.conf.Sessions, a.node.now())
	if err != nil {
		l.dialog.Rejected(req, a.node.now())
		a.reply(l, tx, err)
		return
	}
	offer, err := description(req)
	if err != nil {
		a.reject(l, tx, statusOf(err))
		return
	}
	var body []byte
	switch {
	case offer != nil:
		if body, err = l.sound.answer(offer); err != nil {
			a.reject(l, tx, statusOf(err))
			return
		}
	case req.Method == sip.INVITE:
		body = l.sound.offer()
	}
	res := a.node.accepting(tx, timer, body)
	if err := tx.Respond(res); err != nil {
		l.dialog.Rejected(req, a.node.now())
		a.wrote("2xx", l, err)
		return
	}
	l.dialog.Accept(req)
	l.takesOver = offer == nil && req.Method == sip.INVITE
	a.armSession(l)
	if offer != nil {
		a.agreed(l)
	}
}

// agreed puts into force what a leg's descriptions have come to, for both parties.
func (a *actor) agreed(l *sipLeg) {
	a.settle(l)
	a.route()
}

// settle does so for the leg alone.
func (a *actor) settle(l *sipLeg) {
	if err := l.listen(); err != nil {
		a.log.Warn("the audio of a leg could not be set", "leg", string(l.id), "err", err)
	}
	if held := l.sound.held(); held != l.held {
		l.held = held
		if l.id != "" && l.phase.lives() {
			a.report(call.LegHeld{Leg: l.id, Held: held})
		}
	}
}

// ack takes the ACK of our 2xx, which may bring the answer to our offer.
func (a *actor) ack(l *sipLeg, ack *sip.Request) {
	if err := l.dialog.Receive(ack, a.node.now()); err != nil {
		return // of another dialog
	}
	offered := l.takesOver
	l.takesOver = false
	var failed error
	if offered && l.phase.lives() {
		failed = l.takeAnswer(ack)
	}
	a.step(l, sawAck, evidence{})
	if failed != nil {
		a.log.Warn("the answer in an ACK is unusable", "leg", string(l.id), "err", failed)
		a.step(l, wantEnd, evidence{cause: leg.NoCommonCodec})
		return
	}
	if offered && l.phase.lives() {
		a.agreed(l)
	}
}

// unacknowledged takes the end of our 2xx's repetitions.
func (a *actor) unacknowledged(l *sipLeg) {
	if l.phase == up { // of a re-INVITE (RFC 3261 §14.2)
		a.step(l, wantEnd, evidence{cause: leg.AckMissing})
		return
	}
	a.step(l, sawNoAck, evidence{cause: leg.AckMissing})
}

// takeAnswer takes the answer to our offer from a 2xx or an ACK.
func (l *sipLeg) takeAnswer(m sip.Message) error {
	body, err := description(m)
	switch {
	case err != nil:
		return err
	case body == nil:
		return sdp.ErrNoAudio
	}
	return l.sound.accept(body)
}
