// Package tenancy is a whole tenant as one document: what `holdfast apply` reads and
// `holdfast export` writes. It says what is wrong with a document and how two of them
// differ; it reads no files and knows no SQL.
package tenancy

import (
	"cmp"
	"fmt"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
)

// Duration is a time span as people write it: "10s", "1m30s", "8h".
type Duration time.Duration

// MarshalText writes d as time.Duration does, without needless zeros.
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	for _, tail := range []string{"m0s", "h0m"} {
		if len(s) > len(tail) && s[len(s)-len(tail):] == tail {
			s = s[:len(s)-2]
		}
	}
	return []byte(s), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return &NotADuration{Text: string(text)}
	}
	*d = Duration(v)
	return nil
}

// NotADuration says that a text is no time span. It is always a pointer.
type NotADuration struct{ Text string }

// Error implements error.
func (e *NotADuration) Error() string {
	return fmt.Sprintf("%q is not a duration such as 10s, 1m30s or 8h", e.Text)
}

// Document is a whole tenant.
type Document struct {
	Organization Unit     `yaml:"organization" json:"organization"`
	Division     Unit     `yaml:"division" json:"division"`
	Tenant       Tenant   `yaml:"tenant" json:"tenant"`
	Teams        []Team   `yaml:"teams,omitempty" json:"teams,omitempty"`
	Roles        []Role   `yaml:"roles,omitempty" json:"roles,omitempty"`
	Users        []User   `yaml:"users,omitempty" json:"users,omitempty"`
	Agents       []Agent  `yaml:"agents,omitempty" json:"agents,omitempty"`
	Devices      []Device `yaml:"devices,omitempty" json:"devices,omitempty"`
	Skills       []Skill  `yaml:"skills,omitempty" json:"skills,omitempty"`
	Queues       []Queue  `yaml:"queues,omitempty" json:"queues,omitempty"`
	Trunks       []Trunk  `yaml:"trunks,omitempty" json:"trunks,omitempty"`
	Numbers      []Number `yaml:"numbers,omitempty" json:"numbers,omitempty"`

	Dispositions  []Disposition  `yaml:"dispositions,omitempty" json:"dispositions,omitempty"`
	ContactFields []ContactField `yaml:"contact_fields,omitempty" json:"contact_fields,omitempty"`
	// Tariffs are all there are; nil: the document does not speak of them, and they stay.
	Tariffs []Tariff `yaml:"tariffs,omitempty" json:"tariffs,omitempty"`
	// Music are the sounds that queues choose from; nil: the document does not speak of them,
	// and they stay.
	Music []Music `yaml:"music,omitempty" json:"music,omitempty"`
	// Webhooks are all there are; nil: the document does not speak of them, and they stay.
	Webhooks []Webhook `yaml:"webhooks,omitempty" json:"webhooks,omitempty"`
}

// Unit is an organization or a division (SEED-37).
type Unit struct {
	Name        string `yaml:"name" json:"name"`
	DisplayName string `yaml:"display_name,omitempty" json:"display_name,omitempty"`
}

