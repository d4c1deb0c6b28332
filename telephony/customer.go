package telephony

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// taken happens when the Handler has taken the call, or refused it.
func (a *actor) taken(err error) {
	a.opened = true
	a.setup.takenAt = a.node.now()
	if err == nil {
		for _, e := range a.held {
			a.report(e)
		}
		a.held = nil
		return
	}
	a.held = nil // nobody knows the call
	a.refused = true
	if !errors.Is(err, errGaveUp) {
		a.log.Info("a call was refused", "err", err)
	}
	w := leg.Failed
	code := codeOf(err)
	switch code {
	case sip.StatusNotFound:
		w = leg.NoRoute
	case sip.StatusServiceUnavailable, sip.StatusBusyHere:
		w = leg.Overload
	}
	a.step(a.customer, wantEnd, evidence{cause: w, code: code})
}

// answerCustomer answers the caller with 2xx if that was not done before; false if its leg is over, or has just
// been cancelled.
func (a *actor) answerCustomer() bool {
	l := a.customer
	if l.phase != arriving {
		return l.phase == accepted || l.phase == up
	}
	a.step(l, wantAnswer, evidence{})
	switch {
	case l.unsent == nil:
		a.settle(l)
		return true
	case errors.Is(l.unsent, transaction.ErrCancelled):
		l.phase = arriving // the CANCEL is in the mailbox
	default:
		a.log.Info("a caller could not be answered", "err", l.unsent)
		l.phase = arriving
		a.step(l, wantEnd, evidence{cause: leg.Unreachable})
	}
	return false
}

// sendOK answers the caller's INVITE.
func (a *actor) sendOK(l *sipLeg) error {
	req := l.server.Request()
	timer, err := l.dialog.Agree(req, a.node.conf.Sessions, a.node.now())
	if err != nil {
		return err // it was checked when the INVITE came
	}
	body := l.sound.local.Last
	if l.sound.agreed == nil {
		body, l.takesOver = l.sound.offer(), true
	}
	if err := l.server.Respond(a.node.accepting(l.server, timer, body)); err != nil {
		return err
	}
	l.dialog.Accept(req)
	l.answeredAt = a.node.now()
	a.armSession(l)
	return nil
}

// confirmed notes that the caller has our 2xx.
func (a *actor) confirmed(l *sipLeg) {
	a.node.metrics.answered.Inc()
	a.log.Debug("a caller acknowledged the answer", "leg", string(l.id))
}

// alert lets the caller hear its own network's ringing: 180, once.
func (a *actor) alert() {
	l := a.customer
	if l.phase != arriving || l.code >= sip.StatusRinging {
		return // also after 183: what the caller hears is not to stop
	}
	l.code = sip.StatusRinging
	res := l.server.NewResponse(sip.StatusRinging, "")
	a.node.dress(res, l.server.Flow().Transport)
	if err := l.server.Respond(res); !errors.Is(err, transaction.ErrCancelled) {
		a.wrote("180", l, err)
	}
}

// treatLeg carries out a call.Treat with that music; false if the leg is gone.
func (a *actor) treatLeg(t call.Treat, music *media.Clip) bool {
	l := a.legOf(t.Leg)
	if l == nil {
		return false
	}
	if l != a.customer {
		return true // a connected agent waits for nothing
	}
	a.treat = t.With
	a.music = music
	if t.With == call.TreatMusic {
		if !a.answerCustomer() {
			return false
		}
	} else {
		a.alert()
	}
	a.route()
	return true
}

// dropLeg carries out a call.Drop.
func (a *actor) dropLeg(d call.Drop) {
	switch l := a.legOf(d.Leg); {
	case l != nil:
		a.step(l, wantEnd, evidence{cause: d.Cause, alone: l != a.customer})
	case a.ring != nil && a.ring.order.Leg == d.Leg:
		a.endRing(call.RingEnded{Outcome: call.RingRescinded}, d.Cause)
	}
}

// route connects the audio as the legs' states ask, whatever it was before: two talk with each other, who is on hold
// hears music, who waits does as well.
func (a *actor) route() {
	c, t := a.customer, a.talking
	answered := c.phase == accepted || c.phase == up
	if !answered || c.stream == nil {
		return
	}
	waits := t == nil && c.sound.agreed != nil
	a.play(c, waits || t != nil && t.held && !c.held)
	if t == nil || t.stream == nil {
		return
	}
	a.play(t, c.held && !t.held)
	if t.bridged {
		return
	}
	if err := media.Bridge(c.stream, t.stream); err != nil {
		a.log.Error("two legs could not be bridged", "err", err)
		return
	}
	t.bridged = true
}

// play starts or stops the music that a leg hears.
func (a *actor) play(l *sipLeg, on bool) {
	clip := a.music
	if clip == nil {
		clip = media.Music()
	}
	if !on {
		clip = nil
	}
	if l.playing == clip {
		return
	}
	l.playing = clip
	var err error
	if clip == nil {
		err = l.stream.StopPlay()
	} else {
		err = l.stream.Play(clip)
	}
	if err != nil {
		a.log.Warn("the music did not start or stop", "leg", string(l.id), "err", err)
	}
}

// silent takes the news that nothing was heard from a leg's peer for too long.
func (a *actor) silent(l *sipLeg) {
	if l.phase.lives() && l.phase >= accepted { // before the answer nobody has to speak
		a.step(l, wantEnd, evidence{cause: leg.MediaTimeout})
	}
}
