package httpapi

import (
	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// The resources above what a tenant holds (SEED-37).
var (
	organizations = resource{kind: directory.Organization, path: "/v1/organizations", plural: "organizations"}
	divisions     = resource{kind: directory.Division, path: "/v1/divisions", plural: "divisions"}
	tenants       = resource{kind: directory.Tenant, path: "/v1/tenants", plural: "tenants"}
)

type organizationView struct {
	Name        string `json:"name" example:"acme"`
	DisplayName string `json:"display_name"`
	Stamp
}

// OrganizationFields are what can be set of an organization.
type OrganizationFields struct {
	DisplayName *line `json:"display_name,omitempty" maxLength:"200"`
}

type newOrganization struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	OrganizationFields
}

type listOrganizations struct{ Listing }

type divisionView struct {
	ID           string `json:"id" example:"acme:service" doc:"Its address: organization and name."`
	Name         string `json:"name" example:"service"`
	Organization string `json:"organization" example:"acme"`
	DisplayName  string `json:"display_name"`
	Stamp
}

// DivisionFields are what can be set of a division.
type DivisionFields struct {
	DisplayName *line `json:"display_name,omitempty" maxLength:"200"`
}

type newDivision struct {
	Name         line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	Organization line `json:"organization" minLength:"1" maxLength:"64"`
	DivisionFields
}

type listDivisions struct {
	Listing
	Organization line `query:"organization" maxLength:"64"`
}

// tenantPolicies are the policies of a tenant, where sources disagree.
type tenantPolicies struct {
	DirectCallRequiresReady  *bool   `json:"direct_call_requires_ready,omitempty" doc:"Whether an extension call needs a Ready agent (SEED-71, SEED-81)."`
	OutboundRequiresNotReady *bool   `json:"outbound_requires_not_ready,omitempty" doc:"Whether an agent who is Ready, or has an offer, is refused when it dials out; else dialling takes it out of its queues for the time of the call (SEED-80)."`
	TransferToNotReady       *string `json:"transfer_to_not_ready,omitempty" enum:"refuse,drop" doc:"SEED-85. Kept; not in effect yet."`
	TerminalGraceMS          *int64  `json:"terminal_grace_ms,omitempty" minimum:"0" maximum:"86400000" doc:"How long a session outlives its last terminal (SEED-61, SEED-100)."`
	DeviceConflict           *string `json:"device_conflict,omitempty" enum:"refuse,take_over" doc:"Of a device that another agent has (SEED-30, SEED-55)."`
	IdleLogoutMS             *int64  `json:"idle_logout_ms,omitempty" minimum:"0" maximum:"604800000" doc:"0: never (SEED-57)."`
	MonitorVisibleToAgent    *bool   `json:"monitor_visible_to_agent,omitempty" doc:"SEED-102. Kept; not in effect yet."`
	WrapUpEarlyExit          *bool   `json:"wrapup_early_exit,omitempty" doc:"Whether the agent may end wrap-up early (SEED-97)."`
	TimeZone                 *line   `json:"time_zone,omitempty" maxLength:"64" doc:"Of shifts and days." example:"Europe/Zurich"`
	PasswordMinLength        *int    `json:"password_min_length,omitempty" minimum:"1" maximum:"256"`
	PasswordHistory          *int    `json:"password_history,omitempty" minimum:"0" maximum:"100" doc:"Passwords that can't be taken again."`
	PasswordMaxAgeMS         *int64  `json:"password_max_age_ms,omitempty" minimum:"0" maximum:"94608000000" doc:"0: passwords don't age."`
	ClientLogDays            *int    `json:"client_log_days,omitempty" minimum:"1" maximum:"365" doc:"For how many days what clients report is kept (SEED-129)."`
	EventDays                *int    `json:"event_days,omitempty" minimum:"1" maximum:"36500" doc:"For how many days events are kept, and at most as long as calls. What is older is deleted for good."`
	CallDays                 *int    `json:"call_days,omitempty" minimum:"0" maximum:"36500" doc:"For how many days calls are kept, with legs, segments and decisions; 0: for good."`
	DecisionDays             *int    `json:"decision_days,omitempty" minimum:"0" maximum:"36500" doc:"For how many days the decisions about calls are kept; 0: as long as the calls."`
	BookingDays              *int    `json:"booking_days,omitempty" minimum:"0" maximum:"36500" doc:"For how many days it is kept what calls were booked to; 0: for good."`
	RemovedDays              *int    `json:"removed_days,omitempty" minimum:"1" maximum:"36500" doc:"For how many days what was deleted can be restored."`
	DialAllowed              *[]line `json:"dial_allowed,omitempty" maxItems:"250" doc:"The beginnings of the numbers that may be dialled, such as +49; + is any; an empty list too. Premium rate numbers, satellites and codes that choose another carrier need a beginning of their own, such as +49900, +881 and +4910."`
}

type tenantView struct {
	Tenant       id.Tenant      `json:"tenant" example:"demo.localhost" doc:"Its domain, which never changes: phones and passwords of phones hang on it."`
	DisplayName  string         `json:"display_name"`
	Organization string         `json:"organization"`
	Division     string         `json:"division"`
	Country      string         `json:"country" example:"CH" doc:"Whose national telephone numbers are understood; empty: none's."`
	Currency     string         `json:"currency" example:"CHF" doc:"Of its tariffs."`
	Policies     tenantPolicies `json:"policies" doc:"With their defaults."`
	Shared       account.Scope  `json:"shared" enum:"tenant,division,organization,system" doc:"The closest level that it shares with one's own."`
	MaySwitch    bool           `json:"may_switch" doc:"Whether one may work in it by POST /v1/auth/switch-tenant."`
	Stamp
}

// TenantFields are what can be set of a tenant.
type TenantFields struct {
	DisplayName *line           `json:"display_name,omitempty" maxLength:"200"`
	Country     *line           `json:"country,omitempty" maxLength:"2" pattern:"^([A-Z]{2})?$" patternDescription:"two capital letters of ISO 3166-1, such as DE" doc:"Refused if numbers of external devices would not be understood or reached from there."`
	Currency    *line           `json:"currency,omitempty" maxLength:"3" pattern:"^[A-Z]{3}$" patternDescription:"three capital letters of ISO 4217, such as EUR" doc:"Of its tariffs; their amounts stay as they are, and so do bookings of before. EUR, if never set." example:"CHF"`
	Policies    *tenantPolicies `json:"policies,omitempty" doc:"Those that change; the others stay. Running sessions follow."`
}

type newTenant struct {
	Tenant       line `json:"tenant" key:"true" minLength:"1" maxLength:"253" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" patternDescription:"a domain in lower case" example:"branch.example"`
	Organization line `json:"organization" minLength:"1" maxLength:"64"`
	Division     line `json:"division" minLength:"1" maxLength:"64"`
	TenantFields
}

type changedTenant struct {
	Organization *line `json:"organization,omitempty" minLength:"1" maxLength:"64"`
	Division     *line `json:"division,omitempty" minLength:"1" maxLength:"64" doc:"To another division, which is there."`
	TenantFields
}

type listTenants struct {
	Listing
	Organization line `query:"organization" maxLength:"64"`
	Division     line `query:"division" maxLength:"64"`
}

func (a *API) registerLevels() {
	administer[organizationView, *organizationView, newOrganization, OrganizationFields, listOrganizations](a, organizations)
	administer[divisionView, *divisionView, newDivision, DivisionFields, listDivisions](a, divisions)
	administer[tenantView, *tenantView, newTenant, changedTenant, listTenants](a, tenants)
}
