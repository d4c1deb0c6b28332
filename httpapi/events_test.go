package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// listener is a client of an event stream.
type listener struct {
	t    *testing.T
	in   *bufio.Reader
	resp *http.Response
}

type received struct {
	id, event string
	data      map[string]any
}

func (h *house) listen(user id.User, headers ...string) *listener {
	h.t.Helper()
	server := httptest.NewServer(h.api.Handler())
	h.t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, server.URL+"/v1/events", nil)
	require.NoError(h.t, err)
	r.Header.Set("Authorization", "Bearer "+h.token(user))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(r)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(h.t, http.StatusOK, resp.StatusCode)
	require.Equal(h.t, "text/event-stream", resp.Header.Get("Content-Type"))
	l := &listener{h.t, bufio.NewReader(resp.Body), resp}
	require.Equal(h.t, "retry: 1000", l.block()[0])
	return l
}

// block reads up to the next empty line.
func (l *listener) block() []string {
	l.t.Helper()
	var lines []string
	for {
		s, err := l.in.ReadString('\n')
		require.NoError(l.t, err)
		if s = strings.TrimSuffix(s, "\n"); s == "" {
			return lines
		}
		lines = append(lines, s)
	}
}

func (l *listener) next() received {
	l.t.Helper()
	var r received
	for _, s := range l.block() {
		name, value, _ := strings.Cut(s, ": ")
		switch name {
		case "id":
			r.id = value
		case "event":
			r.event = value
		case "data":
			require.NoError(l.t, json.Unmarshal([]byte(value), &r.data))
		}
	}
	return r
}

// ended waits for the end of the stream.
func (l *listener) ended() {
	l.t.Helper()
	for {
		if _, err := l.in.ReadString('\n'); err != nil {
			return
		}
	}
}

func agentEvent(seq int64, v agent.View) event.Event {
	view, _ := json.Marshal(v)
	return event.Event{Seq: seq, Tenant: tenant, Stream: event.AgentStream(v.Agent), Version: v.Version, Kind: "changed", At: noon, View: view}
}

func callEvent(seq int64, v call.View) event.Event {
	view, _ := json.Marshal(v)
	return event.Event{Seq: seq, Tenant: tenant, Stream: event.CallStream(v.ID), Version: v.Version, Kind: "Established", At: noon, View: view}
}

func version[V any](v V, set func(*V)) V {
	set(&v)
	return v
}

func TestEvents_AnAgentGetsItsSnapshotThenItsOwnSessionAndCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.feed.from = 40
	mine, other := callFixture("mine", "1001", call.Talking), callFixture("other", "1002", call.Talking)
	h.reader.calls = []call.View{mine, other, callFixture("past", "1001", call.Ended)}
	l := h.listen("1001")
	first := l.next()
	require.Equal(t, "snapshot", first.event)
	require.Equal(t, "40", first.id)
	require.Equal(t, "1001", first.data["session"].(map[string]any)["agent"])
	require.Len(t, first.data["calls"], 1)
	require.Empty(t, first.data["presence"])
	require.Empty(t, first.data["queues"])

	ready := version(sessionFixture("1001", "first"), func(v *agent.View) { v.State, v.Version = agent.Ready, 4 })
	h.feed.events <- agentEvent(41, sessionFixture("1001", "first"))                                                 // version 3 is in the snapshot
	h.feed.events <- agentEvent(42, version(sessionFixture("1002", "first"), func(v *agent.View) { v.Version = 9 })) // a colleague
	h.feed.events <- callEvent(43, version(other, func(v *call.View) { v.Version = 9 }))
	h.feed.events <- agentEvent(44, ready)
	got := l.next()
	require.Equal(t, received{"44", "session", got.data}, got)
	require.Equal(t, "Ready", got.data["state"])

	h.feed.events <- callEvent(45, version(mine, func(v *call.View) { v.Version, v.Agent = 5, "1002" })) // it goes to a colleague:
	require.Equal(t, "45", l.next().id, "its leaving is shown")
	h.feed.events <- callEvent(46, version(mine, func(v *call.View) { v.Version, v.Agent = 6, "1002" }))
	h.feed.events <- callEvent(47, version(mine, func(v *call.View) { v.Version, v.Agent, v.Phase = 7, "1001", call.Offering }))
	require.Equal(t, "47", l.next().id, "what it does there is not")
	h.feed.events <- callEvent(48, version(mine, func(v *call.View) { v.Version, v.Phase = 8, call.Ended }))
	require.Equal(t, "Ended", l.next().data["phase"])
	close(h.feed.events) // too slow, or the feed ended
	l.ended()
	require.Eventually(t, func() bool { return h.api.streams.count() == 0 }, 20*time.Second, time.Millisecond)
	require.Equal(t, 1, h.feed.stopped)
}

