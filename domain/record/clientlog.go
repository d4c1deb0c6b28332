package record

import (
	"time"

	"holdfast/domain/id"
)

// ClientLog is what a person's browser or program reported of itself (SEED-129).
type ClientLog struct {
	ID        string        `bun:"id"` // rises with time
	User      id.User       `bun:"user_name"`
	Home      id.Tenant     `bun:"home"`
	Agent     id.Agent      `bun:"agent"`
	At        time.Time     `bun:"at"`
	Address   string        `bun:"address"`
	UserAgent string        `bun:"user_agent"`
	Program   string        `bun:"program"` // its version, as it says
	Skew      time.Duration `bun:"-"`       // how far its clock was ahead of ours
	Told      bool          `bun:"-"`       // it said what time it has
	Media     string        `bun:"media"`   // application/x-ndjson, text/plain or application/gzip
	Entries   int           `bun:"entries"` // of application/x-ndjson
	Size      int           `bun:"size"`    // of Body, in bytes
	Body      []byte        `bun:"body"`    // only of a single one
	Expires   time.Time     `bun:"-"`
}

// ClientLogQuery filters and pages client logs, newest first.
type ClientLogQuery struct {
	User  id.User
	From  time.Time
	To    time.Time
	After string // those that follow this one in the order; "": from the first

	OldestFirst bool
	Limit       int
}

// The bounds of client logs: of one, in bytes, and of what one user reports within a day.
const (
	MaxClientLog       = 1 << 20
	MaxClientLogsBytes = 10 << 20
	MaxClientLogs      = 200
)
