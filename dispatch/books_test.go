package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// books is ledger and journal: two agents, 1001 first.
type books struct {
	activities.Journal

	mu      sync.Mutex
	away    int  // how many openings still fail
	mute    int  // how many are written, but their answer is lost
	after   int  // how many openings fail after one whose answer is lost
	over    bool // calls end as soon as they are open
	known   bool // open calls are found by name
	beats   bool // their node drives them: they are no orphans
	route   call.Route
	free    []id.Agent
	stored  map[call.Ref]call.State
	started map[call.Ref]bool
	writes  []string
	lapsed  []device.Stranded // registrations that ran out
	// heldStuck lets no event that was held back be told.
	heldStuck bool
	lapses    int                   // how often they were looked for
	gone      int                   // how many looks for orphans still fail
	unheard   bool                  // the session takes every device for unreachable
	kept      map[id.Agent]id.Offer // for what presence rows are reserved
	buried    []id.Agent
	asked     string // as whose run
	looks     int    // how often overdue reservations were looked for
	placed    func() // happens when an opening has been committed
}

func newBooks() *books {
	return &books{
		route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support", Ring: time.Minute}},
		free:  []id.Agent{"1001", "1002"}, stored: map[call.Ref]call.State{}, started: map[call.Ref]bool{},
	}
}

func (b *books) Route(context.Context, id.Tenant, string) (call.Route, error) { return b.route, nil }

func (b *books) match(offer id.Offer) *call.Matched {
	if len(b.free) == 0 {
		return nil
	}
	a := b.free[0]
	b.free = b.free[1:]
	return &call.Matched{Offer: offer, Agent: a, Targets: []leg.Address{{Device: id.Device(a), Kind: leg.SIP}}, Method: "all"}
}

func (b *books) Open(ctx context.Context, at time.Time, s call.State) (call.State, []call.Effect, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return s, nil, fault.E(fault.Unavailable, "open", err)
	}
	if b.away > 0 {
		b.away--
		return s, nil, fault.E(fault.Unavailable, "open", errors.New("connection refused"))
	}
	if old, known := b.stored[s.Ref()]; known {
		if b.over {
			return call.State{}, nil, fault.Refuse("already_ended", "ended already")
		}
		return old, nil, fault.Refuse("already_open", "open already")
	}
	for _, f := range s.Owed {
		if f.Place == nil {
			continue
		}
		var e call.Event = call.Waiting{Position: 1}
		if m := b.match(f.Place.Offer); m != nil {
			e = *m
		}
		next, _, err := s.Step(at, e)
		if err != nil {
			return s, nil, err
		}
		s = next
	}
	b.stored[s.Ref()] = s
	if b.placed != nil {
		b.placed()
	}
	if b.mute > 0 {
		b.mute--
		b.away = b.after
		return s, nil, fault.E(fault.Unavailable, "open", errors.New("connection reset"))
	}
	return s, nil, nil
}

func (b *books) Place(_ context.Context, _ call.Ref, p call.Place) (record.Placed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.match(p.Offer); m != nil {
		return record.Placed{Matched: m}, nil
	}
	return record.Placed{Waiting: &call.Waiting{}}, nil
}

func (b *books) SaveCall(_ context.Context, _ call.Ref, s call.Save) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes = append(b.writes, s.Event)
	return nil
}

func (b *books) Advance(_ context.Context, s call.State) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored[s.Ref()] = s
	return nil
}

func (b *books) Started(_ context.Context, ref call.Ref) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started[ref] = true
	return nil
}

func (b *books) Orphans(context.Context, time.Duration) ([]call.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone > 0 {
		b.gone--
		return nil, fault.E(fault.Unavailable, "look for orphans", errors.New("connection refused"))
	}
	var orphans []call.State
	for ref, s := range b.stored {
		if !b.started[ref] && !b.beats {
			orphans = append(orphans, s)
		}
	}
	return orphans, nil
}

func (b *books) Undriven(_ context.Context, boot string, _ time.Duration) ([]call.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away > 0 {
		return nil, fault.E(fault.Unavailable, "list calls", errors.New("connection refused"))
	}
	var found []call.State
	for ref, s := range b.stored {
		if s.Boot == boot && !b.started[ref] {
			found = append(found, s)
		}
	}
	return found, nil
}

func (b *books) CallState(_ context.Context, ref call.Ref) (call.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.stored[ref]; ok && b.known {
		if b.away > 0 {
			return s, fault.E(fault.Unavailable, "read call", errors.New("connection refused"))
		}
		return s, nil
	}
	return call.State{}, fault.E(fault.NotFound, "read call", fmt.Errorf("%s is over", ref.Call))
}

func (b *books) Profile(context.Context, agent.Ref) (agent.Profile, []id.Device, error) {
	return agent.Profile{}, nil, nil
}

func (b *books) SaveRegistration(_ context.Context, r device.Registration) (id.Agent, device.Reach, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := r.Expires.After(time.Now())
	return "1001", device.Reach{Reachable: there, Unheard: there && b.unheard}, nil
}

func (b *books) Rejected(context.Context, device.Rejection) error { return nil }

func (b *books) TellHeld(ctx context.Context, _ time.Duration) error {
	if b.heldStuck {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (b *books) Lapsed(context.Context, time.Duration) ([]device.Stranded, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lapses++
	return slices.Clone(b.lapsed), nil
}

// Reachable says that a device named after an agent is its only phone.
func (b *books) Reachable(_ context.Context, s device.Stranded) (id.Agent, bool, error) {
	if s.Device == "lobby" {
		return "", false, nil
	}
	return id.Agent(s.Device), false, nil
}

func (b *books) Unstrand(_ context.Context, list []device.Stranded) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lapsed = slices.DeleteFunc(b.lapsed, func(s device.Stranded) bool { return slices.Contains(list, s) })
	return nil
}

func (b *books) Overdue(_ context.Context, by time.Time, boot string) ([]record.Reservation, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	b.asked = boot
	var overdue []record.Reservation
	for a, o := range b.kept {
		overdue = append(overdue, record.Reservation{Session: agent.Ref{Tenant: c1.Tenant, Agent: a}, Offer: o, Until: by})
	}
	return overdue, time.Time{}, nil
}

func (b *books) Bury(_ context.Context, ref agent.Ref, _ time.Time) (id.Offer, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.buried, ref.Agent) {
		return "", false, nil
	}
	b.buried = append(b.buried, ref.Agent)
	o := b.kept[ref.Agent]
	delete(b.kept, ref.Agent)
	return o, true, nil
}
