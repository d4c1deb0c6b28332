package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

func TestQueueCall_FreeAgent_RingsTalksWrapsUpAndIsReadyAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.wrapUp = 6 * time.Second // a busy machine must not miss it
	r.ready("1001")

	ref := r.incoming("8000")
	ring := r.phone.next(r)
	require.Equal(r, ref, ring.ref)
	r.waitState("1001", agent.Reserved)
	r.phone.answer(ring)
	busy := r.waitState("1001", agent.Busy)
	require.Equal(r, leg.InboundQueue, busy.CallClass)
	r.hangUp(ring)
	require.Equal(r, leg.Hangup, r.waitEnded(ref).Cause)
	r.waitState("1001", agent.WorkingAfterCall)
	r.waitState("1001", agent.Ready)
}

// RONA: the next agent is rung as soon as the offer ran out; the first is NotReady.
func TestQueueCall_OfferRunsOut_NextAgentRingsAndFirstIsNotReady(t *testing.T) {
	t.Parallel()
	r := newRigThatRings(t, 2*time.Second)
	r.ready("1001")
	ref := r.incoming("8000")
	r.rings("1001")
	r.ready("1002")

	next := r.rings("1002")
	require.Equal(r, agent.ReasonRONA, r.waitState("1001", agent.NotReady).Reason)
	r.waitSaid("treat customer music")
	r.serve(next, "1002")
	r.record("offer_runs_out", workflowOf(ref), r.session("1001"))
}

func TestQueueCall_CallerLeavesWhileItRings_AgentIsReadyAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	ref := r.incoming("8000")
	ring := r.phone.next(r)
	r.waitState("1001", agent.Reserved)
	r.abandon(ring)
	require.Equal(r, leg.Abandoned, r.waitEnded(ref).Cause)
	require.Empty(r, r.waitState("1001", agent.Ready).Pending)
	r.record("caller_leaves_while_it_rings", workflowOf(ref), r.session("1001"))
}

// abandon lets the caller leave; the node takes the ring back as a reflex.
func (r *rig) abandon(ring *ringing) {
	r.phone.end(ring, call.RingEnded{Outcome: call.RingRescinded})
	r.d.Report(ring.ref, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
}

// The answer and the hang-up come in the same instant: whatever wins, the record says
// that they talked, and the agent is free again.
func TestQueueCall_HangsUpInTheInstantOfTheAnswer_RecordSaysAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.wrapUp = 0
	r.ready("1001")
	for range 10 {
		ref := r.incoming("8000")
		ring := r.phone.next(r)
		r.phone.answer(ring)
		r.hangUp(ring)
		require.Equal(r, leg.Hangup, r.waitEnded(ref).Cause)
		r.waitState("1001", agent.Ready)
	}
}

// SEED-73: a call by the extension is not queued and has no wrap-up (SEED-94).
func TestDirectCall_Answered_AgentIsBusyAndThenAsBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn("1001")
	ref := r.incoming("1001")
	ring := r.phone.next(r)
	r.d.Report(ref, call.Ringing{Offer: ring.Offer})
	r.phone.answer(ring)
	require.Equal(r, leg.InboundDirect, r.waitState("1001", agent.Busy).CallClass)
	r.hangUp(ring)
	r.waitEnded(ref)
	require.Equal(r, agent.ReasonLogin, r.waitState("1001", agent.NotReady).Reason)
	r.record("direct_call", workflowOf(ref), r.session("1001"))
}

func TestHangUp_CallTalks_NodeDropsTheLegsAndTheRepetitionIsHarmless(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ref, _ := r.connected("1001")
	v, err := r.d.HangUp(r.Context(), ref, call.HangUp{User: "supervisor", Key: "k1"})
	require.NoError(r, err)
	require.Equal(r, call.Ended, v.Phase)
	require.Equal(r, leg.Forced, r.waitEnded(ref).Cause)
	r.waitSaid("drop customer forced")
	_, err = r.d.HangUp(r.Context(), ref, call.HangUp{User: "supervisor", Key: "k2"})
	require.Equal(r, fault.NotFound, fault.KindOf(err))
	r.record("hung_up_by_command", workflowOf(ref))
}

