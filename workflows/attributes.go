package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/domain/agent"
	"holdfast/domain/call"
)

// The search attributes, all keywords. An upsert is a billed action, so they say
// only what is worth a search:
//
//   - CCCallPhase is the phase in which the call's workflow started (Offering,
//     Queued), then Talking, with the agent in CCAgent. Whether it ended says the
//     workflow's own status.
//   - CCAgentState is NotReady or Ready, as the agent chose. It stays Ready while
//     the agent works off a queue call (Reserved, Busy, WorkingAfterCall): who talks
//     is found by CCCallPhase = "Talking" and CCAgent.
var (
	keyTenant     = temporal.NewSearchAttributeKeyKeyword("CCTenant")
	keyQueue      = temporal.NewSearchAttributeKeyKeyword("CCQueue")
	keyAgent      = temporal.NewSearchAttributeKeyKeyword("CCAgent")
	keyAgentState = temporal.NewSearchAttributeKeyKeyword("CCAgentState")
	keyCallPhase  = temporal.NewSearchAttributeKeyKeyword("CCCallPhase")
	keyDirection  = temporal.NewSearchAttributeKeyKeyword("CCDirection")
)

// attribute is one search attribute with its value.
type attribute struct {
	key   temporal.SearchAttributeKeyKeyword
	value string
}

func callAttributes(s call.State) temporal.SearchAttributes {
	return attributes(append(callWords(s),
		attribute{keyTenant, string(s.Tenant)},
		attribute{keyQueue, string(s.Route.Queue.Name)},
		attribute{keyDirection, string(s.Direction)},
	))
}

// callWords are the attributes that change in the life of a call.
func callWords(s call.State) []attribute {
	who := string(s.FromAgent)
	if v := s.View(); v.Agent != "" {
		who = string(v.Agent)
	}
	return []attribute{{keyCallPhase, string(s.Phase)}, {keyAgent, who}}
}

func agentAttributes(s agent.State) temporal.SearchAttributes {
	return attributes(append(agentWords(s),
		attribute{keyTenant, string(s.Tenant)},
		attribute{keyAgent, string(s.Agent)},
	))
}

// agentWords are the attributes that change in the life of a session. It starts
// with the state that a sign-in leads to.
func agentWords(s agent.State) []attribute {
	if s.Status == agent.LoggedOff {
		return []attribute{{keyAgentState, string(agent.NotReady)}}
	}
	return []attribute{{keyAgentState, string(s.Status)}}
}

func attributes(words []attribute) temporal.SearchAttributes {
	var updates []temporal.SearchAttributeUpdate
	for _, w := range words {
		if w.value != "" {
			updates = append(updates, w.key.ValueSet(w.value))
		}
	}
	return temporal.NewSearchAttributes(updates...)
}

// worthAnUpsert are the values whose beginning is shown at once.
var worthAnUpsert = map[string]bool{
	string(call.Talking): true, string(agent.NotReady): true, string(agent.Ready): true,
}

// upsertAttributes shows words when the first of them reached a value that is worth
// it and isn't shown yet. What is shown, it asks the workflow itself, so that a new
// run knows.
func upsertAttributes(ctx workflow.Context, words []attribute) {
	shown := workflow.GetTypedSearchAttributes(ctx)
	state := words[0]
	if now, _ := shown.GetKeyword(state.key); now == state.value || !worthAnUpsert[state.value] {
		return
	}
	var updates []temporal.SearchAttributeUpdate
	for _, w := range words {
		if now, _ := shown.GetKeyword(w.key); now != w.value && w.value != "" {
			updates = append(updates, w.key.ValueSet(w.value))
		}
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Error("The search attributes could not be set.", "err", err)
	}
}
