package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/fault"
)

// State is what the proofs need of a machine's state; agent.State and call.State have
// it.
type State[S, E, F any] interface {
	Step(at time.Time, e E) (S, []F, error)
	Check(e E) error
	Deadline() (time.Time, E)
	Describe() string
	Outstanding() []F
}

// Event is what happens to a machine. The machine's own event type is an interface with
// this method, so that no event is nil.
type Event[K ~string] interface{ Kind() K }

// Effect is what a machine asks of the world. It is a struct with a Seq and pointers, of
// which exactly one is set.
type Effect interface{ Words() string }

// Machine is a machine under proof: its states and events as the matrix has them, and
// how the acts of scenarios are read.
type Machine[S State[S, E, F], E Event[K], F Effect, K ~string] struct {
	// Title, First and Last are of the diagram, and Doc is its file; see Diagram.
	Title, Doc, First, Last string
	// Source is the folder of the package, as the diagram names it.
	Source string
	// Variants are the rows of the matrix, Columns what happens in each, Kinds all
	// events there are.
	Variants []Variant
	Columns  []Column[S, E]
	Kinds    []K
	// Label names a state in the matrix; Width is that of its first column, Nothing
	// what stands there when a column makes no event.
	Label   func(s S) string
	Width   int
	Nothing string
	// Late is how many facts the state has counted as late.
	Late func(s S) int
	// Begin begins a story. What it returns is asked before each act, with the state
	// so far, the zero value at first: it may make the state, and it may be the whole
	// act. An act without a verb comes when a variant has been told.
	Begin func(t *testing.T) func(s S, a Act) (next S, said []string, whole bool)
	// Special makes the events that Decode can't read from an act's fields; nil: none.
	Special func(st *Story[S, E, F, K], a Act) E
	// Fields are an act's arguments as JSON has them.
	Fields func(t *testing.T, a Act) map[string]any
	Decode func(k K, data []byte) (E, error)
}

// Variant is a row group of the matrix: a state, told as the acts that reach it.
type Variant struct{ Name, Acts string }

// Column is one event of the matrix, as it looks in state s.
type Column[S, E any] struct {
	Name string
	Make func(s S) E // nil: the event is not possible there
}

// Its is the column of whatever deadline a state has.
const Its = "its deadline"

// Story is a machine in a scenario.
type Story[S State[S, E, F], E Event[K], F Effect, K ~string] struct {
	T     *testing.T
	State S
	m     *Machine[S, E, F, K]
	begin func(S, Act) (S, []string, bool)
	last  E
}

// Tell begins a story.
func (m *Machine[S, E, F, K]) Tell(t *testing.T) *Story[S, E, F, K] {
	return &Story[S, E, F, K]{T: t, m: m, begin: m.Begin(t)}
}

// Play lets one act happen and returns what the machine said.
func (st *Story[S, E, F, K]) Play(a Act) []string {
	var said []string
	var whole bool
	if st.State, said, whole = st.begin(st.State, a); whole {
		return said
	}
	e := st.event(a)
	st.last = e
	before := st.State
	check := before.Check(e)
	after, effects, err := before.Step(a.At, e)
	require.Equal(st.T, check, err, "Check and Step disagree about %s", e.Kind())
	st.State = after
	if err != nil {
		return []string{"refused: " + fault.Sentence(err)}
	}
	line := after.Describe()
	if st.m.Late(after) > st.m.Late(before) {
		line += " [late]"
	}
	said = []string{line}
	for _, f := range effects {
		said = append(said, "- "+f.Words())
	}
	return said
}

// event is what an act means: most are decoded as the machine decodes them. "again" is
// the last event once more, "deadline" the one that is due, at the time that it is.
func (st *Story[S, E, F, K]) event(a Act) E {
	switch a.Verb {
	case "again":
		return st.last
	case "deadline":
		at, e := st.State.Deadline()
		require.NotNil(st.T, e, "nothing is due")
		require.Equal(st.T, at.Format("15:04:05.000"), a.At.Format("15:04:05.000"), "%s is due", e.Kind())
		return e
	}
	if e := st.m.Special(st, a); any(e) != nil {
		return e
	}
	data, err := json.Marshal(st.m.Fields(st.T, a))
	require.NoError(st.T, err)
	e, err := st.m.Decode(K(a.Verb), data)
	require.NoError(st.T, err)
	return e
}

