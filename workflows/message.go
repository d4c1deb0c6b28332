package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
)

// Message is how an event travels to a workflow; signals and updates are named by
// its kind.
type Message = activities.Message

// Reply answers a command.
type Reply[V any] struct {
	View V `json:"view"`
	// Created says that the command was the first that the workflow accepted.
	Created bool `json:"created,omitempty"`
}

// QueryView is the query that AgentSession and Call answer with their view.
const QueryView = activities.QueryView

// SignalBooted tells a NodeGuard that a run of its node began.
const SignalBooted = "booted"

// AgentCommands are the updates that AgentSession takes.
var AgentCommands = []agent.Kind{
	agent.KindSignIn, agent.KindReady, agent.KindNotReady, agent.KindCheckIn, agent.KindCheckOut,
	agent.KindBind, agent.KindWrapUp, agent.KindSignOut, agent.KindTouch,
}

// AgentFacts are the facts that AgentSession takes, as signals and as updates.
var AgentFacts = []agent.Kind{
	agent.KindOffered, agent.KindOfferEnded, agent.KindEstablished, agent.KindCallStarted,
	agent.KindCallEnded, agent.KindDeviceChanged, agent.KindProfileChanged, agent.KindDeviceTaken,
}

// CallCommands are the updates that Call takes.
var CallCommands = []call.Kind{call.KindHangUp}

// CallFacts are the facts that Call takes, as signals and as updates.
var CallFacts = []call.Kind{
	call.KindMatched, call.KindRinging, call.KindRingEnded, call.KindOfferRefused, call.KindLegEnded,
	call.KindLegHeld, call.KindNodeLost,
}

// IsFact reports whether name is that of a fact, or of several, and not of a command.
func IsFact(name string) bool {
	return name == activities.Bundle || slices.Contains(AgentFacts, agent.Kind(name)) || slices.Contains(CallFacts, call.Kind(name))
}

// Registry is where workflows are registered: a worker or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers all workflows.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(AgentSession, workflow.RegisterOptions{Name: TypeAgentSession})
	r.RegisterWorkflowWithOptions(Call, workflow.RegisterOptions{Name: TypeCall})
	r.RegisterWorkflowWithOptions(NodeGuard, workflow.RegisterOptions{Name: TypeNodeGuard})
	r.RegisterWorkflowWithOptions(Webhook, workflow.RegisterOptions{Name: TypeWebhook})
	r.RegisterWorkflowWithOptions(WebhookCare, workflow.RegisterOptions{Name: TypeWebhookCare})
	r.RegisterWorkflowWithOptions(Retention, workflow.RegisterOptions{Name: TypeRetention})
}

// The workflow types.
const (
	TypeAgentSession = "AgentSession"
	TypeCall         = "Call"
	TypeNodeGuard    = "NodeGuard"
	TypeWebhook      = "Webhook"
	TypeWebhookCare  = "WebhookCare"
	TypeRetention    = "Retention"
)
