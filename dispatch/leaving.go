package dispatch

import (
	"context"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// leaving notes when a caller hangs up while the call is opened.
type leaving struct {
	caller context.Context
	left   chan time.Time
	stop   func() bool
}

func newLeaving(caller context.Context, now func() time.Time) *leaving {
	l := &leaving{caller: caller, left: make(chan time.Time, 1)}
	l.stop = context.AfterFunc(caller, func() { l.left <- now() })
	return l
}

// at is when the caller hung up, if that has happened.
func (l *leaving) at() (time.Time, bool) {
	if l.caller.Err() == nil {
		return time.Time{}, false
	}
	return <-l.left, true
}

// takeBackOpening ends the call of a caller who hung up while it was opened. Of a call
// that is open, as reached without an error, the machine takes back what was done for it.
// One that is not, or of which that is unknown, is written as ended: it is recorded, and
// neither stands in line nor has an agent reserved.
func (d *Dispatcher) takeBackOpening(s, reached call.State, err error, at time.Time) {
	left := call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true}
	if err == nil {
		d.disown(reached, left, at)
		return
	}
	ended, _, err := s.Step(at, left)
	if err != nil {
		d.log.Error("A fact was refused.", "call", s.ID, "kind", left.Kind(), "err", err)
		return
	}
	done := d.opens(s.Ref())
	d.run(func(ctx context.Context) {
		defer done()
		reached, err := d.open(ctx, ended, 1)
		if err != nil {
			d.log.Info("The call of a caller who gave up could not be recorded.", "call", s.ID, "err", err)
			return
		}
		d.disown(reached, left, at)
	})
}

// disown drives a call to its end whose caller is gone, as left tells.
func (d *Dispatcher) disown(s call.State, left call.LegEnded, at time.Time) {
	r, err := d.report(left)
	if err != nil {
		d.log.Error("A fact could not be written.", "call", s.ID, "err", err)
		return
	}
	if r.At = at; r.At.Before(s.Since) { // it was matched in between
		r.At = s.Since
	}
	next, _, err := s.Step(r.At, r.event)
	if err != nil {
		d.log.Error("A fact was refused.", "call", s.ID, "kind", r.event.Kind(), "err", err)
		return
	}
	o := newOpening(d, next)
	o.told = append(o.told, r) // should its workflow run already, from the state stored
	if d.enter(o) {
		d.run(o.drive)
	}
}
