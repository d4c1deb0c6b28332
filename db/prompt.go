package db

import (
	"context"
	"encoding/json"
	"errors"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// channelRings tells a node to begin a ring.
const channelRings = "holdfast_rings"

// maxPrompt is what a notification can carry, in bytes (Postgres: less than 8000).
const maxPrompt = 7900

// ringPrompt is a notification on channelRings.
type ringPrompt struct {
	Node id.Node   `json:"node"`
	Ref  call.Ref  `json:"ref"`
	Ring call.Ring `json:"ring"`
}

// PromptRing tells a node to begin a ring that was matched: see OnRing. It may be lost
// on its way, and is not sent at all with more attached data than a notification holds.
func (d *DB) PromptRing(ctx context.Context, n id.Node, ref call.Ref, r call.Ring) error {
	const op = "prompt a ring"
	payload, err := json.Marshal(ringPrompt{n, ref, r})
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	if len(payload) > maxPrompt {
		return fault.E(fault.Invalid, op, errors.New("the ring has too much attached data"))
	}
	_, err = d.live.Exec(ctx, `SELECT pg_notify($1, $2)`, channelRings, string(payload))
	return failure(op, err)
}

// OnRing has fn called with each ring that this node is told to begin, until Close. It
// is called once, before anything else listens. fn must not block.
func (d *DB) OnRing(n id.Node, fn func(call.Ref, call.Ring)) {
	d.nudges.mu.Lock()
	d.nudges.prompted = func(payload string) {
		var p ringPrompt
		if err := json.Unmarshal([]byte(payload), &p); err != nil {
			d.log.Warn("A prompt to ring can't be read", "err", err)
			return
		}
		if p.Node == n {
			fn(p.Ref, p.Ring)
		}
	}
	d.nudges.mu.Unlock()
	d.startListening()
}

func (n *nudges) onPrompt() func(string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.prompted
}
