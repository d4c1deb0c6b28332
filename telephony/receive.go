package telephony

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/transaction"
)

// user is the node as the transaction layer sees it. Its methods run on the shards' goroutines: they find who is
// concerned and post.
type user struct{ n *Node }

// Request implements transaction.User.
func (u user) Request(tx *transaction.Server) {
	n, req := u.n, tx.Request()
	if req.Method == sip.REGISTER {
		n.register(tx)
		return
	}
	if _, ok := req.To().Params.Get("tag"); ok {
		n.inDialog(tx)
		return
	}
	switch req.Method {
	case sip.INVITE:
		n.invite(tx)
	case sip.OPTIONS:
		n.options(tx)
	case sip.BYE, sip.UPDATE, sip.INFO, sip.PRACK, sip.NOTIFY:
		n.respond(tx, tx.NewResponse(sip.StatusCallTransactionDoesNotExists, ""))
	default:
		code := sip.StatusNotImplemented
		switch req.Method {
		case sip.SUBSCRIBE, sip.MESSAGE, sip.PUBLISH, sip.REFER:
			code = sip.StatusMethodNotAllowed
		}
		res := tx.NewResponse(code, "")
		res.AppendHeader(sip.NewHeader("Allow", allow+", REGISTER"))
		n.respond(tx, res)
	}
}

// options answers a peer that asks whether we live; a draining node sends it elsewhere.
func (n *Node) options(tx *transaction.Server) {
	if r := required(tx.Request()); r != nil {
		n.refuse(tx, r)
		return
	}
	if n.draining.Load() {
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, nil))
		return
	}
	n.respond(tx, n.capabilities(tx))
}

// inDialog finds the leg of a request. A flooded call answers 503, a leg that is over 200 to its BYE, else 481.
func (n *Node) inDialog(tx *transaction.Server) {
	req := tx.Request()
	o, found := n.index.leg(keyOfRequest(req))
	if found && req.Method != sip.BYE && !o.actor.box.room() {
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, errors.New("the call is flooded with requests")))
		return
	}
	if found && o.actor.box.post(func() { o.actor.request(o.leg, tx) }) {
		return
	}
	n.respond(tx, tx.NewResponse(n.index.orphan(req, n.now()), ""))
}

// Ack implements transaction.User.
func (u user) Ack(ack *sip.Request, _ transaction.Flow) {
	if o, found := u.n.index.leg(keyOfRequest(ack)); found {
		o.actor.box.post(func() { o.actor.ack(o.leg, ack) })
	}
}

// Cancelled implements transaction.User.
func (u user) Cancelled(tx *transaction.Server, _ *sip.Request) { u.n.gaveUp(tx) }

// Unacknowledged implements transaction.User.
func (u user) Unacknowledged(tx *transaction.Server) {
	if o, found := u.n.index.leg(dialogKey{string(*tx.Request().CallID()), tx.Tag()}); found {
		o.actor.box.post(func() { o.actor.unacknowledged(o.leg) })
	}
}

// Stray implements transaction.User: a 2xx that comes when its transaction is over is acknowledged again, or, if nobody
// knows it, acknowledged and ended, so that no phone is left alone on a call.
func (u user) Stray(res *sip.Response, from transaction.Flow) {
	if res.CSeq().MethodName != sip.INVITE || res.StatusCode < 200 || res.StatusCode >= 300 {
		return
	}
	o, found := u.n.index.leg(keyOfResponse(res))
	if found && o.actor.box.post(func() { o.actor.strayAnswer(o.leg, res, from) }) {
		return
	}
	u.n.endStray(res, from)
}

// strayAnswer acknowledges a repeated 2xx of the leg's dialog and ends that of another fork.
func (a *actor) strayAnswer(l *sipLeg, res *sip.Response, from transaction.Flow) {
	if id, _ := dialog.IDOfResponse(res); id != l.dialog.ID() {
		a.node.endStray(res, from)
		return
	}
	if res.CSeq().SeqNo == l.dialog.InviteCSeq {
		a.wrote("ACK", l, a.node.layer.Send(l.ack()))
	}
}

// straysPerSecond bounds what a flood of invented answers makes us send.
const straysPerSecond = 20

// endStray acknowledges and ends a call that a 2xx of nobody's INVITE has set up.
func (n *Node) endStray(res *sip.Response, from transaction.Flow) {
	n.metrics.ghosts.Inc()
	if n.strays.Add(1) > straysPerSecond {
		return // nobody has that many: the source may be forged
	}
	d := &dialog.Dialog{ // as it must have been: everything else is in the response
		CallID: string(*res.CallID()), LocalTag: res.From().Params.GetOr("tag", ""), LocalURI: res.From().Address.String(),
		RemoteURI: res.To().Address.String(), RemoteTarget: res.To().Address.String(), Role: dialog.UAC, Flow: from,
		LocalContact: n.contact(from.Transport),
	}
	ack, bye, err := d.Refuse(res, n.now(), whyOf(leg.ElsewhereWon).reason)
	if err != nil {
		n.log.Info("a stray answer could not be ended", "from", from.Remote, "err", err)
		return
	}
	if err := n.layer.Send(ack); err != nil {
		n.log.Info("a stray answer could not be acknowledged", "from", from.Remote, "err", err)
	}
	if _, err := n.layer.Request(bye, func(*sip.Response, error) {}); err != nil {
		n.log.Info("a stray answer could not be ended", "from", from.Remote, "err", err)
	}
}

// invited takes a response to the INVITE of a leg that we rang.
func (n *Node) invited(o owner, res *sip.Response, err error) {
	if o.actor.box.post(func() { o.actor.answered(o.leg, res, err) }) {
		return
	}
	if err == nil && res.StatusCode >= 200 && res.StatusCode < 300 {
		n.endStray(res, o.leg.way) // the call is over: a fork that answers late
	}
}

// FlowClosed implements transaction.User.
func (u user) FlowClosed(f transaction.Flow) { u.n.phones.flowClosed(f) }
