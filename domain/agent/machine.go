package agent

import (
	"time"

	"holdfast/domain/id"
)

// Ref names an agent's session.
type Ref struct {
	Tenant id.Tenant `json:"tenant"`
	Agent  id.Agent  `json:"agent"`
}

// New is the session of an agent who has not signed in yet (LoggedOff). The first
// event must be SignIn.
func New(ref Ref, user id.User, p Profile, at time.Time) State { panic("agent.New") }

// Step applies e, which happened at at. A refused command returns the state
// unchanged and a *fault.Error of kind Conflict; a fact is never refused: a late or
// doubled one is counted in Late and changes nothing else. Asking for what already
// is succeeds without effects. The effects returned are also kept in Owed until
// they are answered.
func (s State) Step(at time.Time, e Event) (State, []Effect, error) { panic("agent.Step") }

// Check says whether command e would be accepted now: nil, or the refusal.
func (s State) Check(e Event) error { panic("agent.Check") }

// Deadline says when to wake the session and with which event; the zero time means
// that nothing is due by itself.
func (s State) Deadline() (time.Time, Event) { panic("agent.Deadline") }

// View is what others may see now.
func (s State) View() View { panic("agent.View") }

// Outstanding lists the effects that the world still owes an answer; every run of
// the workflow begins by issuing them.
func (s State) Outstanding() []Effect { return s.Owed }

// Decode reads the event of the given kind from JSON.
func Decode(k Kind, data []byte) (Event, error) { panic("agent.Decode") }
