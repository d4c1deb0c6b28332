package call_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// Who withholds its number is not named to the agent who is called; the record has it, and the
// call's hops travel with it.
func TestPrivate_TheCalledAgentIsNotToldWhoCalls(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	s := call.New(call.Incoming{Tenant: "demo", Call: "c1", From: "1002", To: "1001", Agent: "1002", Device: "1002", Private: true, Hops: 12, At: at})
	s, effects, err := s.Step(at, call.Arrived{Route: call.Route{Kind: call.ToAgent, Agent: "1001", Targets: []leg.Address{{Device: "1001", Kind: leg.SIP}}}})
	require.NoError(t, err)
	for _, e := range effects {
		if e.Ring != nil {
			require.True(t, e.Ring.Private)
			require.Equal(t, 12, e.Ring.Hops)
		}
	}
	s, effects, err = s.Step(at, call.Ringing{Offer: "c1/1"})
	require.NoError(t, err)
	require.NotEmpty(t, effects)
	for _, e := range effects {
		require.Equal(t, "1001 anonymous", string(e.Tell.Agent)+" "+e.Tell.From)
	}
	require.Equal(t, "1002", s.View().From)
}

// A record of before knows only why an offer ended, and tells its outcome all the same.
func TestOutcomeOf_EachCauseThatARingEndsBy_IsItsOutcome(t *testing.T) {
	t.Parallel()
	for c, o := range map[leg.Cause]call.Outcome{"": call.RingAnswered, leg.NoAnswer: call.RingNoAnswer, leg.Rejected: call.RingRejected, leg.Busy: call.RingBusy,
		leg.Unreachable: call.RingUnreachable, leg.Rescinded: call.RingRescinded, leg.Looped: call.RingLooped, leg.TrunkBusy: call.RingTrunkBusy, leg.Overload: call.RingOverload, leg.Failed: call.RingFailed} {
		require.Equal(t, o, call.OutcomeOf(c), c)
	}
}
