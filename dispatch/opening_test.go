package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
)

func is(p call.Phase) func(call.State) bool {
	return func(s call.State) bool { return s.Phase == p }
}

func TestOpening_FreeAgent_RingsAtOnceAndWorkflowOwesOnlyTheRing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	ring := d.rings(t)
	require.EqualValues(t, "1001", ring.Agent)
	s := d.reaches(t, is(call.Offering))
	require.Len(t, s.Owed, 1, "what is quick is done before the workflow starts: %v", s.Owed)
	require.NotNil(t, s.Owed[0].Ring)
	require.Equal(t, []string{"agent:acme.example:1001 offered"}, d.temporal.sent())
}

func TestOpening_NobodyFree_CallerHearsMusicAndWorkflowOwesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.free = nil
	d.arrive(t)
	require.Empty(t, d.reaches(t, is(call.Queued)).Owed)
	require.Equal(t, []string{"treat music"}, d.phone.transcript())
}

func TestOpening_UnknownNumber_NotFound(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.route = call.Route{Kind: call.ToNobody}
	require.Equal(t, fault.NotFound, fault.KindOf(d.Incoming(t.Context(), invited)))
}

func TestOpening_DatabaseBackInTime_CallerHeardMusicAndIsPlaced(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.away = 2
	d.arrive(t)
	d.rings(t)
	require.Equal(t, "treat music", d.phone.transcript()[0])
}

func TestOpening_DatabaseStaysAway_Unavailable(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.away = 1000
	require.Equal(t, fault.Unavailable, fault.KindOf(d.Incoming(t.Context(), invited)))
}

func TestOpening_CommittedButItsAnswerLost_GoesOnFromTheStateStored(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.mute = 1
	d.arrive(t)
	require.EqualValues(t, "1001", d.rings(t).Agent)
	d.reaches(t, is(call.Offering))
}

// What was committed, and whose answer was lost, may be over before the next try.
func TestOpening_CommittedAndOverMeanwhile_IsRefusedAndNothingIsDriven(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.mute, d.books.over = 1, true
	in := invited
	in.At = time.Now()
	require.Equal(t, fault.Conflict, fault.KindOf(d.Incoming(t.Context(), in)))
	require.Equal(t, []string{"treat music"}, d.phone.transcript(), "while the database seemed away")
	_, runs := d.temporal.workflow(c1)
	require.False(t, runs)
}

// Nobody else takes a call whose node lives: whoever gave its opening up ends it, and the
// agent that was reserved for it comes free.
func TestOpening_GivenUpAfterItWasCommitted_IsEndedWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	for cause, patience := range map[leg.Cause]time.Duration{leg.Failed: time.Minute, leg.Abandoned: 20 * time.Millisecond} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, well)
			d.books.mute, d.books.after, d.books.known, d.books.beats = 1, 1000, true, true
			d.Start()
			in := invited
			in.At = time.Now()
			ctx, hangUp := context.WithTimeout(t.Context(), patience)
			defer hangUp()
			require.Equal(t, fault.Unavailable, fault.KindOf(d.Incoming(ctx, in)))
			_, runs := d.temporal.workflow(c1)
			require.False(t, runs)
			d.books.back()
			s := d.reaches(t, is(call.Ended))
			require.Equal(t, cause, s.Cause)
			require.Empty(t, d.phone.begun, "no phone rings for it")
			told := slices.ContainsFunc(s.Owed, func(f call.Effect) bool { return f.Tell != nil && f.Tell.What == call.TellOfferEnded })
			require.True(t, told || slices.Contains(d.temporal.sent(), amy+" facts"), "%v %v", s.Owed, d.temporal.sent())
			require.Eventually(t, func() bool {
				d.books.mu.Lock()
				defer d.books.mu.Unlock()
				return d.books.started[c1]
			}, 10*time.Second, time.Millisecond)
		})
	}
}

// The same caller comes again while the database is away, and this time stays: the call
// that an earlier INVITE left is the caller's own.
func TestOpening_GivenUpAndTheCallerComesAgain_TheCallGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.mute, d.books.after, d.books.known, d.books.beats = 1, 1000, true, true
	in := invited
	in.At = time.Now()
	require.Error(t, d.Incoming(t.Context(), in))
	d.books.mu.Lock()
	d.books.away = 2
	d.books.mu.Unlock()
	require.NoError(t, d.Incoming(t.Context(), in))
	d.rings(t)
	d.Start()
	require.Eventually(t, func() bool { return d.books.looked() > 2 }, 10*time.Second, time.Millisecond)
	s, _ := d.temporal.workflow(c1)
	require.Equal(t, call.Offering, s.Phase)
}

// However late the COMMIT of an opening shows up that was given up long ago: its call has
// nobody, and is ended.
func TestOpening_CommittedLongAfterItWasGivenUp_IsFoundAndEnded(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.known, d.books.beats = true, true
	d.Start()
	looks := func(n int) bool { return d.books.looked() >= n }
	require.Eventually(t, func() bool { return looks(3) }, 10*time.Second, time.Millisecond)
	in := invited
	in.At = time.Now()
	s, _, err := call.New(in).Step(in.At, call.Arrived{Route: d.books.route})
	require.NoError(t, err)
	_, _, err = d.books.Open(t.Context(), in.At, s)
	require.NoError(t, err)
	ended := d.reaches(t, is(call.Ended))
	require.Equal(t, leg.Failed, ended.Cause)
	require.Empty(t, d.phone.begun, "no phone rings for it")
	require.Contains(t, d.temporal.sent(), amy+" facts")
}

