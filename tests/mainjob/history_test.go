package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
	"holdfast/workflows/timeline"
)

// recorded are the histories of a call that has ended and of the session of agent 1001,
// who is signed out for it.
func recorded(t *testing.T, ten *stage.Tenant, a *stage.Agent, scenario string) (callBill, agentBill timeline.Bill) {
	t.Helper()
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	ofCall := hall.History(t, scenario, id.CallWorkflow(id.Tenant(ten.Domain), id.Call(record.ID)))
	a.SignOut()
	a.Wait("LoggedOff")
	ofAgent := hall.History(t, scenario, id.AgentWorkflow(id.Tenant(ten.Domain), id.Agent(a.Number)))
	return timeline.Actions(ofCall.Events), timeline.Actions(ofAgent.Events)
}

// A queue call with wrap-up replays, and costs no more Temporal actions than the design
// allows, with real phones as well: the agent's part is what a second call adds.
func TestHistory_QueueCallWithWrapUp_ReplaysAndCostsAtMost16Actions(t *testing.T) {
	t.Parallel()
	bills := map[int]timeline.Bill{}
	var ofCall timeline.Bill
	for _, calls := range []int{0, 1} {
		ten := hall.Tenant(t, stage.Plan{WrapUp: time.Second})
		a := ten.ReadyAgent(1)
		for range calls {
			customer := ten.Call("4930601", "8000")
			rung := a.Answered()
			ten.Talk(customer, rung)
			a.Wait("Busy")
			require.NoError(t, customer.HangUp())
			a.Wait("WorkingAfterCall")
			a.Wait("Ready")
		}
		if calls > 0 {
			ofCall, bills[calls] = recorded(t, ten, a, "talks_and_wraps_up")
			continue
		}
		a.SignOut()
		bills[calls] = timeline.Actions(hall.History(t, "never_called", id.AgentWorkflow(id.Tenant(ten.Domain), "1001")).Events)
	}
	ofAgent := bills[1].Minus(bills[0])
	t.Logf("call %d %v, agent %d %v", ofCall.Total(), ofCall, ofAgent.Total(), ofAgent)
	require.LessOrEqual(t, ofCall.Total()+ofAgent.Total(), 16)
}

// An agent who declines: the call goes to the next one; both histories replay.
func TestHistory_AgentRejects_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	unwilling, willing := ten.ReadyAgent(1), ten.ReadyAgent(2)
	customer := ten.Call("4930602", "8000")
	require.NoError(t, unwilling.Offered().Reject(486))
	rung := willing.Answered()
	ten.Talk(customer, rung)
	unwilling.Wait("NotReady(REJECTED)")
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	recorded(t, ten, unwilling, "agent_rejects")
}

// A caller who gives up while waiting, with an agent who comes and goes meanwhile.
func TestHistory_CallerLeavesTheQueue_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4930603", "8000")
	ten.WaitUp(customer)
	a.Try(http.MethodPost, "/v1/agent-session/check-out", nil)
	a.Ready()
	a.NotReady("LUNCH")
	require.NoError(t, customer.HangUp())
	recorded(t, ten, a, "caller_leaves_the_queue")
}

// A call that the agent dials, put on hold from the phone and taken back.
func TestHistory_AgentDialsOutAndHolds_Replays(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{WrapUp: 30 * time.Second})
	a := ten.ReadyAgent(1)
	call := dials(t, ten, a, "0493055506")
	rung := ten.Offered(beyond, "the customer")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	a.Wait("Busy")
	require.NoError(t, call.Hold(ten.Context(), true))
	ten.WaitCall("be held", func(c stage.CallView) bool { return len(c.Legs) == 2 && c.Legs[0].Held })
	require.NoError(t, stage.WaitMusic(ten.Context(), rung), "SEED-83: who is on hold hears music")
	require.NoError(t, call.Hold(ten.Context(), false))
	ten.Talk(call, rung)
	require.NoError(t, call.HangUp())
	require.NoError(t, rung.Wait(ten.Context(), softphone.Ended))
	a.Wait("Ready")
	recorded(t, ten, a, "dials_out_and_holds")
}
