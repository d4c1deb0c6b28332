package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// Each command of the interface becomes its event, with who asked and the key.
func TestSession_CommandsReachTheSessionAsTheirEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.devices = []record.DeviceStatus{
		{Device: device.Device{Name: "1001", Kind: leg.SIP}, Reachable: true},
		{Device: device.Device{Name: "mobile", Kind: leg.PSTN, Number: "+4917012345"}},
	}
	by := func(operation string) agent.Actor { return agent.Actor{User: "1001", Key: operation + ":k1"} }
	desk := []leg.Address{{Device: "1001", Kind: leg.SIP}}
	for _, c := range []struct {
		method, path, body string
		want               agent.Event
	}{
		{"POST", "/ready", ``, agent.GoReady{Actor: by("ready")}},            // SEED-69
		{"POST", "/ready", `{}`, agent.GoReady{Actor: by("ready")}},          // SEED-68
		{"POST", "/not-ready", ``, agent.GoNotReady{Actor: by("not-ready")}}, // SEED-70
		{"POST", "/not-ready", `{"reason":"BREAK"}`, agent.GoNotReady{Actor: by("not-ready"), Reason: "BREAK"}},
		{"POST", "/check-in", ``, agent.CheckIn{Actor: by("check-in")}}, // SEED-58
		{"POST", "/check-in", `{"queues":["support"," sales "]}`, agent.CheckIn{Actor: by("check-in"), Queues: []id.Queue{"support", "sales"}}},
		{"POST", "/check-out", `{"queues":["support"]}`, agent.CheckOut{Actor: by("check-out"), Queues: []id.Queue{"support"}}}, // SEED-59
		{"POST", "/wrap-up", `{"action":"finish"}`, agent.WrapUp{Actor: by("wrap-up"), Action: "finish", By: 30 * time.Second}},
		{"POST", "/wrap-up", `{"action":"extend","by_ms":60000}`, agent.WrapUp{Actor: by("wrap-up"), Action: "extend", By: time.Minute}},
		{"POST", "/terminal", `{"terminal_id":"tab-1"}`, agent.Touch{Actor: by("terminal"), Terminal: "tab-1", Lease: 90 * time.Second}},
		{"POST", "/terminal", `{"terminal_id":"tab-1","gone":true}`, agent.Touch{Actor: by("terminal"), Terminal: "tab-1", Gone: true, Lease: 90 * time.Second}},
		{"POST", "/terminal", `{"terminal_id":"tab-1","phone":"take_over","lease_ms":5000}`,
			agent.Touch{Actor: by("terminal"), Terminal: "tab-1", Phone: agent.TakeOverPhone, Lease: 5 * time.Second}},
		{"POST", "/binding", `{"interface":"phone","device_ids":["1001"]}`, // SEED-55
			agent.Bind{Actor: by("binding"), Interface: "phone", Addresses: desk, Reachable: []id.Device{"1001"}}},
		{"POST", "/binding", `{"device_ids":["mobile","1001"]}`, agent.Bind{Actor: by("binding"), Reachable: []id.Device{"1001"},
			Addresses: []leg.Address{{Device: "mobile", Kind: leg.PSTN, URI: "+4917012345"}, desk[0]}}},
		{"DELETE", "", ``, agent.SignOut{Actor: by("sign-out")}}, // SEED-72
		{"POST", "", `{"interface":"phone"}`, agent.SignIn{Actor: by("sign-in"), Interface: "phone", From: "127.0.0.9", Lease: 90 * time.Second}},
		{"POST", "", `{"interface":"phone","device_id":"1001","terminal_id":"tab-1","initial_state":"Ready"}`,
			agent.SignIn{Actor: by("sign-in"), Interface: "phone", Terminal: "tab-1", Initial: agent.Ready, Addresses: desk, From: "127.0.0.9", Lease: 90 * time.Second}},
	} {
		h.api.config.Vault = newVault() // the key is the same, the requests are not
		h.api.answers = newAnswers(h.api.config, h.api.seals)
		a := h.ask("1001", c.method, "/v1/agent-session"+c.path, c.body, "Idempotency-Key", "k1")
		require.Less(t, a.Code, 300, "%s %s: %s", c.method, c.path, a.Body)
		require.Equal(t, c.want, h.commands.last(t), "%s %s", c.path, c.body)
		require.Equal(t, agent.Ref{Tenant: tenant, Agent: "1001"}, h.commands.refs[len(h.commands.refs)-1])
		require.Equal(t, "1001", a.body["agent"])
	}
}

