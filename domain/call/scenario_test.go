package call_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/golden"
)

// Each file is one conversation: what happens to a call, and what the machine makes
// of it. The files name the promises that they tell of.
func TestScenarios_SayWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	for _, sc := range golden.Scenarios(t, "testdata/scenarios") {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			st := &story{t: t}
			var all [][]string
			for _, a := range sc.Acts {
				all = append(all, st.play(a))
			}
			sc.Compare(t, all)
		})
	}
}

// Continue-as-new without Temporal: wherever a call is carried over as JSON, it
// ends the same and has asked the world the same.
func TestScenarios_CarriedOverAtAnyPoint_EndTheSame(t *testing.T) {
	t.Parallel()
	for _, sc := range golden.Scenarios(t, "testdata/scenarios") {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			want := carry(t, sc, -1)
			for cut := range sc.Acts {
				require.Equal(t, want, carry(t, sc, cut), "carried over after act %d", cut+1)
			}
		})
	}
}

// carry plays a scenario, carries the state over after act cut, and returns
// everything said and the last state.
func carry(t *testing.T, sc golden.Scenario, cut int) (all []string) {
	st := &story{t: t}
	for i, a := range sc.Acts {
		all = append(all, st.play(a)...)
		if i == cut {
			st.s = throughJSON(t, st.s)
		}
	}
	data, err := json.Marshal(st.s)
	require.NoError(t, err)
	return append(all, string(data))
}

func throughJSON(t *testing.T, s call.State) (carried call.State) {
	data, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &carried))
	return carried
}

// reached are all states that the scenarios reach.
func reached(t *testing.T) (all []call.State) {
	for _, sc := range golden.Scenarios(t, "testdata/scenarios") {
		st := &story{t: t}
		for _, a := range sc.Acts {
			st.play(a)
			all = append(all, st.s)
		}
	}
	return all
}
