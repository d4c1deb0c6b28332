package dispatch

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/activities"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/workflows"
)

const (
	// boxLimit is how many facts may wait for one workflow. A call has some ten in
	// its life; more wait only if a phone toggles hold while Temporal is away.
	boxLimit = 256
	// batchLimit is how many facts travel together.
	batchLimit = 64
	// deliverWithin bounds one try.
	deliverWithin = 5 * time.Second
	// The pauses between tries.
	firstPause = 50 * time.Millisecond
	longPause  = 3 * time.Second
)

// fact is a message with what the courier must know of it.
type fact struct {
	activities.Message
	spare bool // may be dropped when too many wait
	seq   int  // within its box
}

// courier delivers facts to workflows: in order per workflow, until they are taken.
// It has a goroutine per workflow only while there is something to deliver.
type courier struct {
	d     *Dispatcher
	mu    sync.Mutex
	boxes map[string]*box
}

// box holds what waits for one workflow.
type box struct {
	workflow string
	ref      call.Ref // of a call; empty for a session
	facts    []fact
	seq      int
}

func newCourier(d *Dispatcher) *courier { return &courier{d: d, boxes: map[string]*box{}} }

// send takes facts for a workflow and returns at once. When the box is full, what is
// only informative is dropped first, then the newest.
func (c *courier) send(workflow string, ref call.Ref, facts ...fact) {
	if len(facts) == 0 {
		return
	}
	c.mu.Lock()
	b, busy := c.boxes[workflow]
	if !busy {
		b = &box{workflow: workflow, ref: ref}
		c.boxes[workflow] = b
	}
	dropped := b.put(facts)
	c.mu.Unlock()
	if dropped > 0 {
		c.d.log.Error("Facts were dropped: too many wait for one workflow.", "workflow", workflow, "dropped", dropped)
	}
	if !busy && !c.d.run(func(ctx context.Context) { c.deliver(ctx, b) }) {
		c.forget(b)
	}
}

// put appends facts and returns how many had to be dropped.
func (b *box) put(facts []fact) (dropped int) {
	for _, f := range facts {
		b.seq++
		f.seq = b.seq
		b.facts = append(b.facts, f)
	}
	excess := max(len(b.facts)-boxLimit, 0)
	dropped = excess
	b.facts = slices.DeleteFunc(b.facts, func(f fact) bool {
		spared := f.spare && excess > 0
		if spared {
			excess--
		}
		return spared
	})
	b.facts = b.facts[:len(b.facts)-excess]
	return dropped
}

// deliver empties a box.
func (c *courier) deliver(ctx context.Context, b *box) {
	defer c.forget(b)
	wait := firstPause
	for {
		batch := c.take(b)
		if len(batch) == 0 {
			return
		}
		err := c.inform(ctx, b, batch)
		if err != nil {
			if wait == firstPause {
				c.d.log.Warn("Facts can't be delivered yet.", "workflow", b.workflow, "kind", batch[0].Kind, "err", err)
			}
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, longPause)
			continue
		}
		wait = firstPause
		c.delivered(b, batch[len(batch)-1].seq)
	}
}

// take returns what waits, at most batchLimit; it stays in the box until it is
// delivered. An empty box is given up at once, so that the next fact opens another.
func (c *courier) take(b *box) []fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b.facts) == 0 {
		c.remove(b)
		return nil
	}
	return slices.Clone(b.facts[:min(len(b.facts), batchLimit)])
}

func (c *courier) delivered(b *box, last int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.facts = slices.DeleteFunc(b.facts, func(f fact) bool { return f.seq <= last })
}

func (c *courier) forget(b *box) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(b)
}

func (c *courier) remove(b *box) {
	if c.boxes[b.workflow] == b {
		delete(c.boxes, b.workflow)
	}
}

// inform sends a batch. A workflow that is over needs to hear nothing any more; a
// call that has none yet is started.
func (c *courier) inform(ctx context.Context, b *box, batch []fact) error {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	facts := make([]activities.Message, len(batch))
	for i, f := range batch {
		facts[i] = f.Message
	}
	err := activities.Inform(ctx, c.d.conf.Temporal, b.workflow, facts...)
	if err == nil || !closed(err) {
		return err
	}
	if b.ref.Call == "" || c.d.conf.Journal == nil {
		return nil
	}
	s, err := c.d.conf.Journal.CallState(ctx, b.ref)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return nil // its record is written
		}
		return err
	}
	_, err = c.d.conf.Temporal.SignalWithStartWorkflow(ctx, b.workflow, activities.Bundle, facts, workflows.StartCall(s), workflows.TypeCall, s)
	if started(err) {
		return nil // it had a workflow, which is over
	}
	return err
}