func TestSession_ViewHasTheNamesOfTheInterface(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := sessionFixture("1001", "first")
	v.State, v.Pending = agent.WorkingAfterCall, &agent.Pending{Status: agent.NotReady, Reason: "BREAK", By: "1001"}
	v.WrapUpUntil, v.CallIDs, v.Terminals = noon.Add(10*time.Second), []id.Call{"abc"}, []id.Terminal{"tab-1"}
	v.Offer = &agent.Offer{ID: "abc/1", Call: "abc", Class: leg.InboundQueue, Queue: "support", From: "+4930123", At: noon, Deadline: noon.Add(20 * time.Second)}
	h.commands.views[agent.Ref{Tenant: tenant, Agent: "1001"}] = v
	a := h.ask("1001", "GET", "/v1/agent-session", "")
	require.JSONEq(t, `{"agent":"1001","state":"WorkingAfterCall","reason":"LOGIN","since":"2026-11-21T12:00:00Z",
		"pending":{"state":"NotReady","reason":"BREAK","by":"1001"},
		"offer":{"id":"abc/1","call_id":"abc","class":"inbound_queue","queue":"support","from":"+4930123","at":"2026-11-21T12:00:00Z","deadline":"2026-11-21T12:00:20Z"},
		"call_ids":["abc"],"memberships":[{"queue":"support","checked_in":true}],
		"binding":{"interface":"phone","mode":"fixed","addresses":[{"device":"1001","kind":"sip"}]},
		"devices":["1001"],"terminals":["tab-1"],"wrap_up_until":"2026-11-21T12:00:10Z","version":3}`, a.Body.String())
}

func TestSession_SignInIs201AndAttachingIs200(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, http.StatusCreated, h.ask("1001", "POST", "/v1/agent-session", `{"interface":"phone"}`).Code)
	h.commands.created = false
	require.Equal(t, http.StatusOK, h.ask("1001", "POST", "/v1/agent-session", `{"interface":"phone"}`).Code)
}

func TestSession_WithoutAKeyEachRequestIsOneOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	keys := map[string]bool{}
	for range 3 {
		h.ask("1001", "POST", "/v1/agent-session/ready", "")
		keys[h.commands.last(t).(agent.GoReady).Key] = true
	}
	require.Len(t, keys, 3)
	h.ask("1001", "POST", "/v1/agent-session/ready", "", "Idempotency-Key", "same")
	ready := h.commands.last(t).(agent.GoReady).Key
	h.ask("1001", "POST", "/v1/agent-session/not-ready", "", "Idempotency-Key", "same")
	require.NotEqual(t, ready, h.commands.last(t).(agent.GoNotReady).Key, "a key used for another command does not swallow it")
}

func TestSession_RefusalCarriesSentenceCodeAndThePresentView(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.commands.refuse = fmt.Errorf("update workflow: %w", fault.Refuse("wrap_up_running", "Wrap-up runs for another 7 seconds."))
	a := h.ask("1001", "POST", "/v1/agent-session/wrap-up", `{"action":"finish"}`)
	require.Equal(t, http.StatusConflict, a.Code)
	require.Equal(t, "wrap_up_running", a.body["code"])
	require.Equal(t, "Wrap-up runs for another 7 seconds.", a.body["detail"])
	require.Equal(t, "NotReady", a.body["view"].(map[string]any)["state"])
}

func TestSession_NotSignedInIs404AndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	delete(h.commands.views, agent.Ref{Tenant: tenant, Agent: "1001"})
	for _, path := range []string{"/v1/agent-session/ready", "/v1/agent-session/check-in"} {
		a := h.ask("1001", "POST", path, "")
		require.Equal(t, http.StatusNotFound, a.Code)
		require.Equal(t, "not_signed_in", a.body["code"])
	}
	require.Equal(t, http.StatusNotFound, h.ask("1001", "GET", "/v1/agent-session", "").Code)
}

