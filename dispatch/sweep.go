package dispatch

import (
	"context"

	"holdfast/domain/call"
	"holdfast/workflows"
)

// sweep starts, again and again, the workflow of every open call that has none:
// its process died between the opening's transaction and the workflow's start.
func (d *Dispatcher) sweep(ctx context.Context) {
	for pause(ctx, d.conf.SweepEvery) {
		orphans, err := d.conf.Ledger.Orphans(ctx, d.conf.OrphanAge)
		if err != nil {
			continue // readyz tells that the database is away
		}
		for _, s := range orphans {
			d.adopt(ctx, s)
		}
	}
}

func (d *Dispatcher) adopt(ctx context.Context, s call.State) {
	d.mu.Lock()
	_, driven := d.openings[s.Ref()]
	d.mu.Unlock()
	if driven {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	_, err := d.conf.Temporal.ExecuteWorkflow(ctx, workflows.StartCall(s), workflows.TypeCall, s)
	if err != nil && !started(err) {
		return // Temporal is away: next time
	}
	d.log.Info("The workflow of an open call was started late.", "call", s.ID, "node", s.Node)
	d.markStarted(ctx, s.Ref())
}

// markStarted notes that the call has its workflow. If that fails, the sweeper finds
// the call, starts nothing twice, and notes it then.
func (d *Dispatcher) markStarted(ctx context.Context, ref call.Ref) {
	if err := d.conf.Ledger.Started(ctx, ref); err != nil && ctx.Err() == nil {
		d.log.Info("It could not be noted that a call has its workflow.", "call", ref.Call, "err", err)
	}
}
