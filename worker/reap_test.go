package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"holdfast/dispatch"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// terminate does to a session what an operator can do in the Web UI.
func (r *rig) terminate(number id.Agent) {
	r.Helper()
	require.NoError(r, ground.client.TerminateWorkflow(r.Context(), id.AgentWorkflow(r.tenant, number), "", "by an operator"))
}

// waitSignedOut waits until nobody sees a session of the agent any more.
func (r *rig) waitSignedOut(number id.Agent) {
	r.Helper()
	require.Eventually(r, func() bool {
		all, err := ground.db.Presence(r.Context(), r.tenant)
		for _, v := range all {
			if v.Agent == number {
				return false
			}
		}
		return err == nil
	}, patience, 20*time.Millisecond)
}

// wantCall signs an agent in and makes it Ready, for whoever waits.
func (r *rig) wantCall(number id.Agent) {
	r.Helper()
	r.signIn(number)
	r.ask(number, agent.GoReady{})
}

func TestReaper_ReadySessionIsTerminated_AgentIsSignedOutAndTheNextCallerWaitsForAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.d.Start()
	r.ready("1001")
	r.terminate("1001")
	r.waitSignedOut("1001")
	r.incoming("8000")
	r.waitSaid("treat customer music")
	r.wantCall("1002")
	ring := r.rings("1002")
	require.Equal(r, 1, ring.Offer.N(), "nobody was offered it before")
	r.serve(ring, "1002")
	r.ready("1001") // signs in again, as after any sign-out
}

func TestReaper_SessionIsTerminatedWhileItsPhoneRings_TheRingIsTakenBackAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.d.Start()
	r.ready("1001")
	r.incoming("8000")
	r.rings("1001")
	r.waitState("1001", agent.Reserved)
	r.terminate("1001")
	r.waitSaid("cancel 1")
	r.waitSignedOut("1001")
	r.wantCall("1002")
	ring := r.rings("1002")
	require.Equal(r, leg.Hangup, r.serve(ring, "1002").Cause)
}

// Its match is committed, and then nobody is left to tell the call.
func TestReaper_SessionIsTerminatedBeforeItTellsItsMatch_CallGetsItsOldPlaceBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.incoming("8000")
	r.waitSaid("treat customer music")
	r.incoming("8000")
	v := r.signIn("1001")
	r.terminate("1001")
	v.State, v.Version, v.Since = agent.Ready, v.Version+1, time.Now()
	saved, err := ground.db.SaveAgent(t.Context(), agent.Save{View: v, Presence: agent.Presence{
		Tenant: r.tenant, Agent: "1001", Status: agent.Ready, Available: true, Queues: v.Memberships,
		Addresses: address("1001"), Method: "all", Version: v.Version,
	}})
	require.NoError(t, err)
	require.Equal(t, id.NewOffer(first.Call, 1), saved.Matched.Offer)

	r.d.Start()
	r.waitSignedOut("1001")
	require.Eventually(t, func() bool {
		live, err := ground.db.QueueLive(t.Context(), r.tenant, "support")
		return err == nil && live.Waiting[0].Call == first.Call && !live.Waiting[0].Offering
	}, patience, 20*time.Millisecond)
	r.wantCall("1002")
	ring := r.rings("1002")
	require.Equal(r, id.NewOffer(first.Call, 2), ring.Offer, "before the caller who came later")
}

// Nobody has noticed yet that the session is gone: the phone is given up as soon as its
// session can't be told.
func TestQueueCall_MatchedWithATerminatedSession_NextAgentRingsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	r.ready("1002")
	r.terminate("1001")
	r.incoming("8000")
	ghost := r.rings("1001")
	ring := r.rings("1002") // for the full time of the first we would not wait
	require.Equal(r, call.RingRescinded, ghost.ended.Outcome)
	r.serve(ring, "1002")
}

// looks counts the looks at reservations of which the lease of an offer is over.
type looks struct {
	*ledger
	lease time.Time
	late  atomic.Int32
}

func (l *looks) Overdue(ctx context.Context, by time.Time, boot string) ([]record.Reservation, time.Time, error) {
	list, next, err := l.ledger.Overdue(ctx, by, boot)
	if err == nil && by.After(l.lease) {
		l.late.Add(1)
	}
	return list, next, err
}

// No worker is there while a phone rings and is answered: the row says that it rings, and
// only its node knows better. Not parallel: the other tests need the worker.
func TestReaper_OfAnotherProcess_LeavesAnAnsweredOfferToItsNode(t *testing.T) {
	r := newRigThatRings(t, 5*time.Second) // it is answered meanwhile, and its lease runs out
	r.ledger.wrapUp = time.Minute          // it is looked at
	r.beats(r.boot)
	r.ready("1001")
	ref := r.incoming("8000")
	ring := r.rings("1001")
	v := r.waitState("1001", agent.Reserved)
	require.Eventually(t, func() bool {
		_, next, err := ground.db.Overdue(t.Context(), time.Now(), r.boot)
		return err == nil && !next.IsZero()
	}, patience, 20*time.Millisecond, "it has its workflow")
	ground.shared.Stop()
	r.phone.answer(ring)

	books := &looks{ledger: r.ledger, lease: v.Offer.Deadline.Add(call.RingGrace)}
	other := dispatch.New(dispatch.Config{
		Temporal: ground.client, Ledger: books, Journal: ground.journal, Log: quiet(),
		ReapEvery: 100 * time.Millisecond, ReapAfter: time.Millisecond,
	})
	other.Start()
	require.Eventually(t, func() bool { return books.late.Load() > 20 }, 2*patience, 50*time.Millisecond, "long enough to be told")
	other.Stop()
	events := ground.client.GetWorkflowHistory(t.Context(), workflowOf(ref), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		require.NotEqual(t, string(call.KindOfferRefused), e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName())
	}
	ground.shared = sharedWorker()
	ground.shared.Start()

	r.waitState("1001", agent.Busy)
	r.hangUp(ring)
	require.Equal(t, leg.Hangup, r.waitEnded(ref).Cause)
	require.Empty(t, r.waitState("1001", agent.WorkingAfterCall).Reason)
}