// SEED-5: a user without an agent role is refused every call-handling operation.
func TestSession_AUserWithoutAgentIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, r := range routes[tagSession] {
		require.Equal(t, http.StatusForbidden, h.ask("admin", r.method, r.path, "").Code, r.name)
	}
	u := h.reader.users["1001"]
	u.Agent = "" // the right role, but no agent
	h.reader.users["1001"] = u
	a := h.ask("1001", "POST", "/v1/agent-session/ready", "")
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "no_agent", a.body["code"])
	require.Empty(t, h.commands.asked)
}

func TestSession_ADeviceOfSomebodyElseIsNamedIn422(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("1001", "POST", "/v1/agent-session", `{"interface":"phone","device_id":"1002"}`)
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Contains(t, a.fields()["body:device_id"], "1002")
	a = h.ask("1001", "POST", "/v1/agent-session/binding", `{"device_ids":["1002"]}`)
	require.Contains(t, a.fields()["body:device_ids"], "1002")
	require.Empty(t, h.commands.asked)
}

// Invalid JSON, unknown fields, wrong types, too long strings: 422 naming each field.
func TestSession_InvalidRequestsAre422NamingEachField(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		path, body string
		fields     []string
	}{
		{"/not-ready", `{"reason":`, []string{"body:"}},
		{"/not-ready", `[]`, []string{"body:"}},
		{"/not-ready", `{"reason":5}`, []string{"body:reason"}},
		{"/not-ready", `{"Reason":"BREAK"}`, []string{"body:Reason"}},
		{"/not-ready", `{"reason":"` + long + `"}`, []string{"body:reason"}},
		{"/not-ready", `{"reason":"BREAK","by":"me","x":1}`, []string{"body:by", "body:x"}},
		{"/not-ready", `{"reason":"a"} {"reason":"b"}`, []string{"body:"}},
		{"/ready", `{"reason":"BREAK"}`, []string{"body:reason"}},
		{"/check-in", `{"queues":"support"}`, []string{"body:queues"}},
		{"/check-in", `{"queues":["support",7]}`, []string{"body:queues[1]"}},
		{"/wrap-up", ``, []string{}},
		{"/wrap-up", `{}`, []string{"body:action"}},
		{"/wrap-up", `{"action":"dance","by_ms":1.5}`, []string{"body:action", "body:by_ms"}},
		{"/wrap-up", `{"action":"extend","by_ms":600001}`, []string{"body:by_ms"}},
		{"/terminal", `{"gone":"yes"}`, []string{"body:terminal_id", "body:gone"}},
		{"/binding", `{"device_ids":[]}`, []string{"body:device_ids"}},
		{"", `{"interface":"telepathy","initial_state":"Busy"}`, []string{"body:interface", "body:initial_state"}},
	} {
		a := h.ask("1001", "POST", "/v1/agent-session"+c.path, c.body)
		require.Equal(t, http.StatusUnprocessableEntity, a.Code, "%s %s: %s", c.path, c.body, a.Body)
		require.Equal(t, "invalid", a.body["code"])
		var named []string
		for f := range a.fields() {
			named = append(named, f)
		}
		require.ElementsMatch(t, c.fields, named, "%s %s: %s", c.path, c.body, a.Body)
	}
	a := h.ask("1001", "GET", "/v1/calls?limit=ten&colour=red", "")
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Contains(t, a.fields(), "query:colour")
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("1001", "GET", "/v1/calls?limit=201&since=yesterday", "").Code)
	require.Empty(t, h.commands.asked)
}

// API values with CR, LF or NUL never reach a SIP header.
func TestRequests_ControlCharactersAre422(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, evil := range []string{`\r\nVia: x`, `\n`, `\u0000`, `\t`, `\u007f`} {
		for path, body := range map[string]string{
			"/v1/agent-session/not-ready": `{"reason":"BREAK%s"}`,
			"/v1/agent-session/check-in":  `{"queues":["support%s"]}`,
			"/v1/agent-session/binding":   `{"device_ids":["1001%s"]}`,
			"/v1/agent-session/terminal":  `{"terminal_id":"t%s"}`,
			"/v1/agent-session":           `{"interface":"phone","device_id":"1001%s"}`,
			"/v1/calls/abc/hang-up":       `{"reason":"x%s"}`,
			"/v1/auth/login":              `{"tenant":"demo.localhost%s","username":"1001","password":"x"}`,
		} {
			a := h.ask("1001", "POST", path, fmt.Sprintf(body, evil))
			require.Equal(t, http.StatusUnprocessableEntity, a.Code, "%s %q: %s", path, evil, a.Body)
			require.Len(t, a.fields(), 1)
		}
	}
	for _, path := range []string{"/v1/calls/a%0d%0ab", "/v1/calls/a%00b/timeline", "/v1/calls?queue=a%0ab"} {
		require.Equal(t, http.StatusUnprocessableEntity, h.ask("1001", "GET", path, "").Code, path)
	}
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("supervisor", "POST", "/v1/agents/1001%0a/session/ready", "").Code)
	require.Empty(t, h.commands.asked)
	require.Empty(t, h.commands.hungUp)
}