// Owed is the number of the first owed effect of a kind; see KindOf.
func (st *Story[S, E, F, K]) Owed(kind string) int {
	var owed []string
	for _, f := range st.State.Outstanding() {
		if KindOf(f) == kind {
			return int(reflect.ValueOf(f).FieldByName("Seq").Int())
		}
		owed = append(owed, KindOf(f))
	}
	require.Fail(st.T, "no "+kind+" is owed", "%v", owed)
	return 0
}

// KindOf names an effect by the pointer that is set, as JSON does: "save", "ring".
func KindOf(effect any) string {
	v := reflect.ValueOf(effect)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

// Reach plays the acts of a variant; the time returned is a second later.
func (m *Machine[S, E, F, K]) Reach(t *testing.T, v Variant) (S, time.Time) {
	st := m.Tell(t)
	last := Act{At: Day}
	for _, a := range Acts(t, v.Acts) {
		st.Play(a)
		last = a
	}
	st.State, _, _ = st.begin(st.State, Act{At: last.At})
	return st.State, last.At.Add(time.Second)
}

// Diagram compares the diagram with the one that is drawn from the matrix.
func (m *Machine[S, E, F, K]) Diagram(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(transitions)
	require.NoError(t, err)
	Compare(t, m.Doc, Diagram(m.Title, string(text), m.Source+"/"+transitions, m.First, m.Last))
}

// transitions is the file of the matrix.
const transitions = "testdata/transitions.txt"

// Matrix compares what every event does in every state, or why it is refused.
func (m *Machine[S, E, F, K]) Matrix(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, v := range m.Variants {
		s, at := m.Reach(t, v)
		fmt.Fprintf(&b, "## %s\n", v.Name)
		for _, c := range m.Columns {
			name, what := c.Name, m.Nothing
			if e := c.Make(s); any(e) != nil {
				when := at
				if c.Name == Its {
					when, _ = s.Deadline()
					name = fmt.Sprintf("%s: %s", Its, e.Kind())
				}
				what = m.cell(t, s, when, e)
			}
			fmt.Fprintf(&b, "%-*s %s\n", m.Width, name, what)
		}
		b.WriteString("\n")
	}
	Compare(t, transitions, b.String())
}

// cell says what one event does: "→ NotReady(RONA) · Save Not ready (RONA)".
func (m *Machine[S, E, F, K]) cell(t *testing.T, s S, at time.Time, e E) string {
	t.Helper()
	check := s.Check(e)
	next, effects, err := s.Step(at, e)
	require.Equal(t, check, err)
	if err != nil {
		require.Equal(t, fault.Conflict, fault.KindOf(err))
		require.Empty(t, effects)
		require.Equal(t, s, next, "a refusal changes nothing")
		return "✗ " + fault.Sentence(err)
	}
	text := "→ " + m.Label(next)
	if m.Label(next) == m.Label(s) {
		text = "="
	}
	if m.Late(next) > m.Late(s) {
		text += " late"
	}
	for _, f := range effects {
		text += " · " + f.Words()
	}
	return text
}

// KnowsEveryEvent fails the test if an event has no column.
func (m *Machine[S, E, F, K]) KnowsEveryEvent(t *testing.T) {
	t.Helper()
	seen := map[K]bool{}
	for _, v := range m.Variants {
		s, _ := m.Reach(t, v)
		for _, c := range m.Columns {
			if e := c.Make(s); any(e) != nil {
				seen[e.Kind()] = true
			}
		}
	}
	for _, k := range m.Kinds {
		require.True(t, seen[k], "no column for %s", k)
	}
}
