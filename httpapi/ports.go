// Package httpapi is the HTTP API: typed handlers, JSON names, status codes. It
// reaches the rest through its two ports, Commands and Reader.
package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/event"
	"holdfast/domain/id"
)

// Commands carries what people ask to sessions and calls; *dispatch.Dispatcher satisfies it.
type Commands interface {
	// SignIn starts the agent's session, or attaches a terminal to the running one
	// (created false). The event's Reachable and the profile are filled in by it.
	SignIn(ctx context.Context, ref agent.Ref, user id.User, e agent.SignIn) (v agent.View, created bool, err error)
	// Agent gives a running session a command and returns the view reached; the
	// command's Actor.Key makes a repetition harmless. fault.NotFound: not signed in;
	// fault.Conflict: refused by the state.
	Agent(ctx context.Context, ref agent.Ref, e agent.Event) (agent.View, error)
	// AgentView reads the view of a running session; fault.NotFound: not signed in.
	AgentView(ctx context.Context, ref agent.Ref) (agent.View, error)
	// HangUp ends a call.
	HangUp(ctx context.Context, ref call.Ref, e call.HangUp) (call.View, error)
}

// Reader reads directory and records; *db.DB satisfies it.
type Reader interface {
	// User reads an account; fault.NotFound also for an unknown tenant.
	User(ctx context.Context, t id.Tenant, name id.User) (account.User, error)
	// Devices lists the devices that an agent may choose, with their reachability.
	Devices(ctx context.Context, ref agent.Ref) ([]DeviceStatus, error)
	// Calls lists calls, newest first.
	Calls(ctx context.Context, t id.Tenant, q CallQuery) ([]call.View, string, error)
	// Call reads one call; fault.NotFound.
	Call(ctx context.Context, ref call.Ref) (call.View, error)
	// Timeline lists everything that happened to a call, in order.
	Timeline(ctx context.Context, ref call.Ref) ([]TimelineEntry, error)
	// QueueLive is a queue's situation now.
	QueueLive(ctx context.Context, t id.Tenant, q id.Queue) (QueueLive, error)
	// Presence lists the sessions' views of a tenant.
	Presence(ctx context.Context, t id.Tenant) ([]agent.View, error)
	// Events lists the tenant's events after seq, oldest first, at most limit.
	Events(ctx context.Context, t id.Tenant, after int64, limit int) ([]event.Event, error)
	// Idempotent stores the answer of a mutation under its key, or returns the stored one.
	Audit(ctx context.Context, a AuditEntry) error
}

// DeviceStatus is a device with its present reachability.
type DeviceStatus struct {
	device.Device
	Reachable bool   `json:"reachable"`
	UserAgent string `json:"user_agent,omitempty"`
}

// CallQuery filters and pages a list of calls.
type CallQuery struct {
	Queue  id.Queue
	Agent  id.Agent
	Phase  call.Phase
	Live   *bool
	Since  time.Time
	Until  time.Time
	Limit  int
	Cursor string
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
}
