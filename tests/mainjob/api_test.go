package mainjob

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// problem is the body of a refusal.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"errors"`
}

// refused reads a refusal of that status.
func refused(t *testing.T, ans stage.Answer, status int) problem {
	t.Helper()
	require.Equal(t, status, ans.Status, string(ans.Body))
	require.Equal(t, "application/problem+json", ans.Header.Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(ans.Body, &p), string(ans.Body))
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.Detail)
	return p
}

// named are the fields that a refusal names, each once: "body reason".
func (p problem) named() []string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, strings.TrimSpace(e.In+" "+e.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Invalid JSON, unknown fields, wrong types and too long strings are 422, and each wrong
// field is named.
func TestAPIBadInput_Is422NamingEachField_AndChangesNothing(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	before := a.View()
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		path, body string
		fields     []string
	}{
		{"/v1/agent-session/not-ready", `{"reason":`, []string{"body"}},
		{"/v1/agent-session/not-ready", `"LUNCH"`, []string{"body"}},
		{"/v1/agent-session/not-ready", `{"reason":"LUNCH","by":"me","x":1}`, []string{"body by", "body x"}},
		{"/v1/agent-session/not-ready", `{"reason":5}`, []string{"body reason"}},
		{"/v1/agent-session/not-ready", `{"reason":"` + long + `"}`, []string{"body reason"}},
		{"/v1/agent-session/check-in", `{"queues":["support",7]}`, []string{"body queues[1]"}},
		{"/v1/agent-session/wrap-up", `{"action":"dance","by_ms":1.5}`, []string{"body action", "body by_ms"}},
		{"/v1/agent-session/terminal", `{"gone":"yes"}`, []string{"body terminal_id", "body gone"}},
		{"/v1/agent-session/binding", `{"device_ids":["1001","2001"]}`, []string{"body device_ids"}},
		{"/v1/agent-session", `{"interface":"telepathy","initial_state":"Busy"}`, []string{"body interface", "body initial_state"}},
	} {
		ans := a.Try(http.MethodPost, c.path, c.body)
		require.ElementsMatch(t, c.fields, refused(t, ans, http.StatusUnprocessableEntity).named(), "%s %s: %s", c.path, c.body, ans.Body)
		require.NotContains(t, string(ans.Body), long)
	}
	ans := a.Try(http.MethodGet, "/v1/calls?limit=ten&colour=red", nil)
	require.Contains(t, refused(t, ans, http.StatusUnprocessableEntity).named(), "query colour")
	anonymous, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", `{"tenant":"`+ten.Domain+`","username":7,"pass":"x"}`)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"body username", "body pass", "body password"}, refused(t, anonymous, http.StatusUnprocessableEntity).named())
	require.Equal(t, before.Version, a.View().Version)
}

// CR, LF and NUL are refused wherever the API takes a text, and of a caller's escaped
// ones nothing becomes a header: no INVITE or CANCEL carries a header that was smuggled in.
func TestAPIControlCharacters_NeverReachASIPHeader(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	for _, evil := range []string{`\r\nX-Evil: 1`, `\nX-Evil: 1`, `\rX-Evil: 1`, `\u0000X-Evil: 1`} {
		for path, body := range map[string]string{
			"/v1/agent-session":           `{"interface":"phone","terminal_id":"t%"}`,
			"/v1/agent-session/not-ready": `{"reason":"LUNCH%"}`,
			"/v1/agent-session/check-in":  `{"queues":["support%"]}`,
			"/v1/agent-session/binding":   `{"device_ids":["1001%"]}`,
			"/v1/agent-session/terminal":  `{"terminal_id":"t%"}`,
			"/v1/calls/0/hang-up":         `{"reason":"bye%"}`,
		} {
			ans := a.Try(http.MethodPost, path, strings.ReplaceAll(body, "%", evil))
			require.Len(t, refused(t, ans, http.StatusUnprocessableEntity).Errors, 1, "%s: %s", path, ans.Body)
		}
	}
	a.Ready()
	smuggler := hall.Raw(t, "UDP", ten.Trunk())
	invite := stage.Request{
		Method: "INVITE", URI: "sip:8000@" + ten.Domain, From: "sip:4930%0d%0aX-Evil:1@carrier.example", Body: stage.Offer("0"),
		More: []string{"X-CC-Account: 4711%0d%0aX-Evil: 1", "User-to-User: 4711%0d%0aX-Evil: 1;encoding=ascii"},
	}
	text := smuggler.Text(invite)
	smuggler.Send(text)
	rung := a.Offered()
	for line := range strings.Lines(rung.Invite.String()) {
		require.False(t, strings.HasPrefix(line, "X-Evil"), rung.Invite.String())
	}
	require.Empty(t, rung.From, "a number that could not be one is not shown")
	var answer stage.CallView
	id := ten.WaitCall("be offered", func(c stage.CallView) bool { return c.Phase == "Offering" }).ID
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &answer, http.MethodPost, "/v1/calls/"+id+"/hang-up", map[string]string{"reason": "no, thanks"}))
	require.NotContains(t, ten.WaitEnded(rung).Reason, "X-Evil")
}

