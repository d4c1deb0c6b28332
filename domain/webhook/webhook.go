package webhook

import (
	"encoding/json"
	"time"

	"holdfast/domain/event"
	"holdfast/domain/id"
)

// Ref names a webhook.
type Ref struct {
	Tenant id.Tenant `json:"tenant"`
	Name   string    `json:"name"`
}

// Target is where the messages of a webhook go, and how.
type Target struct {
	URL     string
	Headers map[string]string
	Timeout time.Duration // of one try
	Secrets []string      // the present one first; a rotated one as long as it is valid
	Failing bool          // nothing was accepted since the last failure
}

// Message is one delivery that was taken for a try.
type Message struct {
	Delivery int64       // its number
	Claim    int         // which try it is, counting from 1; a later one is somebody else's
	ID       string      // the same whenever the event is sent
	Event    event.Event // Kind is of the event log; of a ping it is Ping, and the view is its data
	Type     Type
	Cause    Cause
	Age      time.Duration
}

// Result is how a try of a message ended.
type Result struct {
	Message  Message
	Verdict  Verdict
	Status   int           // of HTTP; 0: there was no answer
	Error    string        // in words; empty after an answer
	Response []byte        // the beginning of the answer's body
	Took     time.Duration // the try
}

// Work is what a webhook has to do now.
type Work struct {
	Target   Target
	Messages []Message     // taken for a try now
	Next     time.Duration // until something is due; negative: nothing is pending
	Idle     bool          // there is no such webhook, or it is disabled: what is pending is held
}

// Drained is what one run of sending did.
type Drained struct {
	Delivered int           `json:"delivered"`
	Refused   int           `json:"refused"` // tries that were not accepted
	GivenUp   int           `json:"given_up,omitempty"`
	Next      time.Duration `json:"next"` // until something is due; negative: nothing is pending
}

// Payload is the body of a message: the shape that receivers hold in their hands.
type Payload struct {
	ID       string          `json:"id"`
	Type     Type            `json:"type"`
	At       time.Time       `json:"at"`
	Tenant   id.Tenant       `json:"tenant"`
	Subject  event.Stream    `json:"subject"`
	Sequence int64           `json:"sequence"` // rises with each event of a subject; 0: a ping
	Data     json.RawMessage `json:"data"`     // the view, as GET /v1/events shows it
}

// Body writes the body of a message.
func Body(messageID string, t Type, e event.Event, data json.RawMessage) ([]byte, error) {
	return json.Marshal(Payload{ID: messageID, Type: t, At: e.At.UTC(), Tenant: e.Tenant, Subject: e.Stream, Sequence: e.Seq, Data: data})
}

// ResponseKept is how much of a receiver's answer is kept, in bytes.
const ResponseKept = 2048

// Delivery is what became of one message to one webhook.
type Delivery struct {
	Number   int64
	Message  string
	Type     Type
	Subject  event.Stream
	Cause    Cause
	State    State
	Attempts int
	Status   int           // of the last try; 0: no answer, or not tried yet
	Error    string        // of the last try
	Took     time.Duration // the last try
	Created  time.Time
	Tried    time.Time // zero: not yet
	Next     time.Time // of what is pending: not before then
	Done     time.Time // zero: pending
	Response []byte    // the beginning of the last answer's body; not in lists
	Event    event.Event
}

// DeliveryQuery filters and pages the deliveries of a webhook, newest first.
type DeliveryQuery struct {
	State   State
	Subject event.Stream
	Since   time.Time // created at or after
	Until   time.Time // created before
	Before  int64     // those with a lower number; 0: from the newest
	Limit   int
}

// Replay says which past events are sent again.
type Replay struct {
	From   time.Time // happened at or after
	To     time.Time // happened before
	Events []string  // as in a webhook's list; none: all that the webhook takes
	After  int64     // those with a higher sequence
}

// Replayed is what a replay has put in line.
type Replayed struct {
	Queued int
	// More says that there is more behind Last, the sequence of the last one in line.
	More bool
	Last int64
	// KeptSince is set if From is before it: older events may be gone.
	KeptSince time.Time
}

// Disabled is the view of the event that a webhook was disabled by us.
type Disabled struct {
	Webhook      string    `json:"webhook"`
	Reason       Reason    `json:"reason"`
	FailingSince time.Time `json:"failing_since,omitzero"`
}
