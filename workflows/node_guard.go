package workflows

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Guarded is the state of a NodeGuard.
type Guarded struct {
	Node id.Node `json:"node"`
	Boot string  `json:"boot,omitempty"` // the run that is watched; empty: none yet
}

// Booted says that a run of the node began.
type Booted struct {
	Boot string `json:"boot"`
}

// NodeGuard watches one telephony node: an activity that lasts as long as the
// node's run beats on the node's own task queue. When a run dies, or a new one
// begins, the calls of the dead one are told node_lost. A run is dead only if it is
// neither heard here nor by the database: one that still writes its heartbeat into the
// registry is cut off from Temporal, and its calls go on. The guard ends with a clean
// stop of the node, or when its run is lost; the next run starts it anew.
func NodeGuard(ctx workflow.Context, s Guarded) error {
	g := &guard{ctx: ctx, Guarded: s, booted: workflow.GetSignalChannel(ctx, SignalBooted), pickup: guardReturn}
	if g.Boot == "" {
		if err := g.listen(); err != nil {
			return err
		}
	}
	for {
		err := g.watch()
		switch {
		case temporal.IsCanceledError(err) && ctx.Err() != nil:
			return err
		case err == nil && g.booted.Len() == 0 && workflow.GetVersion(ctx, changeCleanStop, workflow.DefaultVersion, 1) < 1:
			return nil
		case err == nil && g.booted.Len() > 0, err != nil && g.suspicious(err), err != nil && g.witnessed(err):
		default: // dead, or stopped in order: then what it could not tell in time is over as well
			err := g.lose(activities.Loss{Node: g.Node, Boot: g.Boot, Seen: g.seen})
			if activities.KindOf(err) == fault.Conflict {
				break // it beats again
			}
			if err != nil || g.booted.Len() == 0 {
				return err
			}
			if err := g.listen(); err != nil {
				return err
			}
		}
		// A run that has begun is heard first: its signal would be lost with this run.
		if info := workflow.GetInfo(ctx); g.booted.Len() == 0 && (info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxEvents) {
			return workflow.NewContinueAsNewError(ctx, NodeGuard, g.Guarded)
		}
	}
}

type guard struct {
	Guarded
	ctx    workflow.Context
	booted workflow.ReceiveChannel
	pickup time.Duration // how soon the node must take its guard up

	strangers int // how often another run took the guard
	// watching is the witness's answer to come; seen is the last heartbeat that the
	// witness of the run's death knows of.
	watching workflow.Future
	seen     time.Time
}

// listen waits for the next run of the node. The calls of all others are lost.
func (g *guard) listen() error {
	var b Booted
	g.booted.Receive(g.ctx, &b)
	return g.watchBoot(b.Boot)
}

func (g *guard) watchBoot(boot string) error {
	g.Boot, g.pickup, g.strangers, g.watching = boot, guardReturn, 0, nil
	workflow.SetCurrentDetails(g.ctx, "Watches boot "+g.Boot+" since "+clock(workflow.Now(g.ctx)))
	err := g.lose(activities.Loss{Node: g.Node, Alive: g.Boot})
	if activities.KindOf(err) == fault.Conflict {
		return g.renew()
	}
	return err
}

// renew tells a run that was given up, and is back at Temporal before the registry could
// tell it: its calls are closed. It announces itself as another.
func (g *guard) renew() error {
	ctx := workflow.WithActivityOptions(g.ctx, atNode(g.Node, "tells boot "+g.Boot+" that it was given up"))
	err := workflow.ExecuteActivity(ctx, phone.Renew, g.Boot).Get(ctx, nil)
	if temporal.IsCanceledError(err) {
		return err
	}
	return nil // else it is gone again: its guard will tell
}

// watch lasts as long as the watched run; it returns how that ended. When a new run
// begins, it goes on with that one.
func (g *guard) watch() error {
	g.seen = time.Time{}
	for {
		ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(g.ctx, guarding(g.Node, g.pickup)))
		life := workflow.ExecuteActivity(ctx, phone.Guard, g.Boot)
		next := ""
		for next == "" {
			err := workflow.Await(g.ctx, func() bool { return life.IsReady() || g.booted.Len() > 0 })
			if err == nil && life.IsReady() {
				err = life.Get(g.ctx, nil)
			}
			if err != nil || life.IsReady() {
				cancel()
				return err
			}
			next = g.another()
		}
		cancel()
		if err := g.watchBoot(next); err != nil {
			return err
		}
	}
}

