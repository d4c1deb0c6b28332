package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// Two supervisors who happen to use the same Idempotency-Key are two people who ask;
// one who repeats is one.
func TestForced_TwoSupervisorsWithTheSameKey_AreTwoCommands(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	one, two := ten.Login("supervisor"), ten.Login("admin")
	force := func(c *stage.Client) {
		require.NoError(t, c.Into(ten.Context(), nil, http.MethodPost, "/v1/agents/1001/session/not-ready", nil, "Idempotency-Key", "k-1"))
	}
	force(one)
	require.Equal(t, "NotReady", a.View().State)
	a.Ready()
	force(one)
	require.Equal(t, "Ready", a.View().State, "a repeat has no second effect")
	force(two)
	require.Equal(t, "NotReady", a.View().State)
}

// SEED-104: a supervisor makes its agents Ready, Not Ready and signed out, with a reason
// that they see; during a call it is pending. SEED-14: others are refused.
func TestSEED104_ForcedWithAReasonThatTheAgentSees(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, WrapUp: wrapUpLong, Change: func(d *tenancy.Document) {
		d.Teams = append(d.Teams, tenancy.Team{Name: "elsewhere"})
		d.Agents[1].Team = "elsewhere"
		d.Tenant.Policies.NotReadyReasons = []tenancy.Reason{{Code: "LUNCH"}}
	}})
	boss := ten.Login("supervisor")
	force := func(number, what, reason string) stage.Answer {
		ans, err := boss.Do(ten.Context(), http.MethodPost, "/v1/agents/"+number+"/session/"+what, map[string]string{"reason": reason})
		require.NoError(t, err)
		return ans
	}
	other := ten.Agent(2)
	other.SignIn()
	for _, what := range []string{"ready", "not-ready", "sign-out"} {
		require.Equal(t, "not_subordinate", refused(t, force("1002", what, "RUSH"), http.StatusForbidden).Code)
	}
	require.Equal(t, "LOGIN", other.View().Reason)

	a := ten.Agent(1)
	a.SignIn()
	require.Equal(t, http.StatusOK, force("1001", "ready", "RUSH").Status)
	s := a.View()
	require.Equal(t, "Ready", s.State)
	require.NotNil(t, s.Order)
	require.Equal(t, []string{"ready", "supervisor", "RUSH"}, []string{s.Order.Command, s.Order.By, s.Order.Reason})

	customer := ten.Call("4942100", "8000")
	rung := a.Offered()
	a.Wait("Reserved")
	require.Equal(t, http.StatusOK, force("1001", "not-ready", "COACHING").Status)
	require.Equal(t, "NotReady", a.View().Pending.State)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.Equal(t, http.StatusOK, force("1001", "sign-out", "FIRE").Status)
	s = a.View()
	require.Equal(t, []string{"Busy", "LoggedOff", "FIRE", "supervisor"}, []string{s.State, s.Pending.State, s.Pending.Reason, s.Pending.By})
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	require.Equal(t, http.StatusOK, force("1001", "not-ready", "COACHING").Status)
	s = a.Wait("NotReady(COACHING)")
	require.Equal(t, "COACHING", s.Order.Reason)
	require.Equal(t, "unknown_reason", refused(t, a.Try(http.MethodPost, "/v1/agent-session/not-ready", map[string]string{"reason": "TEA"}), http.StatusConflict).Code)
	s = a.NotReady("LUNCH")
	require.Nil(t, s.Order, "the agent decides for itself again")
	require.Equal(t, http.StatusOK, force("1001", "sign-out", "FIRE").Status)
	s = a.Wait("LoggedOff(FIRE)")
	require.Equal(t, "FIRE", s.Order.Reason)
}

// shiftEnds ends the shift of an agent who is not signed in yet soon, but not before what
// is to happen until then has happened on a loaded machine.
func shiftEnds(t *testing.T, ten *stage.Tenant, a *stage.Agent) (end time.Time) {
	t.Helper()
	admin := ten.Login("admin")
	end = time.Now().UTC().Add(15 * time.Second).Truncate(time.Second)
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/agents/"+a.Number, map[string]any{"shift_end": end.Format(time.TimeOnly)})
	return end
}

// The tenant's reasons for Not Ready have time limits: over them, it is shown, or what the
// tenant wants follows. A shift ends at its time, after a running call.
func TestTimeLimitsAndEndOfShift(t *testing.T) {
	t.Parallel()
	t.Run("reasons", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
			d.Tenant.Policies.NotReadyReasons = []tenancy.Reason{
				{Code: "LUNCH", Limit: tenancy.Duration(time.Second)},
				{Code: "BREAK", Limit: tenancy.Duration(time.Second), Then: "ready"},
				{Code: "HOME", Limit: tenancy.Duration(time.Second), Then: "sign_out"},
			}
		}})
		a := ten.Agent(1)
		a.SignIn()
		s := a.NotReady("LUNCH")
		require.NotNil(t, s.LimitAt)
		require.Nil(t, s.OverSince)
		s, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be over the limit", func(s stage.Session) bool { return s.OverSince != nil })
		require.NoError(t, err)
		require.Equal(t, "LUNCH", s.Reason, "it is only shown")
		a.NotReady("BREAK")
		a.Wait("Ready")
		a.NotReady("HOME")
		a.Wait("LoggedOff(HOME)")
	})
	t.Run("end of shift", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{})
		a := ten.Agent(1)
		end := shiftEnds(t, ten, a)
		require.Equal(t, end, a.SignIn().ShiftEnd.UTC())
		a.Ready()
		customer := ten.Call("4942200", "8000")
		rung := a.Answered()
		ten.Talk(customer, rung)
		s, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be signed out later", func(s stage.Session) bool { return s.State == "Busy" && s.Pending != nil })
		require.NoError(t, err)
		require.Equal(t, []string{"Busy", "SHIFT_END"}, []string{s.State, s.Pending.Reason})
		ten.Talk(customer, rung)
		require.NoError(t, customer.HangUp())
		a.Wait("LoggedOff(SHIFT_END)")
	})
}
