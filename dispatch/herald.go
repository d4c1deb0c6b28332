package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Directory is what a Herald needs of the database; *db.DB satisfies it.
type Directory interface {
	// OnDirectoryChange has fn called when a tenant's directory changed, and with ""
	// whenever changes may have been missed. fn must not block.
	OnDirectoryChange(fn func(id.Tenant))
	// ProfileChanges hands the oldest changes that nobody else is telling, at most
	// most, to tell, and forgets them if it succeeds. It reports whether any remain.
	ProfileChanges(ctx context.Context, most int, tell func(context.Context, []record.ProfileChange) error) (left bool, err error)
	// Profile reads the agent's directory entry; fault.NotFound if it is gone, or its
	// user is disabled.
	Profile(ctx context.Context, ref agent.Ref) (agent.Profile, []id.Device, error)
}

const (
	// heraldBatch is how many agents are told while their changes are held, and
	// heraldWithin how long that may take.
	heraldBatch  = 20
	heraldWithin = 8 * time.Second
)

// Herald tells running sessions what changed in their agents' profiles. The changes are
// kept in the database until they are told, so that none is lost while nobody listens;
// several heralds share them.
type Herald struct {
	temporal  client.Client
	directory Directory
	log       *slog.Logger

	changed chan struct{} // one place: several changes are looked for at once
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
}

// NewHerald is a Herald that does not run yet.
func NewHerald(c client.Client, d Directory, log *slog.Logger) *Herald {
	h := &Herald{temporal: c, directory: d, log: log, changed: make(chan struct{}, 1)}
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// Start begins to tell, what nobody was told before at first. It is safe twice.
func (h *Herald) Start() {
	h.once.Do(func() {
		if h.life.Err() != nil {
			return
		}
		h.running.Go(h.run)
		h.directory.OnDirectoryChange(func(id.Tenant) { h.wake() })
		h.wake()
	})
}

// Stop ends what is under way and waits for it; what was not told is told by another
// herald, or by the next run. It is safe twice and before Start.
func (h *Herald) Stop() {
	h.end()
	h.running.Wait()
}

func (h *Herald) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *Herald) run() {
	for {
		select {
		case <-h.life.Done():
			return
		case <-h.changed:
			h.tellAll()
		}
	}
}

// tellAll tells until nothing is left. What another herald holds may come back, should
// that one die: so it is looked for again.
func (h *Herald) tellAll() {
	wait := firstPause
	for h.life.Err() == nil {
		told := 0
		ctx, cancel := context.WithTimeout(h.life, heraldWithin)
		left, err := h.directory.ProfileChanges(ctx, heraldBatch, func(ctx context.Context, changes []record.ProfileChange) error {
			told = len(changes)
			return h.tell(ctx, changes)
		})
		cancel()
		switch {
		case err == nil && !left:
			return
		case err == nil && told > 0:
			wait = firstPause
			continue
		case err != nil && wait == firstPause:
			h.log.Warn("Sessions can't be told yet that their profiles changed.", "err", err)
		}
		if !pause(h.life, wait) {
			return
		}
		wait = min(2*wait, longPause)
	}
}

// tell tells each agent's session once, by the newest of its changes.
func (h *Herald) tell(ctx context.Context, changes []record.ProfileChange) error {
	newest := map[agent.Ref]int64{}
	for _, c := range changes {
		newest[c.Agent] = max(newest[c.Agent], c.Seq)
	}
	for ref, seq := range newest {
		err := tellProfile(ctx, h.temporal, h.directory, ref, seq)
		if fault.KindOf(err) == fault.Unavailable {
			return err
		}
		if err != nil {
			h.log.Error("A session could not be told that its profile changed.", "agent", ref.Agent, "err", err)
		}
	}
	return nil
}

// profileSource names who tells of profiles. The numbers of what it tells are those of
// the changes, over all processes: what comes late, or twice, is known as such.
const profileSource = "directory"

// profiler reads profiles.
type profiler interface {
	Profile(ctx context.Context, ref agent.Ref) (agent.Profile, []id.Device, error)
}

// tellProfile tells an agent's session, if it has one, what the directory says since
// change seq; 0: whatever it says now. An agent that is gone is signed out (SEED-16).
func tellProfile(ctx context.Context, c client.Client, d profiler, ref agent.Ref, seq int64) error {
	const op = "tell of a changed profile"
	workflow := id.AgentWorkflow(ref.Tenant, ref.Agent)
	profile, reachable, err := d.Profile(ctx, ref)
	if fault.KindOf(err) == fault.NotFound {
		return dismiss(ctx, c, workflow)
	}
	if err != nil {
		return err
	}
	e := agent.ProfileChanged{Profile: profile, Reachable: append([]id.Device{}, reachable...)}
	m, err := activities.NewMessage(time.Time{}, string(e.Kind()), e)
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	if seq > 0 {
		m.Source, m.Number = profileSource, seq
	}
	if err := c.SignalWorkflow(ctx, workflow, "", string(e.Kind()), m); err != nil && !closed(err) {
		return failure(op, err, nil)
	}
	return nil
}

// dismiss signs an agent's session out, when its call in hand is over.
func dismiss(ctx context.Context, c client.Client, workflow string) error {
	const op = "sign out an agent who is gone"
	e := agent.SignOut{Actor: agent.Actor{User: "system", Forced: true}}
	update, err := command(workflow, string(e.Kind()), "", e)
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	handle, err := c.UpdateWorkflow(ctx, update)
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	if err != nil && !closed(err) && !ends(err) {
		return failure(op, err, nil)
	}
	return nil
}

// renew tells a session that has just begun what changed in its profile while it was
// started: a change finds a session, or is found here.
func (d *Dispatcher) renew(ctx context.Context, ref agent.Ref, began agent.Profile) {
	now, _, err := d.conf.Ledger.Profile(ctx, ref)
	if err == nil && reflect.DeepEqual(now, began) {
		return
	}
	if err == nil || fault.KindOf(err) == fault.NotFound {
		err = tellProfile(ctx, d.conf.Temporal, d.conf.Ledger, ref, 0)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		d.log.Warn("It could not be seen whether a profile changed during the sign-in.", "agent", ref.Agent, "err", err)
	}
}
