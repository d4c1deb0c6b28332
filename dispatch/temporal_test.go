package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"holdfast/activities"
	"holdfast/dispatch"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// fate is what becomes of a request to Temporal.
type fate int

const (
	taken   fate = iota
	refused      // the request never arrived
	lost         // it arrived, but its answer is lost
)

// temporal is a Temporal service with fates. Its call workflows are the real machine;
// signals are applied as they come.
type temporal struct {
	client.Client

	mu      sync.Mutex
	next    func(what string) fate
	calls   map[string]*callWorkflow
	over    map[string]bool // workflows that are closed
	killed  []string        // of these, the sessions that were terminated
	signals []string
	phone   *phone
	slow    time.Duration
}

// callWorkflow is the state that a call's workflow has reached.
type callWorkflow struct {
	state call.State
	heard int64 // as the loop does, it passes over what was told twice
}

func (w *callWorkflow) step(at time.Time, e call.Event) {
	next, _, err := w.state.Step(at, e)
	if err != nil {
		panic(err)
	}
	w.state = next
}

var errAway = serviceerror.NewUnavailable("connection refused")

func (s *temporal) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	if s.slow > 0 {
		timer := time.NewTimer(s.slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.next("start")
	if f == refused {
		return nil, errAway
	}
	if _, runs := s.calls[o.ID]; runs {
		if f == lost {
			return nil, errAway
		}
		if o.WorkflowExecutionErrorWhenAlreadyStarted {
			return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("started", "r", "run")
		}
		return nil, nil
	}
	state := args[0].(call.State)
	s.calls[o.ID] = &callWorkflow{state: state}
	if f == lost {
		return nil, context.DeadlineExceeded
	}
	return nil, nil
}

func (s *temporal) SignalWorkflow(_ context.Context, workflow, _, name string, arg any) error {
	return s.hear("signal", workflow, name, arg)
}

func (s *temporal) UpdateWorkflow(_ context.Context, u client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return updated{}, s.hear("update", u.WorkflowID, u.UpdateName, u.Args[0])
}

// updated is an update that was answered.
type updated struct{ client.WorkflowUpdateHandle }

func (updated) Get(context.Context, any) error { return nil }

func (s *temporal) hear(by, workflow, name string, arg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.next(by)
	if f == refused {
		return errAway
	}
	w, runs := s.calls[workflow]
	if s.over[workflow] || !runs && workflow[:5] == "call:" {
		return serviceerror.NewNotFound("no such workflow")
	}
	s.signals = append(s.signals, fmt.Sprintf("%s %s", workflow, name))
	if runs {
		for _, m := range messages(name, arg) {
			if m.Number > 0 && m.Number <= w.heard {
				continue
			}
			w.heard = m.Number
			e, err := call.Decode(call.Kind(m.Kind), m.Event)
			if err != nil {
				panic(err)
			}
			w.step(m.At, e)
		}
	}
	if f == lost {
		return context.DeadlineExceeded
	}
	return nil
}

// ListWorkflow lists the sessions that were closed from outside.
func (s *temporal) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, w := range s.killed {
		found.Executions = append(found.Executions, &workflow.WorkflowExecutionInfo{Execution: &common.WorkflowExecution{WorkflowId: w}})
	}
	return found, nil
}

func (s *temporal) DescribeWorkflowExecution(_ context.Context, w, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING}
	if s.over[w] {
		info = &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, CloseTime: timestamppb.Now()}
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
}

func messages(name string, arg any) []activities.Message {
	data, err := json.Marshal(arg)
	if err != nil {
		panic(err)
	}
	if name != activities.Bundle {
		var m activities.Message
		if err := json.Unmarshal(data, &m); err != nil {
			panic(err)
		}
		m.Kind = name
		return []activities.Message{m}
	}
	var all []activities.Message
	if err := json.Unmarshal(data, &all); err != nil {
		panic(err)
	}
	return all
}

func (s *temporal) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.signals...)
}

// workflow is the state that a call's workflow has reached; false if it has none.
func (s *temporal) workflow(ref call.Ref) (call.State, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.calls[id.CallWorkflow(ref.Tenant, ref.Call)]
	if !ok {
		return call.State{}, false
	}
	return w.state, true
}

// phone is a node whose rings the test ends. As a node does, it reports an outcome
// before it answers whoever asked.
type phone struct {
	mu     sync.Mutex
	d      *dispatch.Dispatcher
	rings  map[id.Offer]chan call.RingEnded
	begun  chan call.Ring
	said   []string
	broken error
}

func newPhone() *phone {
	return &phone{rings: map[id.Offer]chan call.RingEnded{}, begun: make(chan call.Ring, 100)}
}

func (p *phone) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, fmt.Sprintf(format, args...))
}

func (p *phone) transcript() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.said...)
}

