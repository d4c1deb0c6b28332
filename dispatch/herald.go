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
	// ProfileChanges hands the oldest changes that nobody else is telling, at most most
	// and none of later, to tell, and forgets those that it returns as told. It reports
	// whether any remain besides later.
	ProfileChanges(ctx context.Context, most int, later []int64, tell func(context.Context, []record.ProfileChange) (told []int64, err error)) (left bool, err error)
	// Profile reads the agent's directory entry; fault.NotFound if it is gone, or its
	// user is disabled.
	Profile(ctx context.Context, ref agent.Ref) (agent.Profile, []id.Device, error)
}

const (
	// heraldBatch is how many agents are told while their changes are held, and
	// heraldWithin how long that may take; sessionWithin is one session's part, and they
	// are told side by side.
	heraldBatch   = 20
	heraldWithin  = 8 * time.Second
	sessionWithin = 2 * time.Second
	// heraldPasses is how many sessions that can't be told are passed over before
	// those behind them wait as well.
	heraldPasses = 200
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
// that one die: so it is looked for again. A session that can't be told is passed over,
// and tried again when the others are told.
func (h *Herald) tellAll() {
	wait := firstPause
	var later []int64
	for h.life.Err() == nil {
		tried, passed := 0, len(later)
		ctx, cancel := context.WithTimeout(h.life, heraldWithin)
		left, err := h.directory.ProfileChanges(ctx, heraldBatch, later, func(ctx context.Context, changes []record.ProfileChange) ([]int64, error) {
			told, failed, err := h.tell(ctx, changes)
			tried, later = len(changes), append(later, failed...)
			if err != nil && wait == firstPause && passed == 0 {
				h.log.Warn("Sessions can't be told yet that their profiles changed.", "failed", len(failed), "err", err)
			}
			return told, nil
		})
		cancel()
		switch {
		case err == nil && !left && len(later) == 0:
			return
		case err == nil && tried > len(later)-passed:
			wait = firstPause
			continue
		case err == nil && tried > 0 && len(later) < heraldPasses:
			continue
		case err != nil && wait == firstPause:
			h.log.Warn("The changes of profiles can't be read.", "err", err)
		}
		if !pause(h.life, wait) {
			return
		}
		wait, later = min(2*wait, longPause), nil
	}
}

// tell tells each agent's session once, by the newest of its changes. It returns the
// numbers of the changes that are told, or can never be, and of those to be tried again,
// with a reason.
func (h *Herald) tell(ctx context.Context, changes []record.ProfileChange) (told, failed []int64, reason error) {
	ctx, cancel := context.WithTimeout(ctx, sessionWithin)
	defer cancel()
	newest := map[agent.Ref]int64{}
	for _, c := range changes {
		newest[c.Agent] = max(newest[c.Agent], c.Seq)
	}
	var mu sync.Mutex
	again := map[agent.Ref]bool{}
	var telling sync.WaitGroup
	for ref, seq := range newest {
		telling.Go(func() {
			err := tellProfile(ctx, h.temporal, h.directory, ref, seq)
			if err == nil {
				return
			}
			if fault.KindOf(err) != fault.Unavailable {
				h.log.Error("A session could not be told that its profile changed.", "agent", ref.Agent, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			again[ref], reason = true, err
		})
	}
	telling.Wait()
	for _, c := range changes {
		if again[c.Agent] {
			failed = append(failed, c.Seq)
		} else {
			told = append(told, c.Seq)
		}
	}
	return told, failed, reason
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
