package dispatch

import (
	"context"
	"time"

	"holdfast/activities"
	"holdfast/domain/call"
	"holdfast/workflows"
)

const (
	// A node removes what runs out at once; what is still there so much later has none
	// any more.
	lapsedFor = 10 * time.Second
	// lapseEvery is after how many sweeps, all of which found the database, it is looked
	// for. When the database was away, its nodes write first what they owe.
	lapseEvery = 5
	// heldFor is for how long events of registrations are held back when a device has too
	// many: so often is told how it stands.
	heldFor = time.Minute
	// lapseWithin bounds one look.
	lapseWithin = 5 * time.Second
)

// sweep starts, again and again, the workflow of every open call that has none:
// its process died between the opening's transaction and the workflow's start.
func (d *Dispatcher) sweep(ctx context.Context) {
	for n := 0; pause(ctx, d.conf.SweepEvery); {
		d.endForsaken(ctx)
		orphans, err := d.conf.Ledger.Orphans(ctx, d.conf.OrphanAge)
		if err != nil {
			n = 0
			continue // readyz tells that the database is away
		}
		for _, s := range orphans {
			d.adopt(ctx, s)
		}
		if n++; n%lapseEvery == 0 {
			d.sweepPhones(ctx)
			d.tellHeld(ctx)
		}
	}
}

// tellHeld tells what was held back of registrations. It comes last, with a time of its
// own: nobody's reachability waits for it.
func (d *Dispatcher) tellHeld(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lapseWithin)
	defer cancel()
	if err := d.conf.Ledger.TellHeld(ctx, heldFor); err != nil && ctx.Err() == nil {
		d.log.Info("Events of registrations that were held back could not all be told yet.", "err", err)
	}
}

// sweepPhones tells the owners of phones whose registration ran out at a dead node.
func (d *Dispatcher) sweepPhones(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lapseWithin)
	defer cancel()
	lapsed, err := d.conf.Ledger.Lapsed(ctx, lapsedFor)
	if err != nil {
		return // the database is away: next time
	}
	for _, s := range lapsed {
		if err := activities.LosePhone(ctx, d.conf.Temporal, d.conf.Ledger, s); err != nil {
			d.log.Info("It can't be told yet that a phone is gone.", "device", s.Device, "err", err)
			return
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
