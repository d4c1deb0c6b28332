package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
)

var retention *activities.Retention // for its method's name only

const (
	// removeSilence is how long a run of deleting may be silent before another worker begins
	// the next.
	removeSilence = 15 * time.Second
	// removeMost bounds a run.
	removeMost = 3 * time.Minute
	// removeAgain is the pause after a run that failed by a defect of ours.
	removeAgain = time.Hour
)

// Retention deletes, once in a while, what is older than its tenants keep it. It keeps no
// state: what is old is told by the database, and how often is told by the worker.
func Retention(ctx workflow.Context) error {
	removing := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: removeMost,
		HeartbeatTimeout:    removeSilence,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute},
		Summary:             "deletes what is older than it is to be kept",
	})
	for total := 0; ; {
		var done activities.Removed
		if err := workflow.ExecuteActivity(removing, retention.Remove).Get(ctx, &done); err != nil {
			if ctx.Err() != nil {
				return err // an operator ends it; the next worker that starts begins it anew
			}
			workflow.GetLogger(ctx).Error("What is old could not be deleted.", "err", err)
			done.Next = removeAgain
		}
		total += done.Rows
		workflow.SetCurrentDetails(ctx, removedWords(workflow.Now(ctx), total, done.Next))
		if full(ctx) {
			return workflow.NewContinueAsNewError(ctx, Retention)
		}
		if done.Next <= 0 {
			continue
		}
		total = 0
		if err := workflow.NewTimerWithOptions(ctx, done.Next, workflow.TimerOptions{Summary: "next round"}).Get(ctx, nil); err != nil {
			return err
		}
	}
}

// removedWords is the page in the Web UI.
func removedWords(now time.Time, rows int, next time.Duration) string {
	words := fmt.Sprintf("**%d rows deleted**, at %s\n\n", rows, clock(now))
	if next <= 0 {
		return words + "- there are more"
	}
	return words + "- next round at " + clock(now.Add(next))
}

// StartRetention gives the options by which the deletion of what is old is started, once
// for all.
func StartRetention() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       "retention",
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "Deletion of what is older than it is to be kept",
	}
}
