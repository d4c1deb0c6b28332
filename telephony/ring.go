package telephony

import (
	"fmt"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/digest"
	"holdfast/telephony/transaction"
)

const (
	// ringKept is how long an ended ring can still be attached to: longer than any retry of the activity that asks.
	ringKept = 5 * time.Minute
	// defaultRing is the timeout of a ring that names none.
	defaultRing = 20 * time.Second
)

// The ways to ring several addresses (behaviours.md, ring_method).
const (
	ringAll    = "all"
	ringLinear = "linear"
	ringSingle = "single"
)

// contact is one way to a phone: a registration, or a number behind a trunk.
type contact struct {
	uri      string // Request-URI
	to       string // URI for To
	flow     transaction.Flow
	route    []string       // proxies on the way
	instance string         // what makes it the same phone, however we learned of it
	peer     string         // ip:port that the phone signals from
	hop      bool           // the flow is that of another node, which passes on
	account  *digest.Client // our credentials at a carrier
	next     []contact      // other ways to the same, to be tried one after the other

	holder      string // address of the node that holds the phone's connection, as long as flow does not lead there (see connect)
	unconnected bool   // flow has yet to be connected

	shows *shows // what the carrier is shown, if it is one

	trunk string // by which a number is called: the key of its count …
	limit int    // … and how many calls it may have at one time, 0: any

	transport string          // that of the phone, if flow is that of another node
	settings  device.Settings // of the device
}

// address is one of the ring's targets with the contacts known of it.
type address struct {
	leg.Address
	contacts []contact
	looking  bool // more contacts may be found
	over     bool // linear: its share of the time has passed
}

// ring is one call.Ring in progress or ended. done is closed when result or err stand; the rest is the actor's.
type ring struct {
	key     offerKey
	targets []leg.Address // never changes
	order   call.Ring
	done    chan struct{}

	result  call.RingEnded
	err     error
	endedAt time.Time

	addresses []address
	at        int  // linear: the address whose turn it is …
	turn      bool // … and whether it has begun
	rescinded bool // it was taken back before it began
	legs      int  // our INVITEs without final outcome
	outcome   call.Outcome
	code      int
	device    id.Device // whose outcome that is
	rangAt    time.Time
	startedAt time.Time
	timeout   alarm
	slice     alarm // linear: the end of one address's turn
}

func newRing(k offerKey, order call.Ring) *ring {
	r := &ring{key: k, targets: order.Targets, order: order, done: make(chan struct{})}
	if r.order.Timeout <= 0 {
		r.order.Timeout = defaultRing
	}
	if order.Method == ringSingle && len(r.targets) > 1 {
		r.targets = r.targets[:1]
	}
	for _, t := range r.targets {
		r.addresses = append(r.addresses, address{Address: t})
	}
	return r
}

// ended reports that the result stands.
func (r *ring) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// stale reports that nobody may ask for the ring any more.
func (r *ring) stale(now time.Time) bool { return r.ended() && now.Sub(r.endedAt) > ringKept }

// finish makes the result known.
func (r *ring) finish(result call.RingEnded, err error, now time.Time) {
	r.result, r.err, r.endedAt = result, err, now
	close(r.done)
}

// note keeps the outcome that says most (see rank).
func (r *ring) note(o call.Outcome, code int, by id.Device) {
	if rank(o) > rank(r.outcome) {
		r.outcome, r.code, r.device = o, code, by
	}
}

