package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// SEED-9, SEED-34: a supervisor does what a regular agent does: signs in, takes a queue
// call, wraps up, dials out, goes Not Ready and out; by its phone and by its number
// outside. Besides it commands its subordinate, also while it talks.
func TestSEED9_ASupervisorWorksAsAnAgent(t *testing.T) {
	t.Parallel()
	ten, beyond := reaching(t, stage.Plan{Agents: 2, WrapUp: time.Second, Change: func(d *tenancy.Document) {
		d.Users[2].Roles, d.Users[2].Teams = []account.Role{account.Supervisor}, []id.Team{"service"}
		d.Devices = append(d.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Agent: "1001", Number: "+41441234567"})
		d.Agents[0].Addresses = append(d.Agents[0].Addresses, "mobile")
	}}, "0*", "+*")
	boss, other := ten.Agent(1), ten.Agent(2)
	other.SignIn()
	for by, device := range map[string]string{"phone": "1001", "mobile": "mobile"} {
		sat(t, boss.Sit(map[string]any{"interface": by, "device_id": device}), http.StatusCreated)
		require.Equal(t, "Ready", boss.Ready().State)
		customer := ten.Call("4930090", "8000")
		rings := map[string]*softphone.Phone{"phone": boss.Phone, "mobile": beyond}[by]
		rung := ten.Offered(rings, by)
		require.NoError(t, rung.Answer())
		ten.Talk(customer, rung)
		boss.Wait("Busy")
		ans := boss.Try(http.MethodPost, "/v1/agents/1002/session/ready", map[string]string{"reason": "RUSH"})
		require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
		require.Equal(t, "Ready", other.View().State)
		require.Equal(t, http.StatusOK, boss.Try(http.MethodPost, "/v1/agents/1002/session/not-ready", map[string]string{"reason": "BACK"}).Status)
		require.NoError(t, customer.HangUp())
		boss.Wait("WorkingAfterCall")
		boss.Wait("Ready")
		require.Equal(t, "LUNCH", boss.NotReady("LUNCH").Reason)
		if by == "phone" {
			call := dials(t, ten, boss, "0493055590")
			rung = ten.Offered(beyond, "the customer")
			require.NoError(t, rung.Answer())
			ten.WaitUp(call)
			ten.Talk(call, rung)
			boss.Wait("Busy")
			require.NoError(t, call.HangUp())
			boss.Wait("NotReady(LUNCH)")
		}
		boss.SignOut()
		boss.Wait("LoggedOff")
	}
	require.Equal(t, http.StatusForbidden, other.Try(http.MethodPost, "/v1/agents/1001/session/ready", nil).Status, "not the other way round (SEED-8)")
}

// SEED-13, SEED-14: a supervisor ends a subordinate's conversation, for both; nobody else's.
func TestSEED13_ASupervisorDisconnectsASubordinatesCall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Teams = append(d.Teams, tenancy.Team{Name: "elsewhere"})
		d.Agents[1].Team = "elsewhere"
	}})
	boss := ten.Login("supervisor")
	end := func(c *stage.Client, call string) int {
		ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/calls/"+call+"/hang-up", nil)
		require.NoError(t, err)
		return ans.Status
	}
	a, b := ten.Agent(1), ten.Agent(2)
	a.SignIn()
	b.SignIn()
	for _, who := range []*stage.Agent{a, b} {
		who.Ready()
		customer := ten.Call("4930130", "8000")
		rung := who.Answered()
		ten.Talk(customer, rung)
		require.Eventually(t, func() bool { return who.View().State == "Busy" }, stage.Patience, 20*time.Millisecond)
		call := who.View().CallIDs[0]
		if who == b {
			require.Equal(t, http.StatusForbidden, end(boss, call))
			ten.Talk(customer, rung)
			require.NoError(t, customer.HangUp())
			continue
		}
		require.NotEqual(t, http.StatusOK, end(b.API, call), "an agent, a colleague's")
		ten.Talk(customer, rung)
		require.Equal(t, http.StatusOK, end(boss, call))
		require.True(t, ten.WaitEnded(customer).Remote)
		require.True(t, ten.WaitEnded(rung).Remote)
		ended := ten.WaitCall("end", func(c stage.CallView) bool { return c.ID == call && c.Phase == "Ended" })
		require.Equal(t, "forced", ended.Cause)
		who.Wait("Ready")
		who.NotReady("LUNCH")
	}
}

