package simulation

import (
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// ringTime is how long an offer rings.
const ringTime = 15 * time.Second

// conversation is one call: its machine, the customer, and the node's legs.
type conversation struct {
	w         *world
	id        id.Call
	state     call.State
	queue     id.Queue
	patience  time.Duration
	customer  bool               // the customer's leg lives
	talks     *session           // bridged with this agent
	rings     map[id.Offer]*ring // that the node has, or had, out
	cancelled map[id.Offer]bool
	refused   map[id.Offer]bool // that the call has heard of
	legs      []id.Leg          // agent legs that were answered
	answered  call.RingEnded
	lane      []call.Effect
}

// ring is what the node knows of an offer.
type ring struct {
	call.Ring
	to    *session
	over  bool
	ended call.RingEnded
}

// arrive is the INVITE.
func (c *conversation) arrive() {
	c.customer, c.rings, c.cancelled, c.refused = true, map[id.Offer]*ring{}, map[id.Offer]bool{}, map[id.Offer]bool{}
	c.state = call.New(call.Incoming{
		Tenant: "demo", Call: c.id, Node: "node-1", Boot: "b1", From: "+41791234567", To: "8000", Trunk: "carrier", At: c.w.now,
	})
	c.step(call.Arrived{Route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: c.queue, Ring: ringTime, MaxWait: 20 * time.Minute}}})
	c.w.after(c.patience, func() {
		if c.talks == nil {
			c.customerLeaves(leg.Abandoned)
		}
	})
}

// step applies an event to the call's machine and lets the world do what follows.
func (c *conversation) step(e call.Event) {
	if c.state.Over() {
		return
	}
	was, late := c.state.Phase, c.state.Late
	next, effects, err := c.state.Step(c.w.now, e)
	if err != nil {
		c.w.breaks("call %s refuses %s: %v", c.id, e.Kind(), err)
	}
	if c.w.recording {
		c.w.note("call %s: %s → %s", c.id, c.state.Words(e), next.Describe())
	}
	c.state = next
	c.w.changed = true
	if was != next.Phase {
		c.watchDeadline()
	}
	if r, ok := e.(call.OfferRefused); ok {
		c.refused[r.Offer] = true
		if was == call.Queued && next.Late == late {
			c.w.early++
		}
	}
	for _, f := range effects {
		if f.Ring != nil && c.refused[f.Ring.Offer] {
			c.w.breaks("call %s rings agent %s for offer %s, which was refused", c.id, f.Ring.Agent, f.Ring.Offer)
		}
		c.carryOut(f)
	}
	at, due := c.state.Deadline()
	if due == nil {
		return
	}
	c.w.at(latest(at, c.w.now), func() {
		if at, e := c.state.Deadline(); e != nil && !at.After(c.w.now) {
			c.step(e)
		}
	})
}

// carryOut lets the world do an effect: perhaps it fails for good.
func (c *conversation) carryOut(f call.Effect) {
	switch {
	case f.Place != nil || f.Save != nil || f.Close != nil:
		c.lane = append(c.lane, f)
		if len(c.lane) == 1 {
			c.w.fly(c.w.trip(), c.record)
		}
	case f.Tell != nil:
		c.tell(f)
	case f.Ring != nil:
		c.w.fly(c.w.trip(), func() { c.startRing(f) })
	default:
		c.w.fly(c.w.trip(), func() { c.atNode(f) })
	}
}

// record runs the first effect of the lane in the ledger.
func (c *conversation) record() {
	f := c.lane[0]
	c.w.fly(c.w.trip(), func() {
		c.lane = c.lane[1:]
		if len(c.lane) > 0 {
			c.w.fly(c.w.trip(), c.record)
		}
	})
	if c.w.chance(c.w.faults.fail) {
		c.w.fly(c.w.trip(), func() { c.step(call.Failed{Seq: f.Seq, Error: "database away"}) })
		return
	}
	c.w.changed = true
	runs := 1
	if c.w.chance(c.w.faults.double) {
		runs = 2
	}
	for range runs {
		if answer := c.inLedger(f); answer != nil {
			c.w.fly(c.w.trip(), func() { c.step(answer) })
		}
	}
}

func (c *conversation) inLedger(f call.Effect) call.Event {
	switch {
	case f.Place != nil:
		answer := c.w.ledger.place(c.w.now, c.id, c.state.From, *f.Place)
		if m, ok := answer.(call.Matched); ok {
			c.w.note("match: call %s offer %s to agent %s, by the call", c.id, m.Offer, m.Agent)
		}
		return answer
	case f.Save != nil && f.Save.Leave:
		c.w.ledger.leave(c.id)
	case f.Close != nil:
		c.w.ledger.close(c.id, f.Close.Record)
	}
	return call.Done{Seq: f.Seq}
}

// tell brings a fact to a session. It is tried until it is taken, or nobody is there.
func (c *conversation) tell(f call.Effect) {
	t := *f.Tell
	s := c.w.agents[t.Agent]
	if c.w.chance(c.w.faults.lose) {
		c.w.fly(c.w.trip(), func() { c.step(call.Done{Seq: f.Seq}) }) // taken, and then forgotten
		return
	}
	e := told(t)
	c.w.deliver(func() { s.step(e) })
	c.w.fly(c.w.trip(), func() {
		if s.state.Over() {
			c.step(call.Failed{Seq: f.Seq, Error: "no such session", Gone: true})
			return
		}
		c.step(call.Done{Seq: f.Seq})
	})
}

func told(t call.Tell) agent.Event {
	switch t.What {
	case call.TellOffered:
		return agent.Offered{Offer: agent.Offer{ID: t.Offer, Call: t.Call, Class: t.Class, Queue: t.Queue, From: t.From, At: t.At, Deadline: t.Deadline}}
	case call.TellOfferEnded:
		return agent.OfferEnded{Offer: t.Offer, Cause: t.Cause}
	case call.TellEstablished:
		return agent.Established{Call: t.Call, Offer: t.Offer, Class: t.Class, From: t.From}
	case call.TellStarted:
		return agent.CallStarted{Call: t.Call, Class: t.Class, From: t.From}
	}
	return agent.CallEnded{Call: t.Call, Class: t.Class, Cause: t.Cause, Spoke: t.Spoke}
}
