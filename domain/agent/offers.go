package agent

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// leaseGrace is how much longer than the offer's own deadline its end is waited
// for: the call notices first (call.RingGrace after the ring's timeout, which is that
// deadline) and tells.
const leaseGrace = 15 * time.Second

// defaultLease bounds an offer that came without a deadline.
const defaultLease = time.Minute

// maxMisses is after how many missed offers in a row an agent becomes NotReady
// even though the policy says stay: a phone that declines by itself would
// otherwise be asked many times a second.
const maxMisses = 5

// The delays of an agent for whom no line is free: long enough that a call of the
// trunk may end meanwhile, short enough that nobody waits long beside a free line.
const (
	shortestDelay = 5 * time.Second
	longestDelay  = time.Minute
)

// offered takes an offer when the agent can: Ready, or NotReady when the match
// reserved it before it heard of that.
func (n *step) offered(o Offer) {
	switch {
	case n.knows(o):
		n.late()
	case n.Status == Ready:
		n.reserve(o)
	case n.Status == NotReady:
		reason := n.Reason
		n.reserve(o)
		n.Pending = &Pending{Status: NotReady, Reason: reason, By: system}
	case n.Status == LoggedOff:
		n.refuse(o.ID, leg.Unreachable)
	default:
		n.refuse(o.ID, leg.Busy)
	}
}

// knows reports whether the offer is, or was, this session's already.
func (s State) knows(o Offer) bool {
	return slices.Contains(s.EndedOffers, o.ID) || s.Offer != nil && s.Offer.ID == o.ID || s.has(o.Call)
}

func (n *step) reserve(o Offer) {
	if o.Deadline.IsZero() {
		o.Deadline = n.at.Add(defaultLease)
	}
	n.become(Reserved, "")
	n.Offer = &o
}

// refuse gives an offer back, so that its call goes on at once.
func (n *step) refuse(o id.Offer, c leg.Cause) {
	n.endOffer(o)
	n.emit(Effect{Refuse: &Refuse{Offer: o, Cause: c}})
}

// endOffer remembers that the offer is over, and with the next Save releases the row.
func (n *step) endOffer(o id.Offer) { n.EndedOffers = keep(n.EndedOffers, o, kept) }

func (n *step) offerEnded(e OfferEnded) {
	if n.Status != Reserved || n.Offer.ID != e.Offer {
		if n.Status != LoggedOff {
			n.endOffer(e.Offer) // should Offered still come, it is late
		}
		n.late()
		return
	}
	n.endOffer(e.Offer)
	if e.Cause == leg.TrunkBusy || e.Cause == leg.Overload {
		n.delay(e.Cause)
		return
	}
	n.Delays = 0
	switch e.Cause {
	case leg.NoAnswer:
		n.missed(ReasonRONA, n.Profile.OnNoAnswer)
	case leg.Rejected, leg.Busy:
		n.missed(ReasonRejected, n.Profile.OnReject)
	case leg.Unreachable, leg.NoCommonCodec, leg.Looped, leg.Failed:
		n.rest(NotReady, ReasonDeviceLost, newIdle)
	default: // the caller left, or we took it back: not the agent's doing
		n.rest(Ready, "", keepIdle)
	}
}

// delay keeps the agent Ready, and in its place among the idle, but out of the match
// for a short time: nobody has been asked, and the next call would not get through
// either. In a row, each is twice as long as the one before.
func (n *step) delay(c leg.Cause) {
	n.rest(Ready, "", keepIdle)
	if n.Status == Ready {
		n.Delay = &Delay{Until: n.at.Add(min(shortestDelay<<min(n.Delays, 8), longestDelay)), Cause: c}
		n.Delays++
	}
}

// delayElapsed lets the agent be matched again.
func (n *step) delayElapsed() {
	if n.Delay == nil || n.at.Before(n.Delay.Until) {
		n.late()
		return
	}
	n.Delay = nil
}

// missed applies the policy for an offer that the agent did not take. Who stays
// Ready goes behind the others who are idle.
func (n *step) missed(r Reason, f Follow) {
	n.Misses++
	if f == FollowStay && n.Misses < maxMisses {
		n.rest(Ready, "", newIdle)
		return
	}
	n.rest(NotReady, r, newIdle)
}

// leaseExpired ends an offer whose end nobody told, as if it had run out.
func (n *step) leaseExpired(e LeaseExpired) {
	if n.Status != Reserved || n.Offer.ID != e.Offer || n.at.Before(n.leaseEnd()) {
		n.late()
		return
	}
	n.endOffer(e.Offer)
	n.missed(ReasonRONA, n.Profile.OnNoAnswer)
}

func (s State) leaseEnd() time.Time { return s.Offer.Deadline.Add(leaseGrace) }
