package workflows_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/workflows"
)

func matched(offer id.Offer, a id.Agent) call.Matched {
	return call.Matched{Offer: offer, Agent: a, Targets: []leg.Address{{Device: id.Device(a), Kind: leg.SIP}}, Method: "all"}
}

// sessions lets the signals to sessions that go through the server arrive.
func sessions(env *testsuite.TestWorkflowEnvironment, w *world) {
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Maybe().Return(
		func(_, workflow, _, name string, _ any) error {
			if slices.Contains(w.gone, workflow) {
				return &temporal.UnknownExternalWorkflowExecutionError{}
			}
			w.say("signal %s %s", workflow, name)
			return nil
		})
}

// callStage is the stage of a call.
func callStage(t *testing.T) (*testsuite.TestWorkflowEnvironment, *world) {
	t.Helper()
	env, w := stage(t)
	sessions(env, w)
	return env, w
}

// live runs a call's workflow from s to its end.
func live(t *testing.T, env *testsuite.TestWorkflowEnvironment, s call.State) {
	t.Helper()
	env.ExecuteWorkflow(workflows.Call, s)
	require.NoError(t, env.GetWorkflowError())
}

// liveOffered lets a waiting call be matched with 1001 after a second; its caller hangs
// up after a minute.
func liveOffered(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
	t.Helper()
	fact(t, env, time.Second, "matched", matched("c1/1", "1001"))
	fact(t, env, time.Minute, "leg_ended", hungUp())
	live(t, env, waiting(t))
}

// liveRefused lets a waiting call hear of a refusal before it hears of the match.
func liveRefused(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
	t.Helper()
	fact(t, env, time.Second, "offer_refused", call.OfferRefused{Offer: "c1/1", Agent: "1001", Cause: leg.Unreachable})
	fact(t, env, 2*time.Second, "matched", matched("c1/1", "1001"))
	fact(t, env, time.Minute, "leg_ended", hungUp())
	live(t, env, waiting(t))
}

func hungUp() call.LegEnded {
	return call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true}
}

func TestCall_MatchedByAReadyAgent_RingNotesItselfAndTheAgentIsNotToldTwice(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	env.RegisterDelayedCallback(func() {
		m := message(t, t0.Add(time.Second), "matched", matched("c1/1", "1001"))
		m.From = "agent:acme.example:1001"
		env.SignalWorkflow("matched", m)
	}, time.Second)
	fact(t, env, time.Minute, "leg_ended", hungUp())
	live(t, env, waiting(t))
	said := w.transcript()
	require.ElementsMatch(t, []string{
		"ring 1001", "note Offered", "tell agent:acme.example:1001 established", "note Established",
		"tell agent:acme.example:1001 call_ended", "close answered hangup",
	}, said)
	var v call.View
	require.NoError(t, env.GetWorkflowResult(&v))
	require.Equal(t, leg.Hangup, v.Cause)
}

func TestCall_MatchedBySomebodyElse_AgentIsOffered(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	liveOffered(t, env)
	require.Contains(t, w.transcript(), "signal agent:acme.example:1001 offered")
}

func TestCall_RingRunsOut_PlacedAgainAndNextAgentRings(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	answer := w.ring
	w.ring = func(r call.Ring) (call.RingEnded, error) {
		if r.Agent == "1001" {
			next := matched("c1/2", "1002")
			w.match = &next
			return call.RingEnded{Offer: r.Offer, Outcome: call.RingNoAnswer}, nil
		}
		return answer(r)
	}
	liveOffered(t, env)
	said := w.transcript()
	for _, want := range []string{"tell agent:acme.example:1001 offer_ended", "place support", "ring 1002", "note OfferExpired", "tell agent:acme.example:1002 established"} {
		require.Contains(t, said, want)
	}
}

func TestCall_CallersLegIsNotOnTheNode_EndsAsAbandoned(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	w.ring = func(call.Ring) (call.RingEnded, error) {
		return call.RingEnded{}, fault.E(fault.NotFound, "ring", errors.New("no such leg"))
	}
	fact(t, env, time.Second, "matched", matched("c1/1", "1001"))
	live(t, env, waiting(t))
	require.Contains(t, w.transcript(), "close abandoned abandoned")
}

