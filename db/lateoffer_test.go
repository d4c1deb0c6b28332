package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// An agent becomes ready, the phone rings by the prompt, and the caller gives up before
// the call's workflow heard of the match.
func TestCloseCall_CallerLeftBeforeTheCallHeardOfItsMatch_TheRecordHasTheOfferAndItsAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.open(w.arriving("support", t0))
	offer := w.session("1001", "support").ready(t0.Add(time.Second)).Matched.Offer
	require.Zero(t, s.Offers, "the call knows nothing of it")

	s, effects, err := s.Step(t0.Add(time.Hour), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	require.NoError(t, err)
	for range 2 { // what is written twice is written once
		require.NoError(t, w.CloseCall(t.Context(), s.Ref(), *effects[len(effects)-1].Close))
		var offers int
		w.one(&offers, `SELECT offers FROM calls WHERE call = $1`, string(s.ID))
		require.Equal(t, 1, offers)
		var segments string
		w.one(&segments, `SELECT string_agg(concat_ws(' ', kind, agent, offer, cause), ', ' ORDER BY place) FROM segments WHERE call = $1`, string(s.ID))
		require.Equal(t, "waiting abandoned, offer 1001 "+string(offer)+" abandoned", segments)
		var decided string
		w.one(&decided, `SELECT string_agg(agent, ' ') FROM decisions WHERE call = $1 AND agent IS NOT NULL`, string(s.ID))
		require.Equal(t, "1001", decided)
		var had string
		w.one(&had, `SELECT string_agg(agent, ' ') FROM customer_agents`)
		require.Equal(t, "1001", had, "the agent had to do with the customer")
	}
}

// What the call knew of its offers is not added once more.
func TestCloseCall_OffersThatTheCallKnew_StandOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	s := w.open(w.arriving("support", t0))
	require.NotNil(t, s.Offer)
	s = w.step(s, t0.Add(time.Minute), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	var segments string
	w.one(&segments, `SELECT string_agg(kind, ' ' ORDER BY place) FROM segments WHERE call = $1`, string(s.ID))
	require.Equal(t, "waiting offer", segments)
}
