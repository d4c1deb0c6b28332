package tenancy

import "cmp"

// KeepingPolicies say for how many days a tenant's records are kept. What is older is deleted,
// within the hour, and can't be had back. The audit trail is not among them: its lines are
// a chain, and are never deleted.
type KeepingPolicies struct {
	EventDays    int `yaml:"event_days,omitempty" json:"event_days,omitempty"`       // events; default 90, and no longer than calls
	CallDays     int `yaml:"call_days,omitempty" json:"call_days,omitempty"`         // calls with legs, segments and decisions; default 0: for good
	DecisionDays int `yaml:"decision_days,omitempty" json:"decision_days,omitempty"` // decisions; default 0: as long as their calls
	BookingDays  int `yaml:"booking_days,omitempty" json:"booking_days,omitempty"`   // what calls are booked to; default 0: for good
	RemovedDays  int `yaml:"removed_days,omitempty" json:"removed_days,omitempty"`   // what administrators deleted; default 30
}

// The defaults of the policies of keeping, in days, and the longest that can be set.
const (
	DefaultEventDays   = 90
	DefaultRemovedDays = 30
	mostKeepingDays    = 36_500
)

// KeepEvents is for how many days events are kept: event_days with its default, but no
// longer than the calls that they are about.
func (p KeepingPolicies) KeepEvents() int {
	days := cmp.Or(p.EventDays, DefaultEventDays)
	if p.CallDays > 0 {
		return min(days, p.CallDays)
	}
	return days
}

// KeepRemoved is for how many days what was deleted can be restored: removed_days with
// its default.
func (p KeepingPolicies) KeepRemoved() int { return cmp.Or(p.RemovedDays, DefaultRemovedDays) }

// keeping checks the policies of keeping.
func (c *check) keeping(p KeepingPolicies) {
	for _, f := range []struct {
		name string
		days int
	}{{"event_days", p.EventDays}, {"call_days", p.CallDays}, {"decision_days", p.DecisionDays}, {"booking_days", p.BookingDays}, {"removed_days", p.RemovedDays}} {
		c.that("tenant.policies."+f.name, f.days >= 0 && f.days <= mostKeepingDays, "must be from 0 to %d", mostKeepingDays)
	}
}
