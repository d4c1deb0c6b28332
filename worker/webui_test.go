package worker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
)

// What an operator sees in the Temporal Web UI: title, details in words, and a search.
func TestWebUI_CallThatTalks_SaysSoAndIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ref, ring := r.connected("1001")

	require.Contains(t, r.details(workflowOf(ref)), "**Talking since")
	require.Contains(t, r.details(r.session("1001")), "**On call "+string(ref.Call)+" (queue call with …678)")
	found := r.search(fmt.Sprintf(`CCTenant = %q AND CCCallPhase = "Talking" AND CCAgent = "1001" AND CCQueue = "support" AND CCDirection = "inbound"`, r.tenant))
	require.Equal(t, []string{workflowOf(ref)}, found)
	require.Equal(t, []string{r.session("1001")}, r.search(fmt.Sprintf(`CCTenant = %q AND CCAgentState = "Ready"`, r.tenant)))
	r.hangUp(ring)
	r.waitEnded(ref)
}

// details is what the workflow says of itself.
func (r *rig) details(workflow string) string {
	r.Helper()
	answer, err := ground.client.QueryWorkflow(r.Context(), workflow, "", "__temporal_workflow_metadata")
	require.NoError(r, err)
	var m sdkpb.WorkflowMetadata
	require.NoError(r, answer.Get(&m))
	return m.GetCurrentDetails()
}

// search waits until a query finds an open workflow; visibility lags a moment behind.
func (r *rig) search(query string) []string {
	r.Helper()
	var found []string
	require.Eventually(r, func() bool {
		page, err := ground.client.ListWorkflow(r.Context(), &workflowservice.ListWorkflowExecutionsRequest{
			Query: query + ` AND ExecutionStatus = "Running"`,
		})
		require.NoError(r, err)
		found = nil
		for _, e := range page.GetExecutions() {
			found = append(found, e.GetExecution().GetWorkflowId())
		}
		return len(found) > 0
	}, patience, 50*time.Millisecond, query)
	return found
}

// A shift is longer than a history may be: the session goes on as a new run, with its
// state, its search attributes, and its memory of the commands that it was given.
func TestSession_LongShift_GoesOnAsANewRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	run := r.runOf(r.session("1001"))
	key := agent.CheckOut{Actor: agent.Actor{User: "1001", Key: "once"}, Queues: []id.Queue{"support"}}
	require.False(t, r.ask("1001", key).Memberships[0].CheckedIn)
	require.True(t, r.ask("1001", agent.CheckIn{}).Memberships[0].CheckedIn)
	var both sync.WaitGroup
	for worker := range 6 {
		both.Go(func() {
			for n := range 400 {
				if n%20 == 0 && r.runOf(r.session("1001")) != run {
					return
				}
				var e agent.Event = agent.Touch{Terminal: id.Terminal(fmt.Sprint("tab-", worker))}
				if worker == 0 {
					e = agent.CheckIn{}
				}
				if _, err := r.d.Agent(r.Context(), r.agent("1001"), e); err != nil {
					t.Errorf("command %d: %v", n, err)
				}
			}
		})
	}
	both.Wait()
	require.NotEqual(t, run, r.runOf(r.session("1001")))
	require.True(t, r.ask("1001", key).Memberships[0].CheckedIn, "a repetition has no second effect")
	require.Equal(t, []string{r.session("1001")}, r.search(fmt.Sprintf(`CCTenant = %q AND CCAgentState = "Ready"`, r.tenant)))

	ref := r.incoming("8000")
	r.abandon(r.phone.next(r))
	require.Equal(t, call.Ended, r.waitEnded(ref).Phase)
}

func (r *rig) runOf(workflow string) string {
	d, err := ground.client.DescribeWorkflowExecution(r.Context(), workflow, "")
	if err != nil {
		return ""
	}
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// A window that signs in while another signs out finds the old session or a new one,
// never an error.
func TestSignOut_WhileAnotherWindowSignsIn_NoErrorEver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn("1001")
	for range 25 {
		var both sync.WaitGroup
		both.Go(func() {
			_, _, err := r.d.SignIn(r.Context(), r.agent("1001"), "1001", agent.SignIn{Interface: "web", Terminal: "tab"})
			if err != nil {
				t.Errorf("sign in: %v", err)
			}
		})
		both.Go(func() {
			_, err := r.d.Agent(r.Context(), r.agent("1001"), agent.SignOut{Actor: agent.Actor{User: "1001"}})
			if err != nil && !notFound(err) {
				t.Errorf("sign out: %v", err)
			}
		})
		both.Wait()
	}
}
