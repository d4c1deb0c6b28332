package timeline

import (
	"fmt"
	"io"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
)

// Line is one thing that happened to a workflow.
type Line struct {
	At   time.Time
	Mark string // what kind of thing: see the marks
	Text string
}

// The marks stand at the beginning of a line.
const (
	markBegin   = "●" // the workflow begins, ends, or goes on as a new run
	markFact    = "←" // a fact arrived
	markCommand = "?" // a command was accepted
	markAnswer  = "!" // a command was answered
	markEffect  = "→" // an effect was carried out
	markResult  = "✓" // an effect's answer came
	markFailure = "✗" // an effect failed
	markTimer   = "◷" // a timer was set, or went off
	markShown   = "·" // the search attributes changed
)

// Lines tells a history in words, numbers masked. What concerns only Temporal (its
// workflow tasks) is left out.
func Lines(h *historypb.History) []Line {
	r := &reader{scheduled: map[int64]string{}, timers: map[int64]string{}, updates: map[int64]string{}}
	for _, e := range h.GetEvents() {
		r.event(e)
	}
	return r.lines
}

// Write writes the time line of a history: its title, then a line each with the time
// of day (UTC) and the time since the beginning.
func Write(out io.Writer, title string, h *historypb.History) error {
	lines := Lines(h)
	if _, err := fmt.Fprintf(out, "%s\n", title); err != nil {
		return err
	}
	for _, l := range lines {
		since := l.At.Sub(lines[0].At).Seconds()
		if _, err := fmt.Fprintf(out, "  %s %+9.3f s  %s %s\n", l.At.UTC().Format("15:04:05.000"), since, l.Mark, l.Text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "  %d events, %d billable actions\n", len(h.GetEvents()), Actions(h).Total())
	return err
}

// reader turns events into lines.
type reader struct {
	words
	lines     []Line
	scheduled map[int64]string // what an activity or a signal does, by the event that ordered it
	timers    map[int64]string
	updates   map[int64]string
}

func (r *reader) add(e *historypb.HistoryEvent, mark, format string, args ...any) {
	r.lines = append(r.lines, Line{e.GetEventTime().AsTime(), mark, fmt.Sprintf(format, args...)})
}

// event has one line per event type that concerns people.
func (r *reader) event(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		r.began(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		r.signaled(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		r.accepted(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		r.answered(e)
	case enumspb.EVENT_TYPE_TIMER_STARTED, enumspb.EVENT_TYPE_TIMER_FIRED, enumspb.EVENT_TYPE_TIMER_CANCELED:
		r.timer(e)
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		r.local(e)
	case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		r.add(e, markShown, "shows %s", attributeWords(e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes()))
	default:
		r.more(e)
	}
}

func (r *reader) more(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED, enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		r.activity(e)
	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
		r.external(e)
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
		r.add(e, markFailure, "a workflow task failed: %s", e.GetWorkflowTaskFailedEventAttributes().GetFailure().GetMessage())
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
		r.add(e, markFailure, "no worker was there: %s", e.GetWorkflowTaskTimedOutEventAttributes().GetTimeoutType())
	default:
		r.ended(e)
	}
}

func (r *reader) ended(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		r.add(e, markBegin, "complete%s", r.result(e.GetWorkflowExecutionCompletedEventAttributes().GetResult()))
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		r.add(e, markBegin, "goes on as a new run")
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		r.add(e, markFailure, "failed: %s", reason(e.GetWorkflowExecutionFailedEventAttributes().GetFailure()))
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		r.add(e, markBegin, "was terminated: %s", e.GetWorkflowExecutionTerminatedEventAttributes().GetReason())
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		r.add(e, markCommand, "an operator asks to end it")
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		r.add(e, markBegin, "%s", e.GetEventType())
	}
}

func (r *reader) timer(e *historypb.HistoryEvent) {
	id := e.GetEventId()
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		r.timers[id] = orElse(summary(e), "timer")
		r.add(e, markTimer, "set for %s: %s", span(e.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration()), r.timers[id])
	case enumspb.EVENT_TYPE_TIMER_FIRED:
		r.add(e, markTimer, "went off: %s", r.timers[e.GetTimerFiredEventAttributes().GetStartedEventId()])
	default:
		r.add(e, markTimer, "taken back: %s", r.timers[e.GetTimerCanceledEventAttributes().GetStartedEventId()])
	}
}

func (r *reader) activity(e *historypb.HistoryEvent) {
	id := e.GetEventId()
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		a := e.GetActivityTaskScheduledEventAttributes()
		r.scheduled[id] = orElse(summary(e), a.GetActivityType().GetName())
		r.add(e, markEffect, "%s%s", r.scheduled[id], where(a.GetTaskQueue().GetName()))
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		a := e.GetActivityTaskCompletedEventAttributes()
		r.add(e, markResult, "%s%s", r.scheduled[a.GetScheduledEventId()], r.outcome(a.GetResult()))
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		r.add(e, markFailure, "%s: %s", r.scheduled[a.GetScheduledEventId()], reason(a.GetFailure()))
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		r.add(e, markFailure, "%s: %s", r.scheduled[a.GetScheduledEventId()], reason(a.GetFailure()))
	default:
		a := e.GetActivityTaskCanceledEventAttributes()
		r.add(e, markFailure, "%s: taken back", r.scheduled[a.GetScheduledEventId()])
	}
}

func (r *reader) external(e *historypb.HistoryEvent) {
	if a := e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes(); a != nil {
		to := a.GetWorkflowExecution().GetWorkflowId()
		r.scheduled[e.GetEventId()] = to
		r.add(e, markEffect, "tells %s: %s", to, a.GetSignalName())
		return
	}
	a := e.GetSignalExternalWorkflowExecutionFailedEventAttributes()
	r.add(e, markFailure, "%s is not there", a.GetWorkflowExecution().GetWorkflowId())
}

func reason(f *failurepb.Failure) string {
	text := f.GetMessage()
	if cause := f.GetCause(); cause != nil && cause.GetMessage() != "" {
		text += ": " + cause.GetMessage()
	}
	return text
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// span is a duration as people say it: of seconds when it is long, of milliseconds when it is not.
func span(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}
