package call_test

import (
	"testing"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/golden"
)

type (
	proof  = golden.Machine[call.State, call.Event, call.Effect, call.Kind]
	story  = golden.Story[call.State, call.Event, call.Effect, call.Kind]
	column = golden.Column[call.State, call.Event]
)

// machine is what is proved here; how, says package golden.
func machine(t *testing.T) *proof {
	return &proof{
		Title: "The phases of a call", Doc: "../../docs/states/call.md", Source: "domain/call", First: "Arriving", Last: "Ended",
		Variants: variants(), Columns: columns(t), Kinds: call.Kinds(),
		Label: label, Width: 34, Nothing: "nothing of that kind",
		Late:  func(s call.State) int { return s.Late },
		Begin: begin, Special: special, Fields: fields, Decode: call.Decode,
	}
}

// reach plays the acts of a variant.
func reach(t *testing.T, v golden.Variant) (call.State, time.Time) { return machine(t).Reach(t, v) }

// begin makes the call at its INVITE.
func begin(*testing.T) func(call.State, golden.Act) (call.State, []string, bool) {
	return func(s call.State, a golden.Act) (call.State, []string, bool) {
		if a.Verb == "invite" {
			s = call.New(incoming(a))
			return s, []string{s.Describe()}, true
		}
		return s, nil, a.Verb == ""
	}
}

// Each file is one conversation: what happens to a call, and what the machine makes
// of it. The files name the promises that they tell of.
func TestScenarios_SayWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	machine(t).Scenarios(t)
}

func TestScenarios_CarriedOverAtAnyPoint_EndTheSame(t *testing.T) {
	t.Parallel()
	machine(t).CarriedOver(t)
}

// The matrix: what every event does in every phase.
func TestMatrix_EveryPhaseAndEvent(t *testing.T) {
	t.Parallel()
	machine(t).Matrix(t)
}

// Every event has its row, so that none is forgotten.
func TestMatrix_KnowsEveryEvent(t *testing.T) {
	t.Parallel()
	machine(t).KnowsEveryEvent(t)
}

// The diagram in the docs is drawn from the matrix, and up to date.
func TestDiagram_IsDrawnFromTheMatrix(t *testing.T) {
	t.Parallel()
	machine(t).Diagram(t)
}
