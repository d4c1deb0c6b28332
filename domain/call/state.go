// Package call is the pure state machine of one call with all its legs, from the
// INVITE to the last record written. It reads no clock and does no I/O: every
// event carries its time, everything the world must do is returned as an effect.
package call

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Phase is where a call stands.
type Phase string

// The phases (vocabulary.md).
const (
	Arriving Phase = "Arriving" // known, not yet routed
	InFlow   Phase = "InFlow"   // in prompts and menus (later)
	Queued   Phase = "Queued"   // waits, hears music
	Offering Phase = "Offering" // rings somebody
	Talking  Phase = "Talking"
	Ended    Phase = "Ended"
)

// Direction of a call as the tenant sees it.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
	Internal Direction = "internal"
)

// RouteKind says what a number leads to.
type RouteKind string

// The kinds of route.
const (
	ToQueue  RouteKind = "queue"
	ToAgent  RouteKind = "agent"  // an agent's extension: direct call
	ToTrunk  RouteKind = "trunk"  // out to the PSTN
	ToNobody RouteKind = "nobody" // no such number: 404
)

// Route is where a number leads, with everything the call needs to know of it.
type Route struct {
	Kind    RouteKind     `json:"kind"`
	Queue   Queue         `json:"queue,omitzero"`    // for ToQueue
	Agent   id.Agent      `json:"agent,omitempty"`   // for ToAgent
	Targets []leg.Address `json:"targets,omitempty"` // for ToAgent and ToTrunk: what to ring
	Method  string        `json:"ring_method,omitempty"`
	Ring    time.Duration `json:"ring,omitempty"` // for ToAgent and ToTrunk: ring timeout
	// NotReady: the tenant wants agents to be Ready for direct calls (policy
	// direct_call_requires_ready), and this one is not.
	NotReady bool `json:"not_ready,omitempty"`
	// CallerReady: the tenant wants agents to be Not Ready when they dial out (policy
	// outbound_requires_not_ready), and the one who dials is Ready.
	CallerReady bool `json:"caller_ready,omitempty"`
	// Barred says why the number may not be dialled (policy dial_allowed); empty: it may.
	Barred string `json:"barred,omitempty"`
	Name   string `json:"name,omitempty"`
}

// Queue is what a call knows of the queue that it waits in.
type Queue struct {
	Name     id.Queue      `json:"name"`
	Ring     time.Duration `json:"ring"`               // how long one agent's offer rings
	MaxWait  time.Duration `json:"max_wait,omitempty"` // 0 = the platform's 2 h
	Priority int           `json:"priority,omitempty"` // higher is served first
	Music    string        `json:"music,omitempty"`    // name of the music on hold; empty = the platform's
}

// Incoming is an INVITE that opens a call, as the node reports it.
type Incoming struct {
	Tenant id.Tenant         `json:"tenant"`
	Call   id.Call           `json:"call"`
	Node   id.Node           `json:"node"`
	Boot   string            `json:"boot"` // the node's run: legs of an earlier boot are lost
	From   string            `json:"from"`
	To     string            `json:"to"`
	Trunk  string            `json:"trunk,omitempty"` // came from this trunk …
	Agent  id.Agent          `json:"agent,omitempty"` // … or from this agent's device
	Device id.Device         `json:"device,omitempty"`
	Data   map[string]string `json:"data,omitempty"` // X-CC-… headers, User-to-User
	// Private: the caller, one of ours, does not want to be shown (RFC 3323). From has who it is all the same.
	Private bool      `json:"private,omitempty"`
	Hops    int       `json:"hops,omitempty"` // its Max-Forwards: how often it may be sent on, by whomever; 0 is not known
	At      time.Time `json:"at"`
}

