package worker_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/workflows/replay"
	"holdfast/workflows/timeline"
)

// maxActions is what one queue call may cost, the agent's side included (architecture.md).
const maxActions = 16

// history fetches the latest run of a workflow, replays it against this build and
// shows it.
func (r *rig) history(workflow string) replay.History {
	r.Helper()
	h, err := replay.Fetch(r.Context(), ground.client, workflow, "")
	require.NoError(r, err)
	if testing.Verbose() {
		require.NoError(r, timeline.Write(os.Stdout, workflow, h.Events))
	}
	require.NoError(r, replay.Replay(h))
	return h
}

// record keeps the histories of workflows in the folder HOLDFAST_RECORD, for the corpus
// of tests/histories; without it, it only replays them. The scenario's name ends with
// the release.
func (r *rig) record(scenario string, ids ...string) {
	r.Helper()
	for _, id := range ids {
		h := r.history(id)
		if dir := os.Getenv("HOLDFAST_RECORD"); dir != "" {
			require.NoError(r, replay.Record(dir, scenario+".v0.1", h))
		}
	}
}

func (r *rig) session(number id.Agent) string { return id.AgentWorkflow(r.tenant, number) }

func workflowOf(ref call.Ref) string { return id.CallWorkflow(ref.Tenant, ref.Call) }

// hangUp lets the customer hang up; the node ends the agent's leg as a reflex.
func (r *rig) hangUp(ring *ringing) {
	r.d.Report(ring.ref, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	r.d.Report(ring.ref, call.LegEnded{Leg: ring.Leg, Cause: leg.Hangup})
}

func TestCost_QueueCallThatFindsAFreeAgent_AtMost16Actions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.wrapUp = 6 * time.Second // a busy machine must not miss it
	r.ready("1001")
	before := timeline.Actions(r.history(r.session("1001")).Events)

	ref := r.incoming("8000")
	ring := r.phone.next(r)
	r.waitState("1001", agent.Reserved)
	r.d.Report(ref, call.Ringing{Offer: ring.Offer})
	r.serve(ring, "1001")
	r.waitState("1001", agent.WorkingAfterCall)
	r.waitState("1001", agent.Ready)

	agents := timeline.Actions(r.history(r.session("1001")).Events).Minus(before)
	calls := timeline.Actions(r.history(workflowOf(ref)).Events)
	t.Logf("call %d %v, agent %d %v", calls.Total(), calls, agents.Total(), agents)
	require.LessOrEqual(t, calls.Total()+agents.Total(), maxActions)
	r.record("finds_a_free_agent", workflowOf(ref), r.session("1001"))
}

func TestCost_QueueCallThatWaitsForAnAgent_AtMost16Actions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn("1001")
	before := timeline.Actions(r.history(r.session("1001")).Events)

	ref := r.incoming("8000")
	require.Equal(t, agent.Reserved, r.ask("1001", agent.GoReady{}).State)
	ring := r.phone.next(r)
	r.d.Report(ref, call.Ringing{Offer: ring.Offer})
	r.serve(ring, "1001")
	r.waitState("1001", agent.Ready)

	agents := timeline.Actions(r.history(r.session("1001")).Events).Minus(before)
	calls := timeline.Actions(r.history(workflowOf(ref)).Events)
	t.Logf("call %d %v, agent %d %v", calls.Total(), calls, agents.Total(), agents)
	r.record("waits_for_an_agent", workflowOf(ref), r.session("1001"))
	const command = 2 // the agent's own command, and the upsert for it
	require.LessOrEqual(t, calls.Total()+agents.Total(), maxActions+command)
}
