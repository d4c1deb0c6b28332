// Package contact knows a tenant's customers: the fields that a tenant keeps of them, the
// words by which they are found, and what is shown of them beside a call (SEED-63).
package contact

import (
	"encoding/json"
	"time"

	"holdfast/domain/id"
)

// Customer is a contact as an agent sees it with an offer.
type Customer struct {
	ID       id.Contact
	Name     string
	Company  string
	VIP      bool
	Language string
	Number   string // E.164: by which it was found
	Fields   json.RawMessage
	Last     *Call // the call before this one
}

// Call is a call as a contact's history shows it.
type Call struct {
	ID         id.Call   `bun:"call"`
	Direction  string    `bun:"direction"`
	Phase      string    `bun:"phase"`
	Number     string    `bun:"customer"` // of the contact, E.164
	Queue      id.Queue  `bun:"queue"`
	Agent      id.Agent  `bun:"agent"`
	Outcome    string    `bun:"outcome"` // empty while it lasts
	ArrivedAt  time.Time `bun:"arrived_at"`
	AnsweredAt time.Time `bun:"answered_at"` // zero: it was not
	EndedAt    time.Time `bun:"ended_at"`    // zero: it lasts
}

// Note is a text that somebody wrote about a contact.
type Note struct {
	ID      string     `bun:"id"`
	Contact id.Contact `bun:"contact"`
	Author  id.User    `bun:"author"`
	Home    id.Tenant  `bun:"home"` // whose user the author is, if not this tenant's
	At      time.Time  `bun:"at"`
	Edited  time.Time  `bun:"edited_at"` // zero: never
	Text    string     `bun:"text"`
	Version int64      `bun:"version"` // counts the changes; of a change that is asked for, the version that was seen, 0: any
}
