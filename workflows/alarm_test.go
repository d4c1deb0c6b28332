package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// alarms runs a workflow that has an alarm, and counts its timers.
func alarms(t *testing.T, story func(ctx workflow.Context, a *alarm)) (started, cancelled int) {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // a busy machine is no deadlock
	env.SetTestTimeout(time.Minute)                                             // nor at rest
	env.SetWorkflowRunTimeout(365 * 24 * time.Hour)
	env.SetOnTimerScheduledListener(func(string, time.Duration) { started++ })
	env.SetOnTimerCanceledListener(func(string) { cancelled++ })
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		story(ctx, &alarm{})
		return nil
	})
	require.NoError(t, env.GetWorkflowError())
	return started, cancelled
}

// ringsAfter waits until the alarm rings, and says after how long.
func ringsAfter(ctx workflow.Context, a *alarm) time.Duration {
	began := workflow.Now(ctx)
	_ = workflow.Await(ctx, func() bool { return a.answer() }) // nobody cancels this workflow
	return workflow.Now(ctx).Sub(began)
}

func TestAlarm_DeadlineMovesOn_OneTimerServesAll(t *testing.T) {
	t.Parallel()
	started, cancelled := alarms(t, func(ctx workflow.Context, a *alarm) {
		for i := range 10 {
			a.set(ctx, wake{at: workflow.Now(ctx).Add(time.Minute + time.Duration(i)*time.Second)})
		}
		require.Equal(t, time.Minute, ringsAfter(ctx, a))
	})
	require.Equal(t, 1, started)
	require.Zero(t, cancelled)
}

// A session's idle_logout, 8 h away, is due again after each call: its timer is not
// taken back for the nearer ones of a call.
func TestAlarm_FarDeadline_IsKeptBesideNearOnes(t *testing.T) {
	t.Parallel()
	started, cancelled := alarms(t, func(ctx workflow.Context, a *alarm) {
		begin := workflow.Now(ctx)
		for range 5 { // calls
			idle := wake{at: workflow.Now(ctx).Add(8 * time.Hour)}
			a.set(ctx, idle)
			a.set(ctx, wake{at: workflow.Now(ctx).Add(20 * time.Second), slack: 5 * time.Minute})
			a.set(ctx, wake{at: workflow.Now(ctx).Add(10 * time.Second)})
			require.Equal(t, 10*time.Second, ringsAfter(ctx, a))
		}
		a.set(ctx, wake{at: workflow.Now(ctx).Add(8 * time.Hour)})
		ringsAfter(ctx, a)
		require.Equal(t, 8*time.Hour, workflow.Now(ctx).Sub(begin), "early, which costs nothing but a look")
	})
	require.Equal(t, 11, started, "the far one once, and two of each call")
	require.Equal(t, 5, cancelled)
}

func TestAlarm_TwoFarDeadlines_TheLaterIsTakenBack(t *testing.T) {
	t.Parallel()
	started, cancelled := alarms(t, func(ctx workflow.Context, a *alarm) {
		for _, d := range []time.Duration{48 * time.Hour, 24 * time.Hour, 8 * time.Hour, time.Minute} {
			a.set(ctx, wake{at: workflow.Now(ctx).Add(d)})
		}
		require.Equal(t, time.Minute, ringsAfter(ctx, a))
		a.set(ctx, wake{at: workflow.Now(ctx).Add(8 * time.Hour)})
		require.Equal(t, 8*time.Hour-time.Minute, ringsAfter(ctx, a))
	})
	require.Equal(t, 4, started)
	require.Equal(t, 2, cancelled)
}
