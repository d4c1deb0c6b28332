package worker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/leg"
)

func TestQueueCall_FreeAgent_RingsTalksWrapsUpAndIsReadyAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")

	ref := r.incoming("8000")
	ring := r.phone.next(r)
	require.Equal(r, ref, ring.ref)
	r.waitState("1001", agent.Reserved)
	r.phone.answer(ring)
	busy := r.waitState("1001", agent.Busy)
	require.Equal(r, leg.InboundQueue, busy.CallClass)

	r.d.Report(ref, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	r.d.Report(ref, call.LegEnded{Leg: ring.Leg, Cause: leg.Hangup})
	ended := r.waitEnded(ref)
	require.Equal(r, leg.Hangup, ended.Cause)
	r.waitState("1001", agent.WorkingAfterCall)
	r.waitState("1001", agent.Ready)
}
