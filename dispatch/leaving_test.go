package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// leaves lets a call come in whose caller hangs up when told, and returns when the
// opening has noticed.
func (d *desk) leaves(t *testing.T, when func(hangUp func())) {
	t.Helper()
	caller, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	when(hangUp)
	in := invited
	in.At = time.Now()
	require.Equal(t, fault.Unavailable, fault.KindOf(d.Incoming(caller, in)))
}

// recorded waits for the end of the call, of which nobody was disturbed.
func (d *desk) recorded(t *testing.T) call.State {
	t.Helper()
	s := d.reaches(t, is(call.Ended))
	require.Equal(t, leg.Abandoned, s.Cause)
	require.Equal(t, "customer", s.EndedBy)
	require.Empty(t, d.phone.begun, "no phone rings")
	return s
}

func TestOpening_CallerHangsUpBeforeItIsPlaced_NobodyIsReservedAndItIsRecorded(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.leaves(t, func(hangUp func()) { hangUp() })
	s := d.recorded(t)
	require.Zero(t, s.Offers)
	require.Equal(t, []id.Agent{"1001", "1002"}, d.books.free)
	require.Empty(t, d.temporal.sent())
	require.Empty(t, d.phone.transcript())
}

func TestOpening_CallerHangsUpWhileTheDatabaseIsAway_IsRecordedWhenItIsBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.away = 1000
	d.leaves(t, func(hangUp func()) { d.phone.treated = hangUp }) // while it hears music
	left := time.Now()
	d.books.back()
	s := d.recorded(t)
	require.Zero(t, s.Offers)
	require.Len(t, d.books.free, 2)
	require.False(t, s.EndedAt.After(left), "it ended when the caller left, not when it could be written")
}

// Between the match and the first ring.
func TestOpening_CallerHangsUpWhenItIsMatched_TheAgentHearsOnceThatTheOfferIsOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.leaves(t, func(hangUp func()) { d.books.placed = hangUp })
	s := d.recorded(t)
	require.Equal(t, 1, s.Offers)
	require.Equal(t, []string{amy + " facts"}, d.temporal.sent(), "offer and end come together")
	require.Empty(t, d.phone.transcript(), "nobody is there to hear ringing")
}

func TestOpening_CallerHangsUpWhenItWaits_ItLeavesTheLineAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(what string) fate {
		if what == "start" {
			return refused // its workflow can't take it out of the line
		}
		return taken
	})
	d.books.free = nil
	d.leaves(t, func(hangUp func()) { d.books.placed = hangUp })
	require.Eventually(t, func() bool {
		d.books.mu.Lock()
		defer d.books.mu.Unlock()
		return d.books.stored[c1].Phase == call.Ended
	}, 10*time.Second, time.Millisecond)
}

// Nobody knows whether the opening was committed: it was, and is taken back as soon as
// that can be known.
func TestOpening_CallerHangsUpWhileTheOutcomeIsUnknown_TheOfferIsTakenBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.mute, d.books.after, d.books.known, d.books.beats = 1, 1, true, true
	d.leaves(t, func(hangUp func()) { d.books.placed = hangUp })
	s := d.recorded(t)
	require.Equal(t, 1, s.Offers)
	require.Equal(t, []string{amy + " facts"}, d.temporal.sent())
}

// A hang-up that comes while the agent is about to be told.
func TestOpening_CallerHangsUpBeforeTheAgentIsTold_OfferAndEndComeTogether(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.phone.treated = func() { d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true}) }
	d.arrive(t)
	require.Equal(t, leg.Abandoned, d.reaches(t, is(call.Ended)).Cause)
	require.Equal(t, []string{amy + " facts"}, d.temporal.sent())
}

// A hang-up that comes while the agent is told does not wait for the workflow either.
func TestOpening_CallerHangsUpWhileTheAgentIsTold_TheEndFollowsAtOnce(t *testing.T) {
	t.Parallel()
	var d *desk
	d = newDesk(t, func(what string) fate {
		if what == "start" {
			return refused
		}
		if d.told.CompareAndSwap(false, true) {
			d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
		}
		return taken
	})
	d.arrive(t)
	require.Eventually(t, func() bool { return len(d.temporal.sent()) == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{amy + " offered", amy + " offer_ended"}, d.temporal.sent())
}

// Whether a call is over is for the call to say: the end of a leg that is not one of the
// two is not the end of the call, and what ends it later is no echo.
func TestReport_LegEndsThatTheCallGoesOnWithout_TheEndOfTheCallIsToldAllTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	ring := d.rings(t)
	d.reaches(t, is(call.Offering))
	require.NoError(t, d.Flush(t.Context()))
	d.attached(d.phone.end(c1, ring, call.RingAnswered))
	d.Report(c1, call.LegEnded{Leg: "supervisor-1", Cause: leg.Hangup, Remote: true})
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.MediaTimeout})
	require.Equal(t, leg.MediaTimeout, d.reaches(t, is(call.Ended)).Cause)
	before := len(d.temporal.sent())
	d.Report(c1, call.LegEnded{Leg: ring.Leg, Cause: leg.MediaTimeout})
	require.NoError(t, d.Flush(t.Context()))
	require.Len(t, d.temporal.sent(), before, "the reflex is told to nobody")
}