// another is a run that began besides the watched one; none if that one was only
// told twice.
func (g *guard) another() string {
	var b Booted
	for g.booted.ReceiveAsync(&b) {
		if b.Boot != g.Boot {
			return b.Boot
		}
	}
	return ""
}

// suspicious reports whether what ended the guard may have another reason than the
// node's death; then the node may take its guard up again. If it beat lately, the
// silence is checked once and briefly; if the timeout itself came late, Temporal was
// away and the node gets the time to come back to it. If another run of the node took
// the guard, that one may be about to stop.
func (g *guard) suspicious(err error) bool {
	if activities.KindOf(err) == fault.NotFound && g.strangers < maxStrangers {
		g.strangers++
		g.watching = nil
		return workflow.Sleep(g.ctx, strangerPause) == nil
	}
	if g.letGo(err) {
		g.pickup = guardPickup
		return workflow.Sleep(g.ctx, strangerPause) == nil
	}
	var silence *temporal.TimeoutError
	if !errors.As(err, &silence) || silence.TimeoutType() != enumspb.TIMEOUT_TYPE_HEARTBEAT {
		return false
	}
	if workflow.GetVersion(g.ctx, changeWitness, workflow.DefaultVersion, 1) >= 1 {
		if !silence.HasLastHeartbeatDetails() {
			return false // never picked up: the task was swallowed by a connection that nobody reads
		}
		g.callWitness()
	}
	g.pickup = guardPickup
	var last time.Time
	if silence.HasLastHeartbeatDetails() && silence.LastHeartbeatDetails(&last) == nil &&
		workflow.Now(g.ctx).Sub(last) > guardSilence+guardLate {
		g.pickup = guardReturn
	}
	return true
}

// letGo reports whether the node gave its guard up itself, because its beats did not
// reach Temporal: who can say so lives.
func (g *guard) letGo(err error) bool {
	var silence *temporal.TimeoutError
	return !errors.As(err, &silence) && activities.KindOf(err) != fault.NotFound &&
		workflow.GetVersion(g.ctx, changeWitness, workflow.DefaultVersion, 1) >= 1
}

// callWitness lets the registry be watched while the node may take its guard up again.
func (g *guard) callWitness() {
	ctx := workflow.WithActivityOptions(g.ctx, recordSurely("watches the registry for a heartbeat of boot "+g.Boot))
	g.watching = workflow.ExecuteActivity(ctx, records.Witness, activities.Loss{Node: g.Node, Boot: g.Boot})
}

// witnessed reports whether a run that does not take its guard up is alive all the
// same, because the database heard it meanwhile: it is cut off from Temporal, and gets
// another while to come back. As long as the database can't be asked, nobody is dead.
func (g *guard) witnessed(err error) bool {
	var silence *temporal.TimeoutError
	if !errors.As(err, &silence) || workflow.GetVersion(g.ctx, changeWitness, workflow.DefaultVersion, 1) < 1 {
		return false
	}
	if g.watching == nil {
		g.callWitness()
	}
	var s activities.Sighting
	if err := g.watching.Get(g.ctx, &s); err != nil && !temporal.IsCanceledError(err) {
		workflow.GetLogger(g.ctx).Error("The registry can't say whether a node lives.", "node", g.Node, "err", err)
	}
	g.watching, g.seen, g.pickup = nil, s.Seen, guardAgain
	if s.Alive {
		workflow.SetCurrentDetails(g.ctx, "Boot "+g.Boot+" was cut off from Temporal, and heard by the registry, at "+clock(workflow.Now(g.ctx)))
	}
	return s.Alive
}

// lose tells the calls of a lost run, until that is done. A fault.Conflict says that the
// run is not lost.
func (g *guard) lose(l activities.Loss) error {
	summary := "boot " + l.Boot + " is lost: tells its calls"
	if l.Boot == "" {
		summary = "boot " + l.Alive + " began: tells the calls of those before"
	}
	ctx := workflow.WithActivityOptions(g.ctx, recordSurely(summary))
	err := workflow.ExecuteActivity(ctx, records.LoseNode, l).Get(ctx, nil)
	if temporal.IsCanceledError(err) || activities.KindOf(err) == fault.Conflict {
		return err
	}
	if err != nil && activities.KindOf(err) != fault.NotFound {
		workflow.GetLogger(g.ctx).Error("The loss of a node could not be told.", "node", g.Node, "err", err)
	}
	return nil
}
