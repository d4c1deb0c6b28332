package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// open signs in from a terminal, or attaches it to the running session.
func open(t *testing.T, a *stage.Agent, terminal string, status int) {
	t.Helper()
	ans := a.Try(http.MethodPost, "/v1/agent-session", map[string]string{"interface": "phone", "terminal_id": terminal})
	require.Equal(t, status, ans.Status, string(ans.Body))
}

// shut closes a terminal's window.
func shut(t *testing.T, a *stage.Agent, terminal string) {
	t.Helper()
	ans := a.Try(http.MethodPost, "/v1/agent-session/terminal", map[string]any{"terminal_id": terminal, "gone": true})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
}

// SEED-61: closing one of two windows changes nothing: checked in, Ready, and served with
// calls long after the time that an agent without any window would get. SEED-100: closing
// the last one ends the session after that time.
func TestSEED61_ClosingOneOfTwoTerminals_ChangesNothing(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{TerminalGrace: stage.For(time.Second)}})
	a := ten.Agent(1)
	open(t, a, "tab-1", http.StatusCreated)
	open(t, a, "tab-2", http.StatusOK)
	before := a.Ready()
	require.True(t, before.Memberships[0].CheckedIn)

	closed := time.Now()
	shut(t, a, "tab-1")
	after := a.View()
	require.Equal(t, before.Memberships, after.Memberships)
	require.Equal(t, "Ready", after.State)
	for n := 0; time.Since(closed) <= time.Second; n++ { // longer than the grace
		customer := ten.Call("4930300", "8000")
		rung := a.Answered()
		ten.Talk(customer, rung)
		require.NoError(t, customer.HangUp())
		ten.WaitEnded(rung)
		require.True(t, a.Wait("Ready").Memberships[0].CheckedIn, "call %d", n)
	}

	shut(t, a, "tab-2")
	a.Wait("LoggedOff(CLOSED)")
}

// SEED-61, SEED-100: a window that comes back within the grace finds the session as it
// was; with a grace of 0 s closing the last window ends it at once, and the agent must
// sign in again.
func TestSEED100_ClosingTheLastTerminal_EndsTheSessionAsThePolicySays(t *testing.T) {
	t.Parallel()
	t.Run("refreshed in time", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{})
		a := ten.Agent(1)
		open(t, a, "tab-1", http.StatusCreated)
		a.Ready()
		shut(t, a, "tab-1")
		open(t, a, "tab-2", http.StatusOK)
		require.Equal(t, "Ready", a.View().State)
	})
	t.Run("no grace", func(t *testing.T) {
		t.Parallel()
		ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{TerminalGrace: stage.For(0)}})
		a := ten.Agent(1)
		open(t, a, "tab-1", http.StatusCreated)
		a.Ready()
		shut(t, a, "tab-1")
		a.Wait("LoggedOff(CLOSED)")
		require.Equal(t, http.StatusNotFound, a.Try(http.MethodPost, "/v1/agent-session/ready", nil).Status)
		open(t, a, "tab-1", http.StatusCreated)
	})
}

// SEED-62: automatic logout leaves a static membership checked in, and ends the others.
func TestSEED62_StaticAgentIsNeverCheckedOutAutomatically(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{
		Policies: tenancy.Policies{IdleLogout: stage.For(2 * time.Second)},
		Change: func(d *tenancy.Document) {
			d.Queues = append(d.Queues,
				tenancy.Queue{Name: "hotline", Members: []tenancy.Member{{Agent: "1001", Static: true}}},
				tenancy.Queue{Name: "sales", Members: []tenancy.Member{{Agent: "1001", Manual: true}}})
		},
	})
	a := ten.Agent(1)
	checkedIn := func(s stage.Session) map[string]bool {
		in := map[string]bool{}
		for _, m := range s.Memberships {
			in[m.Queue] = m.CheckedIn
		}
		return in
	}
	require.Equal(t, map[string]bool{"hotline": true, "support": true, "sales": false}, checkedIn(a.SignIn()))
	require.Equal(t, map[string]bool{"hotline": true, "support": false, "sales": false}, checkedIn(a.Wait("LoggedOff(IDLE)")))
	require.Equal(t, map[string]bool{"hotline": true, "support": true, "sales": false}, checkedIn(a.SignIn()))
}

// SEED-65, SEED-67: login takes user, password and domain, and no extension; after it the
// agent knows its name, extension, devices and availability.
func TestSEED67_AfterLoginTheAgentSeesNameExtensionAndAvailability(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		for i := range d.Users {
			d.Users[i].DisplayName = "Person " + string(d.Users[i].Name)
		}
	}})
	login := map[string]string{"tenant": ten.Domain, "username": "1001", "password": stage.Password, "extension": "1001"}
	ans, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", login)
	require.NoError(t, err)
	require.Equal(t, []string{"body extension"}, refused(t, ans, http.StatusUnprocessableEntity).named())

	a := ten.Agent(1)
	var me struct {
		User, Name, Tenant, Agent string
		Permissions               []string
		Devices                   []struct {
			ID        string
			Reachable bool
		}
	}
	require.NoError(t, a.API.Into(ten.Context(), &me, http.MethodGet, "/v1/me", nil))
	require.Equal(t, []string{"1001", "Person 1001", ten.Domain, "1001"}, []string{me.User, me.Name, me.Tenant, me.Agent})
	require.Contains(t, me.Permissions, "session:use:own")
	require.Len(t, me.Devices, 1)
	require.Equal(t, "1001", me.Devices[0].ID)
	require.True(t, me.Devices[0].Reachable)
	require.Equal(t, "NotReady", a.SignIn().State)
	require.Equal(t, "Ready", a.Ready().State)

	admin := ten.Login("admin")
	require.NoError(t, admin.Into(ten.Context(), &me, http.MethodGet, "/v1/me", nil))
	require.NotContains(t, me.Permissions, "session:use:own")
	ans, err = admin.Do(ten.Context(), http.MethodPost, "/v1/agent-session", map[string]string{"interface": "phone"})
	require.NoError(t, err)
	refused(t, ans, http.StatusForbidden) // SEED-5: who has no agent's role is no agent
}
