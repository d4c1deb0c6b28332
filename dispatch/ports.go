// Package dispatch delivers: commands and facts become Temporal starts, signals
// and updates. It also runs the opening, the first steps of a call before its
// workflow exists.
package dispatch

import (
	"context"
	"time"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Ledger is what the opening and the sign-in need of the database; *db.DB satisfies it.
type Ledger interface {
	// Route looks a number up in a tenant (cached, invalidated by events). Kind
	// ToNobody if there is none.
	Route(ctx context.Context, t id.Tenant, number string) (call.Route, error)
	// Open writes the call's row and, when s owes a Place, runs it and applies its
	// answer to s, all in one transaction. It returns the state reached and the
	// effects of that last step (besides those s already owes). A call that is open
	// already returns fault.Conflict with code "already_open" and the stored state.
	// ctx ends when the caller hangs up: what is not on its way to be committed is undone.
	Open(ctx context.Context, at time.Time, s call.State) (call.State, []call.Effect, error)
	// Advance overwrites the stored state of a call that has no workflow yet.
	Advance(ctx context.Context, s call.State) error
	// Started marks that the call's workflow exists.
	Started(ctx context.Context, ref call.Ref) error
	// Orphans lists open calls older than age whose workflow was never marked started.
	Orphans(ctx context.Context, age time.Duration) ([]call.State, error)
	// Undriven lists the open calls older than age that a node's run carries and whose
	// workflow was never marked started.
	Undriven(ctx context.Context, boot string, age time.Duration) ([]call.State, error)
	// Profile reads the agent's directory entry for the sign-in, with the devices of
	// it that are reachable now. fault.NotFound if there is no such agent.
	Profile(ctx context.Context, ref agent.Ref) (agent.Profile, []id.Device, error)
	Registrations
	// Overdue lists the reservations of all tenants whose lease ended before by, and
	// when that of the next one ends; the zero time if there is none. Offers of calls that
	// another node's run than boot carries are left to it while it lives.
	Overdue(ctx context.Context, by time.Time, boot string) (overdue []record.Reservation, next time.Time, err error)
	// Bury signs an agent out whose session ended at closed without doing so, and
	// returns the offer that its row was reserved for. found is false if there is
	// nothing to bury.
	Bury(ctx context.Context, ref agent.Ref, closed time.Time) (offer id.Offer, found bool, err error)
}

// Registrations is where phones stand; *db.DB satisfies it.
type Registrations interface {
	// SaveRegistration writes (or, with Expires in the past, removes) a registration
	// and returns whether the device is reachable now and whose it is.
	SaveRegistration(ctx context.Context, r device.Registration) (owner id.Agent, reach device.Reach, err error)
	// Rejected keeps in a device's history that a REGISTER for it was rejected.
	Rejected(ctx context.Context, r device.Rejection) error
	// Lapsed lists registrations that ran out more than age ago, whose node is gone; they
	// stay until they are removed (Phones).
	Lapsed(ctx context.Context, age time.Duration) ([]device.Stranded, error)
	// TellHeld tells the events of registrations that were held back for age or longer
	// because a device had too many.
	TellHeld(ctx context.Context, age time.Duration) error
	activities.Phones
}
