package call

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Effect is something the world must do for a call. Exactly one of the pointers is
// set. Seq numbers effects; an effect stays in State.Owed until its answer arrives
// (Done or Failed with its Seq; for Place: Matched or Waiting; for Ring: RingEnded),
// so that every run of the workflow begins by issuing what is owed: executors
// recognise a Seq or offer they have begun and attach to it.
type Effect struct {
	Seq    int     `json:"seq"`
	Place  *Place  `json:"place,omitempty"`
	Ring   *Ring   `json:"ring,omitempty"`
	Cancel *Cancel `json:"cancel,omitempty"`
	Treat  *Treat  `json:"treat,omitempty"`
	Drop   *Drop   `json:"drop,omitempty"`
	Tell   *Tell   `json:"tell,omitempty"`
	Save   *Save   `json:"save,omitempty"`
	Close  *Close  `json:"close,omitempty"`
	Tries  int     `json:"tries,omitempty"` // how often it has failed before
}

// Place puts the call into its queue's line (at QueuedAt, so a call that returns
// takes its old place) and matches it, in one transaction. Answer: Matched or Waiting.
type Place struct {
	Queue    id.Queue   `json:"queue"`
	QueuedAt time.Time  `json:"queued_at"`
	Priority int        `json:"priority"`
	Offer    id.Offer   `json:"offer"`           // the name of the offer if it matches now
	Over     id.Offer   `json:"over,omitempty"`  // the offer that just failed: its agent's reservation stays until that session says what follows
	Tried    []id.Agent `json:"tried,omitempty"` // asked again only after the others
}

// Ring rings the targets for the offer and bridges the first that answers with
// Customer; the others get CANCEL. Answer: RingEnded.
type Ring struct {
	Offer    id.Offer          `json:"offer"`
	Leg      id.Leg            `json:"leg"`      // the id of the leg if it is answered
	Customer id.Leg            `json:"customer"` // bridge with this leg
	Agent    id.Agent          `json:"agent,omitempty"`
	Queue    id.Queue          `json:"queue,omitempty"`
	From     string            `json:"from"` // shown to the agent (SEED-75)
	To       string            `json:"to"`
	Targets  []leg.Address     `json:"targets"`
	Method   string            `json:"ring_method"` // all, linear, single
	Timeout  time.Duration     `json:"timeout"`
	Data     map[string]string `json:"data,omitempty"`
	Private  bool              `json:"private,omitempty"` // From is not to be shown
	Hops     int               `json:"hops,omitempty"`    // of the call; a leg that it leads to has one less
}

// Cancel takes a ring back; its RingEnded(rescinded) follows (or answered, if the
// answer was first).
type Cancel struct {
	Offer id.Offer  `json:"offer"`
	Cause leg.Cause `json:"cause"`
}

// Treatment is what a waiting party hears.
type Treatment string

// The treatments.
const (
	TreatRingback Treatment = "ringback" // 180, not answered
	TreatMusic    Treatment = "music"    // answered, music on hold
)

// Treat lets a leg hear something. It is idempotent.
type Treat struct {
	Leg   id.Leg    `json:"leg"`
	With  Treatment `json:"with"`
	Music string    `json:"music,omitempty"`
}

// Drop ends a leg: a final response, CANCEL or BYE, as its state demands, with a
// Reason header. A leg that is gone already is a success.
type Drop struct {
	Leg   id.Leg    `json:"leg"`
	Cause leg.Cause `json:"cause"`
}

// Told is what an agent session is told of a call.
type Told string

// What is told.
const (
	TellOffered     Told = "offered"
	TellOfferEnded  Told = "offer_ended"
	TellStarted     Told = "call_started"
	TellEstablished Told = "established"
	TellEnded       Told = "call_ended"
)

// Tell sends an agent's session a fact. A session that is gone is a success.
type Tell struct {
	Agent    id.Agent          `json:"agent"`
	What     Told              `json:"what"`
	Offer    id.Offer          `json:"offer,omitempty"`
	Call     id.Call           `json:"call"`
	Class    leg.CallClass     `json:"class"`
	Queue    id.Queue          `json:"queue,omitempty"`
	From     string            `json:"from,omitempty"`
	Data     map[string]string `json:"data,omitempty"`
	At       time.Time         `json:"at"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Cause    leg.Cause         `json:"cause,omitempty"`
	Spoke    bool              `json:"spoke,omitempty"`
}

// Save writes the call's row, view and event. Leave takes it out of the line.
type Save struct {
	View  View   `json:"view"`
	Event string `json:"event"` // past participle of vocabulary.md: Established, Abandoned …
	Leave bool   `json:"leave,omitempty"`
}

// Close writes the record of an ended call in one transaction: call, legs,
// segments, timings; takes it out of the line. It is idempotent.
type Close struct {
	Record Record `json:"record"`
}

// Record is a call as it is kept for good.
type Record struct {
	View       View      `json:"view"`
	Segments   []Segment `json:"segments"`
	ArrivedAt  time.Time `json:"arrived_at"`
	QueuedAt   time.Time `json:"queued_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	EndedAt    time.Time `json:"ended_at"`
	Cause      leg.Cause `json:"cause"`
	EndedBy    string    `json:"ended_by"`
	Offers     int       `json:"offers"`
	Outcome    string    `json:"outcome"` // answered, abandoned, diverted, failed: Offered = Answered + Abandoned + Diverted
}

// View is what others may see of a call: interfaces.md.
type View struct {
	Tenant    id.Tenant         `json:"tenant"`
	ID        id.Call           `json:"id"`
	Class     leg.CallClass     `json:"class"`
	Direction Direction         `json:"direction"`
	Phase     Phase             `json:"phase"`
	Queue     id.Queue          `json:"queue,omitempty"`
	From      string            `json:"from"`
	To        string            `json:"to"`
	Agent     id.Agent          `json:"agent,omitempty"` // offered to, or talking with
	Node      id.Node           `json:"node"`
	Legs      []leg.Leg         `json:"legs"`
	Data      map[string]string `json:"attached_data,omitempty"`
	Recording string            `json:"recording,omitempty"`
	Since     time.Time         `json:"since"`
	QueuedAt  time.Time         `json:"queued_at,omitzero"`
	Cause     leg.Cause         `json:"cause,omitempty"`
	Version   int64             `json:"version"`

	ArrivedAt  time.Time `json:"arrived_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"` // by an agent, or the called party
	EndedAt    time.Time `json:"ended_at,omitzero"`
	EndedBy    string    `json:"ended_by,omitempty"` // of an ended call: customer, agent:<number>, user:<name>, system
	Outcome    string    `json:"outcome,omitempty"`  // of an ended call: answered, abandoned, diverted, failed

	// Ended is the offer that came to nothing, of the event that tells so; nil otherwise.
	Ended *Segment `json:"offer_ended,omitempty"`

	// Contact is who the customer is; set by the database only, when a view is read.
	Contact id.Contact `json:"contact,omitempty"`
}
