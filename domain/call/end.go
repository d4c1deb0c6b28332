package call

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Who ended a call, besides "agent:<number>" and "user:<name>".
const (
	byCustomer = "customer"
	bySystem   = "system"
)

// stuckAfter is how long the answers to the last effects of a call are waited for
// before they are issued again.
const stuckAfter = time.Minute

// end closes a call: tells whom it concerns and writes the record. What the call
// itself wants of the node (drop, cancel) is emitted before.
func (n *step) end(c leg.Cause, by string) {
	talked := n.Phase == Talking
	n.settle(func(e Effect) bool { return e.Place != nil || e.Ring != nil || e.Treat != nil })
	n.tellEnd(c, talked)
	for i := range n.Legs {
		l := &n.Legs[i]
		l.Held = false
		if l.State == leg.Ended {
			continue
		}
		l.State, l.EndedAt = leg.Ended, n.at
		if l.Cause == "" {
			l.Cause = c
		}
	}
	n.shut("", c)
	n.Offer, n.Music = nil, false
	n.enter(Ended)
	n.EndedAt, n.Cause, n.EndedBy = n.at, c, by
	n.StuckAt = n.at.Add(stuckAfter)
	n.emit(Effect{Close: &Close{Record: n.record()}})
}

// tellEnd tells every agent that has to do with the call.
func (n *step) tellEnd(c leg.Cause, talked bool) {
	switch {
	case n.Offer != nil && n.Route.Kind == ToQueue:
		n.tell(n.Offer.Agent, Tell{What: TellOfferEnded, Offer: n.Offer.ID, Cause: n.offerCause(c)})
	case n.Offer != nil && n.Started:
		n.tell(n.Offer.Agent, Tell{What: TellEnded, Cause: c})
	}
	if talked {
		for _, l := range n.Legs {
			if l.Agent != "" && l.ID != CallerLeg {
				n.tell(l.Agent, Tell{What: TellEnded, Cause: c, Spoke: true})
			}
		}
	}
	if n.Phase != Arriving {
		n.tellCaller(TellEnded, c)
	}
}

// offerCause is why an offer ends with its call: the agent did nothing wrong.
func (s State) offerCause(c leg.Cause) leg.Cause {
	switch c {
	case leg.Abandoned, leg.NodeLost:
		return c
	}
	return leg.Rescinded
}

// Hidden is how a caller is called who is not to be shown.
const Hidden = "anonymous"

// ShownFrom is who calls, as agents are told: Hidden, if the caller withholds its number.
func (s State) ShownFrom() string {
	if s.Private {
		return Hidden
	}
	return s.From
}

// tell sends an agent's session a fact about this call.
func (n *step) tell(a id.Agent, t Tell) {
	if a == "" {
		return
	}
	t.Agent, t.Call, t.At, t.Queue, t.From = a, n.ID, n.at, n.Route.Queue.Name, n.ShownFrom()
	t.Class = n.Class
	if a == n.FromAgent {
		t.From = n.To
		if n.Class == leg.InboundQueue {
			t.Class = leg.Internal // who calls a queue does not work for it: no wrap-up
		}
	}
	n.emit(Effect{Tell: &t})
}

// tellCaller tells the agent who dials.
func (n *step) tellCaller(what Told, c leg.Cause) {
	if n.FromAgent == "" {
		return
	}
	n.tell(n.FromAgent, Tell{What: what, Cause: c, Spoke: what == TellEnded && !n.AnsweredAt.IsZero()})
}

// tellCalled tells the agent whose extension is called, once.
func (n *step) tellCalled() {
	if n.Route.Kind != ToAgent || n.Started {
		return
	}
	n.Started = true
	n.tell(n.Route.Agent, Tell{What: TellStarted})
}

// dropAll ends every leg that lives.
func (n *step) dropAll(c leg.Cause) {
	for _, l := range n.Legs {
		if l.State != leg.Ended {
			n.emit(Effect{Drop: &Drop{Leg: l.ID, Cause: c}})
		}
	}
}

// hangUp ends the call by command; one that has ended is what was asked for.
func (n *step) hangUp(e HangUp) {
	if e.Key != "" {
		n.Commands = append(n.Commands, e.Key)
		n.Commands = n.Commands[max(0, len(n.Commands)-keptCommands):]
	}
	if n.Phase == Ended {
		n.Version--
		return
	}
	n.forceEnd(leg.Forced, "user:"+e.User)
}

// forceEnd ends everything that lives on the node, and the call with it.
func (n *step) forceEnd(c leg.Cause, by string) {
	if n.Offer != nil {
		n.cancel(n.Offer.ID, leg.Rescinded)
	}
	n.dropAll(c)
	n.end(c, by)
}

func (n *step) waitedOut() {
	if n.Phase != Queued || n.at.Before(n.waitEnd()) {
		n.late()
		return
	}
	n.divert()
}

// divert takes the call out of the queue: it waited as long as the queue allows.
func (n *step) divert() {
	n.dropAll(leg.MaxWait)
	n.end(leg.MaxWait, bySystem)
}

func (n *step) talkedOut() {
	if n.Phase != Talking || n.at.Before(n.talkEnd()) {
		n.late()
		return
	}
	n.forceEnd(leg.MaxDuration, bySystem)
}
