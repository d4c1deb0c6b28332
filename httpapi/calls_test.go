package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
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
		Agent: a, Since: noon, Version: 4, ArrivedAt: noon,
		Legs: []leg.Leg{{ID: "customer", Role: leg.Customer, State: leg.Up, Party: "+4930123", Node: "node-1", StartedAt: noon}},
	}
}

func TestCalls_ViewHasTheNamesOfTheInterface(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.calls = []call.View{callFixture("abc", "1001", call.Talking)}
	h.reader.kept = []call.Segment{
		{Kind: "waiting", Queue: "support", From: noon, To: noon.Add(5 * time.Second)},
		{Kind: "offer", Agent: "1001", Queue: "support", Offer: "abc/1", From: noon, To: noon.Add(5 * time.Second), RangAt: noon.Add(time.Second), Device: "desk", SIPCode: 200},
		{Kind: "talk", Agent: "1001", Queue: "support", From: noon.Add(5 * time.Second)},
	}
	a := h.ask("1001", "GET", "/v1/calls/abc", "")
	require.JSONEq(t, `{"id":"abc","class":"inbound_queue","direction":"inbound","phase":"Talking","queue":"support","from":"+4930123","to":"8000",
		"agent":"1001","legs":[{"id":"customer","role":"customer","party":"+4930123","state":"up","held":false,"muted":false,"device":"","started_at":"2026-11-21T12:00:00Z"}],
		"attached_data":{},"recording":"","since":"2026-11-21T12:00:00Z","arrived_at":"2026-11-21T12:00:00Z","version":4,
		"offers":[{"id":"abc/1","agent":"1001","queue":"support","at":"2026-11-21T12:00:00Z","ringing_at":"2026-11-21T12:00:01Z","ended_at":"2026-11-21T12:00:05Z","outcome":"answered","device":"desk","sip_code":200}],
		"segments":[{"kind":"offer","agent":"1001","queue":"support","offer":"abc/1","from":"2026-11-21T12:00:00Z","to":"2026-11-21T12:00:05Z","duration_ms":5000},
			{"kind":"talk","agent":"1001","queue":"support","from":"2026-11-21T12:00:05Z"}]}`, a.Body.String())
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
		Since: noon.Add(-2 * time.Hour), Limit: 7, Cursor: "c1", Sort: record.NewestFirst}, q)
	h.ask("1001", "GET", "/v1/calls", "")
	require.Equal(t, record.CallQuery{Of: []id.Agent{"1001"}, Limit: 50, Sort: record.NewestFirst}, h.reader.queries[1])
	a = h.ask("supervisor", "GET", "/v1/calls?from=anonymous&to=8000&number=%2B41%20(0)79%20123&class=inbound_queue&direction=inbound&outcome=failed&cause=no_answer&contact=c7&sort=-talk_ms", "")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Equal(t, record.CallQuery{From: "anonymous", To: "8000", Number: "4179123", Class: leg.InboundQueue, Direction: call.Inbound,
		Outcome: "failed", Cause: leg.NoAnswer, Contact: "c7", Sort: record.LongestTalk, Limit: 50}, h.reader.queries[2])
	h.ask("supervisor", "GET", "/v1/calls?number=079+123+45+67", "")
	require.Equal(t, "791234567", h.reader.queries[3].Number, "what stands in every way to write it")
	for query, field := range map[string]string{"number=0012": "query:number", "cause=odd": "query:cause", "sort=queue": "query:sort", "outcome=odd": "query:outcome"} {
		a = h.ask("supervisor", "GET", "/v1/calls?"+query, "")
		require.Equal(t, http.StatusUnprocessableEntity, a.Code, query)
		require.Contains(t, a.fields(), field)
	}
}

// A refusal says in its sentence what is wrong, and numbers as people write them.
func TestRefusals_NameTheFieldInTheirSentence(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, "The request is not valid: number: has fewer than three digits.", h.ask("supervisor", "GET", "/v1/calls?number=0012", "").body["detail"])
	require.Equal(t, "The request is not valid: step_ms: expected number <= 3600000.",
		h.ask("admin", "POST", "/v1/tariffs", `{"prefix":"+49","per_minute":"1","step_ms":99999999}`).body["detail"])
	h.reader.away = fault.E(fault.Invalid, "list calls", &fault.Error{Kind: fault.Invalid, Code: "cursor", Fields: []fault.Field{{Name: "cursor", Sentence: "is of another list"}}})
	require.Contains(t, h.ask("supervisor", "GET", "/v1/calls?cursor=x", "").fields(), "query:cursor")
}

