package contact

import (
	"encoding/json"
	"time"

	"holdfast/domain/id"
)

// The kinds of the events of a contact: what it was.
const (
	WasCreated  = "Created"
	WasUpdated  = "Updated"
	WasMerged   = "Merged"  // another one went into it
	WasDeleted  = "Deleted" // also: it went into another one
	WasRestored = "Restored"
	WasErased   = "Erased"
)

// Gone says why a contact is not there any more.
type Gone string

// The ways in which contacts go. Deleted and merged ones can be restored.
const (
	GoneDeleted Gone = "deleted"
	GoneMerged  Gone = "merged"
	GoneErased  Gone = "erased"
)

// Told is the view of a contact's event. What is kept of it has nothing personal: events
// can't forget. Gone and Now are filled in when it is shown, by what is so then.
type Told struct {
	ID         id.Contact `json:"id"`
	Version    int64      `json:"version,omitempty"`     // of the contact, after the change; of one that went, before
	Changed    []string   `json:"changed,omitempty"`     // names of fields
	Merged     id.Contact `json:"merged,omitempty"`      // which one went into this one
	MergedInto id.Contact `json:"merged_into,omitempty"` // where this one went
	Gone       Gone       `json:"gone,omitempty"`
	Now        *Now       `json:"now,omitempty"` // nil: it is gone, or must not be shown
}

// Now is a contact as it is.
type Now struct {
	Body    json.RawMessage `json:"body"` // as the directory shows it
	Version int64           `json:"version"`
	Created time.Time       `json:"created_at"`
	Updated time.Time       `json:"updated_at"`
}
