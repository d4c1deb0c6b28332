package telephony

import (
	"log/slog"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/leg"
	"holdfast/telephony/media"
)

// actor owns the legs of one call: everything that happens to them happens on its goroutine, one after the other.
// Others post to its mailbox.
type actor struct {
	node   *Node
	ref    call.Ref
	in     call.Incoming
	log    *slog.Logger
	box    *mailbox
	alarms *alarms

	from     device.Settings // of the device that calls, if it is one
	customer *sipLeg
	talking  *sipLeg   // connected with the customer
	rung     []*sipLeg // legs that we rang and that are not gone, the talking one included
	ring     *ring     // the ring in progress
	newest   *ring     // the last that began; the index forgets it after a while, its call doesn't …
	offered  int       // … and the highest number of an offer that began
	treat    call.Treatment
	music    *media.Clip

	gaveUp  func()       // tells the Handler, while it opens the call, that its caller is gone
	opened  bool         // the Handler has taken the call, or refused it
	refused bool         // it refused
	held    []call.Event // facts that wait for that

	arrivedAt  time.Time
	answeredAt time.Time // by an agent
	endedBy    string
	cause      leg.Cause
	setup      setup
	callerIn   media.InStats // what was heard of the caller …
	agentIn    media.InStats // … and of who talked with it last
}

// setup are the times of a call's beginning, for its closing line.
type setup struct {
	offers    int
	takenAt   time.Time // the Handler took the call
	inviteOut time.Time // first INVITE to a phone
	rang      time.Time // first phone that rang
	bridged   time.Time
}

func newActor(n *Node, in call.Incoming) *actor {
	ref := call.Ref{Tenant: in.Tenant, Call: in.Call}
	return &actor{
		node: n, ref: ref, in: in, box: newMailbox(), alarms: newAlarms(), arrivedAt: in.At, gaveUp: func() {},
		log: n.log.With("call", string(in.Call), "tenant", string(in.Tenant)),
	}
}

// run is the call's goroutine. It ends when no leg is left.
func (a *actor) run() {
	force := a.node.force
	for {
		a.outlived()
		select {
		case f := <-a.box.queue:
			f()
		case now := <-a.alarms.timer.C:
			a.alarms.fire(now)
		case <-force:
			force = nil
			a.abandon()
		}
		if a.over() && a.box.close() {
			break
		}
	}
	a.alarms.timer.Stop()
	a.node.forget(a)
	a.closingLine()
}

// over reports that nothing is left to do for the call.
func (a *actor) over() bool {
	return a.opened && a.ring == nil && len(a.rung) == 0 && a.customer.phase == gone
}

// abandon ends everything at once, because the process goes down.
func (a *actor) abandon() {
	a.opened = true
	a.step(a.customer, wantEnd, evidence{cause: leg.NodeLost})
	if a.ring != nil {
		a.endRing(call.RingEnded{Outcome: call.RingRescinded}, leg.NodeLost)
	}
	for _, l := range append([]*sipLeg{a.customer}, a.rung...) {
		a.step(l, wantEnd, evidence{cause: leg.NodeLost})
		if l.phase == parting {
			a.step(l, sawNoAck, evidence{cause: leg.NodeLost}) // the ACK can't be waited for
		}
		l.phase = gone // nor can final responses
		a.bury(l)
	}
}

// ask posts f and waits until it is done; false when the call is over.
func (a *actor) ask(f func()) bool {
	done := make(chan struct{})
	if !a.box.post(func() { f(); close(done) }) {
		return false
	}
	<-done
	return true
}

// report tells the Handler a fact, once it has taken the call.
func (a *actor) report(e call.Event) {
	switch {
	case a.refused:
	case !a.opened:
		a.held = append(a.held, e)
	default:
		a.node.handler().Report(a.ref, e)
	}
}

// closingLine is the one line that a call leaves behind.
func (a *actor) closingLine() {
	n := a.node
	since := func(from, to time.Time) int64 {
		if from.IsZero() || to.IsZero() {
			return -1
		}
		return to.Sub(from).Milliseconds()
	}
	now := n.now()
	n.metrics.ended.WithLabelValues(string(a.cause)).Inc()
	a.log.Info("call ended",
		"cause", string(a.cause), "ended_by", a.endedBy, "refused", a.refused, "trunk", a.in.Trunk, "device", string(a.in.Device),
		"offers", a.setup.offers, "taken_ms", since(a.arrivedAt, a.setup.takenAt), "invite_ms", since(a.arrivedAt, a.setup.inviteOut),
		"rang_ms", since(a.arrivedAt, a.setup.rang), "answer_ms", since(a.arrivedAt, a.answeredAt),
		"bridge_ms", since(a.answeredAt, a.setup.bridged), "talk_ms", since(a.setup.bridged, now), "total_ms", since(a.arrivedAt, now),
		"caller_packets", a.callerIn.Packets, "caller_lost", a.callerIn.Lost, "agent_packets", a.agentIn.Packets, "agent_lost", a.agentIn.Lost)
}
