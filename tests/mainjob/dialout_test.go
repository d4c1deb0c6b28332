package mainjob

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// SEED-80, policy outbound_requires_not_ready: who is Ready is refused with the reason and
// stays Ready; Not Ready, the agent dials. Colleagues can be called in any state.
func TestSEED80_OutboundRequiresNotReady_DiallingWhileReadyIsRefused(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{Agents: 2, Policies: tenancy.Policies{CallPolicies: tenancy.CallPolicies{OutboundRequiresNotReady: true}}})
	a, colleague := ten.ReadyAgent(1), ten.Agent(2)
	colleague.SignIn()
	refused := ten.WaitEnded(dials(t, ten, a, "0493055505"))
	require.Equal(t, 403, refused.Code)
	require.Contains(t, refused.Reason, "Go Not Ready before you dial")
	require.Zero(t, beyond.Invites())
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "outbound_manual agent_ready", record.Class+" "+record.Cause)
	require.NotContains(t, ten.Watch.States(a.Number), "Busy")

	inside := dials(t, ten, a, "1002")
	ten.Talk(inside, colleague.Answered())
	a.Wait("Busy")
	require.NoError(t, inside.HangUp())
	a.Wait("Ready")

	a.NotReady("CALLING")
	call := dials(t, ten, a, "0493055505")
	rung := ten.Offered(beyond, "the customer")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	a.Wait("Busy")
	require.NoError(t, call.HangUp())
	a.Wait("NotReady(CALLING)")
}

// SEED-80, the policy's other setting: dialling while Ready takes the agent out of its
// queues with the first INVITE, before its session has heard of the call. Whoever calls the
// queue in that very moment waits, and is served when the agent's call is over – also when
// that one is refused at once.
func TestSEED80_DiallingWhileReady_TakesTheAgentOutOfItsQueuesInTheSameStep(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	for i := range 5 {
		call := dials(t, ten, a, "0493055506")
		rung := ten.Offered(beyond, "the customer")
		waiting := ten.Call("4930304", "8000")
		ten.WaitUp(waiting) // hears music
		require.Equal(t, i, a.Phone.Invites(), "no second call rings at a phone that dials")
		require.NoError(t, rung.Reject(486))
		require.Equal(t, 486, ten.WaitEnded(call).Code)
		ten.Talk(waiting, a.Answered())
		require.NoError(t, waiting.HangUp())
		a.Wait("Ready")
	}
}
