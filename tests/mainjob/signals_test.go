package mainjob

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/tests/stage"
	"holdfast/workflows"
)

// sent delivers a fact to a workflow, as its sender does whose receipt was lost.
func sent(t *testing.T, c client.Client, workflow, kind string, event any) {
	t.Helper()
	m, err := activities.NewMessage(time.Now(), kind, event)
	require.NoError(t, err)
	require.NoError(t, c.SignalWorkflow(t.Context(), workflow, "", kind, m))
}

// seen asks a workflow for its view; what was sent before has been heard by then.
func seen[V any](t *testing.T, c client.Client, workflow string) (v V) {
	t.Helper()
	answer, err := c.QueryWorkflow(t.Context(), workflow, "", workflows.QueryView)
	require.NoError(t, err)
	require.NoError(t, answer.Get(&v))
	return v
}

// Every fact of a session delivered twice changes nothing, in each state that follows it.
func TestSignalDeliveredTwice_SessionStaysAsItIs(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: wrapUpLong})
	a := ten.ReadyAgent(1)
	temporal := hall.Client(t)
	workflow := id.AgentWorkflow(id.Tenant(ten.Domain), "1001")
	again := func(events ...agent.Event) {
		t.Helper()
		before := seen[agent.View](t, temporal, workflow)
		for _, e := range events {
			sent(t, temporal, workflow, string(e.Kind()), e)
			sent(t, temporal, workflow, string(e.Kind()), e)
		}
		require.Equal(t, before, seen[agent.View](t, temporal, workflow))
	}
	customer := ten.Call("4930401", "8000")
	rung := a.Offered()
	a.Wait("Reserved")
	offer := seen[agent.View](t, temporal, workflow).Offer
	offered := agent.Offered{Offer: *offer}
	again(offered)

	require.NoError(t, rung.Answer())
	a.Wait("Busy")
	established := agent.Established{Call: offer.Call, Offer: offer.ID, Class: offer.Class, From: offer.From}
	lost := agent.OfferEnded{Offer: offer.ID, Cause: leg.NoAnswer}
	again(offered, established, lost)
	ten.Talk(customer, rung)

	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	over := agent.CallEnded{Call: offer.Call, Class: offer.Class, Cause: leg.Hangup, Spoke: true}
	again(offered, established, lost, over)
	a.Wait("Ready")
	again(offered, established, lost, over)
	require.Equal(t, []string{"Ready", "Reserved", "Busy", "WorkingAfterCall", "Ready"}, lastStates(ten, a, 5))
	next := ten.Call("4930402", "8000")
	rung = a.Answered()
	ten.Talk(next, rung)
	require.NoError(t, rung.HangUp())
	ten.Booked(
		stage.Line{From: "4930401", Cause: "hangup", EndedBy: "customer", Agent: "1001", Outcome: "answered", Offers: 1},
		stage.Line{From: "4930402", Cause: "hangup", EndedBy: "agent:1001", Agent: "1001", Outcome: "answered", Offers: 1},
	)
	require.Equal(t, 2, a.Phone.Invites())
}

// Every fact of a call delivered twice changes nothing: neither the end of an offer that
// ran out long ago, nor the answer that connected it.
func TestSignalDeliveredTwice_CallStaysAsItIs(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: 5 * time.Second})
	deaf, a := ten.ReadyAgent(1), ten.ReadyAgent(2)
	customer := ten.Call("4930403", "8000")
	ten.WaitEnded(deaf.Offered())
	rung := a.Answered()
	ten.Talk(customer, rung)
	deaf.Wait("NotReady(RONA)")
	talking := ten.WaitCall("talk", func(c stage.CallView) bool { return c.Phase == "Talking" })

	temporal := hall.Client(t)
	callID := id.Call(talking.ID)
	workflow := id.CallWorkflow(id.Tenant(ten.Domain), callID)
	before := seen[call.View](t, temporal, workflow)
	first, second := id.NewOffer(callID, 1), id.NewOffer(callID, 2)
	for _, e := range []call.Event{
		call.Ringing{Offer: first}, call.RingEnded{Offer: first, Outcome: call.RingNoAnswer, Agent: "1001"},
		call.LegEnded{Leg: "agent-1", Cause: leg.NoAnswer}, call.OfferRefused{Offer: first, Cause: leg.Busy},
		call.Matched{Offer: second, Agent: "1002"}, call.Ringing{Offer: second},
		call.RingEnded{Offer: second, Outcome: call.RingAnswered, Leg: "agent-2", Device: "1002", Agent: "1002"},
	} {
		sent(t, temporal, workflow, string(e.Kind()), e)
		sent(t, temporal, workflow, string(e.Kind()), e)
	}
	require.Equal(t, before, seen[call.View](t, temporal, workflow))
	ten.Talk(customer, rung)
	require.Equal(t, "NotReady(RONA)", deaf.View().State+"("+deaf.View().Reason+")")

	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "hangup 1002", record.Cause+" "+record.Agent)
	require.Len(t, record.Legs, len(before.Legs))
	ten.Booked(stage.Line{From: "4930403", Cause: "hangup", EndedBy: "agent:1002", Agent: "1002", Outcome: "answered", Offers: 2})
	require.Equal(t, []int{1, 1}, []int{deaf.Phone.Invites(), a.Phone.Invites()})
}

// A signal that no build understands is passed over, and the session goes on.
func TestSignalThatCannotBeRead_IsPassedOver(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	temporal := hall.Client(t)
	workflow := id.AgentWorkflow(id.Tenant(ten.Domain), "1001")
	require.NoError(t, temporal.SignalWorkflow(t.Context(), workflow, "", string(agent.KindOffered), activities.Message{Event: []byte(`{"Offer":7}`)}))
	require.NoError(t, temporal.SignalWorkflow(t.Context(), workflow, "", string(agent.KindCallEnded), "not even a message"))
	require.NoError(t, temporal.SignalWorkflow(t.Context(), workflow, "", "unheard_of", activities.Message{Event: []byte(`{}`)}))
	require.Equal(t, agent.Ready, seen[agent.View](t, temporal, workflow).State)
	customer := ten.Call("4930404", "8000")
	ten.Talk(customer, a.Answered())
}