// startRing begins to ring; more contacts may follow by found. The newest offer decides: asked for once more when its
// ring is forgotten elsewhere, it has the outcome that it had, and an older one, which comes late, changes nothing.
func (a *actor) startRing(r *ring) error {
	const op = "ring"
	n := r.order.Offer.N()
	switch {
	case a.newest != nil && a.newest.key == r.key:
		r.finish(a.newest.result, a.newest.err, a.node.now())
		return nil
	case n > 0 && n < a.offered:
		return fault.E(fault.Conflict, op, fmt.Errorf("offer %s is older than offer %d of its call", r.order.Offer, a.offered))
	case r.order.Customer != call.CallerLeg || !a.customer.phase.lives():
		return fault.E(fault.NotFound, op, fmt.Errorf("leg %s of call %s is gone", r.order.Customer, a.ref.Call))
	case a.talking != nil:
		return fault.E(fault.Conflict, op, fmt.Errorf("call %s is connected already", a.ref.Call))
	}
	a.newest, a.offered = r, max(a.offered, n)
	if r.rescinded {
		r.finish(call.RingEnded{Offer: r.order.Offer, Outcome: call.RingRescinded}, nil, a.node.now())
		return nil
	}
	if a.ring != nil {
		a.endRing(call.RingEnded{Outcome: call.RingRescinded}, leg.Rescinded)
	}
	a.ring = r
	a.setup.offers++
	r.startedAt = a.node.now()
	for i := range r.addresses {
		r.addresses[i].looking = true
	}
	a.alarms.arm(&r.timeout, r.startedAt.Add(r.order.Timeout), a.ringTimedOut)
	return nil
}

// found adds contacts of an address.
func (a *actor) found(r *ring, f finding) {
	if a.ring != r {
		return
	}
	ad := &r.addresses[f.at]
	for _, c := range f.contacts {
		if slices.ContainsFunc(ad.contacts, func(k contact) bool { return k.instance == c.instance }) {
			continue
		}
		ad.contacts = append(ad.contacts, c)
		if r.order.Method != ringLinear || r.turn && r.at == f.at && !ad.over {
			a.invite(r, ad, c)
		}
	}
	ad.looking = ad.looking && !f.last
	a.advance(r)
}

// nobodyElse ends the search for contacts.
func (a *actor) nobodyElse(r *ring) {
	for i := range r.targets {
		a.found(r, finding{at: i, last: true})
	}
}

// advance rings the next address when it is its turn, and ends the ring when nobody is left.
func (a *actor) advance(r *ring) {
	for r.order.Method == ringLinear && a.ring == r && r.legs == 0 {
		if r.turn { // nobody of that address rings any more
			a.alarms.disarm(&r.slice)
			r.turn = false
			r.at++
		}
		if r.at >= len(r.addresses) {
			break
		}
		ad := &r.addresses[r.at]
		if len(ad.contacts) == 0 {
			if ad.looking {
				return
			}
			r.note(call.RingUnreachable, 0, ad.Device)
			r.at++
			continue
		}
		a.turn(r, ad)
	}
	if a.ring == r && r.legs == 0 && !r.looking() {
		r.note(call.RingUnreachable, 0, "")
		a.endRing(call.RingEnded{Outcome: r.outcome, SIPCode: r.code, Device: r.device}, causeOf(r.outcome))
	}
}

// looking reports that somebody may be found who would be rung.
func (r *ring) looking() bool {
	return slices.ContainsFunc(r.addresses[r.at:], func(ad address) bool { return ad.looking }) // at: 0 if not linear
}

// turn rings one address of a linear ring for its share of the time.
func (a *actor) turn(r *ring, ad *address) {
	now := a.node.now()
	left := r.startedAt.Add(r.order.Timeout).Sub(now)
	share := left / time.Duration(len(r.addresses)-r.at)
	r.turn = true
	a.alarms.arm(&r.slice, now.Add(share), func() { a.turnOver(r) })
	for _, c := range ad.contacts {
		a.invite(r, ad, c)
	}
}

// turnOver ends the turn of a phone that nobody answered.
func (a *actor) turnOver(r *ring) {
	if r.at == len(r.addresses)-1 {
		return // the last one rings until the ring's timeout
	}
	r.addresses[r.at].over = true
	for _, l := range a.ringing(r) {
		a.giveUp(l, leg.NoAnswer)
		r.note(unanswered(l), l.code, l.device)
	}
	a.advance(r)
}

// unanswered is the outcome of a phone that rang, or didn't even ring, until the time was over.
func unanswered(l *sipLeg) call.Outcome {
	if l.rangAt.IsZero() {
		return call.RingUnreachable
	}
	return call.RingNoAnswer
}

// ringing lists the legs of r that have no outcome.
func (a *actor) ringing(r *ring) []*sipLeg {
	var list []*sipLeg
	for _, l := range a.rung {
		if l.ring == r && (l.phase == calling || l.phase == alerting) {
			list = append(list, l)
		}
	}
	return list
}

