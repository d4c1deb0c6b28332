package worker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// times are measured durations of one kind.
type times []time.Duration

func (t times) at(quantile float64) float64 {
	slices.Sort(t)
	return float64(t[min(int(quantile*float64(len(t))), len(t)-1)].Microseconds()) / 1000
}

func (t times) report(b *testing.B, what string) {
	b.ReportMetric(t.at(0.5), what+"-p50-ms")
	b.ReportMetric(t.at(0.99), what+"-p99-ms")
}

// BenchmarkReady_WaitingCaller measures, with one caller waiting: the command ready to
// its answer, and to the beginning of the ring on the node.
func BenchmarkReady_WaitingCaller(b *testing.B) {
	r := newRig(b)
	r.ledger.wrapUp = 0
	ctx := context.Background()
	ref := r.agent("1001")
	_, _, err := r.d.SignIn(ctx, ref, "1001", agent.SignIn{Interface: "phone"})
	require.NoError(b, err)
	hears, err := db.New(db.Config{URL: ground.postgres.DSN()}) // as the node's process has it
	require.NoError(b, err)
	defer func() { require.NoError(b, hears.Close()) }()
	hears.OnRing(r.node, func(ref call.Ref, ring call.Ring) { go func() { _, _ = r.phone.Ring(ctx, ref, ring) }() })
	var answers, rings times
	for b.Loop() {
		in := r.invite("8000")
		require.NoError(b, r.d.Incoming(ctx, in))
		await(b, func() bool { return r.workflowRuns(ctx, in) })
		begun := time.Now()
		v, err := r.d.Agent(ctx, ref, agent.GoReady{})
		answers = append(answers, time.Since(begun))
		require.NoError(b, err)
		require.Equal(b, agent.Reserved, v.State)
		ring := r.phone.next(b)
		rings = append(rings, ring.at.Sub(begun))
		r.talk(b, ctx, ref, ring)
	}
	answers.report(b, "answer")
	rings.report(b, "ring")
}

// BenchmarkReady_NobodyWaits measures the command ready to its answer.
func BenchmarkReady_NobodyWaits(b *testing.B) {
	r := newRig(b)
	ctx := context.Background()
	ref := r.agent("1001")
	_, _, err := r.d.SignIn(ctx, ref, "1001", agent.SignIn{Interface: "phone"})
	require.NoError(b, err)
	var answers times
	for b.Loop() {
		begun := time.Now()
		_, err := r.d.Agent(ctx, ref, agent.GoReady{})
		answers = append(answers, time.Since(begun))
		require.NoError(b, err)
		_, err = r.d.Agent(ctx, ref, agent.GoNotReady{Reason: "BREAK"})
		require.NoError(b, err)
	}
	answers.report(b, "answer")
}

// BenchmarkArrival_FreeAgent measures, with one agent free: a caller's arrival to the
// beginning of the ring on the node.
func BenchmarkArrival_FreeAgent(b *testing.B) {
	r := newRig(b)
	r.ledger.wrapUp = 0
	ctx := context.Background()
	ref := r.agent("1001")
	_, _, err := r.d.SignIn(ctx, ref, "1001", agent.SignIn{Interface: "phone"})
	require.NoError(b, err)
	var rings times
	for b.Loop() {
		_, err := r.d.Agent(ctx, ref, agent.GoReady{})
		require.NoError(b, err)
		in := r.invite("8000")
		begun := time.Now()
		require.NoError(b, r.d.Incoming(ctx, in))
		ring := r.phone.next(b)
		rings = append(rings, ring.at.Sub(begun))
		r.talk(b, ctx, ref, ring)
	}
	rings.report(b, "ring")
}

// talk answers the ring, hangs up, and leaves the agent NotReady.
func (r *rig) talk(b *testing.B, ctx context.Context, ref agent.Ref, ring *ringing) {
	b.Helper()
	state := func(want agent.Status) func() bool {
		return func() bool {
			v, err := r.d.AgentView(ctx, ref)
			return err == nil && v.State == want
		}
	}
	r.phone.answer(ring)
	await(b, state(agent.Busy))
	r.d.Report(ring.ref, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	await(b, state(agent.Ready))
	_, err := r.d.Agent(ctx, ref, agent.GoNotReady{Reason: "BREAK"})
	require.NoError(b, err)
}

func (r *rig) workflowRuns(ctx context.Context, in call.Incoming) bool {
	d, err := ground.client.DescribeWorkflowExecution(ctx, id.CallWorkflow(in.Tenant, in.Call), "")
	return err == nil && d.GetWorkflowExecutionInfo().GetHistoryLength() > 4
}

func await(b *testing.B, condition func() bool) {
	b.Helper()
	require.Eventually(b, condition, patience, 5*time.Millisecond)
}