func (p *phone) Ring(ctx context.Context, _ call.Ref, r call.Ring) (call.RingEnded, error) {
	p.mu.Lock()
	ended, known := p.rings[r.Offer]
	if !known {
		ended = make(chan call.RingEnded, 10)
		p.rings[r.Offer] = ended
		p.begun <- r
	}
	p.mu.Unlock()
	select {
	case e := <-ended:
		ended <- e // for others who attach
		return e, nil
	case <-ctx.Done():
		return call.RingEnded{}, ctx.Err()
	}
}

func (p *phone) end(ref call.Ref, r call.Ring, o call.Outcome) call.RingEnded {
	e := call.RingEnded{Offer: r.Offer, Outcome: o, RangAt: time.Now()}
	if o == call.RingAnswered {
		e.Leg, e.Device, e.AnsweredAt = r.Leg, r.Targets[0].Device, time.Now()
	}
	p.d.Report(ref, e)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rings[r.Offer] <- e
	return e
}

func (p *phone) Cancel(_ context.Context, _ call.Ref, c call.Cancel) error {
	p.say("cancel %s", c.Cause)
	return nil
}

func (p *phone) Treat(_ context.Context, _ call.Ref, t call.Treat) error {
	p.say("treat %s", t.With)
	return p.broken
}

func (p *phone) Drop(_ context.Context, _ call.Ref, d call.Drop) error {
	p.say("drop %s %s", d.Leg, d.Cause)
	return nil
}

// books is ledger and journal: two agents, 1001 first.
type books struct {
	activities.Journal

	mu      sync.Mutex
	away    int  // how many openings still fail
	mute    int  // how many are written, but their answer is lost
	over    bool // calls end as soon as they are open
	route   call.Route
	free    []id.Agent
	stored  map[call.Ref]call.State
	started map[call.Ref]bool
	writes  []string
	lapsed  []device.Stranded     // what the next look at the registrations finds
	kept    map[id.Agent]id.Offer // for what presence rows are reserved
	buried  []id.Agent
	looks   int // how often overdue reservations were looked for
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

func (b *books) Open(_ context.Context, at time.Time, s call.State) (call.State, []call.Effect, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
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
	if b.mute > 0 {
		b.mute--
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
	var orphans []call.State
	for ref, s := range b.stored {
		if !b.started[ref] {
			orphans = append(orphans, s)
		}
	}
	return orphans, nil
}

func (b *books) CallState(_ context.Context, ref call.Ref) (call.State, error) {
	return call.State{}, fault.E(fault.NotFound, "read call", fmt.Errorf("%s is over", ref.Call))
}

func (b *books) Profile(context.Context, agent.Ref) (agent.Profile, []id.Device, error) {
	return agent.Profile{}, nil, nil
}

func (b *books) SaveRegistration(_ context.Context, r device.Registration) (id.Agent, bool, error) {
	return "1001", r.Expires.After(time.Now()), nil
}

func (b *books) Lapsed(context.Context, time.Duration) ([]device.Stranded, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lapsed := b.lapsed
	b.lapsed = nil
	return lapsed, nil
}

func (b *books) Overdue(_ context.Context, by time.Time) ([]record.Reservation, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
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

// desk is a dispatcher with its world.
type desk struct {
	*dispatch.Dispatcher
	temporal *temporal
	phone    *phone
	books    *books
}

func newDesk(t *testing.T, next func(what string) fate) *desk {
	t.Helper()
	p := newPhone()
	d := &desk{
		temporal: &temporal{next: next, calls: map[string]*callWorkflow{}, over: map[string]bool{}, phone: p}, phone: p, books: newBooks(),
	}
	d.Dispatcher = dispatch.New(dispatch.Config{
		Temporal: d.temporal, Ledger: d.books, Journal: d.books, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		SweepEvery: time.Millisecond, OrphanAge: time.Millisecond, ReapEvery: 10 * time.Millisecond, ReapAfter: time.Millisecond, OpenPatience: 300 * time.Millisecond,
	})
	p.d = d.Dispatcher
	d.Connect(p)
	t.Cleanup(d.Stop)
	return d
}

func well(string) fate { return taken }

var invited call.Incoming = call.Incoming{
	Tenant: "acme.example", Call: "c1", Node: "node-1", Boot: "b1", From: "+4930123456", To: "8000", Trunk: "demo",
}

var c1 = call.Ref{Tenant: "acme.example", Call: "c1"}

// arrive lets the call come in.
func (d *desk) arrive(t *testing.T) {
	t.Helper()
	in := invited
	in.At = time.Now()
	require.NoError(t, d.Incoming(t.Context(), in))
}

// rings waits for the next ring.
func (d *desk) rings(t *testing.T) call.Ring {
	t.Helper()
	select {
	case r := <-d.phone.begun:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no phone rings")
		return call.Ring{}
	}
}

// reaches waits until the call's workflow is in a state that fits.
func (d *desk) reaches(t *testing.T, fits func(s call.State) bool) call.State {
	t.Helper()
	var s call.State
	require.Eventually(t, func() bool {
		var ok bool
		s, ok = d.temporal.workflow(c1)
		return ok && fits(s)
	}, 10*time.Second, time.Millisecond)
	return s
}
