package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// SEED-7, SEED-31, SEED-69, SEED-73, SEED-75, SEED-93, SEED-95, SEED-98, SEED-105: the main job.
func TestCustomerDialsTheQueue_TalksWithTheAgent_AndTheRecordIsWritten(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: 2 * time.Second})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930123456", "8000")

	rung := a.Offered()
	require.Equal(t, "4930123456", rung.From, "SEED-75: the phone shows the customer's number")
	require.Equal(t, "4930123456", a.Wait("Reserved").Offer.From, "and so does the session")
	require.NoError(t, customer.Wait(ten.Context(), softphone.Ringing), "the customer hears ringing")
	require.NoError(t, rung.Answer())
	ten.WaitUp(customer)
	ten.Talk(customer, rung)
	busy := a.Wait("Busy")
	require.Len(t, busy.CallIDs, 1)

	require.NoError(t, customer.HangUp())
	ended := ten.WaitEnded(rung)
	require.True(t, ended.Remote)
	require.NotEmpty(t, ended.Reason, "every leg that we end says why (RFC 3326)")

	wrapUp := a.Wait("WorkingAfterCall")
	require.NotNil(t, wrapUp.WrapUpUntil)
	ready := a.Wait("Ready")
	require.False(t, ready.Since.Before(wrapUp.WrapUpUntil.Truncate(time.Millisecond)), "wrap-up lasts what it says")
	require.WithinDuration(t, *wrapUp.WrapUpUntil, ready.Since, 2*time.Second, "and not longer, as far as a loaded machine lets it")

	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, busy.CallIDs[0], record.ID)
	require.Equal(t, "inbound_queue", record.Class)
	require.Equal(t, "hangup", record.Cause)
	require.Equal(t, a.Number, record.Agent)
	require.Len(t, record.Legs, 2)
	require.Equal(t, []string{"Ready", "Reserved", "Busy", "WorkingAfterCall", "Ready"}, lastStates(ten, a, 5))
}

// lastStates are the n latest states of an agent.
func lastStates(ten *stage.Tenant, a *stage.Agent, n int) []string {
	s := ten.Watch.States(a.Number)
	return s[max(0, len(s)-n):]
}

// The time line of a call names each thing that happened, in order, for people.
func TestTimelineTellsTheCallFromFirstToLastEvent(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930555", "8000")
	rung := a.Answered()
	ten.WaitUp(customer)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })

	var timeline struct {
		Items []struct {
			At       time.Time `json:"at"`
			Kind     string    `json:"kind"`
			Sentence string    `json:"sentence"`
		} `json:"items"`
	}
	boss := ten.Login("supervisor")
	require.NoError(t, boss.Into(ten.Context(), &timeline, http.MethodGet, "/v1/calls/"+record.ID+"/timeline", nil))
	var kinds []string
	for i, e := range timeline.Items {
		require.NotEmpty(t, e.Sentence)
		if i > 0 {
			require.False(t, e.At.Before(timeline.Items[i-1].At), "entries stand in order")
		}
		kinds = append(kinds, e.Kind)
	}
	require.Contains(t, kinds, "Decision", "why this agent got this caller")
	require.Contains(t, kinds, "Established")
	require.Contains(t, kinds, "CallCleared")
}

// Nobody is free: the caller is answered, hears music, and is served when an agent becomes ready.
func TestCallerWaitsWithMusic_AgentBecomesReady_CallIsOffered(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4930777", "8000")
	ten.WaitUp(customer)
	hearsMusic(t, ten, customer)
	require.Zero(t, a.Phone.Invites(), "SEED-70: Not Ready gets no queue call")

	a.Ready()
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	a.Wait("Ready")
}

// hearsMusic proves that packets come and that they are the platform's music: loud,
// and neither party's tone.
func hearsMusic(t *testing.T, ten *stage.Tenant, c *softphone.Call) {
	t.Helper()
	require.NoError(t, c.Audio.WaitPackets(ten.Context(), 25))
	require.NoError(t, stage.WaitMusic(ten.Context(), c))
}

// SEED-70: a Not Ready agent receives no queue call; the caller keeps waiting.
func TestSEED70_NotReadyAgentReceivesNoQueueCall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	idle := ten.ReadyAgent(1)
	idle.NotReady("LUNCH")
	other := ten.ReadyAgent(2)
	customer := ten.Call("4930888", "8000")
	rung := other.Answered()
	ten.WaitUp(customer)
	require.Zero(t, idle.Phone.Invites())
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	require.Equal(t, "NotReady", idle.View().State)
	require.Equal(t, "LUNCH", idle.View().Reason)
}

// SEED-35: an agent who is not signed in is never offered a call, though the phone is registered.
func TestSEED35_OfflineAgentIsNeverOfferedACall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	offline := ten.Agent(1)
	customer := ten.Call("4930999", "8000")
	ten.WaitUp(customer) // waits with music
	online := ten.ReadyAgent(2)
	rung := online.Answered()
	ten.Talk(customer, rung)
	require.Zero(t, offline.Phone.Invites())
	ans := offline.Try(http.MethodGet, "/v1/agent-session", nil)
	require.Equal(t, http.StatusNotFound, ans.Status)
}

// Two callers and one agent: served one after the other, in the order in which they came.
func TestTwoCallersAndOneAgent_AreServedInTheirOrder(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	first := ten.Call("491111", "8000")
	ten.WaitUp(first)
	second := ten.Call("492222", "8000")
	ten.WaitUp(second)
	a.Ready()

	rung := a.Answered()
	require.Equal(t, "491111", rung.From)
	ten.Talk(first, rung)
	require.NoError(t, first.HangUp())
	ten.WaitEnded(rung)

	rung = a.Answered()
	require.Equal(t, "492222", rung.From)
	ten.Talk(second, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(second)
}

// One caller and five agents: exactly one phone rings, the longest idle agent's.
func TestOneCallerAndFiveAgents_ExactlyOnePhoneRings(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 5})
	var agents []*stage.Agent
	for n := range 5 {
		agents = append(agents, ten.ReadyAgent(n+1))
	}
	customer := ten.Call("4930444", "8000")
	rung := agents[0].Answered()
	ten.Talk(customer, rung)
	for _, a := range agents[1:] {
		require.Zero(t, a.Phone.Invites(), "agent %s", a.Number)
		require.Equal(t, "Ready", a.View().State)
	}
}

// The number leads nowhere: 404, and nothing is left behind.
func TestUnknownNumberIs404(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	customer := ten.Call("4930444", "7999")
	require.Equal(t, 404, ten.WaitEnded(customer).Code)
}