// SEED-51: an agent works in both directions and belongs to groups: one team, and the
// queues whose calls it takes, each of which it can leave for a while.
func TestSEED51_AgentsOfTeamsAndQueues_WorkInBothDirections(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	apply(t, ten, func(d *tenancy.Document) {
		d.Queues = append(d.Queues, tenancy.Queue{Name: "sales", Members: []tenancy.Member{{Agent: "1001"}}})
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "8002", Queue: "sales"})
	})
	admin := ten.Login("admin")
	require.Equal(t, "service", asked(t, admin, http.StatusOK, http.MethodGet, "/v1/agents/1001", nil)["team"])
	a := ten.ReadyAgent(1)
	inQueue := func(number, queue string) {
		t.Helper()
		customer := ten.Call("4930510", number)
		rung := a.Offered()
		require.Equal(t, queue, a.Wait("Reserved").Offer.Queue)
		require.NoError(t, rung.Answer())
		ten.Talk(customer, rung)
		a.Wait("Busy")
		require.NoError(t, customer.HangUp())
		a.Wait("Ready")
	}
	inQueue("8000", "support")
	inQueue("8002", "sales")
	call := dials(t, ten, a, "0493055511")
	rung := ten.Offered(beyond, "the customer")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	a.Wait("Busy")
	require.NoError(t, call.HangUp())
	a.Wait("Ready")
	require.Equal(t, http.StatusOK, a.Try(http.MethodPost, "/v1/agent-session/check-out", map[string]any{"queues": []string{"sales"}}).Status)
	waiting := ten.Call("4930511", "8002")
	ten.WaitUp(waiting)
	inQueue("8000", "support")
	require.NoError(t, waiting.HangUp())
}

// SEED-112: an agent with a telephone of its own logs in, pauses, goes on and logs out by
// requests alone, which are what a page makes: paused it gets no call, and afterwards none.
func TestSEED112_AnExternalAgent_LogsInPausesGoesOnAndLogsOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	ans := activating(t, a.API, ten, "1001", map[string]any{"interface": "phone", "terminal_id": "tab", "initial_state": "Ready"})
	cookie, token := pair(t, ans)
	page := hall.Anonymous().With(token)
	ten.Rings(a.Phone, "4931120")
	a.Wait("Ready")

	require.Equal(t, "NotReady", asked(t, page, http.StatusOK, http.MethodPost, "/v1/agent-session/not-ready", map[string]any{"reason": "PAUSE"})["state"])
	before := a.Phone.Invites()
	waiting := ten.Call("4931121", "8000")
	ten.WaitUp(waiting)
	hearsMusic(t, ten, waiting)
	require.Equal(t, before, a.Phone.Invites())
	asked(t, page, http.StatusOK, http.MethodPost, "/v1/agent-session/ready", nil)
	rung := a.Answered()
	ten.Talk(waiting, rung)
	require.NoError(t, waiting.HangUp())
	a.Wait("Ready")

	require.Equal(t, "LoggedOff", asked(t, page, http.StatusOK, http.MethodDelete, "/v1/agent-session", nil)["state"])
	require.Equal(t, http.StatusNoContent, auth(t, ten, hall.Anonymous(), "logout", cookie).Status)
	out(t, page, token)
	before = a.Phone.Invites()
	waiting = ten.Call("4931122", "8000")
	ten.WaitUp(waiting)
	hearsMusic(t, ten, waiting)
	require.Equal(t, before, a.Phone.Invites())
	require.NoError(t, waiting.HangUp())
}

// SEED-101: the supervisor sees who of the team is Ready, Not Ready and talking, as it
// changes and when it asks; others' teams it does not.
func TestSEED101_TheSupervisorSeesTheTeam(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 3, Change: func(d *tenancy.Document) {
		d.Teams = append(d.Teams, tenancy.Team{Name: "elsewhere"})
		d.Agents[2].Team = "elsewhere"
	}})
	a, b, far := ten.ReadyAgent(1), ten.Agent(2), ten.Agent(3)
	b.SignIn()
	far.SignIn()
	boss := ten.Login("supervisor")
	seen := func() map[string]string {
		states := map[string]string{}
		for _, i := range asked(t, boss, http.StatusOK, http.MethodGet, "/v1/presence", nil)["items"].([]any) {
			s := i.(map[string]any)
			states[s["agent"].(string)] = s["state"].(string)
		}
		return states
	}
	shows := func(want map[string]string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(seen()) == len(want) && seen()["1001"] == want["1001"] }, stage.Patience, 50*time.Millisecond)
		require.Equal(t, want, seen())
	}
	shows(map[string]string{"1001": "Ready", "1002": "NotReady"})
	customer := ten.Call("4931010", "8000")
	ten.Talk(customer, a.Answered())
	a.Wait("Busy") // by the stream
	shows(map[string]string{"1001": "Busy", "1002": "NotReady"})
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
	shows(map[string]string{"1001": "Ready", "1002": "NotReady"})
	require.Empty(t, ten.Watch.States("1003"), "of another team")
}
