// Package event is what we tell the world: rows of streams, each a whole view with
// a version, so that duplicates and reordering are harmless.
package event

import (
	"encoding/json"
	"time"

	"holdfast/domain/id"
)

// Stream names what an event is about: "agent:1001", "call:<id>", "queue:support".
type Stream string

// AgentStream is the stream of an agent session.
func AgentStream(a id.Agent) Stream { return Stream("agent:" + string(a)) }

// CallStream is the stream of a call.
func CallStream(c id.Call) Stream { return Stream("call:" + string(c)) }

// Event is one accepted change of one stream.
type Event struct {
	Seq     int64           `json:"seq"` // position in the tenant's log, for resuming
	Tenant  id.Tenant       `json:"tenant"`
	Stream  Stream          `json:"stream"`
	Version int64           `json:"version"` // of the view; counts within the stream
	Kind    string          `json:"kind"`    // past participle: Established, Abandoned …
	At      time.Time       `json:"at"`
	View    json.RawMessage `json:"view"`
}
