package db

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

// policyFields are a tenant's policies as the API shows them and takes them; of a change,
// what is nil stays.
type policyFields struct {
	DirectCallRequiresReady  *bool   `json:"direct_call_requires_ready"`
	OutboundRequiresNotReady *bool   `json:"outbound_requires_not_ready"`
	TransferToNotReady       *string `json:"transfer_to_not_ready"`
	TerminalGraceMS          *int64  `json:"terminal_grace_ms"`
	DeviceConflict           *string `json:"device_conflict"`
	IdleLogoutMS             *int64  `json:"idle_logout_ms"`
	MonitorVisibleToAgent    *bool   `json:"monitor_visible_to_agent"`
	WrapUpEarlyExit          *bool   `json:"wrapup_early_exit"`
	TimeZone                 *string `json:"time_zone"`
	PasswordMinLength        *int    `json:"password_min_length"`
	PasswordHistory          *int    `json:"password_history"`
	PasswordMaxAgeMS         *int64  `json:"password_max_age_ms"`
	ClientLogDays            *int    `json:"client_log_days"`
	EventDays                *int    `json:"event_days"`
	CallDays                 *int    `json:"call_days"`
	DecisionDays             *int    `json:"decision_days"`
	BookingDays              *int    `json:"booking_days"`
	RemovedDays              *int    `json:"removed_days"`

	DialAllowed *[]string `json:"dial_allowed"`
}

// shownPolicies are the policies with their defaults.
func shownPolicies(p tenancy.Policies) policyFields {
	transfer, conflict := cmp.Or(p.TransferToNotReady, "refuse"), cmp.Or(string(p.DeviceConflict), "refuse")
	zone, length, days := cmp.Or(p.TimeZone, "UTC"), cmp.Or(p.Password.MinLength, 10), p.LogDays()
	allowed := append([]string{}, p.DialAllowed...)
	grace, idle, age := p.Grace().Milliseconds(), p.Idle().Milliseconds(), time.Duration(p.Password.MaxAge).Milliseconds()
	events, removed := cmp.Or(p.EventDays, tenancy.DefaultEventDays), p.KeepRemoved()
	return policyFields{
		&p.DirectCallRequiresReady, &p.OutboundRequiresNotReady, &transfer, &grace, &conflict, &idle,
		&p.MonitorVisibleToAgent, &p.WrapUpEarlyExit, &zone, &length, &p.Password.History, &age, &days,
		&events, &p.CallDays, &p.DecisionDays, &p.BookingDays, &removed, &allowed,
	}
}

// changedPolicies are the policies after a change.
func changedPolicies(p tenancy.Policies, change any) (tenancy.Policies, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return p, err
	}
	var f policyFields
	if err := json.Unmarshal(data, &f); err != nil {
		return p, err
	}
	set(&p.DirectCallRequiresReady, f.DirectCallRequiresReady)
	set(&p.OutboundRequiresNotReady, f.OutboundRequiresNotReady)
	set(&p.TransferToNotReady, f.TransferToNotReady)
	set(&p.MonitorVisibleToAgent, f.MonitorVisibleToAgent)
	set(&p.WrapUpEarlyExit, f.WrapUpEarlyExit)
	set(&p.TimeZone, f.TimeZone)
	set(&p.Password.MinLength, f.PasswordMinLength)
	set(&p.Password.History, f.PasswordHistory)
	set(&p.ClientLogDays, f.ClientLogDays)
	set(&p.EventDays, f.EventDays)
	set(&p.CallDays, f.CallDays)
	set(&p.DecisionDays, f.DecisionDays)
	set(&p.BookingDays, f.BookingDays)
	set(&p.RemovedDays, f.RemovedDays)
	set(&p.DialAllowed, f.DialAllowed)
	if f.DeviceConflict != nil {
		p.DeviceConflict = agent.Conflict(*f.DeviceConflict)
	}
	if f.TerminalGraceMS != nil {
		p.TerminalGrace = spanOf(*f.TerminalGraceMS)
	}
	if f.IdleLogoutMS != nil {
		p.IdleLogout = spanOf(*f.IdleLogoutMS)
	}
	if f.PasswordMaxAgeMS != nil {
		p.Password.MaxAge = span(*f.PasswordMaxAgeMS)
	}
	return p, nil
}

func set[T any](into *T, given *T) {
	if given != nil {
		*into = *given
	}
}

func spanOf(ms int64) *tenancy.Duration {
	d := span(ms)
	return &d
}

// wrongPolicies says what is wrong with a tenant, by the names that the API gives its fields.
func wrongPolicies(t tenancy.Tenant, place tenancy.Unit) error {
	doc := tenancy.Document{Organization: place, Division: place, Tenant: t}
	doc.Organization.Name, doc.Division.Name = "any", "any"
	var wrong []fault.Field
	for _, f := range doc.Validate() {
		name := strings.TrimPrefix(f.Name, "tenant.")
		for was, is := range map[string]string{"terminal_grace": "terminal_grace_ms", "idle_logout": "idle_logout_ms", "password.min_length": "password_min_length",
			"password.history": "password_history", "password.max_age": "password_max_age_ms"} {
			if name == "policies."+was {
				name = "policies." + is
			}
		}
		wrong = append(wrong, fault.Field{Name: name, Sentence: f.Sentence})
	}
	if len(wrong) > 0 {
		return wrongFields(wrong)
	}
	return nil
}
