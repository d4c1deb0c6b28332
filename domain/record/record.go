// Package record holds what the records are asked and what they answer: the words
// that the database and its readers on other floors share.
package record

import (
	"encoding/json"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Saved is the answer of saving a session (agent.Save).
type Saved struct {
	// Reserved is the offer that the agent's presence row holds: made earlier by
	// another transaction, or by this one. Nil if none, or if the session knows it.
	Reserved *agent.Offer
	// Matched is set when this very transaction (or its first execution, when this
	// is a repetition) matched the agent: the call must be told.
	Matched *call.Matched
	// Taken are devices of the binding that another agent has, and Lost those that this
	// very transaction took from others, whose sessions must be told.
	Taken []agent.Taken
	Lost  []Lost
}

// Lost is a device that an agent's session lost to another one.
type Lost struct {
	Agent  id.Agent  `json:"agent"`
	Device id.Device `json:"device"`
}

// Seat is what is known of a device that calls.
type Seat struct {
	// Agent is whose session is bound to the device, else its owner; "" is nobody.
	Agent id.Agent
	// MayNotDialOut: the agent is Ready or has an offer, and the tenant wants agents to be
	// Not Ready when they dial out (policy outbound_requires_not_ready, SEED-80).
	MayNotDialOut bool
}

// Terminal is an open client of a session.
type Terminal struct {
	Session  agent.Ref
	Terminal id.Terminal
}

// Placed is the answer of placing a call (call.Place): exactly one of the two is set.
type Placed struct {
	Matched *call.Matched
	Waiting *call.Waiting
}

// DeviceStatus is a device with its present reachability.
type DeviceStatus struct {
	device.Device
	Reachable bool   `json:"reachable"`
	UserAgent string `json:"user_agent,omitempty"`
	// Contacts are its registrations, the freshest first; only DB.DeviceStatuses has them.
	Contacts []device.Contact `json:"contacts,omitempty"`
}

// Choice is what an agent may choose at its sign-in.
type Choice struct {
	Mode       string   // of its binding
	Interfaces []string // none with a hot desk or a fixed device (SEED-118, SEED-119)
	Devices    map[id.Device]Offered
}

// Offered says of a device in the list whether it can be chosen now (SEED-115).
type Offered struct {
	Now    bool
	UsedBy id.Agent // who has it
}

// DeviceQuery filters and pages the devices of a tenant, in the order of their names;
// zero fields don't.
type DeviceQuery struct {
	Name   id.Device
	Kind   leg.Kind
	Agent  id.Agent
	Search string    // in name, extension, number and agent
	After  id.Device // the last one of the page before
	Limit  int       // 100 when 0, at most 1000
}

// TimelineEntry is one line of a call's time line.
type TimelineEntry struct {
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"`     // past participle, or "Decision"
	Sentence string          `json:"sentence"` // for people
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// QueueLive is a queue now: who waits, who serves.
type QueueLive struct {
	Queue   id.Queue      `json:"queue"`
	Waiting []WaitingCall `json:"waiting"`
	Agents  []agent.View  `json:"agents"`
}

// WaitingCall is one place in line.
type WaitingCall struct {
	Call     id.Call   `json:"call"`
	From     string    `json:"from"`
	QueuedAt time.Time `json:"queued_at"`
	Position int       `json:"position"`
	Offering bool      `json:"offering"`
}

// AuditEntry is one line of the audit trail (SEED-4).
type AuditEntry struct {
	Tenant id.Tenant       `json:"tenant"`
	User   id.User         `json:"user"`
	At     time.Time       `json:"at"`
	Action string          `json:"action"`
	Object string          `json:"object"`
	Detail json.RawMessage `json:"detail,omitempty"`
	Source string          `json:"source"`
	Result string          `json:"result"`

	Home   id.Tenant       `json:"home,omitempty"`   // whose user it is, if not this tenant's (SEED-40)
	Before json.RawMessage `json:"before,omitempty"` // of a change: what was
	After  json.RawMessage `json:"after,omitempty"`  // and what is
	Seq    int64           `json:"seq,omitempty"`    // place in the tenant's trail, from 1
	Hash   []byte          `json:"hash,omitempty"`   // links it to the line before
}

// AuditQuery filters and pages the audit trail, newest first.
type AuditQuery struct {
	User   id.User
	Action string // exactly, or all that begin with it and a dot
	Object string
	Result string
	Since  time.Time
	Until  time.Time
	Before int64 // lines before this place; 0: from the newest
	Limit  int
}

// AuditChain is what a check of a tenant's trail found.
type AuditChain struct {
	Tenant id.Tenant
	Lines  int64
	Head   []byte // hash of the last line: written down elsewhere, it proves the whole trail
	Broken int64  // place of the first line that does not fit; 0: none
	Why    string
}

// Answer is what was answered to a request with an Idempotency-Key, for its repeats.
type Answer struct {
	Tenant    id.Tenant
	User      id.User
	Operation string // of the API
	Key       string // the client's
	Request   []byte // hash of what was asked
	Body      json.RawMessage
	Expires   time.Time
}

// ProfileChange says that the directory's entry of an agent changed, or is gone.
type ProfileChange struct {
	Seq   int64 // rises with each change of an agent
	Agent agent.Ref
}