// calls:read:team shows the calls of one's teams' agents, and one's own: in lists, one by
// one, in the time line, and nobody else's anywhere.
func TestCalls_WithTheScopeTeam_AreThoseOfOnesTeams(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	lead := h.reader.users["supervisor"]
	lead.Name, lead.Agent, lead.Permissions, lead.Teams = "lead", "1009", []account.Permission{"calls:read:team", "calls:hang_up:own", "calls:disconnect:team"}, []id.Team{"first"}
	h.reader.users["lead"] = lead
	dialled := callFixture("dialled", "", call.Talking)
	dialled.Legs[0].Agent = "1002"
	h.reader.calls = []call.View{callFixture("ours", "1001", call.Talking), dialled, callFixture("mine", "1009", call.Ended),
		callFixture("theirs", "1003", call.Talking), callFixture("waits", "", call.Queued)}
	list := h.ask("lead", "GET", "/v1/calls", "")
	require.Equal(t, http.StatusOK, list.Code, list.Body)
	require.Len(t, list.body["items"], 3)
	require.Equal(t, []id.Agent{"1001", "1002", "1009"}, h.reader.queries[0].Of)
	require.Equal(t, http.StatusOK, h.ask("lead", "GET", "/v1/calls?agent=1002", "").Code)
	require.Equal(t, http.StatusForbidden, h.ask("lead", "GET", "/v1/calls?agent=1003", "").Code)
	for name, status := range map[string]int{"ours": 200, "dialled": 200, "mine": 200, "theirs": 404, "waits": 404} {
		for _, path := range []string{"", "/timeline"} {
			require.Equal(t, status, h.ask("lead", "GET", "/v1/calls/"+name+path, "").Code, name+path)
		}
		require.Equal(t, status, h.ask("lead", "POST", "/v1/calls/"+name+"/hang-up", "").Code, "end "+name)
	}
	lead.Agent, lead.Teams = "", nil
	h.reader.users["lead"] = lead
	h.api.persons.forget()
	list = h.ask("lead", "GET", "/v1/calls", "")
	require.Equal(t, http.StatusOK, list.Code, "who leads no team and is no agent sees none: %s", list.Body)
	require.Empty(t, list.body["items"])
}

// Lists show an agent the calls that it was offered in vain; so it can look at them, once
// they have ended, and so can who leads it.
func TestCalls_OfferedInVain_AreSeenOnceTheyHaveEnded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.calls = []call.View{callFixture("past", "1003", call.Ended), callFixture("live", "1003", call.Talking)}
	h.reader.kept = []call.Segment{{Kind: "offer", Agent: "1001", From: noon, To: noon.Add(time.Second), Outcome: call.RingNoAnswer},
		{Kind: "offer", Agent: "1003", From: noon.Add(time.Second), To: noon.Add(2 * time.Second), Outcome: call.RingAnswered}}
	lead := h.reader.users["supervisor"]
	lead.Name, lead.Agent, lead.Permissions, lead.Teams = "lead", "", []account.Permission{"calls:read:team"}, []id.Team{"first"}
	h.reader.users["lead"] = lead
	for _, path := range []string{"", "/timeline"} {
		for who, status := range map[id.User]int{"1001": 200, "lead": 200, "supervisor": 200, "1002": 404} {
			require.Equal(t, status, h.ask(who, "GET", "/v1/calls/past"+path, "").Code, string(who)+path)
		}
		require.Equal(t, http.StatusNotFound, h.ask("1001", "GET", "/v1/calls/live"+path, "").Code, "it is another's now")
	}
}

// What has ended tells how long it was in what.
func TestCalls_AnEndedCallTellsItsTimes(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	v := callFixture("abc", "1001", call.Ended)
	v.AnsweredAt, v.EndedAt, v.EndedBy, v.Outcome, v.Cause = at(20), at(80), "customer", "answered", leg.Hangup
	c := record.Call{View: v, Sums: &call.Sums{Wait: 20 * time.Second, Ring: 5 * time.Second, Talk: 50 * time.Second, Hold: 10 * time.Second},
		WrapUps: []record.WrapUp{{Agent: "1001", From: at(80), To: at(90)}}}
	told := toldOf(c, at(100))
	require.EqualValues(t, []int64{20_000, 5_000, 50_000, 10_000, 10_000}, []int64{*told.WaitMS, *told.RingMS, *told.TalkMS, *told.HoldMS, *told.WrapUpMS})
	require.Equal(t, []any{at(0), at(20), at(80), "answered", "customer"}, []any{*told.ArrivedAt, *told.AnsweredAt, *told.EndedAt, told.Outcome, told.EndedBy})
	c.WrapUps[0].To = time.Time{}
	require.Nil(t, toldOf(c, at(100)).WrapUpMS, "it goes on")
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
	page := h.ask("admin", "GET", "/v1/presence?sort=-agent&limit=3", "")
	require.Len(t, page.body["items"], 3)
	require.Equal(t, "1002", page.body["next_cursor"])
	require.Equal(t, []string{"1001"}, agents("admin", "?sort=-agent&limit=3&cursor=1002"))
	require.Empty(t, agents("admin", "?queue=nowhere"))
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
