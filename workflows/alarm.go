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

// alarm is a workflow's only timer. It is armed again only when a running one
// would fire too late: one that fires too early costs nothing but a look.
type alarm struct {
	fires  time.Time // of the running timer; zero: none runs
	cancel workflow.CancelFunc
	rung   bool
	number int // of the running timer: an older one that fires late is not meant
}

// set makes sure that the alarm rings by w.at plus its slack. A zero w.at needs
// no alarm; one that runs may ring for nothing.
func (a *alarm) set(ctx workflow.Context, w wake) {
	if w.at.IsZero() {
		return
	}
	latest := w.at.Add(w.slack)
	if !a.fires.IsZero() && !a.fires.After(latest) {
		return
	}
	if a.cancel != nil {
		a.cancel()
	}
	timed, cancel := workflow.WithCancel(ctx)
	a.fires, a.cancel = latest, cancel
	a.number++
	number := a.number
	timer := workflow.NewTimerWithOptions(timed, max(latest.Sub(workflow.Now(ctx)), 0), workflow.TimerOptions{Summary: w.summary})
	workflow.GoNamed(timed, "alarm", func(ctx workflow.Context) {
		if timer.Get(ctx, nil) == nil && a.number == number {
			a.rung = true
		}
	})
}

// answer reports whether the alarm rang, and makes it silent.
func (a *alarm) answer() bool {
	if !a.rung {
		return false
	}
	*a = alarm{number: a.number}
	return true
}
