package activities

import (
	"context"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

// ringBeat is how often a ring shows that its node lives. Each beat is a billed
// action, and most rings are answered before the first; the node's guard sees a
// dead node sooner anyway.
const ringBeat = 7 * time.Second

// Node holds the activities of one telephony node, run on its own task queue.
type Node struct {
	Phone Phone
	// Journal is where a ring notes that it began.
	Journal Journal
	Name    id.Node
	Boot    string // the node's run
	// Stopping is closed when the node begins a clean stop; nil: never.
	Stopping <-chan struct{}

	guards atomic.Int32
}

// Rung is the answer of Ring.
type Rung struct {
	call.RingEnded
	// Noted says that the note was written.
	Noted bool `json:"noted,omitempty"`
}

// Ring rings the targets and returns how it ended. A note, if there is one, is written
// meanwhile: so that a ring need not wait for its own record, nor the record cost an
// action of its own.
func (n *Node) Ring(ctx context.Context, ref call.Ref, r call.Ring, note *call.Save) (Rung, error) {
	done := make(chan struct{})
	defer close(done)
	go beat(ctx, done)
	noted := n.note(ctx, ref, note)
	ended, err := n.Phone.Ring(ctx, ref, r)
	return Rung{RingEnded: ended, Noted: <-noted}, Carry(err)
}

// noteWithin bounds the writing of a note.
const noteWithin = 2 * time.Second

// note writes a note beside, and tells whether it could.
func (n *Node) note(ctx context.Context, ref call.Ref, note *call.Save) <-chan bool {
	noted := make(chan bool, 1)
	if note == nil || n.Journal == nil {
		noted <- false
		return noted
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, noteWithin)
		defer cancel()
		noted <- n.Journal.SaveCall(ctx, ref, *note) == nil
	}()
	return noted
}

func beat(ctx context.Context, done <-chan struct{}) {
	ticks := time.NewTicker(ringBeat)
	defer ticks.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-ticks.C:
			activity.RecordHeartbeat(ctx)
		}
	}
}

// Cancel takes a ring back.
func (n *Node) Cancel(ctx context.Context, ref call.Ref, c call.Cancel) error {
	return Carry(n.Phone.Cancel(ctx, ref, c))
}

// Treat lets a leg hear something.
func (n *Node) Treat(ctx context.Context, ref call.Ref, t call.Treat) error {
	return Carry(n.Phone.Treat(ctx, ref, t))
}

// Drop ends a leg.
func (n *Node) Drop(ctx context.Context, ref call.Ref, d call.Drop) error {
	return Carry(n.Phone.Drop(ctx, ref, d))
}
