// Package feed follows the log of events, once per process, and fans it out to
// whoever listens. A listener that does not keep up is cut off and starts again
// from a snapshot: nobody waits for a slow reader.
package feed

import (
	"context"

	"holdfast/domain/event"
)

// Source is the end of the log of events of all tenants; *db.DB satisfies it.
type Source interface {
	// Tail lists the events after seq, oldest first, at most limit, and returns the
	// seq to go on from. An event that becomes visible later never has a Seq at or
	// below a returned one: writers that commit out of order are held back.
	Tail(ctx context.Context, after int64, limit int) (events []event.Event, next int64, err error)
	// End returns the seq from which Tail shows only what happens from now on.
	End(ctx context.Context) (int64, error)
	// Nudges returns a channel that receives when something new may be there, until
	// ctx ends. It may miss events, and may be nil: the follower polls besides.
	Nudges(ctx context.Context) <-chan struct{}
}
