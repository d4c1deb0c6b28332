package call

import (
	"time"

	"holdfast/domain/id"
)

// Ref names a call.
type Ref struct {
	Tenant id.Tenant `json:"tenant"`
	Call   id.Call   `json:"call"`
}

// Ref names the call.
func (s State) Ref() Ref { return Ref{Tenant: s.Tenant, Call: s.ID} }

// New is the call that in opens, in phase Arriving. The first event must be Arrived.
func New(in Incoming) State { panic("call.New") }

// Step applies e, which happened at at. A refused command returns the state
// unchanged and a *fault.Error of kind Conflict; a fact is never refused: a late or
// doubled one is counted in Late and changes nothing else. Asking for what already
// is succeeds without effects. The effects returned are also kept in Owed until
// they are answered.
func (s State) Step(at time.Time, e Event) (State, []Effect, error) { panic("call.Step") }

// Check says whether command e would be accepted now: nil, or the refusal.
func (s State) Check(e Event) error { panic("call.Check") }

// Deadline says when to wake the call and with which event; the zero time means
// that nothing is due by itself.
func (s State) Deadline() (time.Time, Event) { panic("call.Deadline") }

// View is what others may see now.
func (s State) View() View { panic("call.View") }

// Outstanding lists the effects that the world still owes an answer; every run of
// the workflow begins by issuing them.
func (s State) Outstanding() []Effect { return s.Owed }

// Decode reads the event of the given kind from JSON.
func Decode(k Kind, data []byte) (Event, error) { panic("call.Decode") }
