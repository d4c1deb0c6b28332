package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/workflows"
)

// world is what a workflow meets on the SDK's virtual clock: a journal, a phone and
// other workflows, each with a transcript.
type world struct {
	activities.Journal // what is not played panics
	client.Client

	mu      sync.Mutex
	said    []string
	saved   []agent.Save
	away    int // how many calls of the journal still fail because the database is away
	refused error
	reserve *agent.Offer // the answer to the next Save of an available agent
	match   *call.Matched
	ring    func(r call.Ring) (call.RingEnded, error)
	gone    []string // workflows that are over

	cancelled func() // is called when a ring is taken back
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *world) transcript() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

func (w *world) fail() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away > 0 {
		w.away--
		return fault.E(fault.Unavailable, "save", errors.New("connection refused"))
	}
	return w.refused
}

func (w *world) SaveAgent(_ context.Context, s agent.Save) (record.Saved, error) {
	if err := w.fail(); err != nil {
		return record.Saved{}, err
	}
	w.say("save %s %s", s.View.State, s.View.Reason)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saved = append(w.saved, s)
	if !s.Presence.Available {
		return record.Saved{}, nil
	}
	saved := record.Saved{Reserved: w.reserve, Matched: w.match}
	w.reserve, w.match = nil, nil
	return saved, nil
}

func (w *world) Place(_ context.Context, _ call.Ref, p call.Place) (record.Placed, error) {
	if err := w.fail(); err != nil {
		return record.Placed{}, err
	}
	w.say("place %s", p.Queue)
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.match; m != nil {
		w.match = nil
		return record.Placed{Matched: m}, nil
	}
	return record.Placed{Waiting: &call.Waiting{Position: 1}}, nil
}

func (w *world) SaveCall(_ context.Context, _ call.Ref, s call.Save) error {
	if err := w.fail(); err != nil {
		return err
	}
	w.say("note %s", s.Event)
	return nil
}

func (w *world) CloseCall(_ context.Context, _ call.Ref, c call.Close) error {
	if err := w.fail(); err != nil {
		return err
	}
	w.say("close %s %s", c.Record.Outcome, c.Record.Cause)
	return nil
}

func (w *world) CallState(context.Context, call.Ref) (call.State, error) {
	return call.State{}, fault.E(fault.NotFound, "read call", errors.New("it is over"))
}

func (w *world) SignalWorkflow(_ context.Context, workflow, _, name string, _ any) error {
	if slices.Contains(w.gone, workflow) {
		return serviceerror.NewNotFound("workflow is over")
	}
	w.say("tell %s %s", workflow, name)
	return nil
}

func (w *world) UpdateWorkflow(ctx context.Context, u client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return updated{}, w.SignalWorkflow(ctx, u.WorkflowID, "", u.UpdateName, u.Args[0])
}

// updated is an update that was answered.
type updated struct{ client.WorkflowUpdateHandle }

func (updated) Get(context.Context, any) error { return nil }

func (w *world) Ring(_ context.Context, _ call.Ref, r call.Ring) (call.RingEnded, error) {
	w.say("ring %s", r.Agent)
	return w.ring(r)
}

func (w *world) Cancel(_ context.Context, _ call.Ref, c call.Cancel) error {
	w.say("cancel %s", c.Cause)
	if w.cancelled != nil {
		w.cancelled()
	}
	return nil
}

func (w *world) Treat(_ context.Context, _ call.Ref, t call.Treat) error {
	w.say("treat %s", t.With)
	return nil
}

func (w *world) Drop(_ context.Context, _ call.Ref, d call.Drop) error {
	w.say("drop %s %s", d.Leg, d.Cause)
	return nil
}

// t0 is when the virtual clock begins.
var t0 = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// virtual is a workflow environment, silent and on the SDK's virtual clock.
func virtual() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // a busy machine is no deadlock
	env.SetTestTimeout(time.Minute)                                             // nor at rest
	return env
}

// stage is a workflow environment with its world.
func stage(t *testing.T) (*testsuite.TestWorkflowEnvironment, *world) {
	t.Helper()
	env := virtual()
	env.SetStartTime(t0)
	w := &world{ring: func(r call.Ring) (call.RingEnded, error) {
		return call.RingEnded{Offer: r.Offer, Outcome: call.RingAnswered, Leg: r.Leg, Device: r.Targets[0].Device, AnsweredAt: t0}, nil
	}}
	env.RegisterActivity(&activities.Records{Journal: w, Client: w, StartCall: workflows.StartCall, Now: env.Now})
	env.RegisterActivity(&activities.Node{Phone: w, Journal: w, Name: "node-1", Boot: "b1"})
	t.Cleanup(func() { env.AssertExpectations(t) })
	return env, w
}

const acme id.Tenant = "acme.example"

// session is agent 1001, who has not signed in yet; wrap-up takes 10 s.
func session() agent.State {
	return agent.New(agent.Ref{Tenant: acme, Agent: "1001"}, "amy", agent.Profile{
		Name: "Amy", WrapUp: 10 * time.Second, RingMethod: "all", Addresses: []leg.Address{{Device: "1001", Kind: leg.SIP}},
		Queues: []agent.Membership{{Queue: "support", CheckedIn: true}}, OnNoAnswer: agent.FollowNotReady, OnReject: agent.FollowNotReady,
	}, t0)
}

// waiting is a call that waits in line since t0, its caller hearing music.
func waiting(t *testing.T) call.State {
	t.Helper()
	s := call.New(call.Incoming{Tenant: acme, Call: "c1", Node: "node-1", Boot: "b1", From: "+4930123456", To: "8000", Trunk: "demo", At: t0})
	for _, e := range []call.Event{
		call.Arrived{Route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support", Ring: 15 * time.Second}}},
		call.Waiting{Position: 1}, call.Done{Seq: 2},
	} {
		next, _, err := s.Step(t0, e)
		require.NoError(t, err)
		s = next
	}
	require.Empty(t, s.Owed)
	return s
}

// message is an event as it travels.
func message(t *testing.T, at time.Time, kind string, event any) workflows.Message {
	t.Helper()
	m, err := activities.NewMessage(at, kind, event)
	require.NoError(t, err)
	return m
}

// reply collects the outcome of an update.
type reply struct {
	rejected, failed error
	view             agent.View
	done             bool
}

func (r *reply) Accept()          {}
func (r *reply) Reject(err error) { r.rejected, r.done = err, true }
func (r *reply) Complete(answer any, err error) {
	r.failed, r.done = err, true
	if a, ok := answer.(workflows.Reply[agent.View]); ok {
		r.view = a.View
	}
}
