package telephony

import (
	"context"
	"fmt"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
)

// Ring rings the order's targets and returns how it ended. It blocks until then, or until ctx ends: the ring goes on
// without its caller, and a further Ring of the same offer attaches to it, also minutes after its end; to the call's newest as
// long as the call lives.
//
// Errors: fault.NotFound when the customer's leg is not on this node (any longer), fault.Conflict when it is connected
// with somebody already or a later offer of the call was rung, ctx's error.
func (n *Node) Ring(ctx context.Context, ref call.Ref, order call.Ring) (call.RingEnded, error) {
	k := offerKey{ref.Tenant, order.Offer}
	r, fresh := n.index.takeRing(k, newRing(k, order))
	if fresh {
		n.begin(ctx, ref, r)
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return call.RingEnded{}, ctx.Err()
	}
}

// begin starts the ring with the phones that are registered here, and looks for others meanwhile.
func (n *Node) begin(ctx context.Context, ref call.Ref, r *ring) {
	var err error
	a := n.index.call(ref)
	near := n.near(ref.Tenant, r)
	live := a != nil && a.ask(func() {
		if err = a.startRing(r); err == nil {
			for i, list := range near {
				a.found(r, finding{at: i, contacts: list})
			}
		}
	})
	if !live {
		err = fault.E(fault.NotFound, "ring", fmt.Errorf("call %s is not on this node", ref.Call))
	}
	if err != nil {
		n.index.dropRing(r.key, r)
		r.finish(call.RingEnded{}, err, n.now())
		return
	}
	if r.ended() {
		return // nobody is to be looked for
	}
	ctx = context.WithoutCancel(ctx) // the ring goes on without its caller
	if !n.start(func() { n.search(ctx, a, r) }) {
		a.ask(func() { a.nobodyElse(r) })
	}
}

// Cancel takes a ring back: its phones get CANCEL with the cause, its waiters the outcome rescinded. A ring that is
// over is a success; one that has not begun ends when it begins.
func (n *Node) Cancel(_ context.Context, ref call.Ref, c call.Cancel) error {
	k := offerKey{ref.Tenant, c.Offer}
	a := n.index.call(ref)
	if a == nil {
		return nil
	}
	early := newRing(k, call.Ring{Offer: c.Offer})
	r, fresh := n.index.takeRing(k, early)
	if fresh {
		r.finish(call.RingEnded{Offer: c.Offer, Outcome: call.RingRescinded}, nil, n.now())
		return nil
	}
	a.ask(func() {
		if a.ring != r {
			r.rescinded = true // is seen if it has yet to begin
			return
		}
		cause := c.Cause
		if cause == "" {
			cause = leg.Rescinded
		}
		a.endRing(call.RingEnded{Outcome: call.RingRescinded}, cause)
	})
	return nil
}

// Treat lets a leg hear something: ringback answers the caller's INVITE with 180, music answers it and plays. It is
// idempotent; an answered leg stays answered. fault.NotFound if the leg is gone.
func (n *Node) Treat(ctx context.Context, ref call.Ref, t call.Treat) error {
	done := false
	if a := n.index.call(ref); a != nil {
		music := n.music.of(ctx, ref.Tenant, t.Music)
		a.ask(func() { done = a.treatLeg(t, music) })
	}
	if !done {
		return fault.E(fault.NotFound, "treat", fmt.Errorf("leg %s of call %s is gone", t.Leg, ref.Call))
	}
	return nil
}

// Drop ends a leg with a final response, CANCEL or BYE, as its state demands, and a Reason. The customer's leg takes
// the connected one with it; without an agent the customer hears music again. A leg that is gone is a success.
func (n *Node) Drop(_ context.Context, ref call.Ref, d call.Drop) error {
	if a := n.index.call(ref); a != nil {
		a.ask(func() { a.dropLeg(d) })
	}
	return nil
}
