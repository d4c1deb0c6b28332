package dispatch

import (
	"context"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/workflows"
)

// A node removes what runs out at once; what is still there so much later has none any
// more. It is looked for at each lapseEvery-th sweep.
const (
	lapsedFor  = 10 * time.Second
	lapseEvery = 5
)

// sweep starts, again and again, the workflow of every open call that has none:
// its process died between the opening's transaction and the workflow's start.
func (d *Dispatcher) sweep(ctx context.Context) {
	for n := 0; pause(ctx, d.conf.SweepEvery); n++ {
		if n%lapseEvery == 0 {
			d.sweepPhones(ctx)
		}
		orphans, err := d.conf.Ledger.Orphans(ctx, d.conf.OrphanAge)
		if err != nil {
			continue // readyz tells that the database is away
		}
		for _, s := range orphans {
			d.adopt(ctx, s)
		}
	}
}

// sweepPhones tells the owners of phones whose registration ran out at a dead node.
func (d *Dispatcher) sweepPhones(ctx context.Context) {
	lapsed, err := d.conf.Ledger.Lapsed(ctx, lapsedFor)
	if err != nil {
		return // the database is away: next time
	}
	for _, s := range lapsed {
		if s.Agent == "" {
			continue
		}
		if err := d.deviceChanged(agent.Ref{Tenant: s.Tenant, Agent: s.Agent}, s.Device, s.Reachable); err != nil {
			d.log.Error("It could not be told that a phone is gone.", "agent", s.Agent, "err", err)
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
