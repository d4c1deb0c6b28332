package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/workflows"
)

// command gives a command after a while of virtual time.
func command(t *testing.T, env *testsuite.TestWorkflowEnvironment, after time.Duration, e agent.Event) *reply {
	t.Helper()
	r := &reply{}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(string(e.Kind()), "", r, message(t, time.Time{}, "", e))
	}, after)
	return r
}

// fact tells a fact after a while of virtual time.
func fact(t *testing.T, env *testsuite.TestWorkflowEnvironment, after time.Duration, kind string, e any) {
	t.Helper()
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(kind, message(t, t0.Add(after), kind, e)) }, after)
}

// informed tells facts by an update after a while of virtual time, as activities.Inform does.
func informed(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string, payload any) *reply {
	r := &reply{}
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(name, "", r, payload) }, after)
	return r
}

// signIn signs in at once; phone 1001 is registered.
func signIn(t *testing.T, env *testsuite.TestWorkflowEnvironment) *reply {
	t.Helper()
	return command(t, env, 0, agent.SignIn{Interface: "phone", Reachable: []id.Device{"1001"}})
}

func TestSession_SignInToSignOut_EachCommandIsAnsweredWhenItIsWritten(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	in := signIn(t, env)
	ready := command(t, env, time.Second, agent.GoReady{})
	out := command(t, env, 2*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, agent.NotReady, in.view.State)
	require.Equal(t, agent.Ready, ready.view.State)
	require.Equal(t, agent.LoggedOff, out.view.State)
	require.Equal(t, []string{"save NotReady LOGIN", "save Ready ", "save LoggedOff "}, w.transcript())
}

func TestSession_NobodySignsIn_Ends(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Empty(t, w.transcript())
}

func TestSession_CommandRefused_NothingIsSavedAndTheReasonComesBack(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	refused := command(t, env, time.Second, agent.WrapUp{Action: "finish"})
	malformed := &reply{}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow("ready", "", malformed, workflows.Message{Event: []byte(`{"by": 7}`)})
	}, time.Second)
	command(t, env, 2*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())

	var view agent.View
	f := activities.Deliver(refused.rejected, &view)
	require.Equal(t, fault.Conflict, f.Kind)
	require.Equal(t, "not_in_wrap_up", f.Code)
	require.Equal(t, agent.NotReady, view.State)
	require.Equal(t, fault.Invalid, activities.Deliver(malformed.rejected).Kind)
	require.Len(t, w.transcript(), 2)
}

func TestSession_SaveFindsACall_CallIsToldAndTheAnswerShowsTheOffer(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	w.reserve = &agent.Offer{ID: "c1/1", Call: "c1", Class: leg.InboundQueue, Queue: "support", At: t0, Deadline: t0.Add(20 * time.Second)}
	w.match = &call.Matched{Offer: "c1/1", Agent: "1001"}
	signIn(t, env)
	ready := command(t, env, time.Second, agent.GoReady{})
	fact(t, env, 2*time.Second, "offer_ended", agent.OfferEnded{Offer: "c1/1", Cause: leg.Abandoned})
	command(t, env, 3*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, agent.Reserved, ready.view.State)
	require.Contains(t, w.transcript(), "tell call:acme.example:c1 matched")
}

// A worker that took the update may have died before it said so: the same comes as a signal.
func TestSession_FactsComeByUpdateAndAgainBySignal_HappenOnce(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	command(t, env, time.Second, agent.GoReady{})
	offered := message(t, t0.Add(2*time.Second), "offered", agent.Offered{Offer: agent.Offer{ID: "c1/1", Call: "c1", Class: leg.InboundQueue, Queue: "support", At: t0, Deadline: t0.Add(time.Minute)}})
	established := message(t, t0.Add(3*time.Second), "established", agent.Established{Call: "c1", Offer: "c1/1", Class: leg.InboundQueue})
	ended := message(t, t0.Add(4*time.Second), "call_ended", agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup})
	ended.Source, ended.Number = "node-1", 7
	one := informed(env, 2*time.Second, "offered", offered)
	both := informed(env, 4*time.Second, "facts", []workflows.Message{established, ended})
	for _, m := range []workflows.Message{offered, established, ended} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(m.Kind, m) }, 5*time.Second)
	}
	out := command(t, env, time.Minute, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.True(t, one.done && both.done)
	require.Equal(t, agent.LoggedOff, out.view.State)
	require.Equal(t, []string{"save NotReady LOGIN", "save Ready ", "save Reserved ", "save WorkingAfterCall ", "save Ready ", "save LoggedOff "}, w.transcript())
}

