package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// wake says when a workflow must be woken.
type wake struct {
	at time.Time
	// slack is how late the wake may come. A deadline that people wait for has
	// none; a safety net has much, so that one timer serves many deadlines.
	slack time.Duration
	// summary says in words what is due.
	summary string
}

// alarm wakes a workflow. It is armed again only when what runs would ring too late:
// a timer that fires too early costs nothing but a look. One that is far away is kept
// beside a near one, since its deadline comes back when the near one is past: a session
// is signed out when idle for 8 h, whatever calls come between.
type alarm struct {
	near, far *timer // which run, far after near; nil: none
	rung      bool
}

// timer is one that was started.
type timer struct {
	fires  time.Time
	cancel workflow.CancelFunc
}

// farAway is by how much a timer must fire later than the next to be kept beside it.
const farAway = time.Hour

// set makes sure that the alarm rings by w.at plus its slack. A zero w.at needs
// no alarm; one that runs may ring for nothing.
func (a *alarm) set(ctx workflow.Context, w wake) {
	if w.at.IsZero() {
		return
	}
	latest := w.at.Add(w.slack)
	if a.near.by(latest) || a.far.by(latest) {
		return
	}
	if a.near != nil {
		a.yield(latest)
	}
	timed, cancel := workflow.WithCancel(ctx)
	set := &timer{latest, cancel}
	a.near = set
	rings := workflow.NewTimerWithOptions(timed, max(latest.Sub(workflow.Now(ctx)), 0), workflow.TimerOptions{Summary: w.summary})
	workflow.GoNamed(timed, "alarm", func(ctx workflow.Context) {
		if rings.Get(ctx, nil) == nil {
			a.fired(set)
		}
	})
}

// by reports whether the timer runs and fires in time.
func (t *timer) by(latest time.Time) bool { return t != nil && !t.fires.After(latest) }

// yield makes room for a nearer timer.
func (a *alarm) yield(latest time.Time) {
	if a.near.fires.Sub(latest) < farAway {
		a.near.cancel()
		return
	}
	if a.far != nil {
		a.far.cancel()
	}
	a.far = a.near
}

// fired notes that a timer went off; one that was replaced meanwhile is not meant.
func (a *alarm) fired(t *timer) {
	switch t {
	case a.near:
		a.near = nil
	case a.far:
		a.far = nil
	default:
		return
	}
	a.rung = true
}

// answer reports whether the alarm rang, and makes it silent.
func (a *alarm) answer() bool {
	rung := a.rung
	a.rung = false
	return rung
}
