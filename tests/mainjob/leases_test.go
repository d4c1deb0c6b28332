package mainjob

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// lease is how long the terminals of these tests may be silent, in ms: on a loaded machine
// a sign of life comes late.
const lease = 10_000

func window(terminal string) map[string]any {
	return map[string]any{"interface": "phone", "terminal_id": terminal, "lease_ms": lease}
}

// beat is a terminal's sign of life.
func beat(t *testing.T, a *stage.Agent, terminal string) {
	t.Helper()
	ans := a.Try(http.MethodPost, "/v1/agent-session/terminal", map[string]any{"terminal_id": terminal, "lease_ms": lease})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
}

// beatUntil lets a terminal show life until something is so.
func beatUntil(t *testing.T, a *stage.Agent, terminal string, so func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		beat(t, a, terminal)
		return so()
	}, stage.Patience, 200*time.Millisecond)
}

// SEED-61, SEED-100: a window that dies without a word is gone when its lease runs out; as
// long as another one shows life, nothing else changes. The last one gone ends the session
// after the grace. Signs of life cost the session's workflow nothing.
func TestSEED61_AWindowThatDies_IsGoneWithItsLease(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{TerminalGrace: stage.For(time.Second)}})
	a := ten.Agent(1)
	sat(t, a.Sit(window("tab-1")), http.StatusCreated)
	sat(t, a.Sit(window("tab-2")), http.StatusOK)
	a.Ready()
	beatUntil(t, a, "tab-2", func() bool { return !slices.Contains(a.View().Terminals, "tab-1") })
	require.Equal(t, "Ready", a.View().State)

	workflow := id.AgentWorkflow(id.Tenant(ten.Domain), "1001")
	length := func() int64 {
		d, err := hall.Client(t).DescribeWorkflowExecution(ten.Context(), workflow, "")
		require.NoError(t, err)
		return d.WorkflowExecutionInfo.HistoryLength
	}
	before, beats := length(), 0
	beatUntil(t, a, "tab-2", func() bool { beats++; return beats > 20 })
	require.Equal(t, before, length())
	a.Wait("LoggedOff(CLOSED)")
}

// SEED-100, terminal_grace 0: with the last window the session is gone at once, and the
// agent must sign in again; during a call, when that is over, with the reason.
func TestSEED100_NoGrace_TheLastWindowsDeathEndsTheSessionAfterTheCall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{TerminalGrace: stage.For(0)}})
	a := ten.Agent(1)
	sat(t, a.Sit(window("tab-1")), http.StatusCreated)
	a.Ready()
	customer := ten.Call("4943100", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	s, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be signed out later", func(s stage.Session) bool { return s.State == "Busy" && s.Pending != nil })
	require.NoError(t, err)
	require.Equal(t, []string{"Busy", "LoggedOff", "CLOSED"}, []string{s.State, s.Pending.State, s.Pending.Reason})
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	a.Wait("LoggedOff(CLOSED)")
	refused(t, a.Try(http.MethodPost, "/v1/agent-session/terminal", map[string]any{"terminal_id": "tab-1"}), http.StatusNotFound)
}

// SEED-100, terminal_grace above 0: a refresh within the grace finds session, phone and
// the live call.
func TestSEED100_Grace_ARefreshResumesTheCall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	first := window("tab-1")
	first["phone"] = "hold"
	require.Equal(t, "tab-1", sat(t, a.Sit(first), http.StatusCreated).Phone)
	a.Ready()
	customer := ten.Call("4943200", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	shut(t, a, "tab-1")
	require.Empty(t, a.View().Phone)
	again := window("tab-1")
	again["phone"] = "hold"
	s := sat(t, a.Sit(again), http.StatusOK)
	require.Equal(t, []string{"Busy", "tab-1"}, []string{s.State, s.Phone})
	require.Len(t, s.CallIDs, 1)
	require.Nil(t, s.Pending)
	ten.Talk(customer, rung)
}

// One window at a time is the agent's phone; another one takes that over only by asking so.
func TestPhoneLease_IsTakenOverOnlyByItsName(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	sat(t, a.Sit(map[string]any{"terminal_id": "tab-1", "phone": "hold"}), http.StatusCreated)
	sat(t, a.Sit(map[string]any{"terminal_id": "tab-2"}), http.StatusOK)
	ask := func(how string) stage.Answer {
		return a.Try(http.MethodPost, "/v1/agent-session/terminal", map[string]any{"terminal_id": "tab-2", "phone": how})
	}
	p := refused(t, ask("hold"), http.StatusConflict)
	require.Equal(t, "phone_held", p.Code)
	require.Contains(t, p.Detail, "tab-1")
	require.Equal(t, "tab-2", sat(t, ask("take_over"), http.StatusOK).Phone)
	require.Empty(t, sat(t, ask("release"), http.StatusOK).Phone)
}

// SEED-57: as long as a window shows life, the agent is not idle.
func TestSEED57_AWindowThatShowsLife_IsNotIdle(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{IdleLogout: stage.For(time.Second)}})
	a := ten.Agent(1)
	began := time.Now()
	sat(t, a.Sit(window("tab-1")), http.StatusCreated)
	beatUntil(t, a, "tab-1", func() bool { return time.Since(began) > 12*time.Second }) // longer than the lease
	require.Equal(t, "NotReady", a.View().State)
	shut(t, a, "tab-1")
	a.Wait("LoggedOff(IDLE)")
}
