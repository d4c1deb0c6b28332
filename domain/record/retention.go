package record

import "holdfast/domain/id"

// Kept is something of which old rows are deleted.
type Kept string

// What is deleted of a tenant when it is older than the tenant's policies keep it, and what
// of a technical kind when it has expired.
const (
	KeptEvents     Kept = "events"
	KeptCalls      Kept = "calls" // with legs, segments, decisions
	KeptDecisions  Kept = "decisions"
	KeptBookings   Kept = "bookings"
	KeptRemoved    Kept = "removed" // what administrators deleted
	KeptClientLogs Kept = "client_logs"
	KeptLogins     Kept = "logins"      // and what is known of those that were given up
	KeptAnswers    Kept = "answers"     // to requests with an Idempotency-Key
	KeptTallies    Kept = "login_tries" // wrong passwords; of no tenant
	KeptLevels     Kept = "removed_levels"
)

// KeptOfTenants and KeptOfNobody list what is deleted, in that order, of each tenant and of none.
var (
	KeptOfTenants = []Kept{KeptCalls, KeptEvents, KeptDecisions, KeptBookings, KeptRemoved, KeptClientLogs, KeptLogins, KeptAnswers}
	KeptOfNobody  = []Kept{KeptTallies, KeptLevels}
)

// Removal is where the deletion of something stands: one transaction's part after the other.
type Removal struct {
	Tenant id.Tenant // "": of none
	Of     Kept
	Cursor int64 // from where the next part goes on; 0 at first
	Rows   int   // that the last part deleted
	More   bool  // there may be more
}
