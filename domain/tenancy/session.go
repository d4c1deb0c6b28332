package tenancy

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // time zones are the same on every machine

	"holdfast/domain/agent"
)

// SessionPolicies are those of agent sessions.
type SessionPolicies struct {
	DeviceConflict  agent.Conflict `yaml:"device_conflict,omitempty" json:"device_conflict,omitempty"`     // default refuse
	NotReadyReasons []Reason       `yaml:"not_ready_reasons,omitempty" json:"not_ready_reasons,omitempty"` // none: any will do
	TimeZone        string         `yaml:"time_zone,omitempty" json:"time_zone,omitempty"`                 // IANA, Europe/Zurich; default UTC
}

// Reason is one for which an agent may be Not Ready.
type Reason struct {
	Code        agent.Reason `yaml:"code" json:"code"`
	DisplayName string       `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Names       Names        `yaml:"names,omitempty" json:"names,omitempty"`
	Limit       Duration     `yaml:"limit,omitempty" json:"limit,omitempty"` // how long it allows; none if left out
	Then        agent.Follow `yaml:"then,omitempty" json:"then,omitempty"`   // ready or sign_out; left out: it is only shown
}

// timeOfDay reads "17:30" and "17:30:15".
func timeOfDay(s string) (time.Time, error) {
	at, err := time.Parse("15:04", s)
	if err != nil {
		at, err = time.Parse("15:04:05", s)
	}
	return at, err
}

// NextTime is when it is next, after now, that time of day ("17:30") in the tenant's
// zone; the zero time if there is none.
func (p SessionPolicies) NextTime(of string, now time.Time) time.Time {
	at, err := timeOfDay(of)
	if err != nil {
		return time.Time{}
	}
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	day := now.In(zone)
	for n := range 2 {
		// Tomorrow as the calendar has it: a day may have 23 or 25 hours.
		next := time.Date(day.Year(), day.Month(), day.Day()+n, at.Hour(), at.Minute(), at.Second(), 0, zone)
		if next.After(now) {
			return next.UTC()
		}
	}
	return time.Date(day.Year(), day.Month(), day.Day()+2, at.Hour(), at.Minute(), at.Second(), 0, zone).UTC()
}

// maxLimit bounds the time limit of a reason.
const maxLimit = 24 * time.Hour

// session checks what the document says about agent sessions.
func (c *check) session(d Document) {
	p := d.Tenant.Policies.SessionPolicies
	conflicts := []agent.Conflict{"", agent.ConflictRefuse, agent.ConflictTakeOver}
	c.that("tenant.policies.device_conflict", slices.Contains(conflicts, p.DeviceConflict), "%q is not allowed: refuse or take_over", p.DeviceConflict)
	_, err := time.LoadLocation(p.TimeZone)
	c.that("tenant.policies.time_zone", err == nil && p.TimeZone != "Local", "%q is not a time zone, such as Europe/Zurich", p.TimeZone)
	for i, r := range p.NotReadyReasons {
		path := fmt.Sprintf("tenant.policies.not_ready_reasons[%d]", i)
		c.name("reason", path+".code", string(r.Code), nameForm)
		c.text(path+".display_name", r.DisplayName, 0, maxText)
		c.translations(path+".names", r.Names)
		c.that(path+".limit", r.Limit >= 0 && time.Duration(r.Limit) <= maxLimit, "must be between 0 and %s", maxLimit)
		c.that(path+".then", slices.Contains([]agent.Follow{"", agent.FollowReady, agent.FollowSignOut}, r.Then), "%q is not allowed: ready or sign_out", r.Then)
		c.that(path+".then", r.Then == "" || r.Limit > 0, "needs a limit")
	}
	modes := []string{"", agent.Fixed, agent.SelfAdapting, agent.Dynamic, agent.HotDesk}
	for i, a := range d.Agents {
		path := fmt.Sprintf("agents[%d]", i)
		c.that(path+".binding", slices.Contains(modes, a.Binding), "%q is not allowed: fixed, self_adapting, dynamic or hot_desk", a.Binding)
		_, err := timeOfDay(a.ShiftEnd)
		c.that(path+".shift_end", a.ShiftEnd == "" || err == nil, "%q is not a time of day, such as 17:30", a.ShiftEnd)
	}
}
