package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/domain/agent"
	"holdfast/domain/leg"
	"holdfast/workflows"
)

// noLine plays a session that is offered a call for which no line is free, and returns
// what it saved.
func noLine(t *testing.T, env *testsuite.TestWorkflowEnvironment, w *world) []agent.Save {
	t.Helper()
	signIn(t, env)
	command(t, env, time.Second, agent.GoReady{})
	fact(t, env, 2*time.Second, string(agent.KindOffered), agent.Offered{Offer: agent.Offer{
		ID: "c1/1", Call: "c1", Class: leg.InboundQueue, Queue: "support", From: "+4930123456", At: t0, Deadline: t0.Add(time.Minute),
	}})
	fact(t, env, 3*time.Second, string(agent.KindOfferEnded), agent.OfferEnded{Offer: "c1/1", Cause: leg.TrunkBusy})
	command(t, env, time.Minute, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	return w.saved
}

// available says which saves let the match choose the agent.
func available(saves []agent.Save) (list []bool) {
	for _, s := range saves {
		list = append(list, s.Presence.Available)
	}
	return list
}

func TestSession_NoLineIsFree_IsMatchedAgainWhenTheDelayIsOver(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	saves := noLine(t, env, w)
	require.Equal(t, []bool{false, true, false, false, true, false}, available(saves), "signs in, Ready, offered, delayed, Ready, signs out")
	require.Equal(t, t0.Add(8*time.Second), saves[3].View.Delay.Until.UTC())
	require.Nil(t, saves[4].View.Delay)
}

// A run that met such an end of an offer before the change goes on as it did then.
func TestSession_BegunBeforeDelays_TakesTheOfferAsTakenBack(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	env.OnGetVersion("2026-11-21-delay-when-no-line-is-free", workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
	require.Equal(t, []bool{false, true, false, true, false}, available(noLine(t, env, w)))
}
