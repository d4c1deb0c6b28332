package call

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Event is something that happens to a call: a command or a fact.
type Event interface {
	// Kind is the event's stable name: Temporal update or signal name, golden file row.
	Kind() Kind
}

// Kind names an event.
type Kind string

// The events of a call. KindHangUp is a command (Temporal Update), the rest are facts.
const (
	KindHangUp       Kind = "hang_up"
	KindArrived      Kind = "arrived"
	KindMatched      Kind = "matched"
	KindWaiting      Kind = "waiting"
	KindRinging      Kind = "ringing"
	KindRingEnded    Kind = "ring_ended"
	KindOfferRefused Kind = "offer_refused"
	KindLegEnded     Kind = "leg_ended"
	KindLegHeld      Kind = "leg_held"
	KindNodeLost     Kind = "node_lost"
	KindOfferOverdue Kind = "offer_overdue" // deadline of Offering
	KindWaitedOut    Kind = "waited_out"    // deadline of Queued
	KindTalkedOut    Kind = "talked_out"    // deadline of Talking
	KindStuck        Kind = "stuck"         // deadline of Arriving, and of Ended until closed
	KindDone         Kind = "done"
	KindFailed       Kind = "failed"
)

// Outcome says how a ring ended.
type Outcome string

// The outcomes of a ring.
const (
	RingAnswered    Outcome = "answered"
	RingNoAnswer    Outcome = "no_answer"   // rang until the timeout: RONA
	RingRejected    Outcome = "rejected"    // 603, 403, 480 …
	RingBusy        Outcome = "busy"        // 486, 600
	RingUnreachable Outcome = "unreachable" // no registration, no response
	RingRescinded   Outcome = "rescinded"   // cancelled by us or because the caller left
	RingLooped      Outcome = "looped"      // 483: sent on too often
	RingTrunkBusy   Outcome = "trunk_busy"  // no line out was free: nobody's phone was asked
	RingOverload    Outcome = "overload"    // the node has no RTP port left: nobody's phone was asked
	RingFailed      Outcome = "failed"
)

type (
	// HangUp asks to end the call.
	HangUp struct {
		User   string `json:"by"`
		Key    string `json:"key,omitempty"` // Idempotency-Key
		Reason string `json:"reason,omitempty"`
	}
	// Arrived happens when an INVITE came and its number was looked up.
	Arrived struct{ Route Route }
	// Matched happens when a match reserved an agent for this call.
	Matched struct {
		Offer   id.Offer      `json:"offer"`
		Agent   id.Agent      `json:"agent"`
		Targets []leg.Address `json:"targets"`
		Method  string        `json:"ring_method"`
	}
	// Waiting happens when no agent was eligible: the call keeps its place.
	Waiting struct {
		Position int      `json:"position"`
		Offer    id.Offer `json:"offer,omitempty"` // for which nobody was found; empty: the present one
	}
	// Ringing happens when a phone said 180 or 183 (Delivered).
	Ringing struct {
		Offer id.Offer `json:"offer"`
	}
	// RingEnded happens when a ring came to its outcome. On answered, the node has
	// bridged the two legs already and cancelled the other addresses.
	RingEnded struct {
		Offer      id.Offer  `json:"offer"`
		Outcome    Outcome   `json:"outcome"`
		Leg        id.Leg    `json:"leg,omitempty"`
		Device     id.Device `json:"device,omitempty"` // the address that answered, or whose response decided
		Agent      id.Agent  `json:"agent,omitempty"`  // whom the ring was for, as Ring has it
		RangAt     time.Time `json:"rang_at,omitzero"`
		AnsweredAt time.Time `json:"answered_at,omitzero"`
		SIPCode    int       `json:"sip_code,omitempty"`
		Sentence   string    `json:"detail,omitempty"`
	}
	// OfferRefused happens when the agent's session can't take the offer, or there is
	// none any more. It may come before the Matched that made the offer.
	OfferRefused struct {
		Offer id.Offer  `json:"offer"`
		Agent id.Agent  `json:"agent,omitempty"`
		Cause leg.Cause `json:"cause"`
	}
	// LegEnded happens when a leg is over. Remote says that the party did it.
	LegEnded struct {
		Leg    id.Leg    `json:"leg"`
		Cause  leg.Cause `json:"cause"`
		Remote bool      `json:"remote"`
		// RangAt is when the ring that was out began to ring a phone, if one was.
		RangAt time.Time `json:"rang_at,omitzero"`
	}
	// LegHeld happens when a phone put the call on hold, or took it back.
	LegHeld struct {
		Leg  id.Leg `json:"leg"`
		Held bool   `json:"held"`
	}
	// NodeLost happens when the node (or its boot) that carried the legs died.
	NodeLost struct {
		Node id.Node `json:"node"`
		Boot string  `json:"boot"`
	}
	// OfferOverdue happens when the ring's outcome did not come by the lease's end.
	OfferOverdue struct{ Offer id.Offer }
	// WaitedOut happens when the caller waited longer than the queue allows.
	WaitedOut struct{}
	// TalkedOut happens when the call lasted longer than the platform allows.
	TalkedOut struct{}
	// Stuck happens when an effect of Arriving or Ended stays unanswered.
	Stuck struct{}
	// Done happens when effect Seq was carried out.
	Done struct {
		Seq int `json:"seq"`
	}
	// Failed happens when effect Seq failed for good.
	Failed struct {
		Seq   int    `json:"seq"`
		Error string `json:"error"`
		Gone  bool   `json:"gone,omitempty"` // its object does not exist (the leg, the session)
	}
)

// Kind implements Event.
func (HangUp) Kind() Kind       { return KindHangUp }
func (Arrived) Kind() Kind      { return KindArrived }
func (Matched) Kind() Kind      { return KindMatched }
func (Waiting) Kind() Kind      { return KindWaiting }
func (Ringing) Kind() Kind      { return KindRinging }
func (RingEnded) Kind() Kind    { return KindRingEnded }
func (OfferRefused) Kind() Kind { return KindOfferRefused }
func (LegEnded) Kind() Kind     { return KindLegEnded }
func (LegHeld) Kind() Kind      { return KindLegHeld }
func (NodeLost) Kind() Kind     { return KindNodeLost }
func (OfferOverdue) Kind() Kind { return KindOfferOverdue }
func (WaitedOut) Kind() Kind    { return KindWaitedOut }
func (TalkedOut) Kind() Kind    { return KindTalkedOut }
func (Stuck) Kind() Kind        { return KindStuck }
func (Done) Kind() Kind         { return KindDone }
func (Failed) Kind() Kind       { return KindFailed }
