package timeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/workflows"
)

// words reads the payloads of one workflow.
type words struct {
	kind string     // workflow type
	call call.State // what a call began with: gives its events their names
}

var data = converter.GetDefaultDataConverter()

func (r *reader) began(e *historypb.HistoryEvent) {
	a := e.GetWorkflowExecutionStartedEventAttributes()
	r.kind = a.GetWorkflowType().GetName()
	text := orElse(summary(e), r.kind)
	switch r.kind {
	case workflows.TypeCall:
		if data.FromPayloads(a.GetInput(), &r.call) == nil {
			text += ": " + r.call.Describe()
		}
	case workflows.TypeAgentSession:
		var s agent.State
		if data.FromPayloads(a.GetInput(), &s) == nil {
			text += ": " + s.Describe()
		}
	case workflows.TypeWebhook:
		text += ": has something to send"
	}
	r.add(e, markBegin, "%s", text)
}

func (r *reader) signaled(e *historypb.HistoryEvent) {
	a := e.GetWorkflowExecutionSignaledEventAttributes()
	if a.GetSignalName() == workflows.SignalMore {
		r.add(e, markFact, "there is something new to send")
		return
	}
	r.facts(e, a.GetSignalName(), a.GetInput())
}

// facts tells what a signal, or an update of the same name, brought.
func (r *reader) facts(e *historypb.HistoryEvent, name string, input *commonpb.Payloads) {
	var messages []activities.Message
	if name == activities.Bundle {
		_ = data.FromPayloads(input, &messages) // what can't be read is told by its name
	} else {
		var m activities.Message
		_ = data.FromPayloads(input, &m) // likewise
		m.Kind = name
		messages = append(messages, m)
	}
	for _, m := range messages {
		r.add(e, markFact, "%s", r.message(m))
	}
}

// accepted tells an update: a command, or facts, whose acceptance is all that there is
// to tell of them.
func (r *reader) accepted(e *historypb.HistoryEvent) {
	a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
	input := a.GetAcceptedRequest().GetInput()
	if workflows.IsFact(input.GetName()) {
		r.facts(e, input.GetName(), input.GetArgs())
		return
	}
	var m activities.Message
	_ = data.FromPayloads(input.GetArgs(), &m) // what can't be read is told by its name
	m.Kind = input.GetName()
	text := r.message(m)
	r.updates[e.GetEventId()] = text
	r.add(e, markCommand, "%s", text)
}

func (r *reader) answered(e *historypb.HistoryEvent) {
	a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
	text, command := r.updates[a.GetAcceptedEventId()]
	if !command {
		return
	}
	if f := a.GetOutcome().GetFailure(); f != nil {
		r.add(e, markAnswer, "%s: refused, %s", text, f.GetMessage())
		return
	}
	var reply struct {
		View struct {
			State agent.Status `json:"state"`
			Phase call.Phase   `json:"phase"`
		} `json:"view"`
	}
	_ = data.FromPayloads(a.GetOutcome().GetSuccess(), &reply) // the answer is told without its state
	r.add(e, markAnswer, "%s: now %s", text, agentOrCall(reply.View.State, reply.View.Phase))
}

func agentOrCall(st agent.Status, p call.Phase) string {
	if st != "" {
		return agent.Label(st)
	}
	return string(p)
}

// message says what an event is.
func (r *reader) message(m activities.Message) string {
	switch r.kind {
	case workflows.TypeCall:
		if e, err := call.Decode(call.Kind(m.Kind), m.Event); err == nil {
			return r.call.Words(e)
		}
	case workflows.TypeAgentSession:
		if e, err := agent.Decode(agent.Kind(m.Kind), m.Event); err == nil {
			return agent.Words(e)
		}
	}
	return m.Kind
}

// local tells a local activity; only its end is in the history.
func (r *reader) local(e *historypb.HistoryEvent) {
	m := e.GetMarkerRecordedEventAttributes()
	if m.GetMarkerName() != localMarker {
		r.add(e, markShown, "%s %s", m.GetMarkerName(), versionWords(m.GetDetails()))
		return
	}
	var what struct{ ActivityType string }
	_ = data.FromPayloads(m.GetDetails()["data"], &what) // then the summary must do
	text := orElse(summary(e), what.ActivityType)
	if f := m.GetFailure(); f != nil {
		r.add(e, markFailure, "%s: %s", text, reason(f))
		return
	}
	r.add(e, markEffect, "%s%s", text, r.outcome(m.GetDetails()["result"]))
}

func versionWords(details map[string]*commonpb.Payloads) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(details)) {
		var value any
		if data.FromPayloads(details[key], &value) == nil {
			parts = append(parts, fmt.Sprintf("%s=%v", key, value))
		}
	}
	return strings.Join(parts, " ")
}

// outcome says what an activity answered, if that is more than "done".
func (r *reader) outcome(p *commonpb.Payloads) string {
	var all struct {
		call.RingEnded
		Matched  *call.Matched
		Waiting  *call.Waiting
		Reserved *agent.Offer

		Delivered, Refused *int
		GivenUp            int `json:"given_up"`
		Next               time.Duration
		Woken              *int
	}
	var raw json.RawMessage
	if data.FromPayloads(p, &raw) != nil || json.Unmarshal(raw, &all) != nil {
		return ""
	}
	switch {
	case all.Delivered != nil && all.Refused != nil:
		return drained(*all.Delivered, *all.Refused, all.GivenUp, all.Next)
	case all.Woken != nil:
		return fmt.Sprintf(": %d webhooks have something to send", *all.Woken)
	case all.Reserved != nil:
		return ": " + agent.Words(agent.Done{Reserved: all.Reserved})
	case all.Matched != nil:
		return ": " + r.call.Words(*all.Matched)
	case all.Waiting != nil:
		return ": " + r.call.Words(*all.Waiting)
	case all.Outcome != "":
		return ": " + r.call.Words(all.RingEnded)
	}
	return ""
}

// drained says what a run of sending did.
func drained(delivered, refused, givenUp int, next time.Duration) string {
	text := fmt.Sprintf(": %d accepted", delivered)
	if refused > 0 {
		text += fmt.Sprintf(", %d not", refused)
	}
	if givenUp > 0 {
		text += fmt.Sprintf(", %d given up", givenUp)
	}
	if next < 0 {
		return text + ", nothing is left"
	}
	return text + ", the next is due after " + next.Round(time.Millisecond).String()
}

// result says with what a workflow ended.
func (r *reader) result(p *commonpb.Payloads) string {
	switch r.kind {
	case workflows.TypeCall:
		var v call.View
		if data.FromPayloads(p, &v) == nil && v.Cause != "" {
			return ": " + v.Cause.Words()
		}
	case workflows.TypeAgentSession:
		var v agent.View
		if data.FromPayloads(p, &v) == nil && v.State != "" {
			return ": " + agent.Label(v.State)
		}
	}
	return ""
}

// summary is what the workflow itself says of the event, for the Web UI.
func summary(e *historypb.HistoryEvent) string {
	var s string
	if p := e.GetUserMetadata().GetSummary(); p != nil {
		_ = data.FromPayload(p, &s) // without it the type's name must do
	}
	return s
}

func attributeWords(a *commonpb.SearchAttributes) string {
	fields := a.GetIndexedFields()
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		var value any
		if data.FromPayload(fields[key], &value) == nil {
			parts = append(parts, fmt.Sprintf("%s %v", key, value))
		}
	}
	return strings.Join(parts, ", ")
}

func where(queue string) string {
	if queue == workflows.TaskQueue || queue == "" {
		return ""
	}
	return " (" + queue + ")"
}
