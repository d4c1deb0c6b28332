package call_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/leg"
)

// Whatever happens in whatever order, the state stays one that makes sense, the
// receiver of Step is not touched, and the same step gives the same again.
func TestStep_AnyEventsInAnyOrder_KeepTheStateSound(t *testing.T) {
	t.Parallel()
	m := machine(t)
	rapid.Check(t, func(rt *rapid.T) {
		anything(t, rt, time.Millisecond, func(s call.State, at time.Time, e call.Event) call.State { return soundStep(t, m, s, at, e) })
	})
}

// anything lets events happen in any order to a call in any state, up to 5 s apart in units
// of grain; step is what becomes of each.
func anything(t *testing.T, rt *rapid.T, grain time.Duration, step func(s call.State, at time.Time, e call.Event) call.State) {
	m := machine(t)
	s, at := m.Reach(t, rapid.SampledFrom(m.Variants).Draw(rt, "start"))
	for range rapid.IntRange(1, 40).Draw(rt, "length") {
		e := rapid.SampledFrom(m.Columns).Draw(rt, "event").Make(s)
		due, d := s.Deadline()
		if d != nil && rapid.IntRange(0, 7).Draw(rt, "wait") == 0 {
			e, at = d, golden.Later(at, due)
		}
		if e == nil {
			continue
		}
		at = at.Add(time.Duration(rapid.IntRange(0, int(5*time.Second/grain)).Draw(rt, "later")) * grain)
		s = step(s, at, e)
	}
}

func soundStep(t *testing.T, m *proof, s call.State, at time.Time, e call.Event) call.State {
	next, effects := m.SoundStep(t, s, at, e)
	require.GreaterOrEqual(t, next.Version, s.Version)
	sound(t, next, effects)
	return next
}

// sound holds in every state.
func sound(t *testing.T, s call.State, effects []call.Effect) {
	require.Equal(t, s.Phase == call.Offering, s.Offer != nil, "an offer is out exactly while Offering")
	_, due := s.Deadline()
	require.Equal(t, s.Over(), due == nil, "every phase has an end")
	counts := map[string]int{}
	for _, o := range s.Owed {
		counts[golden.KindOf(o)]++
	}
	require.LessOrEqual(t, counts["ring"], 1, "one offer at a time")
	require.LessOrEqual(t, counts["place"], 1)
	require.LessOrEqual(t, counts["save"]+counts["close"], 1, "a Save supersedes those before it")
	if s.Phase != call.Offering {
		require.Zero(t, counts["ring"], "nothing rings in %s", s.Phase)
	}
	if s.Phase != call.Queued {
		require.Zero(t, counts["place"], "nobody is in line in %s", s.Phase)
	}
	if s.Phase == call.Ended {
		require.True(t, s.Cause.Valid(), s.Cause)
		require.NotEmpty(t, s.EndedBy)
		require.Equal(t, !s.Closed, counts["close"] == 1, "an ended call is closed, or will be")
		for _, l := range s.Legs {
			require.Equal(t, leg.Ended, l.State, "leg %s of an ended call", l.ID)
			require.False(t, l.EndedAt.IsZero())
		}
		for _, seg := range s.Segments {
			require.False(t, seg.To.IsZero(), "segment %s of an ended call is open", seg.Kind)
		}
	}
	for _, e := range effects {
		require.Contains(t, s.Owed, e, "what is emitted is owed")
	}
}

// From every state, with every further fact lost, the deadlines alone end the call;
// then only what must not be lost is asked for, until it is answered.
func TestDeadlines_AllFactsLost_EveryCallEnds(t *testing.T) {
	t.Parallel()
	m := machine(t)
	for _, s := range append(m.Reached(t), m.OneStepOn(t)...) {
		for range 10 {
			at, e := s.Deadline()
			if s.Phase == call.Ended || e == nil {
				break
			}
			s, _, _ = s.Step(at, e)
		}
		require.Equal(t, call.Ended, s.Phase)
		for range 10 { // minutes in which nothing is answered
			at, e := s.Deadline()
			if e != nil {
				s, _, _ = s.Step(at, e)
			}
		}
		for _, o := range s.Owed {
			require.NotNil(t, o.Close, "%s is given up at some time", o.Words())
			s, _, _ = s.Step(s.StuckAt, call.Done{Seq: o.Seq})
		}
		require.True(t, s.Over())
	}
}

