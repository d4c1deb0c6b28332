package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

func callFixture(c id.Call, a id.Agent, p call.Phase) call.View {
	return call.View{
		Tenant: tenant, ID: c, Class: leg.InboundQueue, Direction: call.Inbound, Phase: p, Queue: "support", From: "+4930123", To: "8000",
		Agent: a, Since: noon, Version: 4,
		Legs: []leg.Leg{{ID: "customer", Role: leg.Customer, State: leg.Up, Party: "+4930123", Node: "node-1", StartedAt: noon}},
	}
}

func TestCalls_ViewHasTheNamesOfTheInterface(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.calls = []call.View{callFixture("abc", "1001", call.Talking)}
	a := h.ask("1001", "GET", "/v1/calls/abc", "")
	require.JSONEq(t, `{"id":"abc","class":"inbound_queue","direction":"inbound","phase":"Talking","queue":"support","from":"+4930123","to":"8000",
		"agent":"1001","legs":[{"id":"customer","role":"customer","party":"+4930123","state":"up","held":false,"muted":false,"device":""}],
		"attached_data":{},"recording":"","since":"2026-11-21T12:00:00Z","version":4}`, a.Body.String())
	line := h.ask("1001", "GET", "/v1/calls/abc/timeline", "")
	require.JSONEq(t, `{"items":[{"at":"2026-11-21T12:00:00Z","kind":"Queued","sentence":"Waits in support."}]}`, line.Body.String())
}

func TestCalls_OnlyOpsSeeTheLinkToTemporal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.calls = []call.View{callFixture("abc", "1001", call.Talking)}
	const want = "http://127.0.0.1:8233/namespaces/default/workflows/call:demo.localhost:abc"
	require.Equal(t, want, h.ask("admin", "GET", "/v1/calls/abc", "").body["temporal_url"])
	require.Equal(t, want, h.ask("admin", "GET", "/v1/calls/abc/timeline", "").body["temporal_url"])
	require.NotContains(t, h.ask("supervisor", "GET", "/v1/calls/abc", "").body, "temporal_url")
}

func TestCalls_AnAgentSeesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := callFixture("def", "1002", call.Talking)
	foreign := callFixture("ghi", "1001", call.Talking)
	foreign.Tenant = "other.localhost"
	past := callFixture("jkl", "", call.Ended)
	past.Legs = append(past.Legs, leg.Leg{ID: "agent-1", Role: leg.Agent, Agent: "1001"})
	h.reader.calls = []call.View{callFixture("abc", "1001", call.Talking), other, foreign, past}
	require.Len(t, h.ask("1001", "GET", "/v1/calls", "").body["items"], 2)
	require.Len(t, h.ask("supervisor", "GET", "/v1/calls", "").body["items"], 3)
	require.Equal(t, http.StatusForbidden, h.ask("1001", "GET", "/v1/calls?agent=1002", "").Code)
	require.Equal(t, http.StatusOK, h.ask("1001", "GET", "/v1/calls/jkl", "").Code)
	for _, c := range []string{"def", "ghi", "nothing"} { // another's, another tenant's (SEED-38), nobody's: the same
		for _, path := range []string{"", "/timeline"} {
			a := h.ask("1001", "GET", "/v1/calls/"+c+path, "")
			require.Equal(t, http.StatusNotFound, a.Code)
			require.Equal(t, "no_such_call", a.body["code"])
		}
		require.Equal(t, http.StatusNotFound, h.ask("1001", "POST", "/v1/calls/"+c+"/hang-up", "").Code)
	}
}

func TestCalls_FiltersReachTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("supervisor", "GET", "/v1/calls?queue=support&agent=1001&phase=Queued&live=true&since=2026-11-21T10:00:00Z&until=2026-11-21T11:00:00%2B01:00&limit=7&cursor=c1&sort=-arrived_at", "")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	q := h.reader.queries[0]
	require.Equal(t, noon.Add(-2*time.Hour), q.Until.UTC())
	q.Until = time.Time{}
	require.Equal(t, record.CallQuery{Queue: "support", Agent: "1001", Phase: call.Queued, Live: ptr(true),
		Since: noon.Add(-2 * time.Hour), Limit: 7, Cursor: "c1"}, q)
	h.ask("1001", "GET", "/v1/calls", "")
	require.Equal(t, record.CallQuery{Agent: "1001", Limit: 50}, h.reader.queries[1])
}