func TestRequests_BodyOfAnotherTypeOrTooLarge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("1001", "POST", "/v1/agent-session/not-ready", "reason=BREAK", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusUnsupportedMediaType, a.Code)
	a = h.ask("1001", "POST", "/v1/agent-session/not-ready", `{"reason":"`+strings.Repeat("x", maxBody)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, a.Code)
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("1001", "POST", "/v1/agent-session/not-ready", deep).Code)
}

// SEED-104: the supervisor changes a team member's status. SEED-14: not of others.
func TestForced_OnlySubordinatesAndMarkedAsForced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	by := func(op string) agent.Actor {
		return agent.Actor{User: "supervisor", Forced: true, Key: op + `:"supervisor":k`, Why: "FORCED"}
	}
	for path, want := range map[string]agent.Event{
		"ready":     agent.GoReady{Actor: by("force-ready")},
		"not-ready": agent.GoNotReady{Actor: by("force-not-ready"), Reason: agent.ReasonForced},
		"sign-out":  agent.SignOut{Actor: by("force-sign-out"), Reason: agent.ReasonForced},
	} {
		a := h.ask("supervisor", "POST", "/v1/agents/1001/session/"+path, "", "Idempotency-Key", "k")
		require.Equal(t, http.StatusOK, a.Code, a.Body)
		require.Equal(t, want, h.commands.last(t))
	}
	h.ask("admin", "POST", "/v1/agents/1001/session/ready", "", "Idempotency-Key", "k")
	require.Equal(t, `force-ready:"admin":k`, h.commands.last(t).(agent.GoReady).Key, "another person's key is another key")
	h.ask("supervisor", "POST", "/v1/agents/1001/session/not-ready", `{"reason":"TRAINING"}`)
	require.EqualValues(t, "TRAINING", h.commands.last(t).(agent.GoNotReady).Reason)
	h.ask("supervisor", "POST", "/v1/agents/1001/session/ready", `{"reason":"RUSH"}`)
	require.Equal(t, "RUSH", h.commands.last(t).(agent.GoReady).Why, "the agent sees why")
	asked := len(h.commands.asked)

	a := h.ask("supervisor", "POST", "/v1/agents/1003/session/ready", "")
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "not_subordinate", a.body["code"])
	require.Equal(t, http.StatusNotFound, h.ask("supervisor", "POST", "/v1/agents/1999/session/ready", "").Code)
	require.Equal(t, http.StatusForbidden, h.ask("1002", "POST", "/v1/agents/1001/session/ready", "").Code) // SEED-8
	require.Len(t, h.commands.asked, asked)
	require.Equal(t, http.StatusOK, h.ask("admin", "POST", "/v1/agents/1003/session/ready", "").Code, "an administrator has every team")
}

// SEED-4: every operation is recorded, attributed to the user.
func TestAudit_EveryOperationIsWrittenWithItsResult(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("1001", "POST", "/v1/agent-session/ready", "")
	h.ask("supervisor", "POST", "/v1/agents/1003/session/ready", "")
	h.commands.refuse = fault.Refuse("busy", "You are on a call.")
	h.ask("1001", "POST", "/v1/agent-session/not-ready", "")
	h.ask("1001", "POST", "/v1/agent-session/terminal", `{"terminal_id":"t"}`)
	var lines []string
	for _, e := range h.audited() {
		require.Equal(t, tenant, e.Tenant)
		require.Equal(t, "127.0.0.9", e.Source)
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.User, e.Action, e.Object, e.Result))
	}
	require.Equal(t, []string{
		"1001 agent-session.ready agent:1001 ok",
		"supervisor agent-session.force-ready agent:1003 not_subordinate",
		"1001 agent-session.not_ready agent:1001 busy",
	}, lines)
}