// A call that is slow to be opened is nobody's orphan.
func TestOpening_TakesItsTime_IsNotTakenForForsaken(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.mute, d.books.after, d.books.beats = 1, 1, true // its first answer is lost
	d.Start()
	d.arrive(t)
	d.rings(t)
	require.Equal(t, call.Offering, d.reaches(t, is(call.Offering)).Phase)
}

func (b *books) back() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = 0
}

func TestOpening_FormerCallOfTheSameInviteIsStillOpen_TryAgainLater(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	d.rings(t)
	require.Equal(t, fault.Unavailable, fault.KindOf(d.Incoming(t.Context(), invited)))
}

// SEED-108 has the node cancel the rest; here the first agent does not answer.
func TestOpening_TemporalAway_NextAgentRingsAndTheWorkflowCatchesUp(t *testing.T) {
	t.Parallel()
	gate := newGate()
	d := newDesk(t, gate.next)
	d.arrive(t)
	d.phone.end(c1, d.rings(t), call.RingNoAnswer)
	next := d.rings(t)
	require.EqualValues(t, "1002", next.Agent)
	d.phone.end(c1, next, call.RingAnswered)
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	gate.open()
	s := d.reaches(t, is(call.Ended))
	require.Equal(t, leg.Hangup, s.Cause)
	require.False(t, s.AnsweredAt.IsZero())
}

// gate lets nothing through until it is opened.
type gate struct{ opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{})} }

func (g *gate) open() { close(g.opened) }

func (g *gate) next(string) fate {
	select {
	case <-g.opened:
		return taken
	default:
		return refused
	}
}

// Whatever becomes of starts and signals, and whenever facts come: each fact reaches
// the workflow, in order, and it ends where the world ended. Each seed is one story.
func TestOpening_AnyFateOfStartsAndSignals_WorkflowEndsWhereTheWorldDid(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tell(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

// tell tells one story: a ring, an answer, some holds, a hang-up, while Temporal fails
// now and then.
func tell(t *testing.T, chance *rand.Rand) {
	var fates []fate
	for range chance.IntN(6) {
		fates = append(fates, fate(chance.IntN(3)))
	}
	d := newDesk(t, func(string) fate {
		if len(fates) == 0 {
			return taken
		}
		f := fates[0]
		fates = fates[1:]
		return f
	})
	d.temporal.slow = time.Duration(chance.IntN(3)) * time.Millisecond
	idle := func() { time.Sleep(time.Duration(chance.IntN(4)) * time.Millisecond) }

	d.arrive(t)
	ring := d.rings(t)
	idle()
	d.Report(c1, call.Ringing{Offer: ring.Offer})
	idle()
	answer := d.phone.end(c1, ring, call.RingAnswered)
	holds := chance.IntN(4)
	for i := range 2 * holds {
		idle()
		d.Report(c1, call.LegHeld{Leg: ring.Leg, Held: i%2 == 0})
	}
	idle()
	d.attached(answer)
	d.Report(c1, call.LegEnded{Leg: ring.Leg, Cause: leg.Hangup, Remote: true})
	d.Report(c1, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup})

	s := d.reaches(t, is(call.Ended))
	require.Equal(t, leg.Hangup, s.Cause)
	require.Equal(t, "agent:1001", s.EndedBy)
	held := slices.DeleteFunc(slices.Clone(s.Segments), func(g call.Segment) bool { return g.Kind != "hold" })
	require.Len(t, held, holds, "%v", s.Segments)
}

// attached lets the workflow's own ring activity answer, as it does as soon as the
// workflow runs.
func (d *desk) attached(e call.RingEnded) {
	d.temporal.mu.Lock()
	defer d.temporal.mu.Unlock()
	for _, w := range d.temporal.calls {
		w.step(time.Now(), e)
	}
}

func TestOpening_TreatFails_CallerIsGoneAndTheCallEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.phone.broken = fault.E(fault.NotFound, "treat", errors.New("no such leg"))
	d.arrive(t)
	require.Equal(t, leg.Abandoned, d.reaches(t, is(call.Ended)).Cause)
}

func TestSweeper_OpenCallWithoutWorkflow_StartsItOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	in := invited
	in.At, in.Boot = time.Now(), "b0" // of a run that is dead
	s, _, err := call.New(in).Step(in.At, call.Arrived{Route: d.books.route})
	require.NoError(t, err)
	s, _, err = d.books.Open(t.Context(), in.At, s)
	require.NoError(t, err)
	d.Start()
	require.Equal(t, s, d.reaches(t, is(call.Offering)))
	require.Eventually(t, func() bool {
		d.books.mu.Lock()
		defer d.books.mu.Unlock()
		return d.books.started[c1]
	}, 10*time.Second, time.Millisecond)
}
