package activities

import (
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// QueryView is the query that every session and call answers with its view.
const QueryView = "view"

// Saved is the answer of SaveAgent.
type Saved record.Saved

// Placed is the answer of Place: exactly one of the two is set.
type Placed record.Placed

// Loss names what was lost of a node: boot Boot (empty: every boot but Alive).
type Loss struct {
	Node  id.Node `json:"node"`
	Boot  string  `json:"boot,omitempty"`
	Alive string  `json:"alive,omitempty"`
}