// A Save that takes the call out of the line is not undone by one that follows.
func TestSave_SupersedesButStillLeavesTheLine(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[3])
	s, _, _ = s.Step(at, call.RingEnded{Offer: "c1/1", Outcome: call.RingAnswered, Leg: "agent-1"})
	s, effects, _ := s.Step(at, call.LegHeld{Leg: "agent-1", Held: true})
	require.Len(t, effects, 1)
	require.True(t, effects[0].Save.Leave)
	require.Equal(t, "Held", effects[0].Save.Event)
	require.Equal(t, 1, countSaves(s))
}

func countSaves(s call.State) (n int) {
	for _, e := range s.Owed {
		if e.Save != nil {
			n++
		}
	}
	return n
}

// What is kept for good: who waited how long, who was asked, who talked, who held.
func TestClose_RecordTellsTheWholeCall(t *testing.T) {
	t.Parallel()
	st := machine(t).Tell(t)
	var closed *call.Record
	for _, a := range golden.Acts(t, `10:30:00 invite
10:30:00 arrived queue=support
10:30:00 waiting
10:31:00 matched offer=c1/1 agent=1001
10:31:15 ring_ended offer=c1/1 outcome=no_answer
10:31:15 matched offer=c1/2 agent=1002
10:31:20 ring_ended offer=c1/2 outcome=answered leg=agent-2 device=1002
10:32:00 leg_held leg=agent-2 held=yes
10:32:30 leg_held leg=agent-2 held=no
10:35:00 leg_ended leg=customer cause=hangup remote=yes
`) {
		st.Play(a)
	}
	for _, e := range st.State.Owed {
		if e.Close != nil {
			closed = &e.Close.Record
		}
	}
	require.NotNil(t, closed)
	require.Equal(t, "answered", closed.Outcome)
	require.Equal(t, "customer", closed.EndedBy)
	require.Equal(t, 2, closed.Offers)
	require.Equal(t, 80*time.Second, closed.AnsweredAt.Sub(closed.QueuedAt))
	var kinds []string
	for _, seg := range closed.Segments {
		kinds = append(kinds, seg.Kind+" "+string(seg.Agent)+" "+seg.To.Sub(seg.From).String()+" "+string(seg.Cause))
	}
	require.Equal(t, []string{
		"waiting  1m20s ", "offer 1001 15s no_answer", "offer 1002 5s ", "talk 1002 3m40s hangup", "hold 1002 30s ",
	}, kinds)
}

func TestDecode_ReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	m := machine(t)
	s, _ := m.Reach(t, m.Variants[3])
	m.ReadsWhatWasWritten(t, s)
	_, err := call.Decode(call.KindHangUp, []byte("{"))
	require.Error(t, err)
}

func TestWords_MaskNumbersAndNameEverything(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		s, _ := reach(t, v)
		require.NotContains(t, s.Describe(), "1234567")
		for _, c := range columns(t) {
			if e := c.Make(s); e != nil {
				require.NotContains(t, s.Words(e), "1234567")
				require.NotEqual(t, string(e.Kind()), call.Words(e), "%s has no sentence", e.Kind())
			}
		}
		for _, e := range s.Owed {
			require.NotContains(t, e.Words(), "1234567")
			require.NotEqual(t, "Nothing", e.Words())
		}
	}
	s, _ := reach(t, variants()[3])
	require.Equal(t, "Offer 1 to 1001 ran out unanswered", s.Words(call.RingEnded{Offer: "c1/1", Outcome: call.RingNoAnswer}))
	require.Equal(t, "Offer 1 ran out unanswered", call.Words(call.RingEnded{Offer: "c1/1", Outcome: call.RingNoAnswer}))
}
