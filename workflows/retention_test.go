package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/fault"
	"holdfast/workflows"
)

// It goes on at once while there is more, then rests for as long as it is told; a defect
// does not end it.
func TestRetention_GoesOnWhileThereIsMore_ThenRests(t *testing.T) {
	t.Parallel()
	env := virtual()
	var all *activities.Retention
	env.RegisterActivity(&activities.Retention{})
	start, rounds := env.Now(), []time.Duration{}
	env.OnActivity(all.Remove, mock.Anything).Return(func(context.Context) (activities.Removed, error) {
		rounds = append(rounds, env.Now().Sub(start).Round(time.Second))
		switch len(rounds) {
		case 1, 2:
			return activities.Removed{Rows: 1000}, nil
		case 4:
			return activities.Removed{}, activities.Carry(fault.E(fault.Invalid, "remove", errors.New("a defect")))
		}
		return activities.Removed{Next: 2 * time.Hour}, nil
	})
	env.RegisterDelayedCallback(env.CancelWorkflow, 4*time.Hour)
	env.ExecuteWorkflow(workflows.Retention)
	require.True(t, env.IsWorkflowCompleted())
	require.Equal(t, []time.Duration{0, 0, 0, 2 * time.Hour, 3 * time.Hour}, rounds)
	require.False(t, workflow.IsContinueAsNewError(env.GetWorkflowError()))
}