// Offer is the call's presentation to one agent (or, for a direct call, one ring).
type Offer struct {
	ID       id.Offer      `json:"id"`
	Agent    id.Agent      `json:"agent,omitempty"`
	Targets  []leg.Address `json:"targets"`
	Method   string        `json:"ring_method"`
	At       time.Time     `json:"at"`
	RangAt   time.Time     `json:"rang_at,omitzero"`
	Deadline time.Time     `json:"deadline"` // ring timeout plus grace: RingEnded must have come by then
}

// State is everything a call knows. It is the workflow's input: opening, starting,
// continuing-as-new and recovering start from it. Fields are only ever added.
type State struct {
	Tenant     id.Tenant         `json:"tenant"`
	ID         id.Call           `json:"id"`
	Node       id.Node           `json:"node"`
	Boot       string            `json:"boot"`
	Class      leg.CallClass     `json:"class"`
	Direction  Direction         `json:"direction"`
	Phase      Phase             `json:"phase"`
	Route      Route             `json:"route"`
	From       string            `json:"from"`
	To         string            `json:"to"`
	FromAgent  id.Agent          `json:"from_agent,omitempty"`
	Legs       []leg.Leg         `json:"legs"`
	Offer      *Offer            `json:"offer,omitempty"` // while Offering
	Offers     int               `json:"offers"`          // how many so far: names the next
	Tried      []id.Agent        `json:"tried,omitempty"` // agents whose offer failed, latest last; asked again only after the others
	Data       map[string]string `json:"data,omitempty"`
	ArrivedAt  time.Time         `json:"arrived_at"`
	QueuedAt   time.Time         `json:"queued_at,omitzero"`   // original enqueue time: the place in line, kept over every offer
	AnsweredAt time.Time         `json:"answered_at,omitzero"` // by an agent
	EndedAt    time.Time         `json:"ended_at,omitzero"`
	Since      time.Time         `json:"since"` // of Phase
	Cause      leg.Cause         `json:"cause,omitempty"`
	EndedBy    string            `json:"ended_by,omitempty"` // customer, agent:<number>, user:<name>, system
	Music      bool              `json:"music,omitempty"`    // the customer's leg is answered and hears music
	Closed     bool              `json:"closed,omitempty"`   // the record is written
	Segments   []Segment         `json:"segments,omitempty"`
	Commands   []string          `json:"commands,omitempty"` // idempotency keys of accepted commands
	Late       int               `json:"late,omitempty"`     // late or doubled facts, counted, never fatal
	Seq        int               `json:"seq"`
	Owed       []Effect          `json:"owed,omitempty"` // see Outstanding
	Version    int64             `json:"version"`

	Trunk   string    `json:"trunk,omitempty"`   // came from this trunk
	Started bool      `json:"started,omitempty"` // direct call: the called agent's session was told call_started
	StuckAt time.Time `json:"stuck_at,omitzero"` // while Ended: when to issue again what is still owed
	RetryAt time.Time `json:"retry_at,omitzero"` // when to issue again what failed

	Hops    int              `json:"hops,omitempty"`    // Incoming.Hops
	Private bool             `json:"private,omitempty"` // Incoming.Private
	Heard   map[string]int64 `json:"heard,omitempty"`   // the executor's: number of the last fact of each reporter when its run ended
}

// Segment is a stretch of a call's life as the record shows it.
type Segment struct {
	Kind  string    `json:"kind"` // waiting, offer, talk, hold
	Agent id.Agent  `json:"agent,omitempty"`
	Queue id.Queue  `json:"queue,omitempty"`
	Offer id.Offer  `json:"offer,omitempty"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to,omitzero"`
	Cause leg.Cause `json:"cause,omitempty"` // why it ended

	// Of an offer, how its ring went; empty as far as it is not known.
	RangAt  time.Time `json:"rang_at,omitzero"` // the first phone said 180 or 183
	Outcome Outcome   `json:"outcome,omitempty"`
	SIPCode int       `json:"sip_code,omitempty"` // of the phone's last response
	Device  id.Device `json:"device,omitempty"`   // the phone whose answer decided
}
