package telephony

import (
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/transaction"
)

// sessionTooSmall is the status for a Session-Expires below the peer's minimum (RFC 4028 §6).
const sessionTooSmall = 422

// busyRetry is how long a refresh waits that meets another request under way.
const busyRetry = time.Second

// armSession sets the alarm of the leg's session timer (RFC 4028).
func (a *actor) armSession(l *sipLeg) {
	next := l.dialog.Timer.Next()
	if next.IsZero() || !l.phase.lives() {
		a.alarms.disarm(&l.timer)
		return
	}
	a.alarms.arm(&l.timer, next, func() { a.sessionDue(l) })
}

// sessionDue refreshes the session, or ends it when nobody did.
func (a *actor) sessionDue(l *sipLeg) {
	now := a.node.now()
	t := &l.dialog.Timer
	if !now.Before(t.ExpiresAt) {
		a.step(l, wantEnd, evidence{cause: leg.SessionExpiry})
		return
	}
	if !l.dialog.MayOffer() {
		t.RefreshAt = now.Add(busyRetry)
		a.armSession(l)
		return
	}
	t.RefreshAt = time.Time{}
	a.armSession(l)
	if err := a.refresh(l, false); err != nil {
		a.wrote("refresh", l, err)
	}
}

// refresh sends an UPDATE, or to a peer without it a re-INVITE with the same description; again says that it was
// challenged before.
func (a *actor) refresh(l *sipLeg, again bool) error {
	extra := append(l.dialog.Offer(a.node.conf.Sessions), a.node.abilities()...)
	var req *sip.Request
	if l.update {
		req = l.dialog.Update(nil, extra...)
	} else {
		req = l.dialog.Invite(l.sound.local.Last, extra...)
	}
	plain := sign(req, l.account)
	var client *transaction.Client
	client, err := a.node.layer.Request(req, func(res *sip.Response, err error) {
		a.box.post(func() {
			if err == nil && challenges(res) && l.account != nil && !again && l.account.Learn(plain, res) == nil {
				_ = l.dialog.Answered(res, a.node.now()) // the answer to this one is over
				a.wrote("refresh", l, a.refresh(l, true))
				return
			}
			a.refreshed(l, client, res, err)
		})
	})
	return err
}

// refreshed takes the response to our refresh.
func (a *actor) refreshed(l *sipLeg, client *transaction.Client, res *sip.Response, err error) {
	now := a.node.now()
	switch {
	case err != nil && (errors.Is(err, transaction.ErrTimeout) || errors.Is(err, transaction.ErrFlowGone)):
		a.step(l, wantEnd, evidence{cause: leg.SessionExpiry}) // RFC 3261 §12.2.1.2
		return
	case err != nil || res.StatusCode < 200 || l.dialog.Answered(res, now) != nil:
		return
	}
	switch {
	case l.dialog.State == dialog.Ended: // 481, 408
		a.step(l, wantEnd, evidence{cause: leg.SessionExpiry})
		return
	case res.StatusCode < 300 && res.CSeq().MethodName == sip.INVITE:
		a.wrote("ACK", l, client.Acknowledge(l.dialog.Ack(credentialsOf(client.Request())...)))
		if l.takeAnswer(res) == nil {
			a.agreed(l)
		}
	case res.StatusCode == sip.StatusRequestPending:
		l.dialog.Timer.RefreshAt = now.Add(l.dialog.GlareDelay())
	case res.StatusCode == sessionTooSmall && l.dialog.TooSmall(res):
		l.dialog.Timer.RefreshAt = now
	case res.StatusCode == sip.StatusMethodNotAllowed || res.StatusCode == sip.StatusNotImplemented:
		l.update = false
		l.dialog.Timer.RefreshAt = now
	}
	a.armSession(l)
}
