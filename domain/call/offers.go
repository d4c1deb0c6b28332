package call

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// offering reports whether o is the offer that is out now.
func (s State) offering(o id.Offer) bool { return s.Phase == Offering && s.Offer.ID == o }

// matched rings the agent whom a match has reserved. A match that comes too late is
// given back, so that the agent does not stay reserved.
func (n *step) matched(m Matched) {
	if m.Offer != n.NextOffer() {
		n.late()
		return
	}
	if n.Phase != Queued {
		n.Offers++
		n.tell(m.Agent, Tell{What: TellOfferEnded, Offer: m.Offer, Cause: n.goneCause()})
		return
	}
	opening := n.Offers == 0 && !n.Music // the opening's transaction writes the row itself
	n.settle(func(e Effect) bool { return e.Place != nil })
	n.ring(m)
	if !n.Music {
		n.emit(Effect{Treat: &Treat{Leg: CallerLeg, With: TreatRingback}})
	}
	n.tell(m.Agent, Tell{What: TellOffered, Offer: m.Offer, Data: n.Data, Deadline: n.Offer.Deadline})
	if !opening {
		n.save("Offered", false)
	}
}

// goneCause tells an agent why a call is not to be had any more.
func (s State) goneCause() leg.Cause {
	if s.Phase == Ended && s.Cause == leg.Abandoned {
		return leg.Abandoned
	}
	return leg.Rescinded
}

// waiting keeps the place in line; the caller hears music. What was found for an
// earlier offer says nothing of the one that is looked for now.
func (n *step) waiting(e Waiting) {
	placing := func(o Effect) bool { return o.Place != nil && (e.Offer == "" || e.Offer == o.Place.Offer) }
	if n.Phase != Queued || !n.owes(placing) {
		n.late()
		return
	}
	n.settle(placing)
	n.playMusic()
}

// playMusic answers the caller, if it isn't answered, and plays music on hold.
func (n *step) playMusic() {
	if n.Music {
		return
	}
	n.Music = true
	n.answerLeg(CallerLeg, n.at)
	n.emit(Effect{Treat: &Treat{Leg: CallerLeg, With: TreatMusic, Music: n.Route.Queue.Music}})
}

// answerLeg marks a leg as up.
func (n *step) answerLeg(l id.Leg, at time.Time) {
	for i := range n.Legs {
		if n.Legs[i].ID == l && n.Legs[i].State == leg.Ringing {
			n.Legs[i].State, n.Legs[i].AnsweredAt = leg.Up, at
		}
	}
}

func (n *step) ringing(e Ringing) {
	if !n.offering(e.Offer) || !n.Offer.RangAt.IsZero() {
		n.late()
		return
	}
	n.Offer.RangAt = n.at
	n.noteRing(e.Offer, func(seg *Segment) { seg.RangAt = n.at })
	n.tellCalled()
}

// noteRing keeps with an offer's segment how its ring went.
func (n *step) noteRing(o id.Offer, note func(*Segment)) {
	for i := range n.Segments {
		if n.Segments[i].Kind == segOffer && n.Segments[i].Offer == o {
			note(&n.Segments[i])
		}
	}
}

// rang keeps the outcome of a ring.
func (n *step) rang(e RingEnded) {
	n.noteRing(e.Offer, func(seg *Segment) {
		if !e.RangAt.IsZero() {
			seg.RangAt = e.RangAt
		}
		seg.Outcome, seg.SIPCode, seg.Device = e.Outcome, e.SIPCode, e.Device
	})
}

// ringEnded goes on by the ring's outcome.
func (n *step) ringEnded(e RingEnded) {
	n.settle(func(o Effect) bool { return o.Ring != nil && o.Ring.Offer == e.Offer })
	switch {
	case e.Outcome == RingAnswered:
		n.answered(e)
	case n.offering(e.Offer):
		n.rang(e)
		n.offerFailed(e.Outcome.cause(), true)
	default:
		n.late()
	}
}

// cause is the leg's word for the outcome.
func (o Outcome) cause() leg.Cause {
	switch o {
	case RingNoAnswer:
		return leg.NoAnswer
	case RingRejected:
		return leg.Rejected
	case RingBusy:
		return leg.Busy
	case RingUnreachable:
		return leg.Unreachable
	case RingRescinded:
		return leg.Rescinded
	case RingLooped:
		return leg.Looped
	case RingTrunkBusy:
		return leg.TrunkBusy
	case RingOverload:
		return leg.Overload
	}
	return leg.Failed
}

// OutcomeOf is the outcome of an offer that ended by c, as far as the cause tells it: no
// cause is an answer.
func OutcomeOf(c leg.Cause) Outcome {
	switch c {
	case "":
		return RingAnswered
	case leg.NoAnswer:
		return RingNoAnswer
	case leg.Rejected:
		return RingRejected
	case leg.Busy:
		return RingBusy
	case leg.Unreachable:
		return RingUnreachable
	case leg.Rescinded, leg.Abandoned, leg.Forced, leg.MaxWait, leg.Hangup:
		return RingRescinded
	case leg.Looped:
		return RingLooped
	case leg.TrunkBusy:
		return RingTrunkBusy
	case leg.Overload:
		return RingOverload
	}
	return RingFailed
}

// answered is the truth on the wire: the node has bridged already. Even an offer
// that had been given up counts while the caller is still waiting; once the call is
// over, or somebody else has it, the leg is a ghost and is dropped.
func (n *step) answered(e RingEnded) {
	l := n.legOf(e)
	if n.leg(l.ID) != nil {
		n.late()
		return
	}
	if n.Phase != Queued && n.Phase != Offering {
		l.State, l.EndedAt, l.Cause = leg.Ended, n.at, n.goneCause()
		n.Legs = append(n.Legs, l)
		n.emit(Effect{Drop: &Drop{Leg: l.ID, Cause: l.Cause}})
		return
	}
	if n.Offer != nil && n.Offer.ID != e.Offer {
		n.takeBack(leg.Rescinded)
	}
	n.rang(e)
	n.connect(l, e.Offer)
}

