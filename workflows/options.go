package workflows

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// TaskQueue is the task queue of all workflows and of the activities that any
// worker can do. Each node has its own besides: id.NodeTaskQueue.
const TaskQueue = "holdfast"

// The size of one run.
const (
	// maxEvents is when a run continues as new even if the server does not suggest
	// it (it does at 4,096 events; hard stop 51,200).
	maxEvents = 4096
	// maxUpdates keeps well below the 2,000 updates that one run may take.
	maxUpdates = 1500
)

// taskTimeout is how long a worker may take over one workflow task. It is what a
// workflow waits when its worker is killed in the middle of one.
const taskTimeout = 5 * time.Second

// How late the safety nets may come. They catch what should not happen (a call's
// workflow that was terminated, an answer that never came), and each timer that
// need not be started is a billed action less: see docs/walk.md.
const (
	leaseSlack = 5 * time.Minute  // lease of an offer: the call itself ends its offers
	checkSlack = 10 * time.Minute // sign of life of a long call
	talkSlack  = 5 * time.Minute  // longest call that the platform allows
	idleSlack  = time.Minute      // a forgotten session, but no more than an idleShare-th of its time
)

// idleShare keeps the lateness of a short idle_logout in proportion.
const idleShare = 8

// recordQuickly is the local activity that writes or tells: one try takes
// milliseconds. What does not succeed within its few tries goes on as recordSurely.
func recordQuickly(summary string) workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		StartToCloseTimeout:    2 * time.Second,
		ScheduleToCloseTimeout: 3 * time.Second, // below 80 % of taskTimeout: the task is not prolonged
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    25 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    200 * time.Millisecond,
			MaximumAttempts:    4,
		},
		Summary: summary,
	}
}

// recordSurely retries until the database (or Temporal's frontend) is back.
func recordSurely(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    250 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    5 * time.Second,
		},
		Summary: summary,
	}
}

// atNode is a short phone activity on a node. A dead node is its guard's business;
// the limits here only end what nobody will answer any more.
func atNode(n id.Node, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              id.NodeTaskQueue(n),
		ScheduleToCloseTimeout: time.Minute,
		StartToCloseTimeout:    5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    100 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    2 * time.Second,
		},
		Summary: summary,
	}
}

// The limits of a ring beyond its own timeout.
const (
	ringMargin = 10 * time.Second
	// ringPickup is generous: after an outage of Temporal a living node may take so
	// long to poll again, and the ring that is asked for may be answered already.
	ringPickup = 30 * time.Second
	// ringSilence is how long a node may be silent while it rings.
	ringSilence = 15 * time.Second
)

func ringing(n id.Node, timeout time.Duration, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              id.NodeTaskQueue(n),
		ScheduleToStartTimeout: ringPickup,
		StartToCloseTimeout:    timeout + ringMargin,
		HeartbeatTimeout:       ringSilence,
		RetryPolicy: &temporal.RetryPolicy{ // a repetition attaches to the ring in progress
			InitialInterval:    100 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    2 * time.Second,
			MaximumAttempts:    4,
		},
		Summary: summary,
	}
}

// verifying asks a call for a sign of life.
func verifying(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout:    10 * time.Second,
		ScheduleToCloseTimeout: 10 * time.Minute,
		Summary:                summary,
	}
}

// The guard of a node.
const (
	// guardSilence is how long a node may be silent before it is suspected.
	guardSilence = 6 * time.Second
	// guardLate is how much later than that the suspicion may come if the Temporal
	// service itself was well.
	guardLate = 4 * time.Second
	// guardPickup is how soon a living node takes its guard up again; guardReturn the
	// same after an outage of Temporal, when pollers have backed off.
	guardPickup = 3 * time.Second
	guardReturn = 30 * time.Second
	// guardAgain is the same while the node is known to be cut off from Temporal; its
	// death is seen so much later then.
	guardAgain = 10 * time.Second
	// maxStrangers is how often another run of the node may take the guard, with a
	// pause after each: an old run that stops polls on for a moment.
	maxStrangers  = 10
	strangerPause = time.Second
)

func guarding(n id.Node, pickup time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              id.NodeTaskQueue(n),
		ScheduleToStartTimeout: pickup,
		StartToCloseTimeout:    365 * 24 * time.Hour,
		HeartbeatTimeout:       guardSilence,
		WaitForCancellation:    false,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
		Summary:                "watches that the node lives",
	}
}

// StartCall gives the options by which the workflow of a call is started. A call
// has one workflow for ever: a second start with its id is refused.
func StartCall(s call.State) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id.CallWorkflow(s.Tenant, s.ID),
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    callAttributes(s),
		StaticSummary:            callSummary(s),
		StaticDetails:            callOpening(s),
	}
}

// StartAgentSession gives the options by which a session is started, or a running
// one is used.
func StartAgentSession(s agent.State) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id.AgentWorkflow(s.Tenant, s.Agent),
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    agentAttributes(s),
		StaticSummary:            "Agent " + string(s.Agent) + ", " + s.Profile.Name,
	}
}

// StartNodeGuard gives the options by which a node's guard is started.
func StartNodeGuard(n id.Node) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id.NodeWorkflow(n),
		TaskQueue:                TaskQueue,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "Guard of telephony node " + string(n),
	}
}

// final reports whether a failure can't be cured by trying again.
func final(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict:
		return true
	}
	return false
}
