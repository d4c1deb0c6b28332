package call

import (
	"slices"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// leg is the leg of that id, or nil.
func (n *step) leg(l id.Leg) *leg.Leg {
	i := slices.IndexFunc(n.Legs, func(o leg.Leg) bool { return o.ID == l })
	if i < 0 {
		return nil
	}
	return &n.Legs[i]
}

// legEnded ends the call: with two parties, the node has ended the other leg.
func (n *step) legEnded(e LegEnded) {
	l := n.leg(e.Leg)
	switch {
	case l == nil:
		n.late()
	case n.Phase == Ended: // the other leg of a call that is over: expected
		n.Version--
	case n.Phase == Talking:
		cause, by := e.Cause, n.endedBy(*l, e)
		l.State, l.EndedAt, l.Cause = leg.Ended, n.at, cause
		n.end(cause, by)
	default:
		if n.Offer != nil && !e.RangAt.IsZero() {
			n.noteRing(n.Offer.ID, func(seg *Segment) { seg.RangAt = e.RangAt })
		}
		n.callerLeft(e.Cause)
	}
}

// endedBy says who ended a conversation. A leg that hung up although its party
// didn't was ended because the other party did.
func (s State) endedBy(l leg.Leg, e LegEnded) string {
	if e.Remote {
		return party(l)
	}
	if e.Cause != leg.Hangup {
		return bySystem
	}
	for _, o := range s.Legs {
		if o.ID != l.ID && o.State == leg.Up {
			return party(o)
		}
	}
	return bySystem
}

// party names who is on a leg, as EndedBy has it.
func party(l leg.Leg) string {
	if l.Agent != "" {
		return "agent:" + string(l.Agent)
	}
	return byCustomer
}

// callerLeft ends a call whose caller is gone before anybody answered.
func (n *step) callerLeft(c leg.Cause) {
	by := bySystem
	if c == leg.Hangup || c == leg.Abandoned || c == "" {
		c, by = leg.Abandoned, party(*n.leg(CallerLeg))
	}
	n.leg(CallerLeg).Cause = c
	n.end(c, by)
}

func (n *step) legHeld(e LegHeld) {
	l := n.leg(e.Leg)
	if n.Phase != Talking || l == nil || l.Held == e.Held {
		n.late()
		return
	}
	l.Held = e.Held
	if e.Held {
		n.open(Segment{Kind: segHold, Agent: l.Agent, Queue: n.Route.Queue.Name})
		n.save("Held", false)
		return
	}
	if !slices.ContainsFunc(n.Legs, func(o leg.Leg) bool { return o.Held }) {
		n.shut(segHold, "")
	}
	n.save("Retrieved", false)
}

// nodeLost ends a call whose legs died with their node.
func (n *step) nodeLost(e NodeLost) {
	if e.Node != n.Node || e.Boot != "" && e.Boot != n.Boot {
		n.late()
		return
	}
	n.settle(func(o Effect) bool { return o.Drop != nil || o.Cancel != nil || o.Treat != nil || o.Ring != nil })
	if n.Phase == Ended {
		n.Version--
		return
	}
	n.end(leg.NodeLost, bySystem)
}
