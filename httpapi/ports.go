// Package httpapi is the HTTP API: typed handlers, JSON names, status codes. It
// reaches the rest through its two ports, Commands and Reader.
package httpapi

import (
	"context"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/record"
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
	Devices(ctx context.Context, ref agent.Ref) ([]record.DeviceStatus, error)
	// Choice lists what an agent may choose at its sign-in; fault.NotFound.
	Choice(ctx context.Context, ref agent.Ref) (record.Choice, error)
	// Calls lists calls, without what only Call tells.
	Calls(ctx context.Context, t id.Tenant, q record.CallQuery) ([]record.Call, string, error)
	// Call reads one call with all that is kept of it; fault.NotFound.
	Call(ctx context.Context, ref call.Ref) (record.Call, error)
	// Timeline lists everything that happened to a call, in order.
	Timeline(ctx context.Context, ref call.Ref) ([]record.TimelineEntry, error)
	// record.QueueLive is a queue's situation now.
	QueueLive(ctx context.Context, t id.Tenant, q id.Queue) (record.QueueLive, error)
	// Presence lists the sessions' views of a tenant.
	Presence(ctx context.Context, t id.Tenant) ([]agent.View, error)
	// Events lists the tenant's events after seq, oldest first, at most limit.
	Events(ctx context.Context, t id.Tenant, after int64, limit int) ([]event.Event, error)
	// Audit appends a line to the audit trail (SEED-4).
	Audit(ctx context.Context, a record.AuditEntry) error
}

// Directory administers a tenant's things one by one, and looks at tenants and their
// trails; *db.DB satisfies it. Each change writes its line of the audit trail itself.
type Directory interface {
	// Thing reads one thing; fault.NotFound: there is none that the author reaches.
	Thing(ctx context.Context, by directory.Author, of directory.Kind, name string) (directory.Thing, error)
	// Things lists those that the author reaches, and the cursor of the next page.
	Things(ctx context.Context, by directory.Author, q directory.Query) (list []directory.Thing, next string, err error)
	Create(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error)
	Update(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error)
	Delete(ctx context.Context, by directory.Author, c directory.Change) error
	Restore(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error)
	// UsedBy lists what keeps a thing from being deleted.
	UsedBy(ctx context.Context, by directory.Author, of directory.Ref) ([]directory.Ref, error)
	// Neighbor is another tenant as seen from one: how close they are. fault.NotFound.
	Neighbor(ctx context.Context, from, to id.Tenant) (directory.Neighbor, error)
}

// Clerk is what administration asks besides: trails, what is to be paid, which phones are
// there; *db.DB satisfies it.
type Clerk interface {
	// Known are those of the names that there are.
	Known(ctx context.Context, by directory.Author, of directory.Kind, names []string) (map[string]bool, error)
	// Import makes and changes the things of a file, all or none.
	Import(ctx context.Context, by directory.Author, file directory.File) (directory.Imported, error)
	// AuditLines reads the audit trail, newest first.
	AuditLines(ctx context.Context, t id.Tenant, q record.AuditQuery) ([]record.AuditEntry, error)
	// Zone is the tenant's time zone.
	Zone(ctx context.Context, t id.Tenant) (*time.Location, error)
	// Bookings lists what calls are booked to whom, newest first if not asked otherwise.
	Bookings(ctx context.Context, t id.Tenant, by record.BookingQuery) ([]record.Booking, error)
	// BookingDays sums them up per account, day and kind.
	BookingDays(ctx context.Context, t id.Tenant, by record.BookingQuery) ([]record.BookingDay, error)
	// AgentsOf lists the agents of teams.
	AgentsOf(ctx context.Context, t id.Tenant, teams []id.Team) ([]id.Agent, error)
	// DeviceStatuses lists devices with their live registrations.
	DeviceStatuses(ctx context.Context, t id.Tenant, by record.DeviceQuery) ([]record.DeviceStatus, error)
	// RegistrationHistory lists what happened to a device's registrations, the latest first.
	RegistrationHistory(ctx context.Context, t id.Tenant, name id.Device) ([]device.HistoryLine, error)
}

// Feed is the process's follower of the event log; *feed.Follower satisfies it.
type Feed interface {
	// Subscribe delivers the tenant's events with a Seq above from, in order. The
	// channel is closed when the reader falls behind or the feed ends: start again
	// from a snapshot. stop ends the subscription; it is safe twice.
	// fault.Unavailable: the feed does not follow the log (yet).
	Subscribe(t id.Tenant) (from int64, events <-chan event.Event, stop func(), err error)
}