// SEED-13: a supervisor disconnects a subordinate's call; SEED-14: nobody else's.
func TestHangUp_OwnCallOrASubordinates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.calls = []call.View{
		callFixture("own", "1001", call.Talking), callFixture("other", "1003", call.Talking), callFixture("waits", "", call.Queued),
	}
	a := h.ask("1001", "POST", "/v1/calls/own/hang-up", `{"reason":"wrong number"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Equal(t, "Ended", a.body["phase"])
	require.Equal(t, call.HangUp{User: "1001", Key: `hang-up:"1001":k`, Reason: "wrong number"}, h.commands.hungUp[0])
	require.Equal(t, http.StatusOK, h.ask("supervisor", "POST", "/v1/calls/own/hang-up", "").Code)
	require.Equal(t, http.StatusOK, h.ask("supervisor", "POST", "/v1/calls/waits/hang-up", "").Code)
	refused := h.ask("supervisor", "POST", "/v1/calls/other/hang-up", "")
	require.Equal(t, http.StatusForbidden, refused.Code)
	require.Equal(t, "not_subordinate", refused.body["code"])
	require.Equal(t, http.StatusOK, h.ask("admin", "POST", "/v1/calls/other/hang-up", "").Code)
	require.Len(t, h.commands.hungUp, 4)

	h.commands.refuse = fault.Refuse("ended", "The call has ended.")
	a = h.ask("1001", "POST", "/v1/calls/own/hang-up", "")
	require.Equal(t, http.StatusConflict, a.Code)
	require.Equal(t, "own", a.body["view"].(map[string]any)["id"])
}

// SEED-101: the supervisor sees the team; others' teams stay out of sight.
func TestPresence_ShowsOnesTeams(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	busy := sessionFixture("1002", "first")
	busy.State = agent.Busy
	h.reader.presence = []agent.View{sessionFixture("1001", "first"), busy, sessionFixture("1003", "second"), sessionFixture("1004", "")}
	agents := func(user id.User, query string) (found []string) {
		a := h.ask(user, "GET", "/v1/presence"+query, "")
		require.Equal(t, http.StatusOK, a.Code, a.Body)
		for _, item := range a.body["items"].([]any) {
			found = append(found, item.(map[string]any)["agent"].(string))
		}
		return found
	}
	require.Equal(t, []string{"1001", "1002"}, agents("supervisor", ""))
	require.Equal(t, []string{"1002"}, agents("supervisor", "?state=Busy"))
	require.Equal(t, []string{"1003"}, agents("admin", "?team=second"))
	require.Len(t, agents("admin", ""), 4)
	require.Equal(t, http.StatusForbidden, h.ask("1001", "GET", "/v1/presence", "").Code)
}

func TestQueueLive_ShowsWhoWaitsAndOnesTeamsThatServe(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return noon } })
	h.reader.queues["support"] = record.QueueLive{
		Queue:   "support",
		Waiting: []record.WaitingCall{{Call: "abc", From: "+4930123", QueuedAt: noon.Add(-90 * time.Second), Position: 1, Offering: true}},
		Agents:  []agent.View{sessionFixture("1001", "first"), sessionFixture("1003", "second")},
	}
	a := h.ask("supervisor", "GET", "/v1/queues/support/live", "")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	w := a.body["waiting"].([]any)[0].(map[string]any)
	require.Equal(t, map[string]any{"call_id": "abc", "from": "+4930123", "queued_at": "2026-11-21T11:58:30Z", "wait_ms": 90000.0, "position": 1.0, "offering": true}, w)
	require.Len(t, a.body["agents"], 1)
	require.Equal(t, http.StatusNotFound, h.ask("supervisor", "GET", "/v1/queues/nothing/live", "").Code)
}

func TestProblem_EveryKindOfFailureHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.Invalid: 422, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.Conflict: 409,
		fault.TooMany: 429, fault.Unavailable: 503, fault.Internal: 500,
	}
	for kind, status := range want {
		require.True(t, kind.Valid())
		h := newHouse(t)
		h.commands.away = fmt.Errorf("outer: %w", fault.E(kind, "update", fmt.Errorf("secret chain")))
		a := h.ask("1001", "POST", "/v1/agent-session/ready", "")
		require.Equal(t, status, a.Code, kind)
		require.NotContains(t, a.Body.String(), "secret chain")
		require.Equal(t, status == 503 || status == 429, a.Header().Get("Retry-After") != "", kind)
	}
	require.Len(t, outcomes, len(want))
	plain := problemOf(fmt.Errorf("boom"))
	require.Equal(t, 500, plain.Status)
	p := problemOf(&fault.Error{Kind: fault.Invalid, Fields: []fault.Field{{Name: "queues[0]", Sentence: "unknown"}}})
	require.Equal(t, []problemField{{Name: "queues[0]", In: "body", Detail: "unknown"}}, p.Errors)
	inner := problemOf(fault.E(fault.Conflict, "sign in", fault.Refuse("device_in_use", "Device 7 is in use.")))
	require.Equal(t, "device_in_use", inner.Code)
	require.Equal(t, "Device 7 is in use.", inner.Detail)
}