// Without a token, and with a wrong one, everything but login and health is 401.
func TestAPIWithoutToken_401(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	for _, r := range [][2]string{
		{http.MethodGet, "/v1/me"}, {http.MethodGet, "/v1/agent-session"}, {http.MethodPost, "/v1/agent-session/ready"},
		{http.MethodGet, "/v1/calls"}, {http.MethodGet, "/v1/queues/support/live"}, {http.MethodGet, "/v1/presence"},
		{http.MethodGet, "/v1/events"}, {http.MethodPost, "/v1/agents/1001/session/ready"}, {http.MethodPost, "/v1/calls/0/hang-up"},
	} {
		for _, header := range [][]string{nil, {"Authorization", "Bearer nonsense"}, {"Authorization", "Basic MTAwMTp4"}} {
			ans, err := hall.Anonymous().Do(ten.Context(), r[0], r[1], nil, header...)
			require.NoError(t, err)
			require.Equal(t, "unauthenticated", refused(t, ans, http.StatusUnauthorized).Code, "%v", r)
		}
	}
}

// SEED-38, SEED-39, SEED-105: two businesses on one system, with the same numbers for
// agents, queue and entry. Each call stays in its house, and nobody can look into the other's.
func TestSEED105_TwoBusinessesWithTheSameNumbers_StayApart(t *testing.T) {
	t.Parallel()
	one, two := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	here, there := one.ReadyAgent(1), two.ReadyAgent(1)
	toOne := one.Call("4930201", "8000")
	require.Equal(t, "4930201", here.Offered().From)
	toTwo := two.Call("4930202", "8000")
	rung := there.Answered()
	require.Equal(t, "4930202", rung.From)
	two.Talk(toTwo, rung)
	require.NoError(t, toOne.HangUp())

	theirs := two.WaitCall("talk", func(c stage.CallView) bool { return c.Phase == "Talking" })
	boss := one.Login("supervisor")
	for _, r := range [][2]string{
		{http.MethodGet, "/v1/calls/" + theirs.ID}, {http.MethodGet, "/v1/calls/" + theirs.ID + "/timeline"},
		{http.MethodPost, "/v1/calls/" + theirs.ID + "/hang-up"},
	} {
		ans, err := boss.Do(one.Context(), r[0], r[1], nil)
		require.NoError(t, err)
		require.Equal(t, "no_such_call", refused(t, ans, http.StatusNotFound).Code)
	}
	for _, c := range callsOf(t, one) {
		require.Equal(t, "4930201", c.From)
	}
	require.Equal(t, softphone.Up, toTwo.Status().State)
	there.WentThrough("NotReady(LOGIN)", "Ready", "Reserved", "Busy")
}

// SEED-38: a queue that only another tenant has does not exist here.
func TestSEED38_AnotherTenantsQueue_404(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	other := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Queues = append(d.Queues, tenancy.Queue{Name: "sales"})
	}})
	var live any
	require.NoError(t, other.Login("supervisor").Into(ten.Context(), &live, http.MethodGet, "/v1/queues/sales/live", nil))
	ans, err := ten.Login("supervisor").Do(ten.Context(), http.MethodGet, "/v1/queues/sales/live", nil)
	require.NoError(t, err)
	refused(t, ans, http.StatusNotFound)
	agent := ten.Agent(1)
	agent.SignIn()
	ans = agent.Try(http.MethodPost, "/v1/agent-session/check-in", map[string]any{"queues": []string{"sales"}})
	require.GreaterOrEqual(t, ans.Status, 400, "a queue of somebody else can't be joined: %s", ans.Body)
}

