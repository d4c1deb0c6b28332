package call

import (
	"fmt"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// The ring times when the directory names none.
const (
	defaultQueueRing  = 20 * time.Second
	defaultDirectRing = 30 * time.Second
	defaultTrunkRing  = 60 * time.Second // a carrier's own timers are of this order
)

// arrived begins the way that the number leads.
func (n *step) arrived(r Route) {
	if n.Phase != Arriving {
		n.late()
		return
	}
	n.Route = r
	switch r.Kind {
	case ToQueue:
		n.toQueue()
	case ToAgent:
		n.toAgent()
	case ToTrunk:
		n.toTrunk()
	default:
		n.turnAway(leg.NoRoute)
	}
}

// turnAway ends a call that leads nowhere.
func (n *step) turnAway(c leg.Cause) {
	n.dropAll(c)
	n.end(c, bySystem)
}

func (n *step) toQueue() {
	n.Class, n.QueuedAt = leg.InboundQueue, n.at
	if n.Route.Queue.Ring <= 0 {
		n.Route.Queue.Ring = defaultQueueRing
	}
	n.enter(Queued)
	n.open(Segment{Kind: segWaiting, Queue: n.Route.Queue.Name})
	n.place("")
	n.tellCaller(TellStarted, "")
}

// place takes the call's place in line: the old one, however often it returns.
func (n *step) place(over id.Offer) {
	n.emit(Effect{Place: &Place{
		Queue: n.Route.Queue.Name, QueuedAt: n.QueuedAt, Priority: n.Route.Queue.Priority,
		Offer: n.NextOffer(), Over: over, Tried: append([]id.Agent(nil), n.Tried...),
	}})
}

// NextOffer is the name of the call's next offer: a match that reserves an agent for
// the call must use it.
func (s State) NextOffer() id.Offer { return id.NewOffer(s.ID, s.Offers+1) }

// toAgent rings an agent's extension: the agent is not reserved, its state does not
// matter (SEED-71) unless the tenant wants that (SEED-81).
func (n *step) toAgent() {
	switch {
	case n.FromAgent != "" && n.FromAgent == n.Route.Agent:
		n.turnAway(leg.Busy)
	case n.Route.NotReady:
		n.turnAway(leg.NotReady)
	case len(n.Route.Targets) == 0:
		n.turnAway(leg.Unreachable)
	default:
		n.direct(defaultDirectRing)
	}
}

// toTrunk dials out: only from a device of ours. A carrier's call is never sent
// back to a carrier, which is how tolls are stolen.
func (n *step) toTrunk() {
	n.Class, n.Direction = leg.OutboundManual, Outbound
	switch {
	case n.Trunk != "":
		n.Class, n.Direction = leg.InboundDirect, Inbound
		n.turnAway(leg.NoRoute)
	case n.Route.Barred != "":
		n.turnAway(leg.Barred)
	case n.Route.CallerReady:
		n.turnAway(leg.AgentReady)
	case len(n.Route.Targets) == 0:
		n.turnAway(leg.Unreachable)
	default:
		n.direct(defaultTrunkRing)
	}
}

// direct rings what the route names, without a queue.
func (n *step) direct(ring time.Duration) {
	if n.Route.Ring <= 0 {
		n.Route.Ring = ring
	}
	n.ring(Matched{Offer: n.NextOffer(), Agent: n.Route.Agent, Targets: n.Route.Targets, Method: n.Route.Method})
	n.emit(Effect{Treat: &Treat{Leg: CallerLeg, With: TreatRingback}})
	n.tellCaller(TellStarted, "")
}

// RingGrace is how much longer than the ring itself its outcome is waited for: the
// lease of an offer is the ring's time and this.
const RingGrace = 5 * time.Second

// ring begins an offer.
func (n *step) ring(m Matched) {
	timeout := n.Route.Ring
	if n.Route.Kind == ToQueue {
		timeout = n.Route.Queue.Ring
	}
	n.Offers++
	n.Offer = &Offer{
		ID: m.Offer, Agent: m.Agent, Targets: m.Targets, Method: m.Method,
		At: n.at, Deadline: n.at.Add(timeout + RingGrace),
	}
	n.enter(Offering)
	n.open(Segment{Kind: segOffer, Agent: m.Agent, Queue: n.Route.Queue.Name, Offer: m.Offer})
	n.emit(Effect{Ring: &Ring{
		Offer: m.Offer, Leg: n.calledLeg(n.Offers), Customer: CallerLeg, Agent: m.Agent,
		Queue: n.Route.Queue.Name, From: n.From, To: n.To, Targets: m.Targets, Method: m.Method,
		Timeout: timeout, Data: n.Data, Hops: n.Hops, Private: n.Private,
	}})
}

// calledLeg names the leg of the offer-th ring: "agent-1", "external-1".
func (s State) calledLeg(offer int) id.Leg {
	return id.Leg(fmt.Sprintf("%s-%d", s.calledRole(), offer))
}

func (s State) calledRole() leg.Role {
	if s.Route.Kind == ToTrunk {
		return leg.External
	}
	return leg.Agent
}