func TestCommand_RefusedByTheState_ComesBackWithCodeSentenceAndView(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.d.Agent(r.Context(), r.agent("1001"), agent.GoReady{})
	require.Equal(r, fault.NotFound, fault.KindOf(err))
	r.signIn("1001")
	before := r.history(r.session("1001"))

	v, err := r.d.Agent(r.Context(), r.agent("1001"), agent.WrapUp{Action: "finish"})
	var refused *fault.Error
	require.ErrorAs(r, err, &refused)
	require.Equal(r, fault.Conflict, refused.Kind)
	require.Equal(r, "not_in_wrap_up", refused.Code)
	require.Contains(r, refused.Sentence, "There is no wrap-up to finish")
	require.Equal(r, agent.NotReady, v.State)
	require.Len(r, r.history(r.session("1001")).Events.Events, len(before.Events.Events), "a refusal leaves no history")
}

func TestCommand_RepeatedWithItsKey_SameAnswerAndNoSecondEffect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn("1001")
	ready := agent.GoReady{Actor: agent.Actor{User: "1001", Key: "k1"}}
	first := r.ask("1001", ready)
	r.ask("1001", agent.GoNotReady{Reason: "BREAK"})
	require.Equal(r, first, r.ask("1001", ready))
	r.waitState("1001", agent.NotReady)
}

// SEED-72, SEED-60
func TestSignOut_AndInAgainAtOnce_NewSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signIn("1001")
	for range 15 {
		r.ask("1001", agent.SignOut{Actor: agent.Actor{User: "1001"}})
		require.Equal(r, agent.NotReady, r.signIn("1001").State)
	}
	v, created, err := r.d.SignIn(r.Context(), r.agent("1001"), "1001", agent.SignIn{Interface: "web", Terminal: "tab-2"})
	require.NoError(r, err)
	require.False(r, created, "a second terminal attaches")
	require.Equal(r, []id.Terminal{"tab-2"}, v.Terminals)
	r.ask("1001", agent.CheckOut{Queues: []id.Queue{"support"}})
	r.ask("1001", agent.SignOut{Reason: "HOME"})
	r.record("signs_in_and_out", r.session("1001"))
}

func TestDevice_UnregistersWhileReady_AgentIsNotReady(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	reg := device.Registration{Tenant: r.tenant, Device: "1001", Instance: "phone", Expires: time.Now().Add(time.Minute)}
	require.NoError(r, r.d.Registered(r.Context(), reg))
	reg.Expires = time.Now().Add(-time.Second)
	require.NoError(r, r.d.Registered(r.Context(), reg))
	require.Equal(r, agent.ReasonDeviceLost, r.waitState("1001", agent.NotReady).Reason)
}

// Death between the opening's transaction and the workflow's start.
func TestOpening_ProcessDiesBeforeTheStart_SweeperStartsTheWorkflow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	s := r.opened()
	require.Equal(r, call.Offering, s.Phase)
	r.d.Start()
	ring := r.phone.next(r)
	require.Equal(r, s.Ref(), ring.ref)
	r.serve(ring, "1001")
	r.record("started_by_the_sweeper", workflowOf(s.Ref()))
}

// The same, while an agent becomes ready before the sweeper comes.
func TestOpening_ProcessDiesBeforeTheStart_AgentWhoBecomesReadyWakesTheCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.opened()
	require.Equal(r, call.Queued, s.Phase)
	r.signIn("1001")
	require.Equal(r, agent.Reserved, r.ask("1001", agent.GoReady{}).State)
	ring := r.phone.next(r)
	require.Equal(r, s.Ref(), ring.ref)
	r.abandon(ring)
	r.waitEnded(s.Ref())
	r.waitState("1001", agent.Ready)
}

// opened is a call whose process died after the opening's transaction.
func (r *rig) opened() call.State {
	r.Helper()
	in := r.invite("8000")
	route, err := r.ledger.Route(r.Context(), in.Tenant, in.To)
	require.NoError(r, err)
	s, _, err := call.New(in).Step(in.At, call.Arrived{Route: route})
	require.NoError(r, err)
	s, _, err = r.ledger.Open(context.Background(), in.At, s)
	require.NoError(r, err)
	return s
}

// A Busy agent's session asks now and then whether its call still lives.
func TestVerify_CallTalksThenEnds_AliveOnlyWithThisAgentOnIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ref, ring := r.connected("1001")
	records := &activities.Records{Client: ground.client, Journal: ground.journal}
	asks := func(a id.Agent, c id.Call) bool {
		alive, err := records.Verify(r.Context(), r.agent(a), agent.Verify{Call: c})
		require.NoError(r, err)
		return alive
	}
	require.True(r, asks("1001", ref.Call))
	require.False(r, asks("1002", ref.Call), "somebody else's call")
	require.False(r, asks("1001", "nosuchcall"))
	r.hangUp(ring)
	r.waitEnded(ref)
	require.False(r, asks("1001", ref.Call))
}
