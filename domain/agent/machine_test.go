package agent_test

import (
	"testing"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/golden"
)

type (
	proof  = golden.Machine[agent.State, agent.Event, agent.Effect, agent.Kind]
	story  = golden.Story[agent.State, agent.Event, agent.Effect, agent.Kind]
	column = golden.Column[agent.State, agent.Event]
)

// machine is what is proved here; how, says package golden.
func machine() *proof {
	return &proof{
		Title: "The states of an agent session", Doc: "../../docs/states/agent.md", Source: "domain/agent", First: "LoggedOff", Last: "LoggedOff",
		Variants: variants(), Columns: columns(), Kinds: agent.Kinds(),
		Label: label, Width: 32, Nothing: "nothing is due",
		Late:  func(s agent.State) int { return s.Late },
		Begin: begin, Special: special, Fields: fields, Decode: agent.Decode,
	}
}

// reach plays the acts of a variant.
func reach(t *testing.T, v golden.Variant) (agent.State, time.Time) { return machine().Reach(t, v) }

// begin makes the session at its first act, with the profile that was told before.
func begin(t *testing.T) func(agent.State, golden.Act) (agent.State, []string, bool) {
	p := profile()
	return func(s agent.State, a golden.Act) (agent.State, []string, bool) {
		if a.Verb == "profile" {
			p = profileOf(t, a.Args)
			return s, nil, true
		}
		if s.Agent == "" {
			s = agent.New(agent.Ref{Tenant: "demo.localhost", Agent: "1001"}, "ada", p, a.At)
		}
		return s, nil, a.Verb == ""
	}
}

// Each file is one conversation: what happens to an agent, and what the session
// makes of it. The files name the promises that they tell of.
func TestScenarios_SayWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	machine().Scenarios(t)
}

func TestScenarios_CarriedOverAtAnyPoint_EndTheSame(t *testing.T) {
	t.Parallel()
	machine().CarriedOver(t)
}

// The matrix: what every event does in every state, or why it is refused.
func TestMatrix_EveryStateAndEvent(t *testing.T) {
	t.Parallel()
	machine().Matrix(t)
}

// Every event has its row, so that none is forgotten.
func TestMatrix_KnowsEveryEvent(t *testing.T) {
	t.Parallel()
	machine().KnowsEveryEvent(t)
}

// The diagram in the docs is drawn from the matrix, and up to date.
func TestDiagram_IsDrawnFromTheMatrix(t *testing.T) {
	t.Parallel()
	machine().Diagram(t)
}
