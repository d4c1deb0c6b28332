package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/leg"
)

// talking is a call whose workflow has taken over and whose ring was answered.
func talking(t *testing.T, d *desk) call.Ring {
	t.Helper()
	d.arrive(t)
	ring := d.rings(t)
	d.reaches(t, is(call.Offering))
	require.Eventually(t, func() bool { // until then, facts go to the opening
		d.books.mu.Lock()
		defer d.books.mu.Unlock()
		return d.books.started[c1]
	}, 10*time.Second, time.Millisecond)
	d.attached(d.phone.end(c1, ring, call.RingAnswered))
	return ring
}

func TestReport_PartyHangsUp_ToldOnceAndTheEchoToNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	ring := talking(t, d)
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	d.reaches(t, is(call.Ended))
	d.temporal.mu.Lock()
	d.temporal.over["call:acme.example:c1"] = true // it completes at once
	d.temporal.mu.Unlock()
	d.Report(c1, call.LegEnded{Leg: ring.Leg, Cause: leg.Hangup})
	d.Stop()
	require.Equal(t, []string{"agent:acme.example:1001 offered", "call:acme.example:c1 facts"}, d.temporal.sent())
}

// The ring's outcome goes by the activity, the hang-up by a signal: the signal takes
// the answer along, or the call would be recorded as abandoned.
func TestReport_HangUpOvertakesTheAnswer_RecordSaysAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	ring := d.rings(t)
	d.reaches(t, is(call.Offering))
	d.phone.end(c1, ring, call.RingAnswered) // the workflow does not know yet
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.Equal(t, leg.Hangup, d.reaches(t, is(call.Ended)).Cause)
}

func TestReport_TemporalAwayForAWhile_FactsArriveInOrder(t *testing.T) {
	t.Parallel()
	away := make(chan struct{})
	block := false
	d := newDesk(t, func(string) fate {
		if !block {
			return taken
		}
		select {
		case <-away:
			return taken
		default:
			return refused
		}
	})
	ring := talking(t, d)
	d.temporal.mu.Lock()
	block = true
	d.temporal.mu.Unlock()
	for i := range 6 {
		d.Report(c1, call.LegHeld{Leg: ring.Leg, Held: i%2 == 0})
	}
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	close(away)
	s := d.reaches(t, is(call.Ended))
	holds := 0
	for _, g := range s.Segments {
		if g.Kind == "hold" {
			holds++
		}
	}
	require.Equal(t, 3, holds)
}

func TestReport_QueueCallRings_NobodyIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	ring := talking(t, d)
	d.Report(c1, call.Ringing{Offer: ring.Offer})
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	d.reaches(t, is(call.Ended))
	require.NotContains(t, d.temporal.sent(), "call:acme.example:c1 ringing")
}

func TestRegistered_ComesRefreshesGoes_SessionHearsOfComingAndGoing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	for _, expires := range []time.Duration{time.Minute, 2 * time.Minute, -time.Second} {
		reg := device.Registration{Tenant: "acme.example", Device: "1001", Instance: "a", Expires: time.Now().Add(expires)}
		require.NoError(t, d.Registered(t.Context(), reg))
	}
	require.Eventually(t, func() bool {
		return len(d.temporal.sent()) == 2 || len(d.temporal.sent()) == 1 && d.temporal.sent()[0] == "agent:acme.example:1001 facts"
	}, 10*time.Second, time.Millisecond)
}

func TestStop_TwiceAndBeforeStart_IsSafe(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.Stop()
	d.Stop()
	require.Error(t, d.Incoming(t.Context(), invited))
}