// SEED-101: the supervisor sees team and queues in real time.
func TestEvents_ASupervisorSeesTheTeamAndTheQueues(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.presence = []agent.View{sessionFixture("1001", "first"), sessionFixture("1003", "second")}
	h.reader.calls = []call.View{callFixture("abc", "1003", call.Talking)}
	h.reader.queues["support"] = record.QueueLive{Queue: "support"}
	l := h.listen("supervisor")
	first := l.next()
	require.Len(t, first.data["presence"], 1)
	require.Len(t, first.data["calls"], 1)
	require.Equal(t, "support", first.data["queues"].([]any)[0].(map[string]any)["queue"])
	require.NotContains(t, first.data, "session")

	func() {
		defer h.reader.lock()()
		h.reader.queues["support"] = record.QueueLive{Queue: "support", Waiting: []record.WaitingCall{{Call: "new", QueuedAt: noon, Position: 1}}}
	}()
	h.feed.events <- agentEvent(2, version(sessionFixture("1003", "second"), func(v *agent.View) { v.Version = 9 })) // another team
	h.feed.events <- agentEvent(3, version(sessionFixture("1001", "first"), func(v *agent.View) { v.State, v.Version = agent.Ready, 9 }))
	got := l.next()
	require.Equal(t, "presence", got.event)
	require.Equal(t, "Ready", got.data["state"])
	require.Equal(t, "Agent 1001", got.data["name"])
	h.feed.events <- callEvent(4, callFixture("new", "", call.Queued))
	for got = l.next(); got.event == "queue"; got = l.next() { // on a busy machine, the board after the agent's event
	}
	require.Equal(t, "call", got.event)
	board := l.next()
	require.Equal(t, "queue", board.event)
	require.Empty(t, board.id)
	require.Len(t, board.data["waiting"], 1)
}

// Registrations are shown to whoever may see where devices are registered, and to nobody else.
func TestEvents_RegistrationsAreShownToWhoMaySeeDevices(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	came := event.Event{Seq: 8, Tenant: tenant, Stream: "device:1001", Version: 1, Kind: "Registered", At: noon,
		View: json.RawMessage(`{"device":"1001","change":"registered","at":"2026-11-21T12:00:00Z","address":"192.0.2.7:5060","transport":"udp","user_agent":"phone","node":"node-1","registrations":1}`)}
	l := h.listen("admin")
	require.Equal(t, "snapshot", l.next().event)
	h.feed.events <- came
	got := l.next()
	require.Equal(t, "device", got.event)
	require.Equal(t, "8", got.id)
	require.Equal(t, "192.0.2.7:5060 registered 1", fmt.Sprint(got.data["address"], " ", got.data["change"], " ", got.data["registrations"]))

	other := newHouse(t)
	l = other.listen("1001")
	require.Equal(t, "snapshot", l.next().event)
	other.feed.events <- came
	other.feed.events <- agentEvent(9, version(sessionFixture("1001", "first"), func(v *agent.View) { v.Version = 99 }))
	require.Equal(t, "session", l.next().event, "what comes next is something else")
}

func TestEvents_GoOnBehindTheLastSeenWithoutASnapshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.feed.from = 3
	for seq := range int64(5) {
		h.reader.log = append(h.reader.log, agentEvent(seq+1, version(sessionFixture("1001", "first"), func(v *agent.View) { v.Version = seq + 1 })))
	}
	l := h.listen("1001", "Last-Event-ID", "1")
	require.Equal(t, "2", l.next().id)
	require.Equal(t, "3", l.next().id)
	h.feed.events <- h.reader.log[3]
	h.feed.events <- h.reader.log[4]
	require.Equal(t, "4", l.next().id, "beyond the subscription's start it comes once")
	require.Equal(t, "5", l.next().id)

	other := newHouse(t)
	other.feed.from = 3
	ahead := other.listen("1001", "Last-Event-ID", "4") // it has followed another process, which was ahead of this one
	other.feed.events <- h.reader.log[3]
	other.feed.events <- h.reader.log[4]
	require.Equal(t, "5", ahead.next().id)
}

