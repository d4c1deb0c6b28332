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
// Then nobody offers the agent a call, and the call that it had is recorded as ever.
func TestSignOutInEveryState(t *testing.T) {
	t.Parallel()
	for state, c := range map[string]struct {
		plan stage.Plan
		test func(t *testing.T, ten *stage.Tenant, a *stage.Agent)
	}{
		"NotReady":               {stage.Plan{}, signOutNotReady},
		"Ready":                  {stage.Plan{}, signOutReady},
		"Reserved, not answered": {stage.Plan{Ring: 10 * time.Second}, signOutReservedNotAnswered},
		"Reserved, answered":     {stage.Plan{WrapUp: time.Second}, signOutReservedAnswered},
		"Reserved, given up":     {stage.Plan{}, signOutReservedGivenUp},
		"Busy":                   {stage.Plan{}, signOutBusy},
		"WorkingAfterCall":       {stage.Plan{WrapUp: wrapUpLong}, signOutInWrapUp},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			ten := hall.Tenant(t, c.plan)
			a := ten.Agent(1)
			a.SignIn()
			c.test(t, ten, a)
			a.Wait("LoggedOff")
			require.Equal(t, http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
			require.Equal(t, http.StatusNotFound, a.Try(http.MethodDelete, "/v1/agent-session", nil).Status, "nor is there anything left to sign out of")
			a.SignedOut()
		})
	}
}

func signOutNotReady(t *testing.T, _ *stage.Tenant, a *stage.Agent) {
	require.Equal(t, "LoggedOff", a.SignOut().State)
}

func signOutReady(t *testing.T, _ *stage.Tenant, a *stage.Agent) {
	a.Ready()
	require.Equal(t, "LoggedOff", a.SignOut().State)
}

// reserved lets a caller ring the agent, who signs out then.
func reserved(t *testing.T, ten *stage.Tenant, a *stage.Agent, from string) (customer, rung *softphone.Call) {
	t.Helper()
	a.Ready()
	customer = ten.Call(from, "8000")
	rung = a.Offered()
	a.Wait("Reserved")
	pendingLogout(t, a.SignOut(), "Reserved")
	return customer, rung
}

// The offer runs out, and the caller waits on.
func signOutReservedNotAnswered(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	customer, rung := reserved(t, ten, a, "4932200")
	ten.WaitEnded(rung)
	a.Wait("LoggedOff")
	ten.WaitUp(customer)
	require.NoError(t, stage.WaitMusic(ten.Context(), customer))
	require.NoError(t, customer.HangUp())
	ten.Booked(stage.Line{From: "4932200", Cause: "abandoned", EndedBy: "customer", Outcome: "abandoned", Offers: 1})
}

// The agent takes the call, and has its wrap-up.
func signOutReservedAnswered(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	customer, rung := reserved(t, ten, a, "4932210")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	ten.Booked(stage.Line{From: "4932210", Cause: "hangup", EndedBy: "customer", Agent: "1001", Outcome: "answered", Offers: 1})
}

func signOutReservedGivenUp(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	customer, rung := reserved(t, ten, a, "4932220")
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	ten.Booked(stage.Line{From: "4932220", Cause: "abandoned", EndedBy: "customer", Outcome: "abandoned", Offers: 1})
}

func signOutBusy(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	a.Ready()
	customer := ten.Call("4932300", "8000")
	rung := a.Answered()
	a.Wait("Busy")
	pendingLogout(t, a.SignOut(), "Busy")
	ten.Talk(customer, rung) // goes on
	require.NoError(t, customer.HangUp())
	ten.Booked(stage.Line{From: "4932300", Cause: "hangup", EndedBy: "customer", Agent: "1001", Outcome: "answered", Offers: 1})
}

func signOutInWrapUp(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	a.Ready()
	customer := ten.Call("4932400", "8000")
	a.Answered()
	ten.WaitUp(customer)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	wrapUp := a.Wait("WorkingAfterCall")
	pendingLogout(t, a.SignOut(), "WorkingAfterCall")
	gone := a.Wait("LoggedOff")
	require.False(t, gone.Since.Before(*wrapUp.WrapUpUntil), "when wrap-up is over")
	ten.Booked(stage.Line{From: "4932400", Cause: "hangup", EndedBy: "customer", Agent: "1001", Outcome: "answered", Offers: 1})
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

// SEED-81, policy direct_call_requires_ready: a direct extension call reaches a Ready agent
// and no other, whoever calls; the caller's phone is told why.
func TestSEED81_DirectCallRequiresReady_ReachesReadyAgentsOnly(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Policies: tenancy.Policies{CallPolicies: tenancy.CallPolicies{DirectCallRequiresReady: true}}})
	callee, caller := ten.Agent(1), ten.Agent(2)
	dial := func() *softphone.Call {
		call, err := caller.Phone.Dial(ten.Context(), softphone.Dial{To: "1001", Tone: stage.CustomerTone})
		require.NoError(t, err)
		return call
	}
	refused := func(state string) {
		t.Helper()
		ended := ten.WaitEnded(dial())
		require.Equal(t, 480, ended.Code, state)
		require.Contains(t, ended.Reason, "not ready", state)
	}
	refused("signed out")
	callee.SignIn()
	caller.SignIn()
	refused("Not Ready")
	require.Zero(t, callee.Phone.Invites())
	callee.Ready()
	call := dial()
	rung := callee.Answered()
	ten.Talk(call, rung)
	callee.Wait("Busy")
	require.NoError(t, call.HangUp())
	callee.Wait("Ready")
	callee.NotReady("LUNCH")
	refused("Not Ready again")
}
