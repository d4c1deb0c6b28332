package db_test

import (
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

func requireNotFound(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
}

// step applies an event to a call and carries out what it then owes the journal:
// Place, Save and Close.
func (w *world) step(s call.State, at time.Time, e call.Event) call.State {
	w.Helper()
	s, effects, err := s.Step(at, e)
	require.NoError(w, err)
	for _, x := range effects {
		switch {
		case x.Save != nil:
			require.NoError(w, w.SaveCall(w.Context(), s.Ref(), *x.Save))
		case x.Close != nil:
			require.NoError(w, w.CloseCall(w.Context(), s.Ref(), *x.Close))
		}
	}
	for _, x := range effects {
		if x.Place == nil {
			continue
		}
		placed, err := w.Place(w.Context(), s.Ref(), *x.Place)
		require.NoError(w, err)
		if placed.Matched != nil {
			return w.step(s, at, *placed.Matched)
		}
		return w.step(s, at, *placed.Waiting)
	}
	return s
}

// answer lets the offered agent answer.
func (w *world) answer(s call.State, at time.Time) call.State {
	w.Helper()
	require.NotNil(w, s.Offer)
	return w.step(s, at, call.RingEnded{Offer: s.Offer.ID, Outcome: call.RingAnswered, Leg: "agent-1", Device: id.Device(s.Offer.Agent),
		RangAt: at.Add(-time.Second), AnsweredAt: at})
}

// talk opens a call that the agent answers after five seconds.
func (w *world) talk(s *session, at time.Time) call.State {
	w.Helper()
	s.ready(at)
	return w.answer(w.open(w.arriving("support", at)), at.Add(5*time.Second))
}

// A whole call's record: who, when, how long, and out of the line.
func TestRecord_OfACall_IsCompleteAndWrittenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.talk(w.session("1001", "support"), t0)
	var waiting int
	w.one(&waiting, `SELECT count(*) FROM waiting`)
	require.Zero(t, waiting, "it left the line when the agent answered")
	v, err := w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, s.View().Phase, v.Phase)
	require.Equal(t, id.Agent("1001"), v.Agent)

	s, effects, err := s.Step(t0.Add(65*time.Second), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.NoError(t, err)
	for range 2 {
		for _, x := range effects {
			if x.Close != nil {
				require.NoError(t, w.CloseCall(t.Context(), s.Ref(), *x.Close))
			}
		}
	}
	v, err = w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, s.View(), v.View)
	var talked, waited time.Duration
	var outcome, by string
	require.NoError(t, w.super.QueryRow(t.Context(), `SELECT ended_at - answered_at, answered_at - queued_at, outcome, ended_by FROM calls`).
		Scan(&talked, &waited, &outcome, &by))
	require.Equal(t, time.Minute, talked)
	require.Equal(t, 5*time.Second, waited)
	require.Equal(t, "answered", outcome)
	require.Equal(t, "customer", by)
	var legs, segments, closed int
	w.one(&legs, `SELECT count(*) FROM legs WHERE ended_at IS NOT NULL`)
	w.one(&segments, `SELECT count(*) FROM segments`)
	w.one(&closed, `SELECT count(*) FROM events WHERE kind = 'CallCleared'`)
	require.Equal(t, 2, legs)
	require.Equal(t, len(s.Segments), segments)
	require.Equal(t, 1, closed)
	_, err = w.CallState(t.Context(), s.Ref())
	requireNotFound(t, err)
	_, _, err = w.Open(t.Context(), t0, w.reopened(s))
	require.Equal(t, fault.Conflict, fault.KindOf(err), "a very late retransmission opens nothing")
}

// reopened is the arriving state of the same call.
func (w *world) reopened(s call.State) call.State {
	again := w.arriving(s.Route.Queue.Name, t0)
	again.ID = s.ID
	return again
}

func TestSaveCall_OlderThanTheRow_AddsItsEventAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.talk(w.session("1001", "support"), t0)
	old := s.View()
	old.Version, old.Phase = old.Version-1, call.Queued
	require.NoError(t, w.SaveCall(t.Context(), s.Ref(), call.Save{View: old, Event: "Offered"}))
	v, err := w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, call.Talking, v.Phase)
}

