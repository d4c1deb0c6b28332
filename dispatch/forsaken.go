package dispatch

import (
	"context"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// A forsaken call is one that this node's run opened and that nobody drives: its opening
// was given up while it was unknown whether its COMMIT had come through. An agent may be
// reserved for it, and nobody else takes it as long as the run beats. Which those are, the
// database says: nothing has to be remembered, and however late a COMMIT shows up, its call
// is found. Should the process die before, they are calls of a run that is lost, as all of
// its calls are.

// endForsaken ends the forsaken calls.
func (d *Dispatcher) endForsaken(ctx context.Context) {
	boot := d.boot()
	if boot == "" {
		return // no node, no openings
	}
	ctx, cancel := context.WithTimeout(ctx, reapWithin)
	defer cancel()
	calls, err := d.conf.Ledger.Undriven(ctx, boot, d.conf.OrphanAge)
	if err != nil {
		return // the database is away: next time
	}
	for _, s := range calls {
		if d.drives(s.Ref()) {
			continue
		}
		d.log.Info("An opening that was given up had been committed: its call is ended.", "call", s.ID)
		d.disown(s, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Failed}, d.conf.Now())
	}
}

// opens notes that a call is being opened, until done: it is not forsaken meanwhile.
func (d *Dispatcher) opens(ref call.Ref) (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opening[ref]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.opening[ref]--; d.opening[ref] == 0 {
			delete(d.opening, ref)
		}
	}
}

// drives reports whether somebody here looks after the call.
func (d *Dispatcher) drives(ref call.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opening[ref] > 0 || d.openings[ref] != nil || d.live[ref] != nil
}
