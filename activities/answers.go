package activities

import (
	"time"

	"holdfast/domain/device"
	"holdfast/domain/record"
)

// QueryView is the query that every session and call answers with its view.
const QueryView = "view"

// Saved is the answer of SaveAgent.
type Saved record.Saved

// Placed is the answer of Place: exactly one of the two is set.
type Placed record.Placed

// Loss names what is given up of a node.
type Loss device.Loss

// Sighting is the answer of Witness.
type Sighting struct {
	// Alive says that the run beat while it was watched.
	Alive bool `json:"alive"`
	// Seen is its last heartbeat, for Loss.Seen.
	Seen time.Time `json:"seen,omitzero"`
}
