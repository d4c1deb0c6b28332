package golden

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scenarios is the folder of a machine's scenarios.
const scenarios = "testdata/scenarios"

// Scenarios compares what the machine says to each act of each scenario.
func (m *Machine[S, E, F, K]) Scenarios(t *testing.T) {
	t.Helper()
	for _, sc := range Scenarios(t, scenarios) {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			st := m.Tell(t)
			var all [][]string
			for _, a := range sc.Acts {
				all = append(all, st.Play(a))
			}
			sc.Compare(t, all)
		})
	}
}

// CarriedOver is continue-as-new without Temporal: wherever the state is carried over as
// JSON, the story must end the same and must have asked the world the same.
func (m *Machine[S, E, F, K]) CarriedOver(t *testing.T) {
	t.Helper()
	for _, sc := range Scenarios(t, scenarios) {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			want := m.carry(t, sc, -1)
			for cut := range sc.Acts {
				require.Equal(t, want, m.carry(t, sc, cut), "carried over after act %d", cut+1)
			}
		})
	}
}

// carry plays a scenario, carries the state over after act cut, and returns everything
// said and the last state.
func (m *Machine[S, E, F, K]) carry(t *testing.T, sc Scenario, cut int) (all []string) {
	t.Helper()
	st := m.Tell(t)
	for i, a := range sc.Acts {
		all = append(all, st.Play(a)...)
		if i == cut {
			data, err := json.Marshal(st.State)
			require.NoError(t, err)
			var carried S
			require.NoError(t, json.Unmarshal(data, &carried))
			st.State = carried
		}
	}
	data, err := json.Marshal(st.State)
	require.NoError(t, err)
	return append(all, string(data))
}

// Reached are all states that the scenarios reach, after every act that told one.
func (m *Machine[S, E, F, K]) Reached(t *testing.T) (all []S) {
	t.Helper()
	for _, sc := range Scenarios(t, scenarios) {
		st := m.Tell(t)
		for _, a := range sc.Acts {
			if said := st.Play(a); said != nil {
				all = append(all, st.State)
			}
		}
	}
	return all
}

// OneStepOn are all states of the variants, and what every column makes of them.
func (m *Machine[S, E, F, K]) OneStepOn(t *testing.T) (all []S) {
	t.Helper()
	for _, v := range m.Variants {
		s, at := m.Reach(t, v)
		all = append(all, s)
		for _, c := range m.Columns {
			if e := c.Make(s); any(e) != nil {
				next, _, _ := s.Step(at, e)
				all = append(all, next)
			}
		}
	}
	return all
}

// SoundStep lets e happen: the receiver of Step is not touched, Check agrees, and the
// same step gives the same again.
func (m *Machine[S, E, F, K]) SoundStep(t *testing.T, s S, at time.Time, e E) (S, []F) {
	t.Helper()
	before, err := json.Marshal(s)
	require.NoError(t, err)
	next, effects, err := s.Step(at, e)
	require.Equal(t, s.Check(e), err)
	again, effectsAgain, _ := s.Step(at, e)
	require.Equal(t, next, again)
	require.Equal(t, effects, effectsAgain)
	after, _ := json.Marshal(s)
	require.Equal(t, string(before), string(after), "%s changed its receiver", e.Kind())
	return next, effects
}

// ReadsWhatWasWritten fails the test unless each event of state s comes back from JSON.
func (m *Machine[S, E, F, K]) ReadsWhatWasWritten(t *testing.T, s S) {
	t.Helper()
	for _, c := range m.Columns {
		e := c.Make(s)
		if any(e) == nil {
			continue
		}
		data, err := json.Marshal(e)
		require.NoError(t, err)
		got, err := m.Decode(e.Kind(), data)
		require.NoError(t, err)
		require.EqualExportedValues(t, e, got)
	}
	_, err := m.Decode("no_such", nil)
	require.Error(t, err)
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