func TestSession_MatchedCallIsOverAlready_SessionIsToldThatTheOfferIs(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	w.reserve = &agent.Offer{ID: "c1/1", Call: "c1", At: t0, Deadline: t0.Add(time.Minute)}
	w.match = &call.Matched{Offer: "c1/1", Agent: "1001"}
	w.gone = []string{"call:acme.example:c1"}
	signIn(t, env)
	command(t, env, time.Second, agent.GoReady{})
	fact(t, env, 2*time.Second, "offer_ended", agent.OfferEnded{Offer: "c1/1", Cause: leg.Abandoned})
	command(t, env, 3*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Contains(t, w.transcript(), "tell agent:acme.example:1001 offer_ended")
}

func TestSession_DatabaseAway_CommandIsAnsweredWhenItIsBack(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	w.away = 12 // more than the local activity tries
	in := signIn(t, env)
	command(t, env, time.Hour, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.True(t, in.done)
	require.Equal(t, []string{"save NotReady LOGIN", "save LoggedOff "}, w.transcript())
}

func TestSession_FactsOfOneMoment_AreTakenInTheOrderOfTheirTime(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	command(t, env, time.Second, agent.GoReady{})
	at := t0.Add(2 * time.Second)
	env.RegisterDelayedCallback(func() { // the signals arrive in the wrong order
		env.SignalWorkflowSkippingWorkflowTask("call_ended", message(t, at.Add(2), "", agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup, Spoke: true}))
		env.SignalWorkflow(activities.Bundle, []workflows.Message{
			message(t, at, "offered", agent.Offered{Offer: agent.Offer{ID: "c1/1", Call: "c1", At: at, Deadline: at.Add(time.Minute)}}),
			message(t, at.Add(1), "established", agent.Established{Call: "c1", Offer: "c1/1", Class: leg.InboundQueue}),
			message(t, at.Add(1), "no_such_fact", "dropped"),
		})
	}, 2*time.Second)
	command(t, env, time.Minute, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	said := w.transcript()
	require.Contains(t, said, "save WorkingAfterCall ", "the call began, ended, and wrap-up followed: %v", said)
	require.NotContains(t, said, "save Reserved ", "a Save that a later one replaces before it begins is not carried out")
	require.Equal(t, "save Ready ", said[len(said)-2], "wrap-up ended by itself")
}

// A worker that was away finds several signals of one source at once, by channels of
// different names: none may pass for a repetition of a later one.
func TestSession_SignalsOfOneSourceComeTogether_NoneIsTakenForARepetition(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	command(t, env, time.Second, agent.GoReady{})
	at := t0.Add(2 * time.Second)
	numbered := func(n int64, after time.Duration, kind string, e any) workflows.Message {
		m := message(t, at.Add(after), kind, e)
		m.Source, m.Number = "node-1", n
		return m
	}
	env.RegisterDelayedCallback(func() {
		env.SignalWorkflowSkippingWorkflowTask("call_ended", numbered(3, 2, "", agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup, Spoke: true}))
		env.SignalWorkflow(activities.Bundle, []workflows.Message{
			numbered(1, 0, "offered", agent.Offered{Offer: agent.Offer{ID: "c1/1", Call: "c1", At: at, Deadline: at.Add(time.Minute)}}),
			// The source's clock was set back in between: its numbers say what came first.
			numbered(2, -time.Hour, "established", agent.Established{Call: "c1", Offer: "c1/1", Class: leg.InboundQueue}),
		})
	}, 2*time.Second)
	command(t, env, time.Minute, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Contains(t, w.transcript(), "save WorkingAfterCall ", "the call began, ended, and wrap-up followed")
}

func TestSession_SignalDeliveredTwice_SecondIsPassedOver(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	for i, reachable := range []bool{false, true, false, true} { // a batch of two, and once more
		m := message(t, t0, "device_changed", agent.DeviceChanged{Device: "1001", Reachable: reachable})
		m.Source, m.Number = "node-1", int64(i%2)+1
		env.RegisterDelayedCallback(func() { env.SignalWorkflow("device_changed", m) }, time.Second)
	}
	command(t, env, 2*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, w.transcript(), 4, "sign-in, gone, back, sign-out: %v", w.transcript())
}

func TestSession_HistoryIsLong_ContinuesAsNewFromTheStateReached(t *testing.T) {
	t.Parallel()
	env, _ := stage(t)
	signIn(t, env)
	env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, time.Second)
	ready := command(t, env, 2*time.Second, agent.GoReady{})
	env.ExecuteWorkflow(workflows.AgentSession, session())

	var again *workflow.ContinueAsNewError
	require.True(t, errors.As(env.GetWorkflowError(), &again))
	require.True(t, ready.done, "the command was answered before")
	var next agent.State
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &next))
	require.Equal(t, agent.Ready, next.Status)
	require.Empty(t, next.Owed)
}

// A signal whose receipt was lost is sent again, perhaps to the next run only.
func TestSession_SignalIsSentAgainToTheNextRun_ItIsKnownThere(t *testing.T) {
	t.Parallel()
	gone := message(t, t0.Add(time.Second), "device_changed", agent.DeviceChanged{Device: "1001"})
	gone.Source, gone.Number = "node-1", 7
	env, _ := stage(t)
	signIn(t, env)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(gone.Kind, gone) }, time.Second)
	env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, 2*time.Second)
	command(t, env, 3*time.Second, agent.CheckOut{})
	env.ExecuteWorkflow(workflows.AgentSession, session())
	var again *workflow.ContinueAsNewError
	require.True(t, errors.As(env.GetWorkflowError(), &again))
	var next agent.State
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &next))

	env, w := stage(t)
	back := message(t, t0.Add(time.Second), "device_changed", agent.DeviceChanged{Device: "1001", Reachable: true})
	back.Source, back.Number = "node-1", 8
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(back.Kind, back) }, time.Second)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(gone.Kind, gone) }, 2*time.Second)
	command(t, env, 3*time.Second, agent.SignOut{})
	env.ExecuteWorkflow(workflows.AgentSession, next)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, w.transcript(), 2, "back, sign-out: %v", w.transcript())
}

func TestSession_OperatorCancels_SignsOut(t *testing.T) {
	t.Parallel()
	env, w := stage(t)
	signIn(t, env)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Second)
	env.ExecuteWorkflow(workflows.AgentSession, session())
	require.NoError(t, env.GetWorkflowError())
	require.Contains(t, w.transcript(), "save LoggedOff FORCED")
}
