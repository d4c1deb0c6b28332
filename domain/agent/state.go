// Package agent is the pure state machine of one agent session, from sign-in to
// sign-out: which state the agent is in, what a person may ask now, what follows.
// It reads no clock and does no I/O: every event carries its time, everything the
// world must do is returned as an effect.
package agent

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Status is the agent state of vocabulary.md (CSTA ECMA-269 agentState, with
// Reserved added for an outstanding offer).
type Status string

// The agent states.
const (
	LoggedOff        Status = "LoggedOff"
	NotReady         Status = "NotReady"
	Ready            Status = "Ready"
	Reserved         Status = "Reserved"
	Busy             Status = "Busy"
	WorkingAfterCall Status = "WorkingAfterCall"
)

// Reason says why an agent is NotReady (or was signed out): the system's codes
// below, or one of the tenant's.
type Reason string

// The system's reasons.
const (
	ReasonLogin      Reason = "LOGIN"       // just signed in
	ReasonRONA       Reason = "RONA"        // an offer ran out unanswered
	ReasonRejected   Reason = "REJECTED"    // the agent declined an offer
	ReasonDeviceLost Reason = "DEVICE_LOST" // no address of the binding is reachable
	ReasonForced     Reason = "FORCED"      // a supervisor did it
	ReasonMissedCall Reason = "MISSED_CALL" // a direct call was not answered
	ReasonIdle       Reason = "IDLE"        // no sign of life from any terminal (SEED-57)
	ReasonClosed     Reason = "CLOSED"      // the last terminal was closed, and none came in time (SEED-100)
	ReasonShiftEnd   Reason = "SHIFT_END"   // the scheduled end of the shift
)

// Profile is what the directory says of the agent, taken at sign-in and renewed
// by ProfileChanged.
type Profile struct {
	Name        string        `json:"name"`
	Team        id.Team       `json:"team,omitempty"`
	WrapUp      time.Duration `json:"wrap_up"` // SEED-95: 0 = no wrap-up
	Queues      []Membership  `json:"queues"`  // the memberships the agent may check in to
	Addresses   []leg.Address `json:"addresses"`
	RingMethod  string        `json:"ring_method"` // all, linear, single
	OnNoAnswer  Follow        `json:"on_no_answer"`
	OnReject    Follow        `json:"on_reject"`
	EarlyExit   bool          `json:"wrap_up_early_exit"`     // policy wrapup_early_exit
	IdleLogout  time.Duration `json:"idle_logout"`            // policy idle_logout, 0 = never
	TerminalGap time.Duration `json:"terminal_grace"`         // policy terminal_grace
	Mode        string        `json:"binding_mode,omitempty"` // fixed: the agent cannot change its addresses (SEED-53)
	Conflict    Conflict      `json:"device_conflict,omitempty"`
	Reasons     []Rule        `json:"reasons,omitempty"`  // for NotReady; none: any will do
	ShiftEnd    time.Time     `json:"shift_end,omitzero"` // the next scheduled end of a shift; zero: none
}

// Follow says what an unanswered or rejected offer does to the agent.
type Follow string

// The follow-ups.
const (
	FollowNotReady Follow = "not_ready" // default
	FollowStay     Follow = "stay"
)

// Membership is one queue of the agent.
type Membership struct {
	Queue     id.Queue `json:"queue"`
	CheckedIn bool     `json:"checked_in"`
	Static    bool     `json:"static,omitempty"`  // never checked out automatically (SEED-62)
	Penalty   int      `json:"penalty,omitempty"` // lower is asked first
}

// Offer is a call presented to this agent, with its lease.
type Offer struct {
	ID       id.Offer          `json:"id"`
	Call     id.Call           `json:"call"`
	Class    leg.CallClass     `json:"class"`
	Queue    id.Queue          `json:"queue,omitempty"`
	From     string            `json:"from"` // the customer's number (SEED-75)
	Data     map[string]string `json:"data,omitempty"`
	At       time.Time         `json:"at"`
	Deadline time.Time         `json:"deadline"` // the lease; see State.Deadline
}

// Delay keeps a Ready agent out of the match for a short time: an offer could not reach
// it, for a reason that is neither the agent's nor the device's.
type Delay struct {
	Until time.Time `json:"until"`
	Cause leg.Cause `json:"cause"` // why the offer failed: trunk_busy or overload
}

// Pending is a state asked for while it cannot be taken yet (CSTA pendingAgentState, SEED-97).
type Pending struct {
	Status Status `json:"state"` // NotReady, LoggedOff or Ready
	Reason Reason `json:"reason,omitempty"`
	By     string `json:"by"` // who asked: a user name, or "system"
}

// Binding says on which addresses the running session is reached.
type Binding struct {
	Interface string        `json:"interface"` // web, phone or mobile
	Mode      string        `json:"mode"`      // fixed, self_adapting, dynamic or hot_desk
	Addresses []leg.Address `json:"addresses"`
	Reachable []id.Device   `json:"reachable"`       // the devices of Addresses that are reachable now
	Taken     []Taken       `json:"taken,omitempty"` // what would belong to it, and another agent has
}

// Taken is a device that another agent is bound to, or that there is not any more.
type Taken struct {
	Device id.Device `json:"device"`
	By     id.Agent  `json:"by"` // empty: it is deleted
}

// Terminal is one open client of the session.
type Terminal struct {
	ID   id.Terminal `json:"id"`
	Seen time.Time   `json:"seen"`
	// Leased says that somebody tells when it shows no life any more: the session need
	// not hear of its signs of life.
	Leased bool `json:"leased,omitempty"`
	Phone  bool `json:"phone,omitempty"` // it is the one that is the agent's phone
}

// Line is a call that the agent has besides the one in State.Call: a second call
// on the same phone.
type Line struct {
	Call  id.Call       `json:"call"`
	Class leg.CallClass `json:"class"`
	From  string        `json:"from,omitempty"`
	At    time.Time     `json:"at"` // when it began
}

// Wrap is wrap-up that begins, or goes on, when the agent's present calls are over.
type Wrap struct {
	Call id.Call       `json:"call"`
	From string        `json:"from,omitempty"`
	For  time.Duration `json:"for"`
}

// State is everything an agent session knows. It is the workflow's input: opening,
// continuing-as-new and recovering start from it. Fields are only ever added.
type State struct {
	Tenant     id.Tenant     `json:"tenant"`
	Agent      id.Agent      `json:"agent"`
	User       id.User       `json:"user"`
	Profile    Profile       `json:"profile"`
	Status     Status        `json:"state"`
	Reason     Reason        `json:"reason,omitempty"`
	Since      time.Time     `json:"since"`
	Pending    *Pending      `json:"pending,omitempty"`
	Offer      *Offer        `json:"offer,omitempty"`   // while Reserved
	Call       id.Call       `json:"call,omitempty"`    // while Busy or WorkingAfterCall
	Class      leg.CallClass `json:"class,omitempty"`   // of Call
	CallFrom   string        `json:"from,omitempty"`    // the other party of Call
	Until      time.Time     `json:"until,omitzero"`    // end of wrap-up
	CheckAt    time.Time     `json:"check_at,omitzero"` // while Busy: when to ask whether the call still lives
	Members    []Membership  `json:"members"`
	Binding    Binding       `json:"binding"`
	Terminals  []Terminal    `json:"terminals,omitempty"`
	SignedIn   time.Time     `json:"signed_in"`
	Seen       time.Time     `json:"seen"`                  // last sign of life from any terminal
	ReadyAt    time.Time     `json:"ready_at,omitzero"`     // when Ready began: longest idle counts from here
	EndedCalls []id.Call     `json:"ended_calls,omitempty"` // the last few calls that ended, to know a late fact as late
	Commands   []string      `json:"commands,omitempty"`    // idempotency keys of the last 32 accepted commands
	Late       int           `json:"late,omitempty"`        // late or doubled facts, counted, never fatal
	Seq        int           `json:"seq"`                   // number of the last effect issued
	Owed       []Effect      `json:"owed,omitempty"`        // effects the world still owes an answer: see Outstanding
	Version    int64         `json:"version"`               // counts the changes that others may see, from the sign-in's time in ms

	Prior       Status        `json:"prior,omitempty"`        // while Busy: the state to return to, Ready or NotReady
	PriorReason Reason        `json:"prior_reason,omitempty"` // of Prior NotReady
	CallAt      time.Time     `json:"call_at,omitzero"`       // while Busy: when Call began
	Also        []Line        `json:"also,omitempty"`         // while Busy: further calls
	Wrap        *Wrap         `json:"wrap,omitempty"`         // while Busy: wrap-up that is still due
	Extended    time.Duration `json:"extended,omitempty"`     // by how much this wrap-up was extended
	EndedOffers []id.Offer    `json:"ended_offers,omitempty"` // the last few offers that ended or were taken: see Presence.Release
	Misses      int           `json:"misses,omitempty"`       // offers in a row that this agent did not take
	Taken       int           `json:"taken,omitempty"`        // queue calls taken since sign-in
	Orphaned    time.Time     `json:"orphaned,omitzero"`      // when the last terminal was closed
	RetryAt     time.Time     `json:"retry_at,omitzero"`      // when to issue again what failed
	Left        bool          `json:"left,omitempty"`         // signed out, or never came: see Over
	Order       *Order        `json:"order,omitempty"`        // the last one of a supervisor
	LimitAt     time.Time     `json:"limit_at,omitzero"`      // while NotReady: until when the reason allows it
	OverSince   time.Time     `json:"over_since,omitzero"`    // while NotReady: when that was past
	ShiftDone   time.Time     `json:"shift_done,omitzero"`    // the end of shift that was acted on
	Standard    bool          `json:"standard,omitempty"`     // the binding follows the profile
	Holding     bool          `json:"holding,omitempty"`      // the next Save must take hold of the devices
	Claims      []id.Device   `json:"claims,omitempty"`       // of which it may take these from others

	Delay  *Delay `json:"delay,omitempty"`  // while Ready: no call is offered before its end
	Delays int    `json:"delays,omitempty"` // in a row

	Heard map[string]int64 `json:"heard,omitempty"` // the executor's: number of the last fact of each reporter when its run ended
}