// Tenant is the tenant itself; its domain never changes (SEED-66).
type Tenant struct {
	Domain      id.Tenant `yaml:"domain" json:"domain"`
	DisplayName string    `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Country     string    `yaml:"country,omitempty" json:"country,omitempty"`   // whose national numbers are understood: ISO 3166-1 alpha-2, DE
	Currency    string    `yaml:"currency,omitempty" json:"currency,omitempty"` // of its tariffs: ISO 4217; default EUR
	Policies    Policies  `yaml:"policies,omitempty" json:"policies,omitzero"`
}

// Policies are the tenant's settings where sources disagree (docs/behaviours.md). A
// policy that is left out has its default.
type Policies struct {
	WrapUpEarlyExit bool      `yaml:"wrapup_early_exit,omitempty" json:"wrapup_early_exit,omitempty"`
	IdleLogout      *Duration `yaml:"idle_logout,omitempty" json:"idle_logout,omitempty"`       // default 8 h, 0 = never
	TerminalGrace   *Duration `yaml:"terminal_grace,omitempty" json:"terminal_grace,omitempty"` // default 30 s

	Password      PasswordPolicy `yaml:"password,omitempty" json:"password,omitzero"`
	ClientLogDays int            `yaml:"client_log_days,omitempty" json:"client_log_days,omitempty"` // default 14

	SessionPolicies `yaml:",inline"`
	CallPolicies    `yaml:",inline"`
	KeepingPolicies `yaml:",inline"`
}

// PasswordPolicy is what is asked of users' passwords; see account.PasswordPolicy.
type PasswordPolicy struct {
	MinLength int      `yaml:"min_length,omitempty" json:"min_length,omitempty"` // in characters; default 10
	History   int      `yaml:"history,omitempty" json:"history,omitempty"`       // passwords that can't be taken again; default 0
	MaxAge    Duration `yaml:"max_age,omitempty" json:"max_age,omitempty"`       // default 0: passwords don't age
}

// Rules is the policy as passwords are held against it.
func (p PasswordPolicy) Rules() account.PasswordPolicy {
	return account.PasswordPolicy{MinLength: p.MinLength, History: p.History, MaxAge: time.Duration(p.MaxAge)}
}

// passwords checks the policy of passwords.
func (c *check) passwords(p PasswordPolicy) {
	c.that("tenant.policies.password.min_length", p.MinLength == 0 || p.MinLength >= account.ShortestPassword && p.MinLength <= account.LongestMinimum,
		"must be from %d to %d", account.ShortestPassword, account.LongestMinimum)
	c.that("tenant.policies.password.history", p.History >= 0 && p.History <= account.MostHistory, "must be from 0 to %d", account.MostHistory)
	c.that("tenant.policies.password.max_age", p.MaxAge == 0 || p.MaxAge >= Duration(24*time.Hour), "must be 24h or more, or 0 for never")
}

// The defaults of the policies.
const (
	DefaultIdleLogout    = 8 * time.Hour
	DefaultTerminalGrace = 30 * time.Second
	DefaultClientLogDays = 14
	mostClientLogDays    = 365
)

// LogDays is for how many days what clients report is kept: client_log_days with its default.
func (p Policies) LogDays() int { return cmp.Or(p.ClientLogDays, DefaultClientLogDays) }

// Idle is the policy idle_logout with its default.
func (p Policies) Idle() time.Duration { return orDefault(p.IdleLogout, DefaultIdleLogout) }

// Grace is the policy terminal_grace with its default.
func (p Policies) Grace() time.Duration { return orDefault(p.TerminalGrace, DefaultTerminalGrace) }

func orDefault(d *Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
}

// Team is a group of agents.
type Team struct {
	Name        id.Team `yaml:"name" json:"name"`
	DisplayName string  `yaml:"display_name,omitempty" json:"display_name,omitempty"`
}

// KeptPassword stands in place of a hash that the reader of a document may not see: the user
// keeps the password.
const KeptPassword = "kept"

// User is a person's account, the only thing that signs in (SEED-1).
type User struct {
	Name         id.User        `yaml:"name" json:"name"`
	DisplayName  string         `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Password     string         `yaml:"password,omitempty" json:"password,omitempty"`           // in clear
	PasswordHash string         `yaml:"password_hash,omitempty" json:"password_hash,omitempty"` // argon2id, PHC string; what export writes
	Roles        []account.Role `yaml:"roles" json:"roles"`
	Teams        []id.Team      `yaml:"teams,omitempty" json:"teams,omitempty"` // scope of a supervisor
	Team         id.Team        `yaml:"team,omitempty" json:"team,omitempty"`   // whose administrator manages the account (SEED-43)
	Disabled     bool           `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

// Agent is the contact-center side of a user (SEED-15).
type Agent struct {
	Number     id.Agent     `yaml:"number" json:"number"`
	User       id.User      `yaml:"user" json:"user"`
	Team       id.Team      `yaml:"team,omitempty" json:"team,omitempty"`
	WrapUp     Duration     `yaml:"wrap_up,omitempty" json:"wrap_up,omitempty"` // SEED-95: none if left out
	RingMethod string       `yaml:"ring_method,omitempty" json:"ring_method,omitempty"`
	OnNoAnswer agent.Follow `yaml:"on_no_answer,omitempty" json:"on_no_answer,omitempty"`
	OnReject   agent.Follow `yaml:"on_reject,omitempty" json:"on_reject,omitempty"`
	Addresses  []id.Device  `yaml:"addresses,omitempty" json:"addresses,omitempty"` // in order (SEED-106)
	Binding    string       `yaml:"binding,omitempty" json:"binding,omitempty"`     // mode; default dynamic (SEED-53 to SEED-55, SEED-113)
	ShiftEnd   string       `yaml:"shift_end,omitempty" json:"shift_end,omitempty"` // signed out at this time of day, "17:30"; none if left out
	Skills     []SkillLevel `yaml:"skills,omitempty" json:"skills,omitempty"`
}

// Device is something that rings (SEED-21, SEED-22).
type Device struct {
	Name      id.Device `yaml:"name" json:"name"`
	Kind      leg.Kind  `yaml:"kind,omitempty" json:"kind,omitempty"` // default sip
	Agent     id.Agent  `yaml:"agent,omitempty" json:"agent,omitempty"`
	Owner     id.User   `yaml:"owner,omitempty" json:"owner,omitempty"`           // whom its calls are booked to (SEED-47, SEED-50); none: the agent's user
	Extension string    `yaml:"extension,omitempty" json:"extension,omitempty"`   // its internal number (SEED-49)
	Number    string    `yaml:"number,omitempty" json:"number,omitempty"`         // external: what is dialled; E.164 when complete
	Password  string    `yaml:"password,omitempty" json:"password,omitempty"`     // in clear
	HA1MD5    string    `yaml:"ha1_md5,omitempty" json:"ha1_md5,omitempty"`       // what export writes
	HA1SHA256 string    `yaml:"ha1_sha256,omitempty" json:"ha1_sha256,omitempty"` // what export writes

	device.Settings `yaml:",inline"`
}

// Queue is a line of callers and those who serve it.
type Queue struct {
	Name        id.Queue       `yaml:"name" json:"name"`
	DisplayName string         `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Strategy    queue.Strategy `yaml:"strategy,omitempty" json:"strategy,omitempty"` // default longest_idle
	Ring        Duration       `yaml:"ring,omitempty" json:"ring,omitempty"`         // default 15 s
	MaxWait     Duration       `yaml:"max_wait,omitempty" json:"max_wait,omitempty"`
	Priority    int            `yaml:"priority,omitempty" json:"priority,omitempty"`
	Music       string         `yaml:"music,omitempty" json:"music,omitempty"`
	Members     []Member       `yaml:"members,omitempty" json:"members,omitempty"`
	Skills      []SkillLevel   `yaml:"skills,omitempty" json:"skills,omitempty"` // what its calls ask for, at least
}

