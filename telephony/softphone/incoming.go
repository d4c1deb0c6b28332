package softphone

import (
	"bytes"
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// allowed are the methods that the phone understands.
const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS"

// user is the phone as the transaction layer sees it.
type user struct{ p *Phone }

// Request implements transaction.User.
func (u user) Request(tx *transaction.Server) {
	if u.p.frozen.Load() {
		return
	}
	req := tx.Request()
	if tag, ok := dialog.IDOf(req); ok {
		u.p.inDialog(tag, tx)
		return
	}
	switch req.Method {
	case sip.INVITE:
		u.p.invited(tx)
	case sip.OPTIONS:
		res := tx.NewResponse(200, "")
		res.AppendHeader(sip.NewHeader("Allow", allowed))
		_ = tx.Respond(res) // the asker is gone: nobody to tell
	default:
		_ = tx.Reject(405)
	}
}

// invited takes a new call and tells the phone's owner.
func (p *Phone) invited(tx *transaction.Server) {
	req := tx.Request()
	c, err := newCall(p, true)
	if err != nil {
		_ = tx.Reject(503)
		return
	}
	c.dialog, err = dialog.FromInvite(req, tx.Flow(), tx.Tag(), p.contact())
	if err != nil {
		_ = tx.Reject(400)
		c.Audio.close()
		return
	}
	c.server, c.Invite = tx, req
	c.From, c.To = headers.Caller(req, true).Number, headers.Called(req).Number
	p.remember(c)
	select {
	case p.incoming <- c:
	default: // nobody takes calls: the phone is busy
		_ = c.Reject(486)
	}
}

// inDialog finds the call of a request and lets it answer.
func (p *Phone) inDialog(id string, tx *transaction.Server) {
	c := p.byDialog(id)
	if c == nil {
		_ = tx.Reject(481)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	req := tx.Request()
	if err := c.dialog.Receive(req, time.Now()); err != nil {
		var r *dialog.Reply
		if errors.As(err, &r) {
			_ = r.Send(tx)
		}
		return
	}
	switch req.Method {
	case sip.BYE:
		_ = tx.Respond(tx.NewResponse(200, ""))
		c.end(true, reasonOf(req, "BYE"))
	case sip.INVITE:
		c.reinvited(tx)
	case sip.INFO:
		c.informed(tx)
	case sip.OPTIONS:
		_ = tx.Respond(tx.NewResponse(200, ""))
	default:
		_ = tx.Reject(405)
	}
}

// reinvited answers a change of the sound: hold, resume, another address.
func (c *Call) reinvited(tx *transaction.Server) {
	req := tx.Request()
	body, err := c.answerTo(req.Body())
	if err != nil {
		c.dialog.Rejected(req, time.Now())
		_ = tx.Reject(488)
		return
	}
	if c.held {
		body = mirror(body)
	}
	c.dialog.Accept(req)
	_ = tx.Respond(c.response(tx, body))
	close(c.changed)
	c.changed = make(chan struct{})
}

// mirror answers a hold: we only receive (RFC 3264 §6.1).
func mirror(body []byte) []byte {
	return bytes.Replace(body, []byte("a=sendrecv"), []byte("a=recvonly"), 1)
}

// Ack implements transaction.User: a late offer's answer comes in it.
func (u user) Ack(ack *sip.Request, _ transaction.Flow) {
	id, ok := dialog.IDOf(ack)
	if !ok {
		return
	}
	c := u.p.byDialog(id)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.dialog.Receive(ack, time.Now()) // an ACK has no response
	if peer, err := parse(ack.Body(), c.phone.codecs); err == nil {
		c.take(peer)
	}
}

// Cancelled implements transaction.User.
func (u user) Cancelled(tx *transaction.Server, cancel *sip.Request) {
	for _, c := range u.p.all() {
		c.mu.Lock()
		if c.server == tx && c.state < Up {
			c.code = 487
			c.end(true, reasonOf(cancel, "CANCEL"))
		}
		c.mu.Unlock()
	}
}

// Unacknowledged implements transaction.User: the call is ended as RFC 3261 §13.3.1.4 demands.
func (u user) Unacknowledged(tx *transaction.Server) {
	for _, c := range u.p.all() {
		c.mu.Lock()
		if c.server == tx && c.state == Up {
			_ = c.bye(headers.Reason{Protocol: "SIP", Cause: 408, Text: "ACK missing"})
		}
		c.mu.Unlock()
	}
}

// Stray implements transaction.User.
func (u user) Stray(*sip.Response, transaction.Flow) {}

// FlowClosed implements transaction.User.
func (u user) FlowClosed(transaction.Flow) {}

// reasonOf is the text of a Reason header, or otherwise.
func reasonOf(m sip.Message, otherwise string) string {
	for _, r := range headers.Reasons(m) {
		return r.String()
	}
	return otherwise
}
