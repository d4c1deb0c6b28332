package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// SEED-56, SEED-65, SEED-66: login takes username, password and domain; with a wrong one
// of the three the answer is the same 401.
func TestSEED66_LoginNeedsTheRightTenant_AndSaysNeverWhatWasWrong(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	ten.Login("1001")
	var bodies []string
	for _, wrong := range []map[string]string{
		{"tenant": ten.Domain, "username": "1001", "password": "wrong"},
		{"tenant": ten.Domain, "username": "nobody", "password": stage.Password},
		{"tenant": "elsewhere.localhost", "username": "1001", "password": stage.Password},
	} {
		ans, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", wrong)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, ans.Status)
		require.Equal(t, "application/problem+json", ans.Header.Get("Content-Type"))
		bodies = append(bodies, string(ans.Body))
	}
	require.Equal(t, bodies[0], bodies[1])
	require.Equal(t, bodies[0], bodies[2])
}

// SEED-68: Ready, Not Ready and Logout are what an agent can choose.
func TestSEED68_AgentSetsReadyNotReadyAndLogsOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	s := a.SignIn()
	require.Equal(t, "NotReady", s.State)
	require.Equal(t, "LOGIN", s.Reason)
	require.Equal(t, "Ready", a.Ready().State)
	s = a.NotReady("LUNCH")
	require.Equal(t, "NotReady", s.State)
	require.Equal(t, "LUNCH", s.Reason)
	require.Equal(t, "LoggedOff", a.SignOut().State)
}

// SEED-58, SEED-59: only a checked-in agent gets the queue's calls.
func TestSEED58_CheckInAndCheckOutDecideWhoGetsTheQueuesCalls(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	ans := a.Try(http.MethodPost, "/v1/agent-session/check-out", map[string]any{"queues": []string{"support"}})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	require.False(t, a.View().Memberships[0].CheckedIn)
	customer := ten.Call("4932000", "8000")
	ten.WaitUp(customer)
	require.Zero(t, a.Phone.Invites())
	ans = a.Try(http.MethodPost, "/v1/agent-session/check-in", map[string]any{"queues": []string{"support"}})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	ten.Talk(customer, a.Answered())
}

// SEED-60, SEED-72: sign-out ends the session and checks the agent out.
func TestSEED60_SignOutEndsTheSessionAndChecksOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	a.SignOut()
	require.Equal(t, http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
	customer := ten.Call("4932100", "8000")
	ten.WaitUp(customer)
	require.Zero(t, a.Phone.Invites())
	var live struct {
		Waiting []struct {
			From string `json:"from"`
		} `json:"waiting"`
		Agents []any `json:"agents"`
	}
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &live, http.MethodGet, "/v1/queues/support/live", nil))
	require.Len(t, live.Waiting, 1)
	require.Empty(t, live.Agents)
}

// SEED-57: without a sign of life from any terminal the agent is logged out automatically.
func TestSEED57_AgentIsLoggedOutAutomaticallyWhenIdle(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{IdleLogout: stage.For(2 * time.Second)}})
	a := ten.Agent(1)
	a.SignIn()
	s := a.Wait("LoggedOff")
	require.Equal(t, "IDLE", s.Reason)
	require.Equal(t, http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
}

// Signing out is possible in every state: at once, or pending until the call is over.
func TestSignOutInEveryState(t *testing.T) {
	t.Parallel()
	signedOut := func(t *testing.T, a *stage.Agent) {
		t.Helper()
		a.Wait("LoggedOff")
		require.Equal(t, http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
	}
	t.Run("NotReady", func(t *testing.T) {
		t.Parallel()
		a := hall.Tenant(t, stage.Plan{}).Agent(1)
		a.SignIn()
		require.Equal(t, "LoggedOff", a.SignOut().State)
		signedOut(t, a)
	})
	t.Run("Ready", func(t *testing.T) {
		t.Parallel()
		a := hall.Tenant(t, stage.Plan{}).ReadyAgent(1)
		require.Equal(t, "LoggedOff", a.SignOut().State)
		signedOut(t, a)
	})
	t.Run("Reserved", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{Ring: 2 * time.Second})
		a := ten.ReadyAgent(1)
		customer := ten.Call("4932200", "8000")
		rung := a.Offered()
		a.Wait("Reserved")
		pendingLogout(t, a.SignOut(), "Reserved")
		ten.WaitEnded(rung) // the offer runs out
		signedOut(t, a)
		ten.WaitUp(customer) // and the caller waits on
	})
	t.Run("Busy", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{})
		a := ten.ReadyAgent(1)
		customer := ten.Call("4932300", "8000")
		rung := a.Answered()
		a.Wait("Busy")
		pendingLogout(t, a.SignOut(), "Busy")
		ten.Talk(customer, rung) // goes on
		require.NoError(t, customer.HangUp())
		signedOut(t, a)
	})
	t.Run("WorkingAfterCall", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{WrapUp: 2 * time.Second})
		a := ten.ReadyAgent(1)
		customer := ten.Call("4932400", "8000")
		a.Answered()
		ten.WaitUp(customer)
		a.Wait("Busy")
		require.NoError(t, customer.HangUp())
		a.Wait("WorkingAfterCall")
		pendingLogout(t, a.SignOut(), "WorkingAfterCall")
		signedOut(t, a)
	})
}

func pendingLogout(t *testing.T, s stage.Session, in string) {
	t.Helper()
	require.Equal(t, in, s.State)
	require.NotNil(t, s.Pending)
	require.Equal(t, "LoggedOff", s.Pending.State)
}

// A command repeated with the same Idempotency-Key gives the same answer and has no
// second effect.
func TestCommandRepeatedWithTheSameKey_HasNoSecondEffect(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	first := a.Try(http.MethodPost, "/v1/agent-session/ready", nil, "Idempotency-Key", "k-1")
	require.Equal(t, http.StatusOK, first.Status, string(first.Body))
	version := a.View().Version
	second := a.Try(http.MethodPost, "/v1/agent-session/ready", nil, "Idempotency-Key", "k-1")
	require.Equal(t, first.Status, second.Status)
	require.JSONEq(t, string(first.Body), string(second.Body))
	require.Equal(t, version, a.View().Version)

	a.NotReady("LUNCH")
	late := a.Try(http.MethodPost, "/v1/agent-session/ready", nil, "Idempotency-Key", "k-1")
	require.Equal(t, http.StatusOK, late.Status)
	require.Equal(t, "NotReady", a.View().State, "a late repetition does not undo what came after")
}

// SEED-71: in Not Ready an agent still receives a direct extension call. SEED-94: no wrap-up after it.
func TestSEED71_NotReadyAgentReceivesADirectExtensionCall_AndHasNoWrapUpAfterIt(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, WrapUp: 30 * time.Second})
	callee := ten.Agent(1)
	callee.SignIn()
	caller := ten.Agent(2)
	caller.SignIn()
	call, err := caller.Phone.Dial(ten.Context(), softphone.Dial{To: "1001", Tone: stage.CustomerTone})
	require.NoError(t, err)
	rung := callee.Offered()
	require.Equal(t, "1002", rung.From)
	require.NoError(t, rung.Answer())
	ten.Talk(call, rung)
	callee.Wait("Busy")
	caller.Wait("Busy")
	require.NoError(t, call.HangUp())
	ten.WaitEnded(rung)
	callee.Wait("NotReady(LOGIN)")
	caller.Wait("NotReady(LOGIN)")
}