// While Temporal is away, the opening's process advances the call by itself.
func TestAdvance_KeepsTheNewestState_UntilTheWorkflowExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	offered := w.open(w.arriving("support", t0))
	talking := w.answer(offered, t0.Add(time.Second))
	require.NoError(t, w.Advance(t.Context(), talking))
	require.NoError(t, w.Advance(t.Context(), offered), "late")
	stored, err := w.CallState(t.Context(), talking.Ref())
	require.NoError(t, err)
	require.Equal(t, talking, stored)

	orphans, err := w.Orphans(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []call.State{talking}, orphans)
	young, err := w.Orphans(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Empty(t, young)

	require.NoError(t, w.Started(t.Context(), talking.Ref()))
	orphans, err = w.Orphans(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, orphans)
	ended, _, err := talking.Step(t0.Add(time.Minute), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), ended))
	stored, err = w.CallState(t.Context(), talking.Ref())
	require.NoError(t, err)
	require.Equal(t, talking, stored, "the workflow has the word now")
}

func TestAdvance_CallEnds_ItsEndIsToldOnce_AndItLeavesTheLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.open(w.arriving("support", t0))
	ended, effects, err := s.Step(t0.Add(time.Minute), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), ended))
	require.Nil(t, w.session("1001", "support").ready(t0.Add(time.Hour)).Matched)
	for _, x := range effects { // Temporal is back
		if x.Close != nil {
			require.NoError(t, w.CloseCall(t.Context(), s.Ref(), *x.Close))
		}
	}
	var told int
	w.one(&told, `SELECT count(*) FROM events WHERE kind = 'Abandoned'`)
	require.Equal(t, 1, told)
}

func TestCallsOf_ListsTheOpenCallsOfEarlierBoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	lost := w.open(w.arriving("support", t0))
	alive := w.arriving("support", t0)
	alive.Boot = "b2"
	w.open(alive)
	w.end(w.open(w.arriving("support", t0)), leg.Abandoned)
	refs, err := w.CallsOf(t.Context(), "node-1", "b2")
	require.NoError(t, err)
	require.Equal(t, []call.Ref{lost.Ref()}, refs)
	refs, err = w.CallsOf(t.Context(), "node-2", "b2")
	require.NoError(t, err)
	require.Empty(t, refs)
}

func TestCalls_AreListedNewestFirst_InPages_AndFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support", "sales")
	anna := w.session("1001", "support")
	talking := w.talk(anna, t0)
	var want []id.Call
	for i := range 7 {
		q := id.Queue("support")
		if i%2 == 0 {
			q = "sales"
		}
		s := w.open(w.arriving(q, t0.Add(time.Duration(i/2)*time.Minute+time.Second))) // some at the same moment
		want = append(want, s.ID)
		if i == 3 {
			w.end(s, leg.Abandoned)
		}
	}
	want = append(want, talking.ID)
	var got []id.Call
	cursor, pages := "", 0
	for {
		views, next, err := w.Calls(t.Context(), acme, record.CallQuery{Limit: 3, Cursor: cursor})
		require.NoError(t, err)
		for i, v := range views {
			got = append(got, v.ID)
			require.False(t, i > 0 && views[i-1].QueuedAt.Before(v.QueuedAt), "newest first")
		}
		pages++
		if cursor = next; next == "" {
			break
		}
	}
	require.ElementsMatch(t, want, got)
	require.Equal(t, 3, pages)

	live, dead := true, false
	for name, c := range map[string]struct {
		q record.CallQuery
		n int
	}{
		"queue":     {record.CallQuery{Queue: "sales"}, 4},
		"agent":     {record.CallQuery{Agent: "1001"}, 1},
		"nobody's":  {record.CallQuery{Agent: "1009"}, 0},
		"phase":     {record.CallQuery{Phase: call.Talking}, 1},
		"live":      {record.CallQuery{Live: &live}, 7},
		"past":      {record.CallQuery{Live: &dead}, 1},
		"since":     {record.CallQuery{Since: t0.Add(2 * time.Minute)}, 3},
		"until":     {record.CallQuery{Until: t0.Add(time.Second)}, 1},
		"all of it": {record.CallQuery{Queue: "support", Live: &live, Agent: "1001", Phase: call.Talking}, 1},
	} {
		views, _, err := w.Calls(t.Context(), acme, c.q)
		require.NoError(t, err)
		require.Len(t, views, c.n, name)
	}
	for _, wrong := range []string{"x", "AAAA", "MTIgACA"} {
		_, _, err := w.Calls(t.Context(), acme, record.CallQuery{Cursor: wrong})
		require.Equal(t, fault.Invalid, fault.KindOf(err), wrong)
	}
}