func TestEvents_TooFarBehindOrNonsenseStartsFromASnapshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.feed.from = maxBacklog + 10
	for seq := range int64(maxBacklog + 10) {
		h.reader.log = append(h.reader.log, agentEvent(seq+1, sessionFixture("1001", "first")))
	}
	for _, last := range []string{"1", "x", "-5"} {
		first := h.listen("1001", "Last-Event-ID", last).next()
		require.Equal(t, "snapshot", first.event)
		require.Equal(t, fmt.Sprint(maxBacklog+10), first.id)
	}
}

// Whoever comes back after events behind its last one were deleted begins with what is so
// now, and is not led to believe that nothing happened.
func TestEvents_BehindWhatWasDeleted_StartFromASnapshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.feed.from, h.reader.gone = 5, 4
	h.reader.log = append(h.reader.log, agentEvent(5, sessionFixture("1001", "first")))
	first := h.listen("1001", "Last-Event-ID", "3").next()
	require.Equal(t, "snapshot", first.event)
	require.Equal(t, "5", first.id)
	require.Equal(t, "5", h.listen("1001", "Last-Event-ID", "4").next().id)
}

func TestEvents_EndWhenTokenExpiresRightsChangeOrWeStop(t *testing.T) {
	t.Parallel()
	past := newHouse(t)
	u := past.reader.users["1001"]
	short, err := past.api.tokens.issue(u, "a login", 300*time.Millisecond)
	require.NoError(t, err)
	l := past.listen("1001", "Authorization", "Bearer "+short)
	l.next()
	l.ended()

	changed := newHouse(t, func(c *Config) { c.Heartbeat = 5 * time.Millisecond })
	l = changed.listen("1001")
	l.next()
	require.Equal(t, ": alive", l.block()[0])
	func() {
		defer changed.reader.lock()()
		u.Permissions = append(u.Permissions, account.PresenceRead.At(account.Team))
		changed.reader.users["1001"] = u
	}()
	changed.api.persons.mu.Lock()
	clear(changed.api.persons.known) // as after rightsLife
	changed.api.persons.mu.Unlock()
	l.ended()

	stopped := newHouse(t)
	l = stopped.listen("1001")
	l.next()
	close(stopped.api.stopping)
	l.ended()
}

func TestEvents_StreamsAreBoundedPerUserAndInAll(t *testing.T) {
	t.Parallel()
	s := newStreams(maxStreamsPerUser + 1)
	who := personID{tenant: tenant, name: "1001"}
	var first func()
	for i := range maxStreamsPerUser {
		release, err := s.open(who)
		require.NoError(t, err)
		if i == 0 {
			first = release
		}
	}
	_, err := s.open(who)
	require.Equal(t, fault.TooMany, fault.KindOf(err))
	_, err = s.open(personID{tenant: tenant, name: "1002"})
	require.NoError(t, err)
	_, err = s.open(personID{tenant: tenant, name: "1003"})
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	first()
	first()
	require.Equal(t, maxStreamsPerUser, s.count())
}

func TestEvents_WhatCannotBeReadIsAnAnswerNotABrokenStream(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.commands.away = fault.E(fault.Unavailable, "query", fmt.Errorf("temporal away"))
	require.Equal(t, http.StatusServiceUnavailable, h.ask("1001", "GET", "/v1/events", "").Code)
	require.Equal(t, 1, h.feed.stopped)
	h.feed.away = fault.E(fault.Unavailable, "follow", fmt.Errorf("not started"))
	require.Equal(t, http.StatusServiceUnavailable, h.ask("1001", "GET", "/v1/events", "").Code)
	require.Zero(t, h.api.streams.count())
}

func TestRenderings_EachEventIsRenderedOnceAndFewAreKept(t *testing.T) {
	t.Parallel()
	r := newRenderings()
	first := r.of(agentEvent(1, sessionFixture("1001", "first")))
	require.Same(t, first, r.of(agentEvent(1, sessionFixture("1001", "first"))))
	for seq := range int64(5000) {
		r.of(agentEvent(seq+2, sessionFixture("1001", "first")))
	}
	require.LessOrEqual(t, len(r.kept), len(r.ring))
	broken := r.of(event.Event{Seq: 9999, Stream: "call:x", View: []byte(`{"id":5}`)})
	require.Nil(t, broken.call)
}
