package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
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
	"holdfast/domain/call"
	"holdfast/domain/id"
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
	// treated happens when a caller was given something to hear.
	treated func()
}

// Boot names the run that carries what begins now.
func (*phone) Boot() string { return "b1" }

func (*phone) Renew(string) {}

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
	if p.treated != nil {
		p.treated()
	}
	return p.broken
}

func (p *phone) Drop(_ context.Context, _ call.Ref, d call.Drop) error {
	p.say("drop %s %s", d.Leg, d.Cause)
	return nil
}

// desk is a dispatcher with its world.
type desk struct {
	*dispatch.Dispatcher
	temporal *temporal
	phone    *phone
	books    *books
	told     atomic.Bool // of an agent, something
}

func newDesk(t *testing.T, next func(what string) fate) *desk {
	t.Helper()
	p := newPhone()
	d := &desk{
		temporal: &temporal{next: next, calls: map[string]*callWorkflow{}, over: map[string]bool{}, phone: p}, phone: p, books: newBooks(),
	}
	d.Dispatcher = dispatch.New(dispatch.Config{
		Temporal: d.temporal, Ledger: d.books, Journal: d.books, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		SweepEvery: time.Millisecond, OrphanAge: time.Millisecond, ReapEvery: 10 * time.Millisecond, ReapAfter: time.Millisecond, OpenPatience: 2 * time.Second,
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