// The time line reads like a log book, with the reasons.
func TestTimeline_TellsWhatHappenedAndWhy_InOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.SetClock(func() time.Time { return t0.Add(16 * time.Second) })
	anna, bert := w.session("1001", "support"), w.session("1002", "support")
	anna.ready(t0)
	bert.ready(t0.Add(time.Second))
	s := w.open(w.arriving("support", t0))
	s = w.step(s, t0.Add(16*time.Second), call.RingEnded{Offer: s.Offer.ID, Outcome: call.RingNoAnswer, RangAt: t0.Add(time.Second)})
	w.SetClock(func() time.Time { return t0.Add(20 * time.Second) })
	s = w.answer(s, t0.Add(20*time.Second))
	s = w.step(s, t0.Add(80*time.Second), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.Equal(t, []string{
		"00 Initiated: A call from +4930000001 to 8000 arrived.",
		"00 Queued: The call entered queue support.",
		"00 Decision: Agent 1001 comes first of 2 eligible in queue support by longest idle time.",
		"00 Offered: Offered to agent 1001.",
		"01 Delivered: The phone of agent 1001 rings.",
		"16 OfferExpired: Agent 1001 did not answer. The caller keeps the place in line.",
		"16 Decision: Agent 1002 is the only one eligible in queue support.",
		"16 Offered: Offered to agent 1002.",
		"19 Delivered: The phone of agent 1002 rings.",
		"20 Established: Connected with agent 1002.",
		"20 ConnectionCleared: The connection with +4930000001 ended: hung up.",
		"20 ConnectionCleared: The connection with agent 1002 ended: hung up.",
		"20 CallCleared: The call ended after 1m0s of conversation: hung up (by customer).",
	}, w.line(s))
}

// While a call still talks, its time line says of each offer that came to nothing what it
// will say when the call is over.
func TestTimeline_WhileTheCallTalks_OffersEndedByTheirTrueCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e    call.RingEnded
		told string
	}{
		{call.RingEnded{Outcome: call.RingTrunkBusy, SIPCode: 503, Device: "mobile"}, "OfferRescinded: The offer to agent 1001 was taken back: no line was free."},
		{call.RingEnded{Outcome: call.RingOverload}, "OfferRescinded: The offer to agent 1001 was taken back: no capacity."},
		{call.RingEnded{Outcome: call.RingBusy, SIPCode: 486, Device: "1001", RangAt: t0.Add(time.Second)}, "OfferRejected: Agent 1001 did not take the call: busy (SIP 486 Busy Here). The caller keeps the place in line."},
		{call.RingEnded{Outcome: call.RingNoAnswer, RangAt: t0.Add(time.Second)}, "OfferExpired: Agent 1001 did not answer. The caller keeps the place in line."},
	} {
		w := newWorld(t, "support")
		w.SetClock(func() time.Time { return t0 })
		w.session("1001", "support").ready(t0)
		w.session("1002", "support").ready(t0.Add(time.Second))
		s := w.open(w.arriving("support", t0))
		c.e.Offer = s.Offer.ID
		s = w.answer(w.step(s, t0.Add(10*time.Second), c.e), t0.Add(20*time.Second))
		live := w.line(s)
		require.Contains(t, live, "10 "+c.told)
		s = w.step(s, t0.Add(50*time.Second), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
		require.Equal(t, live, w.line(s)[:len(live)], "the same when it is over")
	}
}