// giveUp takes a phone's INVITE back; what it answers does not count any more.
func (a *actor) giveUp(l *sipLeg, c leg.Cause) {
	l.ring.legs--
	a.step(l, wantEnd, evidence{cause: c})
}

func (a *actor) ringTimedOut() {
	r := a.ring
	for _, l := range a.ringing(r) {
		r.note(unanswered(l), l.code, l.device)
	}
	r.note(call.RingUnreachable, 0, "")
	a.endRing(call.RingEnded{Outcome: r.outcome, SIPCode: r.code, Device: r.device}, leg.NoAnswer)
}

// endRing ends the ring in progress: every phone that still rings is told why, those who wait get the outcome.
func (a *actor) endRing(e call.RingEnded, c leg.Cause) {
	r := a.ring
	a.ring = nil
	a.alarms.disarm(&r.timeout)
	a.alarms.disarm(&r.slice)
	for _, l := range a.ringing(r) {
		a.giveUp(l, c)
	}
	e.Offer, e.Agent, e.RangAt = r.order.Offer, r.order.Agent, r.rangAt
	if e.Outcome == "" {
		e.Outcome = call.RingFailed
	}
	r.finish(e, nil, a.node.now())
	r.addresses, r.order = nil, call.Ring{Offer: r.order.Offer} // the rest need not be kept for minutes
	a.node.metrics.rings.WithLabelValues(string(e.Outcome)).Inc()
	a.report(e)
}

// phoneRings notes that a phone of the ring rings; the first is told.
func (a *actor) phoneRings(l *sipLeg) {
	now := a.node.now()
	if l.rangAt.IsZero() {
		l.rangAt = now
	}
	r := l.ring
	if r != a.ring || !r.rangAt.IsZero() {
		return
	}
	r.rangAt = now
	if a.setup.rang.IsZero() {
		a.setup.rang = now
	}
	a.report(call.Ringing{Offer: r.order.Offer})
}

// phoneEnded takes the final outcome of one phone.
func (a *actor) phoneEnded(l *sipLeg, o call.Outcome, code int) {
	r := l.ring
	r.legs--
	if a.ring != r {
		return
	}
	r.note(o, code, l.device)
	if code >= 600 { // nobody else wants the call either (RFC 3261 §16.7 step 5)
		a.endRing(call.RingEnded{Outcome: o, SIPCode: code, Device: l.device}, causeOf(o))
		return
	}
	a.advance(r)
}

// won decides about a phone's 2xx: it is the first, because a later one finds its leg leaving. The customer is
// answered, the two are bridged, the other phones are told that somebody else was faster.
func (a *actor) won(l *sipLeg, e evidence) {
	r := l.ring
	err := l.takeAnswer(e.res)
	if err == nil {
		err = a.passOn(l)
	}
	if err != nil {
		a.log.Warn("a phone answered with unusable SDP", "device", string(l.device), "err", err)
		a.step(l, wantEnd, evidence{cause: leg.NoCommonCodec})
		a.phoneEnded(l, call.RingFailed, sip.StatusNotAcceptableHere)
		return
	}
	r.legs--
	if !a.answerCustomer() {
		a.step(l, wantEnd, evidence{cause: leg.Abandoned})
		return // the caller's CANCEL, or what else ended its leg, ends the ring
	}
	now := a.node.now()
	l.id, l.answeredAt = r.order.Leg, now
	a.talking, a.answeredAt = l, now
	a.agreed(l)
	a.setup.bridged = a.node.now()
	a.endRing(call.RingEnded{
		Outcome: call.RingAnswered, Leg: l.id, Device: l.device, AnsweredAt: now, SIPCode: e.res.StatusCode,
	}, leg.ElsewhereWon)
}

// legOf finds the leg of that name among those that live.
func (a *actor) legOf(name id.Leg) *sipLeg {
	switch {
	case name == call.CallerLeg && a.customer.phase.lives():
		return a.customer
	case a.talking != nil && a.talking.id == name:
		return a.talking
	}
	return nil
}