// SEED-8, SEED-110: a regular agent has no supervisor operation; SEED-14: and a
// supervisor none over another team's agents.
func TestSEED8_SupervisorOperationsAreRefusedToOthers(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Teams = append(d.Teams, tenancy.Team{Name: "sales"})
		d.Users = append(d.Users, tenancy.User{Name: "stranger", Password: stage.Password, Roles: []account.Role{account.Supervisor}, Teams: []id.Team{"sales"}})
	}})
	a, colleague := ten.ReadyAgent(1), ten.Agent(2)
	for _, r := range [][2]string{
		{http.MethodPost, "/v1/agents/1001/session/ready"}, {http.MethodPost, "/v1/agents/1001/session/not-ready"},
		{http.MethodPost, "/v1/agents/1001/session/sign-out"}, {http.MethodGet, "/v1/presence"}, {http.MethodGet, "/v1/queues/support/live"},
	} {
		refused(t, colleague.Try(r[0], r[1], nil), http.StatusForbidden)
	}
	ans, err := ten.Login("stranger").Do(ten.Context(), http.MethodPost, "/v1/agents/1001/session/sign-out", nil)
	require.NoError(t, err)
	require.Equal(t, "not_subordinate", refused(t, ans, http.StatusForbidden).Code)

	customer := ten.Call("4930203", "8000")
	ten.Talk(customer, a.Answered())
	call := a.Wait("Busy").CallIDs[0]
	require.Equal(t, http.StatusNotFound, colleague.Try(http.MethodGet, "/v1/calls/"+call, nil).Status, "not the colleague's call")
	require.Equal(t, http.StatusNotFound, colleague.Try(http.MethodPost, "/v1/calls/"+call+"/hang-up", nil).Status)
	ans, err = ten.Login("stranger").Do(ten.Context(), http.MethodPost, "/v1/calls/"+call+"/hang-up", nil)
	require.NoError(t, err)
	refused(t, ans, http.StatusForbidden)
	require.Equal(t, softphone.Up, customer.Status().State)
}

// SEED-104: the supervisor makes a subordinate NotReady and Ready again, and signs it
// out, in the middle of an offer as well: then when it is over.
func TestSEED104_SupervisorForcesNotReadyReadyAndSignOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	boss := ten.Login("supervisor")
	force := func(what string, body any) stage.Session {
		var s stage.Session
		require.NoError(t, boss.Into(ten.Context(), &s, http.MethodPost, "/v1/agents/1001/session/"+what, body))
		return s
	}
	s := force("not-ready", map[string]string{"reason": "TRAINING"})
	require.Equal(t, "NotReady TRAINING", s.State+" "+s.Reason)
	require.Equal(t, "TRAINING", a.View().Reason)
	require.Equal(t, "FORCED", force("not-ready", nil).Reason)
	require.Equal(t, "Ready", force("ready", nil).State)

	customer := ten.Call("4930204", "8000")
	rung := a.Offered()
	a.Wait("Reserved")
	s = force("sign-out", nil)
	require.Equal(t, "Reserved", s.State)
	require.Equal(t, "LoggedOff supervisor", s.Pending.State+" "+s.Pending.By)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	a.Wait("LoggedOff(FORCED)")
	require.Equal(t, http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
}

// SEED-4: what somebody did is in the audit trail, with the user's name, also when it
// was refused.
func TestSEED4_EveryOperationIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	a := ten.ReadyAgent(1)
	ten.Agent(2).Try(http.MethodPost, "/v1/agents/1001/session/sign-out", nil)
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), nil, http.MethodPost, "/v1/agents/1001/session/not-ready", nil))
	a.SignOut()
	sql := hall.SQL(t)
	want := []string{
		"1001 agent-session.sign-in agent:1001 ok", "1001 agent-session.ready agent:1001 ok",
		"supervisor agent-session.not_ready agent:1001 ok", "1001 agent-session.sign_out agent:1001 ok",
	}
	var trail []string
	require.Eventually(t, func() bool {
		trail = nil
		rows, err := sql.Query(t.Context(), `SELECT user_name || ' ' || action || ' ' || object || ' ' || result FROM audit
			WHERE tenant_id = $1 AND action LIKE 'agent-session%' ORDER BY id`, ten.Domain)
		if err != nil {
			return false
		}
		for rows.Next() {
			var line string
			if rows.Scan(&line) == nil {
				trail = append(trail, line)
			}
		}
		return len(trail) >= len(want)
	}, stage.Patience, 50*time.Millisecond)
	require.Subset(t, trail, want)
}

// healthz says that the process lives, readyz that it has what it needs.
func TestAPIHealth_TellsThatAllIsThere(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	for _, path := range []string{"/healthz", "/readyz"} {
		ans, err := hall.Anonymous().Do(ten.Context(), http.MethodGet, path, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	}
	ans, err := hall.Anonymous().Do(ten.Context(), http.MethodGet, "/v1/nothing-here", nil)
	require.NoError(t, err)
	refused(t, ans, http.StatusNotFound)
}
