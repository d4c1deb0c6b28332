package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// wrapUpLong is for tests that do something in wrap-up: a loaded machine takes its time.
const wrapUpLong = 10 * time.Second

// talked brings an agent into wrap-up after a queue call.
func talked(t *testing.T, ten *stage.Tenant) *stage.Agent {
	t.Helper()
	a := ten.ReadyAgent(1)
	customer := ten.Call("4933000", "8000")
	a.Answered()
	ten.WaitUp(customer)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	return a
}

// SEED-96: in wrap-up the agent gets no new queue call.
func TestSEED96_InWrapUpNoNewQueueCallComes(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: wrapUpLong})
	a := talked(t, ten)
	before := a.Phone.Invites()
	customer := ten.Call("4933100", "8000")
	ten.WaitUp(customer) // waits with music
	require.Equal(t, "WorkingAfterCall", a.View().State)
	require.Equal(t, before, a.Phone.Invites())
	wrapUp := a.View()
	rung := a.Answered() // SEED-98: and then comes at once
	require.False(t, rung.Status().Times.Invited.Before(*wrapUp.WrapUpUntil))
	ten.Talk(customer, rung)
}

// SEED-97, SEED-99: the only change allowed is to Not Ready, held as pending until the timer ends.
func TestSEED97_InWrapUpOnlyNotReadyIsAllowed_HeldAsPendingUntilTheTimerEnds(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: wrapUpLong})
	a := talked(t, ten)
	refused := a.Try(http.MethodPost, "/v1/agent-session/wrap-up", map[string]string{"action": "finish"})
	require.Equal(t, http.StatusConflict, refused.Status, string(refused.Body))
	require.Contains(t, string(refused.Body), "wrap_up_running")
	s := a.NotReady("LUNCH")
	require.Equal(t, "WorkingAfterCall", s.State)
	require.Equal(t, "NotReady", s.Pending.State)
	until := *s.WrapUpUntil
	after := a.Wait("NotReady(LUNCH)")
	require.False(t, after.Since.Before(until))
	require.Equal(t, "Ready", a.Ready().State, "SEED-99: and may then go Ready")
}

// SEED-95: where no wrap-up time is configured there is none.
func TestSEED95_WithoutAConfiguredTimeThereIsNoWrapUp(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4933200", "8000")
	a.Answered()
	ten.WaitUp(customer)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
	require.NotContains(t, ten.Watch.States(a.Number), "WorkingAfterCall")
}

// The policy wrapup_early_exit lets the agent finish before the timer.
func TestWrapUpEarlyExit_PolicyLetsTheAgentFinish(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: time.Minute, Policies: tenancy.Policies{WrapUpEarlyExit: true}})
	a := talked(t, ten)
	ans := a.Try(http.MethodPost, "/v1/agent-session/wrap-up", map[string]string{"action": "finish"})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	a.Wait("Ready")
}
