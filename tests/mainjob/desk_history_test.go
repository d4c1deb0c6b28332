package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// sessionReplays replays, and records if asked to, the session of an agent who is signed out.
func sessionReplays(t *testing.T, ten *stage.Tenant, a *stage.Agent, scenario string) {
	t.Helper()
	hall.History(t, scenario, id.AgentWorkflow(id.Tenant(ten.Domain), id.Agent(a.Number)))
}

// Two windows with leases, of which one takes the phone over; both die during a call, and
// the session ends after it: SEED-61, SEED-100.
func TestHistory_WindowsDie_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{TerminalGrace: stage.For(0)}})
	a := ten.Agent(1)
	first, second := window("tab-1"), window("tab-2")
	first["phone"], second["phone"] = "hold", "take_over"
	sat(t, a.Sit(first), http.StatusCreated)
	require.Equal(t, "tab-2", sat(t, a.Sit(second), http.StatusOK).Phone)
	a.Ready()
	customer := ten.Call("4930611", "8000")
	ten.Talk(customer, a.Answered())
	_, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be signed out later", func(s stage.Session) bool { return s.State == "Busy" && s.Pending != nil })
	require.NoError(t, err)
	require.NoError(t, customer.HangUp())
	a.Wait("LoggedOff(CLOSED)")
	sessionReplays(t, ten, a, "windows_die")
}

// A telephone of a hot desk, that another agent takes over: SEED-55, SEED-115.
func TestHistory_DeskIsTakenOver_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("hot_desk", agent.ConflictTakeOver, "hot-1"))
	phone := ten.Registered("hot-1", ten.Stranger())
	a, b := ten.Person(1), ten.Person(2)
	sat(t, a.Sit(at("hot-1")), http.StatusCreated)
	a.Ready()
	ten.Rings(phone, "4930612")
	a.Wait("Ready")
	sat(t, b.Sit(at("hot-1")), http.StatusCreated)
	a.Wait("NotReady(DEVICE_LOST)")
	b.Ready()
	ten.Rings(phone, "4930613")
	b.Wait("Ready")
	a.SignOut()
	a.Wait("LoggedOff")
	b.SignOut()
	b.Wait("LoggedOff")
	sessionReplays(t, ten, a, "desk_is_taken")
	sessionReplays(t, ten, b, "takes_a_desk")
}

// Orders of a supervisor while Not Ready, Reserved, Busy and in wrap-up: SEED-104.
func TestHistory_Forced_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: time.Second})
	boss, a := ten.Login("supervisor"), ten.Agent(1)
	force := func(what string) {
		t.Helper()
		require.NoError(t, boss.Into(ten.Context(), nil, http.MethodPost, "/v1/agents/1001/session/"+what, map[string]string{"reason": "RUSH"}))
	}
	a.SignIn()
	force("ready")
	customer := ten.Call("4930614", "8000")
	rung := a.Offered()
	force("not-ready")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	a.Wait("Busy")
	force("ready")
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	force("sign-out")
	a.Wait("LoggedOff(RUSH)")
	sessionReplays(t, ten, a, "forced_by_a_supervisor")
}

// Reasons with limits, and the end of the shift.
func TestHistory_LimitsAndEndOfShift_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Tenant.Policies.NotReadyReasons = []tenancy.Reason{
			{Code: "LUNCH", Limit: tenancy.Duration(time.Second)}, {Code: "BREAK", Limit: tenancy.Duration(time.Second), Then: "ready"},
		}
	}})
	a := ten.Agent(1)
	shiftEnds(t, ten, a)
	a.SignIn()
	a.NotReady("LUNCH")
	_, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be over the limit", func(s stage.Session) bool { return s.OverSince != nil })
	require.NoError(t, err)
	a.NotReady("BREAK")
	a.Wait("Ready")
	a.Wait("LoggedOff(SHIFT_END)")
	sessionReplays(t, ten, a, "limits_and_shift_end")
}
