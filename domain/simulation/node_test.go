package simulation

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// The telephony node: reflexes on the wire, and facts about them.

// report tells the call a fact from the node.
func (c *conversation) report(e call.Event) { c.w.send(func() { c.step(e) }) }

// startRing rings an agent's phone for an offer, or attaches to it.
func (c *conversation) startRing(f call.Effect) {
	if !c.customer {
		c.step(call.Failed{Seq: f.Seq, Error: "no such leg", Gone: true})
		return
	}
	if r := c.rings[f.Ring.Offer]; r != nil {
		if r.over && f.Seq > 0 {
			c.step(r.ended)
		}
		return
	}
	if c.talks != nil { // the fact was lost: it is told again
		c.report(c.answered)
		return
	}
	s := c.w.agents[f.Ring.Agent]
	r := &ring{Ring: *f.Ring, to: s}
	c.rings[r.Offer] = r
	switch {
	case c.cancelled[r.Offer]: // the Cancel overtook it
		c.endRing(r, call.RingRescinded)
	case s.phone.gone || len(f.Ring.Targets) == 0:
		c.endRing(r, call.RingUnreachable)
	case s.phone.talking != "" || s.phone.ringing != "":
		c.endRing(r, call.RingBusy)
	case c.w.faults.noLine > 0 && c.w.chance(c.w.faults.noLine):
		c.endRing(r, call.RingTrunkBusy)
	default:
		s.phone.ringing = c.id
		c.w.after(f.Ring.Timeout, func() { c.endRing(r, call.RingNoAnswer) })
		c.personReacts(r)
	}
}

// prompt rings for a match before the call has heard of it.
func (c *conversation) prompt(m call.Matched) {
	c.startRing(call.Effect{Ring: &call.Ring{
		Offer: m.Offer, Leg: id.Leg(fmt.Sprintf("agent-%d", m.Offer.N())), Customer: call.CallerLeg, Agent: m.Agent, Targets: m.Targets, Timeout: ringTime,
	}})
}

// personReacts answers, declines, or does nothing.
func (c *conversation) personReacts(r *ring) {
	thinks := c.w.between(500*time.Millisecond, r.to.habit.thinks)
	switch {
	case c.w.chance(r.to.habit.answers):
		c.w.after(thinks, func() { c.answer(r) })
	case c.w.chance(r.to.habit.rejects):
		c.w.after(thinks, func() { c.endRing(r, call.RingRejected) })
	}
}

// endRing ends a ring without an answer.
func (c *conversation) endRing(r *ring, o call.Outcome) {
	if r.over {
		return
	}
	r.over = true
	if r.to.phone.ringing == c.id {
		r.to.phone.ringing = ""
	}
	r.ended = call.RingEnded{Offer: r.Offer, Outcome: o}
	c.report(r.ended)
}

// endRings cancels whatever rings for this customer.
func (c *conversation) endRings() {
	for _, o := range slices.Sorted(maps.Keys(c.rings)) {
		c.endRing(c.rings[o], call.RingRescinded)
	}
}

// answer bridges customer and agent at once. There is one winner: a customer who
// left cancels the ring first.
func (c *conversation) answer(r *ring) {
	if r.over || !c.customer {
		return
	}
	r.over = true
	r.to.phone.ringing = ""
	if c.talks != nil {
		c.w.breaks("call %s is bridged twice: with %s and with %s", c.id, c.talks.id, r.to.id)
	}
	if r.to.phone.talking != "" {
		c.w.breaks("agent %s has two calls: %s and %s", r.to.id, r.to.phone.talking, c.id)
	}
	c.talks, r.to.phone.talking = r.to, c.id
	c.legs = append(c.legs, r.Leg)
	r.ended = call.RingEnded{Offer: r.Offer, Outcome: call.RingAnswered, Leg: r.Leg, Agent: r.Agent, Device: r.to.device(), AnsweredAt: c.w.now}
	c.answered = r.ended
	c.report(c.answered)
	c.endRings()
	c.w.after(c.w.between(2*time.Second, 3*time.Minute), func() {
		if c.talks != r.to {
			return
		}
		if c.w.chance(0.5) {
			c.customerLeaves(leg.Hangup)
			return
		}
		c.agentLeaves(r.Leg, leg.Hangup, true)
	})
}

// customerLeaves ends the customer's leg, and by reflex whatever hangs on it.
func (c *conversation) customerLeaves(cause leg.Cause) {
	if !c.customer {
		return
	}
	c.customer = false
	c.report(call.LegEnded{Leg: call.CallerLeg, Cause: cause, Remote: cause != leg.Forced})
	c.endRings()
	if c.talks != nil {
		c.unbridge(c.legs[len(c.legs)-1], leg.Hangup, false)
	}
}

// agentLeaves ends an agent's leg, and by reflex the customer's.
func (c *conversation) agentLeaves(l id.Leg, cause leg.Cause, remote bool) {
	c.unbridge(l, cause, remote)
	if c.customer {
		c.customer = false
		c.report(call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup})
	}
}

func (c *conversation) unbridge(l id.Leg, cause leg.Cause, remote bool) {
	c.talks.phone.talking = ""
	c.talks = nil
	c.report(call.LegEnded{Leg: l, Cause: cause, Remote: remote})
}

// atNode does what a call asks of the node besides ringing.
func (c *conversation) atNode(f call.Effect) {
	if c.w.chance(c.w.faults.fail) {
		c.step(call.Failed{Seq: f.Seq, Error: "node busy"})
		return
	}
	switch {
	case f.Treat != nil && !c.customer:
		c.step(call.Failed{Seq: f.Seq, Error: "no such leg", Gone: true})
		return
	case f.Cancel != nil:
		c.cancelled[f.Cancel.Offer] = true
		if r := c.rings[f.Cancel.Offer]; r != nil {
			c.endRing(r, call.RingRescinded)
		}
	case f.Drop != nil && f.Drop.Leg == call.CallerLeg:
		c.customerLeaves(leg.Forced)
	case f.Drop != nil && c.talks != nil && slices.Contains(c.legs, f.Drop.Leg):
		c.agentLeaves(f.Drop.Leg, f.Drop.Cause, false)
	}
	c.step(call.Done{Seq: f.Seq})
}
