package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/id"
	"holdfast/domain/webhook"
)

// SignalMore tells a Webhook that there is something new to send.
const SignalMore = "more"

// WebhookTaskQueue is the task queue of what sends for webhooks.
const WebhookTaskQueue = "webhooks"

const (
	// drainSilence is how long a run of sending may be silent before another worker
	// begins the next.
	drainSilence = 10 * time.Second
	// drainMost bounds a run, the end of what is under way included.
	drainMost = 3 * time.Minute
	// drainAgain is the pause after a run that failed by a defect of ours.
	drainAgain = time.Minute
	// keepEvery is how often old deliveries are removed and lost wake-ups are made up for.
	keepEvery = time.Hour
)

var webhooks *activities.Webhooks // for its methods' names only

// sending never gives up: what is to be sent stands in the database.
func sending(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           WebhookTaskQueue,
		StartToCloseTimeout: drainMost,
		HeartbeatTimeout:    drainSilence,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    250 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    10 * time.Second,
		},
		Summary: summary,
	}
}

// Webhook lives as long as something is to be sent to a webhook, or to be tried again:
// the messages, their order and the time of the next try are the database's; that
// somebody sends them is this workflow's. It keeps no state but whose it is.
func Webhook(ctx workflow.Context, of webhook.Ref) error {
	more := workflow.GetSignalChannel(ctx, SignalMore)
	for {
		for more.ReceiveAsync(nil) { // all that was told until now is sent by one run
		}
		sent := workflow.WithActivityOptions(ctx, sending("sends what is due"))
		var done webhook.Drained
		if err := workflow.ExecuteActivity(sent, webhooks.Drain, of).Get(ctx, &done); err != nil {
			if ctx.Err() != nil {
				return err // an operator ends it; what is pending wakes it again within the hour
			}
			workflow.GetLogger(ctx).Error("What is due for a webhook could not be sent.", "webhook", of.Name, "err", err)
			done.Next = drainAgain
		}
		workflow.SetCurrentDetails(ctx, drainedWords(workflow.Now(ctx), done))
		if more.Len() > 0 {
			if full(ctx) {
				return goOn(ctx, more, of)
			}
			continue
		}
		if done.Next < 0 {
			return nil // a signal that comes in this moment makes the server ask us again
		}
		if err := awaitMore(ctx, more, done.Next); err != nil {
			return err
		}
		if full(ctx) {
			return goOn(ctx, more, of)
		}
	}
}

func full(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxEvents
}

// goOn continues as new; the next run begins by sending, so that signals are heard by it.
func goOn(ctx workflow.Context, more workflow.ReceiveChannel, of webhook.Ref) error {
	for more.ReceiveAsync(nil) {
	}
	return workflow.NewContinueAsNewError(ctx, Webhook, of)
}

// awaitMore waits until the next try is due or there is something new.
func awaitMore(ctx workflow.Context, more workflow.ReceiveChannel, next time.Duration) error {
	if next == 0 {
		return ctx.Err()
	}
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout:      next,
		TimerOptions: workflow.TimerOptions{Summary: "next try at " + clock(workflow.Now(ctx).Add(next))},
	}, func() bool { return more.Len() > 0 })
	return err
}

// drainedWords is the webhook's page in the Web UI.
func drainedWords(now time.Time, d webhook.Drained) string {
	words := fmt.Sprintf("**%d sent, %d not accepted, %d given up**, at %s\n", d.Delivered, d.Refused, d.GivenUp, clock(now))
	if d.Next < 0 {
		return words + "\n- nothing is to be sent"
	}
	return words + "\n- next try at " + clock(now.Add(d.Next))
}

// WebhookCare looks after all webhooks each hour: it removes old deliveries and wakes
// webhooks that have something to send and don't know it.
func WebhookCare(ctx workflow.Context) error {
	for {
		kept := workflow.WithActivityOptions(ctx, sending("removes old deliveries, wakes who has something to send"))
		if err := workflow.ExecuteActivity(kept, webhooks.Keep).Get(ctx, nil); err != nil {
			return err
		}
		if full(ctx) {
			return workflow.NewContinueAsNewError(ctx, WebhookCare)
		}
		if err := workflow.NewTimerWithOptions(ctx, keepEvery, workflow.TimerOptions{Summary: "next round"}).Get(ctx, nil); err != nil {
			return err
		}
	}
}

// StartWebhook gives the options by which a webhook's workflow is started, or the running
// one is used.
func StartWebhook(of webhook.Ref) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id.WebhookWorkflow(of.Tenant, of.Name),
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    attributes([]attribute{{keyTenant, string(of.Tenant)}}),
		StaticSummary:            "Webhook " + of.Name + " of " + string(of.Tenant),
	}
}

// StartWebhookCare gives the options by which the care of webhooks is started, once for all.
func StartWebhookCare() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       "webhooks",
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "Care of all webhooks",
	}
}