// DefaultRing is how long an offer rings where the queue does not say.
const DefaultRing = 15 * time.Second

// Member is an agent of a queue.
type Member struct {
	Agent    id.Agent `yaml:"agent" json:"agent"`
	Penalty  int      `yaml:"penalty,omitempty" json:"penalty,omitempty"`
	Position int      `yaml:"position,omitempty" json:"position,omitempty"`
	Static   bool     `yaml:"static,omitempty" json:"static,omitempty"` // SEED-62
	Manual   bool     `yaml:"manual,omitempty" json:"manual,omitempty"` // not checked in at sign-in
}

// Trunk is a carrier connection.
type Trunk struct {
	Name      string   `yaml:"name" json:"name"`
	Addresses []string `yaml:"addresses,omitempty" json:"addresses,omitempty"` // calls from these are the trunk's: addresses or prefixes
	Host      string   `yaml:"host,omitempty" json:"host,omitempty"`           // outbound: host[:port]
	Transport string   `yaml:"transport,omitempty" json:"transport,omitempty"` // udp or tcp
	User      string   `yaml:"user,omitempty" json:"user,omitempty"`
	Password  string   `yaml:"password,omitempty" json:"password,omitempty"` // in clear
	HA1MD5    string   `yaml:"ha1_md5,omitempty" json:"ha1_md5,omitempty"`
	HA1SHA256 string   `yaml:"ha1_sha256,omitempty" json:"ha1_sha256,omitempty"`
	// Outbound: the realm in which the carrier asks for credentials, by default the host's name, and the hashes for it.
	Realm         string `yaml:"realm,omitempty" json:"realm,omitempty"`
	CarrierMD5    string `yaml:"carrier_md5,omitempty" json:"carrier_md5,omitempty"`
	CarrierSHA256 string `yaml:"carrier_sha256,omitempty" json:"carrier_sha256,omitempty"`
	Limit         int    `yaml:"limit,omitempty" json:"limit,omitempty"`
	CallerID      string `yaml:"caller_id,omitempty" json:"caller_id,omitempty"` // shown on calls out where the device has none
	Identity      string `yaml:"identity,omitempty" json:"identity,omitempty"`   // asserted (default) or none; see device.Asserted
}

// Number leads somewhere: to exactly one of queue, agent and trunk. One that ends in
// "*" is a prefix and leads to a trunk.
type Number struct {
	Number string   `yaml:"number" json:"number"`
	Queue  id.Queue `yaml:"queue,omitempty" json:"queue,omitempty"`
	Agent  id.Agent `yaml:"agent,omitempty" json:"agent,omitempty"`
	Trunk  string   `yaml:"trunk,omitempty" json:"trunk,omitempty"`
}