func TestCall_SessionIsGone_CallGoesOn(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	answer := w.ring
	w.ring = func(r call.Ring) (call.RingEnded, error) {
		w.gone = []string{"agent:acme.example:1001"} // while its phone rings
		return answer(r)
	}
	liveOffered(t, env)
	require.Contains(t, w.transcript(), "close answered hangup")
}

func TestCall_SessionIsGoneBeforeItIsOffered_NextAgentRings(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	w.gone = []string{"agent:acme.example:1001"}
	answer, next := w.ring, matched("c1/2", "1002")
	w.match = &next
	rings := make(chan struct{})
	w.ring = func(r call.Ring) (call.RingEnded, error) {
		if r.Agent == "1001" {
			<-rings // until it is taken back
			return call.RingEnded{Offer: r.Offer, Outcome: call.RingRescinded}, nil
		}
		return answer(r)
	}
	w.cancelled = func() { close(rings) }
	liveOffered(t, env)
	said := w.transcript()
	require.Contains(t, said, "tell agent:acme.example:1002 established")
	require.NotContains(t, said, "tell agent:acme.example:1001 established")
}

func TestCall_RefusalOvertakesTheMatch_PlacedAgainAndNothingRings(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	liveRefused(t, env)
	said := w.transcript()
	require.Contains(t, said, "place support")
	require.NotContains(t, said, "ring 1001")
}

// A run that began before the change goes on as it began.
func TestCall_BegunBeforeTheChange_PassesOverTheRefusal(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	env.OnGetVersion("2026-11-21-refusal-before-its-match", workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
	liveRefused(t, env)
	require.Contains(t, w.transcript(), "ring 1001")
}

func TestCall_NobodyComes_LongestWaitEndsIt(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	live(t, env, waiting(t))
	require.Equal(t, 2*time.Hour, env.Now().Sub(t0).Round(time.Second))
	require.Contains(t, w.transcript(), "drop customer max_wait")
}

func TestCall_OperatorCancels_EndsLikeAHangUp(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Second)
	live(t, env, waiting(t))
	require.Contains(t, w.transcript(), "drop customer forced")
}

// What a run began is issued again by the next one: continue-as-new, reset, recovery.
func TestCall_BegunWhileItRings_RingsAgainAndTellsTheAgent(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	s, _, err := waiting(t).Step(t0, matched("c1/1", "1001"))
	require.NoError(t, err)
	fact(t, env, time.Minute, "leg_ended", hungUp())
	live(t, env, s)
	said := w.transcript()
	require.Contains(t, said, "ring 1001")
	require.Contains(t, said, "signal agent:acme.example:1001 offered")
}

func TestCall_RingCannotNote_NoteIsWrittenLater(t *testing.T) {
	t.Parallel()
	env, w := callStage(t)
	ring := w.ring
	w.ring = func(r call.Ring) (call.RingEnded, error) {
		return call.RingEnded{Offer: r.Offer, Outcome: call.RingNoAnswer}, nil
	}
	w.away = 1
	fact(t, env, time.Second, "matched", matched("c1/1", "1001"))
	fact(t, env, 2*time.Second, "leg_ended", call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	live(t, env, waiting(t))
	require.NotNil(t, ring)
	require.True(t, slices.Contains(w.transcript(), "note OfferExpired"), "a later note replaces it: %v", w.transcript())
}

func TestSession_RefusesAnOfferWhileBusy_CallIsTold(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	fact(t, env, time.Second, "call_started", agent.CallStarted{Call: "c9", Class: leg.Internal})
	fact(t, env, 2*time.Second, "offered", agent.Offered{Offer: agent.Offer{ID: "c1/1", Call: "c1", At: t0}})
	fact(t, env, 3*time.Second, "call_ended", agent.CallEnded{Call: "c9", Class: leg.Internal, Cause: leg.Hangup})
	command(t, env, 4*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Contains(t, w.transcript(), "tell call:acme.example:c1 offer_refused")
}
