package agent

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Effect is something the world must do for a session. Exactly one of the
// pointers is set. Seq numbers effects; an effect stays in State.Owed until Done
// or Failed with its Seq arrives, so that a new run can issue it again: executors
// recognise a Seq they have begun.
type Effect struct {
	Seq    int     `json:"seq"`
	Save   *Save   `json:"save,omitempty"`
	Verify *Verify `json:"verify,omitempty"`
	Refuse *Refuse `json:"refuse,omitempty"`
	Tries  int     `json:"tries,omitempty"` // how often it has failed before
}

// Save writes the session's presence row and view in one transaction and, when the
// agent is available, matches it with the best waiting call of its queues. Its Done
// carries the offer if the row is (or just became) reserved. Saves run one after
// the other, in order; each supersedes those before it.
type Save struct {
	Presence Presence `json:"presence"`
	View     View     `json:"view"`
}

// Presence is the row by which the match knows this agent. It is the arbiter: an
// offer is made only by the transaction that reserves this row.
type Presence struct {
	Tenant    id.Tenant     `json:"tenant"`
	Agent     id.Agent      `json:"agent"`
	Status    Status        `json:"state"`
	Available bool          `json:"available"` // Ready, nothing pending, some address reachable
	ReadyAt   time.Time     `json:"ready_at,omitzero"`
	Queues    []Membership  `json:"queues"`    // checked in
	Addresses []leg.Address `json:"addresses"` // the reachable ones of the binding, in its order
	Method    string        `json:"ring_method"`
	Offer     id.Offer      `json:"offer,omitempty"`   // the offer this session knows of (Reserved), else empty
	Release   []id.Offer    `json:"release,omitempty"` // offers that this session knows to be over
	Calls     int           `json:"calls,omitempty"`   // queue calls taken since sign-in, for queue.FewestCalls
	Gone      bool          `json:"gone,omitempty"`    // signed out: delete the row
	Bound     []id.Device   `json:"bound,omitempty"`   // when the binding changed: hold these, let go of the others
	Claim     []id.Device   `json:"claim,omitempty"`   // those of Bound to take from who has them
	Version   int64         `json:"version"`
}

// Verify asks whether call still exists and has this agent on it; answered by
// CallEnded when it doesn't, by Done when it does.
type Verify struct {
	Call id.Call `json:"call"`
}

// Refuse tells a call that its offer can't be taken (the session is gone, or holds
// another call): the call offers itself to the next agent at once.
type Refuse struct {
	Offer id.Offer  `json:"offer"`
	Cause leg.Cause `json:"cause"`
}

// View is what others may see of a session: interfaces.md.
type View struct {
	Tenant      id.Tenant     `json:"tenant"`
	Agent       id.Agent      `json:"agent"`
	User        id.User       `json:"user"`
	Name        string        `json:"name"`
	Team        id.Team       `json:"team,omitempty"`
	State       Status        `json:"state"`
	Reason      Reason        `json:"reason,omitempty"`
	Since       time.Time     `json:"since"`
	Pending     *Pending      `json:"pending,omitempty"`
	Offer       *Offer        `json:"offer,omitempty"`
	CallIDs     []id.Call     `json:"call_ids"`
	CallClass   leg.CallClass `json:"call_class,omitempty"`
	Memberships []Membership  `json:"memberships"`
	Binding     Binding       `json:"binding"`
	Devices     []id.Device   `json:"devices"` // reachable
	Terminals   []id.Terminal `json:"terminals"`
	WrapUpUntil time.Time     `json:"wrap_up_until,omitzero"`
	Phone       id.Terminal   `json:"phone_terminal,omitempty"` // which of Terminals is the agent's phone
	Order       *Order        `json:"order,omitempty"`
	LimitAt     time.Time     `json:"limit_at,omitzero"`   // until when the reason allows NotReady
	OverSince   time.Time     `json:"over_since,omitzero"` // when that was past
	ShiftEnd    time.Time     `json:"shift_end,omitzero"`  // when the agent is signed out
	Delay       *Delay        `json:"delay,omitempty"`     // why a Ready agent is not offered a call, and until when
	Version     int64         `json:"version"`
}