// legOf is the leg that the ring's answer makes. An offer that the call does not
// know (its state is older than the world) is taken as the node tells it.
func (s State) legOf(e RingEnded) leg.Leg {
	l := leg.Leg{
		ID: e.Leg, Role: s.calledRole(), State: leg.Up, Agent: e.Agent, Device: e.Device, Node: s.Node,
		StartedAt: e.RangAt, RangAt: e.RangAt, AnsweredAt: e.AnsweredAt, Party: s.To,
	}
	for _, seg := range s.Segments {
		if seg.Kind == segOffer && seg.Offer == e.Offer {
			l.Agent, l.StartedAt = seg.Agent, seg.From
		}
	}
	if l.Agent != "" {
		l.Party = string(l.Agent)
	}
	if l.ID == "" {
		l.ID = s.calledLeg(e.Offer.N())
	}
	return l
}

// connect begins the conversation with leg l.
func (n *step) connect(l leg.Leg, offer id.Offer) {
	if l.AnsweredAt.IsZero() {
		l.AnsweredAt = n.at
	}
	queued := n.Route.Kind == ToQueue
	n.Offers = max(n.Offers, offer.N())
	n.settle(func(e Effect) bool { return e.Place != nil || e.Ring != nil || e.Treat != nil })
	n.tellCalled()
	n.shut("", "")
	n.Legs = append(n.Legs, l)
	n.answerLeg(CallerLeg, l.AnsweredAt)
	n.AnsweredAt, n.Offer, n.Music = l.AnsweredAt, nil, false
	n.enter(Talking)
	n.open(Segment{Kind: segTalk, Agent: l.Agent, Queue: n.Route.Queue.Name, Offer: offer})
	if queued {
		n.tell(l.Agent, Tell{What: TellEstablished, Offer: offer})
	}
	n.save("Established", queued)
}

// offerFailed goes to the next agent from the old place in line; a direct call has
// no next. report says whether the agent's session still has to hear of it.
func (n *step) offerFailed(c leg.Cause, report bool) {
	if n.Route.Kind != ToQueue {
		n.dropAll(c)
		n.end(c, bySystem)
		return
	}
	o := *n.Offer
	if report {
		n.tell(o.Agent, Tell{What: TellOfferEnded, Offer: o.ID, Cause: c})
	}
	n.shut(segOffer, c)
	n.Offer = nil
	if c != leg.Rescinded {
		n.tried(o.Agent)
	}
	if !n.at.Before(n.waitEnd()) {
		n.divert()
		return
	}
	n.enter(Queued)
	n.place(o.ID)
	n.playMusic()
	n.saveEnded(o.ID, failedEvent(c))
}

// tried notes that an agent's offer failed: the latest last.
func (n *step) tried(a id.Agent) {
	n.Tried = append(slices.DeleteFunc(n.Tried, func(o id.Agent) bool { return o == a }), a)
}

// failedEvent is the vocabulary's word for an offer that came to nothing.
func failedEvent(c leg.Cause) string {
	switch c {
	case leg.NoAnswer:
		return "OfferExpired"
	case leg.Rescinded, leg.TrunkBusy, leg.Overload: // nobody was asked
		return "OfferRescinded"
	}
	return "OfferRejected"
}

// takeBack ends the offer that is out: its ring is cancelled, its agent told.
func (n *step) takeBack(c leg.Cause) {
	n.cancel(n.Offer.ID, c)
	if n.Route.Kind == ToQueue {
		n.tell(n.Offer.Agent, Tell{What: TellOfferEnded, Offer: n.Offer.ID, Cause: c})
	}
	n.shut(segOffer, c)
	n.Offer = nil
}

func (n *step) cancel(o id.Offer, c leg.Cause) {
	n.settle(func(e Effect) bool { return e.Ring != nil })
	n.emit(Effect{Cancel: &Cancel{Offer: o, Cause: c}})
}

// offerRefused goes to the next agent. The match that made the offer may still be on
// its way.
func (n *step) offerRefused(e OfferRefused) {
	switch {
	case n.offering(e.Offer):
		n.cancel(e.Offer, leg.Rescinded)
		n.offerFailed(e.Cause, false)
	case n.Overtakes(e):
		n.refusedEarly(e)
	default:
		n.late()
	}
}

// Overtakes reports whether e is about an offer of which the call has not heard yet:
// the refusal came before the match.
func (s State) Overtakes(e OfferRefused) bool { return s.Phase == Queued && e.Offer == s.NextOffer() }

// refusedEarly uses the offer's name up, so that its match, should it still come, is
// late. A node that was prompted may be ringing already.
func (n *step) refusedEarly(e OfferRefused) {
	n.Offers++
	n.settle(func(o Effect) bool { return o.Place != nil })
	n.cancel(e.Offer, leg.Rescinded)
	if e.Agent != "" {
		n.tried(e.Agent)
	}
	n.place(e.Offer)
	n.playMusic()
}

// offerOverdue gives up a ring whose outcome the node does not report.
func (n *step) offerOverdue(e OfferOverdue) {
	if !n.offering(e.Offer) || n.at.Before(n.Offer.Deadline) {
		n.late()
		return
	}
	n.cancel(e.Offer, leg.NoAnswer)
	n.offerFailed(leg.NoAnswer, true)
}
