// Package timeline reads the history of a workflow: as a time line in words, and as
// the list of what Temporal Cloud would bill.
package timeline

import (
	"maps"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
)

// Bill counts billable actions by kind, as docs.temporal.io/cloud/actions lists them:
// starts, signals (counted where they arrive), updates, timers, activities with every
// attempt, upserts of search attributes, and the local activities of one workflow task
// together. Heartbeats, queries and rejected updates leave no history and are not in it.
type Bill map[string]int

// The kinds of action.
const (
	Starts    = "starts"
	Signals   = "signals"
	Updates   = "updates"
	Timers    = "timers"
	Attempts  = "activities"
	Locals    = "local activities"
	Upserts   = "upserts"
	SideNotes = "side effects"
)

// Total is the number of actions.
func (b Bill) Total() int {
	n := 0
	for _, count := range b {
		n += count
	}
	return n
}

// Minus is what came after earlier.
func (b Bill) Minus(earlier Bill) Bill {
	rest := maps.Clone(b)
	for kind, count := range earlier {
		rest[kind] -= count
	}
	maps.DeleteFunc(rest, func(_ string, count int) bool { return count == 0 })
	return rest
}

// Actions counts the billable actions of a history.
func Actions(h *historypb.History) Bill {
	b := Bill{}
	var tasks []int64 // workflow tasks whose local activities are counted
	for _, e := range h.GetEvents() {
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			b[Starts]++
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
			b[Signals]++
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
			b[Updates]++
		case enumspb.EVENT_TYPE_TIMER_STARTED:
			b[Timers]++
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			b[Attempts] += int(max(e.GetActivityTaskStartedEventAttributes().GetAttempt(), 1))
		case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			b[Upserts]++
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			m := e.GetMarkerRecordedEventAttributes()
			task := m.GetWorkflowTaskCompletedEventId()
			switch {
			case m.GetMarkerName() == localMarker && !slices.Contains(tasks, task):
				tasks = append(tasks, task)
				b[Locals]++
			case m.GetMarkerName() == sideEffectMarker:
				b[SideNotes]++
			}
		}
	}
	return b
}

// The names of the SDK's markers.
const (
	localMarker      = "LocalActivity"
	sideEffectMarker = "SideEffect"
)
