package activities

import (
	"encoding/json"
	"fmt"
	"time"
)

// Message is how an event travels to a workflow: the payload of a signal or an
// update whose name is the event's kind. In a Bundle each message names its kind itself.
type Message struct {
	// At is the sender's time of the event. Commands carry none: theirs is the
	// workflow's.
	At time.Time `json:"at,omitzero"`
	// From is the workflow id of the sender if it is a session or a call: it need
	// not be told again what it has just told.
	From string `json:"from,omitempty"`
	// Source and Number tell a repetition: what comes from one source has rising
	// numbers. No source: it may be repeated.
	Source string          `json:"source,omitempty"`
	Number int64           `json:"number,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Event  json.RawMessage `json:"event"`
}

// Bundle is the name of the update or signal that carries several facts, oldest first,
// as []Message: facts that happened together cost one.
const Bundle = "facts"

// NewMessage wraps an event that happened at at. It fails only for an event that
// JSON can't express, which is a defect of the event's type.
func NewMessage(at time.Time, kind string, event any) (Message, error) {
	data, err := json.Marshal(event)
	if err != nil {
		return Message{}, fmt.Errorf("write event %s: %w", kind, err)
	}
	return Message{At: at, Kind: kind, Event: data}, nil
}
