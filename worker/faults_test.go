package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/worker"
)

// Temporal is away while a caller arrives, talks and hangs up: matched, connected, and
// recorded when it is back. Not parallel: the other tests need Temporal.
func TestTemporalAway_CallerArrives_TalksAndIsRecordedWhenItIsBack(t *testing.T) {
	r := newRigThatRings(t, 2*time.Second)
	r.ready("1001")
	r.ready("1002")
	ground.temporal.Kill()
	_, err := r.d.Agent(r.Context(), r.agent("1001"), agent.GoNotReady{})
	require.Error(t, err)

	ref := r.incoming("8000")
	deaf := r.phone.next(r)
	next := r.phone.next(r) // the first offer ran out: the next agent, without Temporal
	require.NotEqual(t, deaf.Agent, next.Agent)
	require.Equal(t, 2, next.Offer.N())
	r.phone.answer(next)
	r.hangUp(next)

	require.NoError(t, ground.temporal.Restart(r.Context()))
	ended := r.waitEnded(ref)
	require.Equal(t, leg.Hangup, ended.Cause)
	require.Equal(t, agent.ReasonRONA, r.waitState(deaf.Agent, agent.NotReady).Reason)
	r.waitState(next.Agent, agent.Ready)
	r.record("temporal_away", workflowOf(ref), r.session(next.Agent))
}

// The worker is restarted while they talk; wrap-up begins and ends all the same. Not
// parallel: the other tests need the worker.
func TestWorkerRestart_WhileTheyTalkAndInWrapUp_NothingIsLost(t *testing.T) {
	r := newRig(t)
	r.ledger.wrapUp = 6 * time.Second // a busy machine must not miss it
	ref, ring := r.connected("1001")
	restart(t)
	r.hangUp(ring)
	r.waitEnded(ref)
	r.waitState("1001", agent.WorkingAfterCall)
	restart(t)
	r.waitState("1001", agent.Ready)
	r.record("worker_restarted", workflowOf(ref), r.session("1001"))
}

func restart(t *testing.T) {
	t.Helper()
	ground.shared.Stop()
	ground.shared = sharedWorker()
	ground.shared.Start()
}

func TestNodeGuard_NodeStartsAnew_CallsOfItsEarlierRunAreLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	ref := r.incoming("8000")
	r.phone.answer(r.phone.next(r))
	r.waitState("1001", agent.Busy)

	r.worker.Stop()
	second := r.boots("boot-2", ground.client)
	require.Equal(t, leg.NodeLost, r.waitEnded(ref).Cause)
	r.waitState("1001", agent.Ready)
	r.waitGuard(true)
	second.Stop()
	r.waitGuard(false)
	r.record("node_starts_anew", workflowOf(ref), id.NodeWorkflow(r.node))
}

func TestNodeGuard_NodeFallsSilent_ItsCallsAreLostWithinSeconds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.wrapUp = time.Minute // it is looked at
	own, err := client.Dial(client.Options{HostPort: ground.temporal.Frontend(), Logger: sdklog.NewStructuredLogger(quiet())})
	require.NoError(t, err)
	r.waitGuard(true)
	r.worker.Stop()
	r.waitGuard(false)
	r.boots("boot-1", own)
	r.waitGuard(true)
	r.ready("1001")
	ref := r.incoming("8000")
	r.phone.answer(r.phone.next(r))
	r.waitState("1001", agent.Busy)

	begun := time.Now()
	own.Close() // as a process does that dies: no beat comes any more
	require.Equal(t, leg.NodeLost, r.waitEnded(ref).Cause)
	require.Less(t, time.Since(begun), 15*time.Second)
	r.waitState("1001", agent.WorkingAfterCall) // they did talk
	r.waitGuard(false)
	r.record("node_falls_silent", workflowOf(ref), id.NodeWorkflow(r.node))
	r.record("node_given_up_by_two", id.NodeWorkflow(r.node))
}

// A node is cut off from Temporal while two talk, but writes its heartbeat: nobody is
// told anything. When it is back, its guard watches it as before.
func TestNodeGuard_NodeIsCutOffButBeatsInTheRegistry_TheirTalkGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.wrapUp = time.Minute // it is looked at
	r.beats("boot-1")
	own, err := client.Dial(client.Options{HostPort: ground.temporal.Frontend(), Logger: sdklog.NewStructuredLogger(quiet())})
	require.NoError(t, err)
	r.waitGuard(true)
	r.worker.Stop()
	r.waitGuard(false)
	r.boots("boot-2", own)
	r.boot = "boot-2"
	r.beats("boot-2")
	r.waitGuard(true)
	ref, ring := r.connected("1001")

	own.Close()
	require.Eventually(t, func() bool { return r.guardAsked("Witness") >= 2 }, 2*patience, 100*time.Millisecond)
	back := r.boots("boot-2", ground.client)
	r.waitGuard(true)
	require.Equal(t, agent.Busy, r.waitState("1001", agent.Busy).State)
	r.hangUp(ring)
	require.Equal(t, leg.Hangup, r.waitEnded(ref).Cause)
	r.waitState("1001", agent.WorkingAfterCall)
	back.Stop()
	r.waitGuard(false)
	r.record("node_cut_off", workflowOf(ref), id.NodeWorkflow(r.node))
}

// beats writes the node's heartbeat until the test is over.
func (r *rig) beats(boot string) {
	n := device.Node{Name: r.node, Boot: boot, Address: "127.0.0.1:5060", Started: time.Now()}
	beat := func() {
		_, err := ground.db.Beat(context.Background(), n)
		require.NoError(r, err)
	}
	beat()
	ctx, end := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		ticks := time.NewTicker(500 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
				beat()
			}
		}
	})
	r.Cleanup(func() { end(); done.Wait() })
}

// guardAsked counts the activities of that name that the node's guard has scheduled.
func (r *rig) guardAsked(name string) (n int) {
	r.Helper()
	events := ground.client.GetWorkflowHistory(r.Context(), id.NodeWorkflow(r.node), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(r, err)
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil && a.GetActivityType().GetName() == name {
			n++
		}
	}
	return n
}

// boots begins a run of the node.
func (r *rig) boots(boot string, c client.Client) *worker.Worker {
	w := worker.Node(c, &activities.Node{Phone: r.phone, Journal: ground.journal, Name: r.node, Boot: boot}, quiet())
	w.Start()
	r.Cleanup(w.Stop)
	return w
}

// waitGuard waits until the node's guard watches, or has ended.
func (r *rig) waitGuard(watches bool) {
	r.Helper()
	require.Eventually(r, func() bool {
		d, err := ground.client.DescribeWorkflowExecution(r.Context(), id.NodeWorkflow(r.node), "")
		if err != nil {
			return false
		}
		if !watches {
			return d.GetWorkflowExecutionInfo().GetCloseTime() != nil
		}
		return len(d.GetPendingActivities()) > 0 && d.GetPendingActivities()[0].GetLastHeartbeatTime() != nil
	}, patience, 50*time.Millisecond)
}