// line is the time line of a call, in words.
func (w *world) line(s call.State) (words []string) {
	w.Helper()
	entries, err := w.Timeline(w.Context(), s.Ref())
	require.NoError(w, err)
	for _, e := range entries {
		words = append(words, e.At.UTC().Format("05 ")+e.Kind+": "+e.Sentence)
	}
	return words
}

func TestQueueLive_ShowsTheLineInOrder_AndWhoServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support", "sales")
	anna := w.session("1001", "support")
	anna.ready(t0)
	w.session("1002", "sales").ready(t0)
	offered := w.open(w.arriving("support", t0))
	late := w.open(w.arriving("support", t0.Add(2*time.Minute)))
	early := w.open(w.arriving("support", t0.Add(time.Minute)))
	live, err := w.QueueLive(t.Context(), acme, "support")
	require.NoError(t, err)
	require.Equal(t, id.Queue("support"), live.Queue)
	require.Len(t, live.Agents, 1)
	require.Equal(t, id.Agent("1001"), live.Agents[0].Agent)
	var line []id.Call
	for i, p := range live.Waiting {
		line = append(line, p.Call)
		require.Equal(t, i+1, p.Position)
		require.Equal(t, p.Call == offered.ID, p.Offering)
	}
	require.Equal(t, []id.Call{offered.ID, early.ID, late.ID}, line)

	all, err := w.Presence(t.Context(), acme)
	require.NoError(t, err)
	require.Len(t, all, 2)
	anna.save(agent.LoggedOff, t0.Add(time.Hour))
	all, err = w.Presence(t.Context(), acme)
	require.NoError(t, err)
	require.Len(t, all, 1)
	_, err = w.QueueLive(t.Context(), acme, "nowhere")
	requireNotFound(t, err)
}

func TestPlace_NobodyIsEligible_TheDecisionSaysWhatKeepsEachMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	s := w.open(w.arriving("support", t0))
	require.Equal(t, call.Queued, s.Phase)
	var reason string
	w.one(&reason, `SELECT decision->>'reason' FROM decisions WHERE agent IS NULL ORDER BY id DESC LIMIT 1`)
	require.Equal(t, "Agent 1001 is not eligible: signed out.", reason)

	anna := w.session("1001")
	because := map[string]func(){
		"not checked in":        func() { anna.save(agent.NotReady, t0) },
		"NotReady (LUNCH)":      func() { anna.p.Queues = members("support"); anna.v.Reason = "LUNCH"; anna.save(agent.NotReady, t0) },
		"no phone of the agent": func() { anna.v.Reason = ""; anna.unreachable(t0) },
		"Ready (delayed: no line was free)": func() {
			anna.v.Delay = &agent.Delay{Until: t0.Add(time.Hour), Cause: leg.TrunkBusy}
			anna.unreachable(t0)
		},
		"Busy, NotReady is pending": func() {
			anna.v.Delay = nil
			anna.v.Pending = &agent.Pending{Status: agent.NotReady}
			anna.save(agent.Busy, t0)
		},
		"has an offer": func() { anna.v.Pending = nil; anna.ready(t0) },
	}
	for _, why := range []string{"not checked in", "NotReady (LUNCH)", "no phone of the agent", "Ready (delayed: no line was free)", "Busy, NotReady is pending", "has an offer"} {
		because[why]()
		w.open(w.arriving("support", t0.Add(time.Minute)))
		w.one(&reason, `SELECT decision->>'reason' FROM decisions WHERE agent IS NULL ORDER BY id DESC LIMIT 1`)
		require.Contains(t, reason, why)
	}
}

func members(queues ...id.Queue) (list []agent.Membership) {
	for _, q := range queues {
		list = append(list, agent.Membership{Queue: q, CheckedIn: true})
	}
	return list
}

// unreachable saves the session as Ready with no phone that rings.
func (s *session) unreachable(since time.Time) {
	s.Helper()
	save := s.state(agent.Ready, since)
	save.Presence.Available = false
	_, err := s.SaveAgent(s.Context(), save)
	require.NoError(s, err)
}
