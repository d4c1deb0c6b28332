package agent

import (
	"slices"
	"time"
)

// signInWithin is how long a session that was started waits for its sign-in.
const signInWithin = time.Minute

// Deadline says when to wake the session and with which event; the zero time means
// that nothing is due by itself.
func (s State) Deadline() (time.Time, Event) {
	var first due
	first.add(s.stateDeadline())
	first.add(s.idleAt(), IdleElapsed{})
	first.add(s.orphanedUntil(), TerminalsGone{})
	first.add(s.LimitAt, LimitElapsed{Reason: s.Reason})
	first.add(s.shiftAt(), ShiftEnded{})
	if s.Delay != nil {
		first.add(s.Delay.Until, DelayElapsed{})
	}
	first.add(s.RetryAt, Stuck{})
	return first.at, first.event
}

// due is the earliest of what was added; of two at the same time, the first added.
type due struct {
	at    time.Time
	event Event
}

func (d *due) add(at time.Time, e Event) {
	if !at.IsZero() && (d.event == nil || at.Before(d.at)) {
		d.at, d.event = at, e
	}
}

// stateDeadline is the end of a state that must not last.
func (s State) stateDeadline() (time.Time, Event) {
	switch s.Status {
	case Reserved:
		return s.leaseEnd(), LeaseExpired{Offer: s.Offer.ID}
	case Busy:
		return s.CheckAt, CheckDue{Call: s.Call}
	case WorkingAfterCall:
		return s.Until, WrapUpElapsed{Call: s.Call}
	}
	return time.Time{}, nil
}

// idleAt is when the agent is signed out for want of a sign of life (SEED-57). A
// terminal that somebody watches is one as long as it is there.
func (s State) idleAt() time.Time {
	switch {
	case s.Status == LoggedOff && !s.Left:
		return s.Since.Add(signInWithin)
	case s.leaving() || s.Profile.IdleLogout <= 0 || slices.ContainsFunc(s.Terminals, func(t Terminal) bool { return t.Leased }):
		return time.Time{}
	}
	return s.Seen.Add(s.Profile.IdleLogout)
}

// orphanedUntil is when the session ends because its last terminal was closed.
func (s State) orphanedUntil() time.Time {
	if s.leaving() || s.Orphaned.IsZero() {
		return time.Time{}
	}
	return s.Orphaned.Add(s.Profile.TerminalGap)
}

// leaving reports whether the session is over, or will be as soon as it can.
func (s State) leaving() bool {
	return s.Status == LoggedOff || s.Pending != nil && s.Pending.Status == LoggedOff
}

func (n *step) idleElapsed() { n.timeOut(n.idleAt(), ReasonIdle) }

func (n *step) terminalsGone() { n.timeOut(n.orphanedUntil(), ReasonClosed) }

// timeOut signs out for reason r: never in the middle of work, then as pending.
func (n *step) timeOut(at time.Time, r Reason) {
	switch {
	case at.IsZero() || n.at.Before(at):
		n.late()
	case n.Status == LoggedOff:
		n.Left = true
	case n.Status == NotReady || n.Status == Ready:
		n.leave(r)
	default:
		n.pend(Pending{Status: LoggedOff, Reason: r, By: system})
	}
}
