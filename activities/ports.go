// Package activities holds the thin adapters by which workflows reach the world,
// and the ports that they need: Phone, Journal and Directory.
package activities

import (
	"context"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Phone is a telephony node as a call needs it; *telephony.Node satisfies it. All
// methods are idempotent: an effect that has begun already is attached to.
type Phone interface {
	// Ring rings the targets and returns how it ended; see call.Ring. A ring whose
	// offer has begun already, or ended in the last minutes, is attached to.
	// fault.NotFound: the customer's leg is not (any longer) on this node.
	Ring(ctx context.Context, ref call.Ref, r call.Ring) (call.RingEnded, error)
	// Cancel takes a ring back; a ring that is over is a success.
	Cancel(ctx context.Context, ref call.Ref, c call.Cancel) error
	// Treat lets a leg hear something; fault.NotFound if the leg is gone.
	Treat(ctx context.Context, ref call.Ref, t call.Treat) error
	// Drop ends a leg; a leg that is gone is a success.
	Drop(ctx context.Context, ref call.Ref, d call.Drop) error
}

// Journal is where sessions and calls are written; *db.DB satisfies it. All
// methods are idempotent; older versions never overwrite newer ones.
type Journal interface {
	// SaveAgent writes presence, view and event of a session and matches it, in one
	// transaction; see agent.Save.
	SaveAgent(ctx context.Context, s agent.Save) (record.Saved, error)
	// Place puts a call into line and matches it, in one transaction; see call.Place.
	Place(ctx context.Context, ref call.Ref, p call.Place) (record.Placed, error)
	// SaveCall writes view and event of a call; see call.Save.
	SaveCall(ctx context.Context, ref call.Ref, s call.Save) error
	// CloseCall writes the record of an ended call; see call.Close.
	CloseCall(ctx context.Context, ref call.Ref, c call.Close) error
	// CallState returns the state that the call was opened with, to start its
	// workflow from; fault.NotFound if there is no such open call.
	CallState(ctx context.Context, ref call.Ref) (call.State, error)
	// CallsOf lists the open calls carried by a node's boots other than alive.
	CallsOf(ctx context.Context, n id.Node, alive string) ([]call.Ref, error)
	// SeeNode tells what the registry says of a node; the zero Sight if it never beat.
	SeeNode(ctx context.Context, n id.Node) (device.Sight, error)
	// LoseNode marks a run of a node as given up and lists the registrations that can't
	// be reached any more; fault.Conflict if the run has beaten since l.Seen.
	LoseNode(ctx context.Context, l device.Loss) ([]device.Stranded, error)
	Phones
}

// Phones is where registrations stand that nobody keeps any more; *db.DB satisfies it.
type Phones interface {
	// Reachable tells whose the device of s is (whose session is bound to it, else its
	// owner; "": nobody's) and whether it is reachable now in another way than by s.
	Reachable(ctx context.Context, s device.Stranded) (owner id.Agent, reachable bool, err error)
	// Unstrand removes registrations that can't be reached, unless they were renewed.
	Unstrand(ctx context.Context, list []device.Stranded) error
}

// Renewed is a Phone that goes on under another boot when its run was given up;
// *telephony.Node satisfies it.
type Renewed interface {
	// Boot names the run that carries what begins now.
	Boot() string
	// Renew ends the calls of a run that was given up, and goes on under another boot; if
	// that was done before, nothing happens.
	Renew(boot string)
}
