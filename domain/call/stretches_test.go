package call_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/leg"
)

// tiled proves that a record's stretches follow each other from the arrival to the end,
// and that its sums are the call's whole time.
func tiled(t require.TestingT, r call.Record) {
	begin, end := r.ArrivedAt.Truncate(time.Millisecond), r.EndedAt.Truncate(time.Millisecond)
	at := begin
	for _, s := range r.Stretches() {
		require.True(t, s.From.Equal(at), "%s begins where the one before ends: %s, not %s", s.Kind, s.From, at)
		require.True(t, s.To.After(s.From), "%s lasts", s.Kind)
		at = s.To
	}
	require.True(t, at.Equal(end), "the last ends with the call")
	sums := r.Sums()
	require.Equal(t, end.Sub(begin), sums.Wait+sums.Talk+sums.Hold)
	require.LessOrEqual(t, sums.Ring, sums.Wait)
	if r.AnsweredAt.IsZero() {
		require.Zero(t, sums.Talk+sums.Hold, "nobody talked")
	}
}

// Whatever happens to a call in whatever order: its record adds up.
func TestRecord_OfAnyCall_StretchesAddUpToItsTime(t *testing.T) {
	t.Parallel()
	closed := 0
	rapid.Check(t, func(rt *rapid.T) {
		anything(t, rt, time.Microsecond, func(s call.State, at time.Time, e call.Event) call.State {
			next, effects, err := s.Step(at, e)
			if err != nil {
				return s
			}
			for _, f := range effects {
				if f.Close != nil {
					closed++
					tiled(rt, f.Close.Record)
				}
			}
			return next
		})
	})
	require.Positive(t, closed)
}

// A caller waits, is offered twice, talks, is held by both, one after the other and at once.
func TestRecord_StretchesSayWhatWasWhen(t *testing.T) {
	t.Parallel()
	st := machine(t).Tell(t)
	for _, a := range golden.Acts(t, `10:30:00 invite
10:30:00 arrived queue=support
10:30:00 waiting
10:31:00 matched offer=c1/1 agent=1001
10:31:15 ring_ended offer=c1/1 outcome=rejected
10:31:15 matched offer=c1/2 agent=1002
10:31:20 ring_ended offer=c1/2 outcome=answered leg=agent-2 device=1002
10:32:00 leg_held leg=agent-2 held=yes
10:32:10 leg_held leg=customer held=yes
10:32:20 leg_held leg=agent-2 held=no
10:32:30 leg_held leg=customer held=no
10:35:00 leg_ended leg=customer cause=hangup remote=yes
`) {
		st.Play(a)
	}
	record := closedOf(t, st.State)
	tiled(t, record)
	var got []string
	for _, s := range record.Stretches() {
		got = append(got, fmt.Sprint(s.Kind, " ", s.Agent, " ", s.To.Sub(s.From), " ", s.Cause))
	}
	require.Equal(t, []string{
		"waiting  1m0s ", "offer 1001 15s rejected", "offer 1002 5s ", "talk 1002 40s ", "hold 1002 10s ", "hold  20s ", "talk 1002 2m30s hangup",
	}, got)
	require.Equal(t, call.Sums{Wait: 80 * time.Second, Ring: 20 * time.Second, Talk: 190 * time.Second, Hold: 30 * time.Second}, record.Sums())
}

// The answer of a node that was heard late counts from when it was given.
func TestRecord_AnAnswerThatWasHeardLate_MovesNoBoundary(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r := call.Record{ArrivedAt: at, AnsweredAt: at.Add(5 * time.Second), EndedAt: at.Add(time.Minute), Segments: []call.Segment{
		{Kind: "waiting", From: at.Add(time.Second), To: at.Add(20 * time.Second)},
		{Kind: "offer", From: at.Add(2 * time.Second), To: at.Add(20 * time.Second)},
		{Kind: "talk", From: at.Add(20 * time.Second), To: at.Add(time.Minute), Cause: leg.Hangup},
	}}
	tiled(t, r)
	require.Equal(t, call.Sums{Wait: 5 * time.Second, Ring: 3 * time.Second, Talk: 55 * time.Second}, r.Sums())
	require.Equal(t, "arriving", r.Stretches()[0].Kind)
}

// What a phone said to an offer is kept with it, also when the caller left meanwhile.
func TestRecord_KeepsHowEachRingWent(t *testing.T) {
	t.Parallel()
	m := machine(t)
	rang := time.Date(2026, 11, 21, 10, 31, 1, 0, time.UTC)
	s, at := m.Reach(t, m.Variants[3])
	s, _, err := s.Step(at, call.RingEnded{Offer: s.Offer.ID, Outcome: call.RingRejected, SIPCode: 603, Device: "1001", RangAt: rang})
	require.NoError(t, err)
	first := offerSegments(s)[0]
	require.Equal(t, call.Segment{Kind: "offer", Agent: first.Agent, Queue: first.Queue, Offer: first.Offer, From: first.From, To: at, Cause: leg.Rejected,
		RangAt: rang, Outcome: call.RingRejected, SIPCode: 603, Device: "1001"}, first)

	s, at = m.Reach(t, m.Variants[3])
	s, _, err = s.Step(at, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true, RangAt: rang})
	require.NoError(t, err)
	require.Equal(t, rang, offerSegments(s)[0].RangAt)
	require.Equal(t, leg.Abandoned, offerSegments(s)[0].Cause)
}

func offerSegments(s call.State) (offers []call.Segment) {
	for _, seg := range s.Segments {
		if seg.Kind == "offer" {
			offers = append(offers, seg)
		}
	}
	return offers
}

func closedOf(t *testing.T, s call.State) call.Record {
	t.Helper()
	for _, e := range s.Owed {
		if e.Close != nil {
			return e.Close.Record
		}
	}
	require.Fail(t, "the call is not closed")
	return call.Record{}
}
