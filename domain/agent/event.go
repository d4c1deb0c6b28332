package agent

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Event is something that happens to an agent session: a command (a person asks,
// may be refused) or a fact (it happened, may be late, is never refused).
type Event interface {
	// Kind is the event's stable name: Temporal update or signal name, golden file row.
	Kind() Kind
}

// Kind names an event.
type Kind string

// The commands: Temporal Updates, checked by Check.
const (
	KindSignIn   Kind = "sign_in"
	KindReady    Kind = "ready"
	KindNotReady Kind = "not_ready"
	KindCheckIn  Kind = "check_in"
	KindCheckOut Kind = "check_out"
	KindBind     Kind = "bind"
	KindWrapUp   Kind = "wrap_up"
	KindSignOut  Kind = "sign_out"
	KindTouch    Kind = "terminal" // a terminal comes, leaves, or takes the phone
)

// The facts: Temporal Signals and deadlines.
const (
	KindOffered        Kind = "offered"
	KindOfferEnded     Kind = "offer_ended"
	KindEstablished    Kind = "established"
	KindCallStarted    Kind = "call_started"
	KindCallEnded      Kind = "call_ended"
	KindDeviceChanged  Kind = "device_changed"
	KindProfileChanged Kind = "profile_changed"
	KindDeviceTaken    Kind = "device_taken"    // policy device_conflict take_over
	KindLeaseExpired   Kind = "lease_expired"   // deadline of Reserved
	KindWrapUpElapsed  Kind = "wrap_up_elapsed" // deadline of WorkingAfterCall
	KindCheckDue       Kind = "check_due"       // deadline of Busy: does the call still live?
	KindIdleElapsed    Kind = "idle_elapsed"    // policy idle_logout
	KindTerminalsGone  Kind = "terminals_gone"  // policy terminal_grace
	KindLimitElapsed   Kind = "limit_elapsed"   // time limit of a reason for NotReady
	KindShiftEnded     Kind = "shift_ended"     // the scheduled end of the shift
	KindDelayElapsed   Kind = "delay_elapsed"   // end of a Delay
	KindStuck          Kind = "stuck"           // deadline of a failed effect: issue it again
	KindDone           Kind = "done"            // an effect was carried out
	KindFailed         Kind = "failed"          // an effect failed for good
)

// Actor says who gave a command.
type Actor struct {
	User   string `json:"by"`               // user name; "system" for our own
	Forced bool   `json:"forced,omitempty"` // a supervisor commands another's session
	Key    string `json:"key,omitempty"`    // Idempotency-Key
	Why    string `json:"why,omitempty"`    // what a supervisor gives as the reason; the agent sees it
}

type (
	// SignIn attaches a terminal to the session (a new session starts by New, then SignIn).
	SignIn struct {
		Actor
		Terminal  id.Terminal   `json:"terminal_id,omitempty"`
		Interface string        `json:"interface"`
		Addresses []leg.Address `json:"addresses,omitempty"` // the chosen devices; empty = those of the profile
		Reachable []id.Device   `json:"reachable"`           // what the registrations say now
		Initial   Status        `json:"initial_state,omitempty"`
		Claim     []id.Device   `json:"claim,omitempty"` // those of Addresses to take from who has them (policy device_conflict)
		// Standard says that Addresses are those of the profile which can be had: they
		// follow the profile.
		Standard bool `json:"standard,omitempty"`
		// Leased says that somebody tells when the terminal shows no life any more.
		Leased bool   `json:"leased,omitempty"`
		Phone  Hold   `json:"phone,omitempty"` // of the terminal
		From   string `json:"from,omitempty"`  // IP address of the client (SEED-54)
		// Lease is how long the terminal may be silent. It is no concern of the session's.
		Lease time.Duration `json:"-"`
	}
	// GoReady asks for Ready (SEED-68, SEED-69).
	GoReady struct{ Actor }
	// GoNotReady asks for NotReady with a reason (SEED-70).
	GoNotReady struct {
		Actor
		Reason Reason `json:"reason,omitempty"`
	}
	// CheckIn joins queues (SEED-58); no queues = all of the profile's.
	CheckIn struct {
		Actor
		Queues []id.Queue `json:"queues,omitempty"`
	}
	// CheckOut leaves queues (SEED-59); no queues = all.
	CheckOut struct {
		Actor
		Queues []id.Queue `json:"queues,omitempty"`
	}
	// Bind chooses the addresses of the session (SEED-55); refused while one is in use.
	Bind struct {
		Actor
		Interface string        `json:"interface,omitempty"`
		Mode      string        `json:"mode,omitempty"`
		Addresses []leg.Address `json:"addresses"`
		Reachable []id.Device   `json:"reachable"`
		Claim     []id.Device   `json:"claim,omitempty"` // see SignIn
	}
	// WrapUp finishes or extends wrap-up.
	WrapUp struct {
		Actor
		Action string        `json:"action"` // finish or extend
		By     time.Duration `json:"by_ms,omitempty"`
	}
	// SignOut ends the session, at once or (Reserved, Busy, WorkingAfterCall) as pending.
	SignOut struct {
		Actor
		Reason Reason `json:"reason,omitempty"`
	}
	// Touch is the coming or leaving of a terminal, or asks for the phone.
	Touch struct {
		Actor
		Terminal id.Terminal `json:"terminal_id"`
		Gone     bool        `json:"gone,omitempty"`
		Leased   bool        `json:"leased,omitempty"` // see SignIn
		Phone    Hold        `json:"phone,omitempty"`

		Lease time.Duration `json:"-"` // see SignIn
	}

	// Offered happens when a match reserved this agent for a call.
	Offered struct{ Offer Offer }
	// OfferEnded happens when an offer ended without this agent getting the call.
	OfferEnded struct {
		Offer id.Offer  `json:"offer"`
		Cause leg.Cause `json:"cause"` // no_answer, rejected, busy, unreachable, rescinded, abandoned …
	}
	// Established happens when the agent's leg is connected with the other party.
	Established struct {
		Call  id.Call       `json:"call"`
		Offer id.Offer      `json:"offer,omitempty"`
		Class leg.CallClass `json:"class"`
		From  string        `json:"from"`
	}
	// CallStarted happens when the agent's own device dials, or a direct call rings it.
	CallStarted struct {
		Call  id.Call       `json:"call"`
		Class leg.CallClass `json:"class"`
		From  string        `json:"from"`
	}
	// CallEnded happens when the agent's part in a call is over.
	CallEnded struct {
		Call  id.Call       `json:"call"`
		Class leg.CallClass `json:"class"`
		Cause leg.Cause     `json:"cause"`
		Spoke bool          `json:"spoke"` // the agent was connected: wrap-up only then
	}
	// DeviceChanged happens when a device's registration appears or goes.
	DeviceChanged struct {
		Device    id.Device `json:"device"`
		Reachable bool      `json:"reachable"`
	}
	// ProfileChanged happens when the directory's entry of the agent changed. Reachable
	// are those of the profile's devices that are reachable then; nil: not known.
	ProfileChanged struct {
		Profile   Profile     `json:"profile"`
		Reachable []id.Device `json:"reachable,omitempty"`
	}
	// DeviceTaken happens when another agent took a device that this session was bound
	// to (policy device_conflict take_over).
	DeviceTaken struct {
		Device id.Device `json:"device"`
		By     id.Agent  `json:"by"`
	}
	// LeaseExpired happens when an offer's lease ran out and nobody reported its end.
	LeaseExpired struct{ Offer id.Offer }
	// WrapUpElapsed happens when wrap-up time is over (SEED-98, SEED-99).
	WrapUpElapsed struct{ Call id.Call }
	// CheckDue happens when a Busy agent's call must be asked for a sign of life.
	CheckDue struct{ Call id.Call }
	// IdleElapsed happens when no terminal showed life for the policy idle_logout.
	IdleElapsed struct{}
	// TerminalsGone happens when the last terminal was closed and none came back
	// within the policy terminal_grace (SEED-100).
	TerminalsGone struct{}
	// LimitElapsed happens when an agent was NotReady for as long as the reason allows.
	LimitElapsed struct {
		Reason Reason `json:"reason"`
	}
	// ShiftEnded happens at the scheduled end of the agent's shift.
	ShiftEnded struct{}
	// DelayElapsed happens when a Delay is over.
	DelayElapsed struct{}
	// Stuck happens when an effect that failed is due to be issued again.
	Stuck struct{}
	// Done happens when effect Seq was carried out.
	Done struct {
		Seq int `json:"seq"`
		// Reserved is set by Save when the presence row was already reserved, or was
		// matched by this very Save: the agent has this offer.
		Reserved *Offer `json:"reserved,omitempty"`
		// Taken is set by Save: devices of the binding that another agent has.
		Taken []Taken `json:"taken,omitempty"`
	}
	// Failed happens when effect Seq failed for good; Gone says that its object does not exist.
	Failed struct {
		Seq   int    `json:"seq"`
		Error string `json:"error"`
		Gone  bool   `json:"gone,omitempty"`
	}
)

// Kind implements Event.
func (SignIn) Kind() Kind         { return KindSignIn }
func (GoReady) Kind() Kind        { return KindReady }
func (GoNotReady) Kind() Kind     { return KindNotReady }
func (CheckIn) Kind() Kind        { return KindCheckIn }
func (CheckOut) Kind() Kind       { return KindCheckOut }
func (Bind) Kind() Kind           { return KindBind }
func (WrapUp) Kind() Kind         { return KindWrapUp }
func (SignOut) Kind() Kind        { return KindSignOut }
func (Touch) Kind() Kind          { return KindTouch }
func (Offered) Kind() Kind        { return KindOffered }
func (OfferEnded) Kind() Kind     { return KindOfferEnded }
func (Established) Kind() Kind    { return KindEstablished }
func (CallStarted) Kind() Kind    { return KindCallStarted }
func (CallEnded) Kind() Kind      { return KindCallEnded }
func (DeviceChanged) Kind() Kind  { return KindDeviceChanged }
func (ProfileChanged) Kind() Kind { return KindProfileChanged }
func (LeaseExpired) Kind() Kind   { return KindLeaseExpired }
func (WrapUpElapsed) Kind() Kind  { return KindWrapUpElapsed }
func (CheckDue) Kind() Kind       { return KindCheckDue }
func (IdleElapsed) Kind() Kind    { return KindIdleElapsed }
func (TerminalsGone) Kind() Kind  { return KindTerminalsGone }
func (LimitElapsed) Kind() Kind   { return KindLimitElapsed }
func (ShiftEnded) Kind() Kind     { return KindShiftEnded }
func (DeviceTaken) Kind() Kind    { return KindDeviceTaken }
func (DelayElapsed) Kind() Kind   { return KindDelayElapsed }
func (Stuck) Kind() Kind          { return KindStuck }
func (Done) Kind() Kind           { return KindDone }
func (Failed) Kind() Kind         { return KindFailed }
