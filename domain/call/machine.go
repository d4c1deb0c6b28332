package call

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Ref names a call.
type Ref struct {
	Tenant id.Tenant `json:"tenant"`
	Call   id.Call   `json:"call"`
}

// Ref names the call.
func (s State) Ref() Ref { return Ref{Tenant: s.Tenant, Call: s.ID} }

// CallerLeg is the id of the leg that opened the call, whoever is on it.
const CallerLeg id.Leg = "customer"

// New is the call that in opens, in phase Arriving. The first event must be Arrived.
func New(in Incoming) State {
	caller := leg.Leg{
		ID: CallerLeg, Role: leg.Customer, State: leg.Ringing, Party: in.From,
		Device: in.Device, Node: in.Node, StartedAt: in.At,
	}
	s := State{
		Tenant: in.Tenant, ID: in.Call, Node: in.Node, Boot: in.Boot,
		Class: leg.InboundDirect, Direction: Inbound, Phase: Arriving,
		From: in.From, To: in.To, FromAgent: in.Agent, Trunk: in.Trunk, Data: in.Data, Hops: in.Hops, Private: in.Private,
		ArrivedAt: in.At, Since: in.At,
	}
	if in.Agent != "" {
		caller.Role, caller.Agent = leg.Agent, in.Agent
	}
	if in.Agent != "" || in.Device != "" {
		s.Class, s.Direction = leg.Internal, Internal
	}
	s.Legs = []leg.Leg{caller}
	return s
}

// Over reports whether the call has ended, its record is written, and the world
// owes it no answer: its workflow may complete.
func (s State) Over() bool { return s.Phase == Ended && s.Closed && len(s.Owed) == 0 }

// Outstanding lists the effects that the world still owes an answer; every run of
// the workflow begins by issuing them.
func (s State) Outstanding() []Effect { return s.Owed }

// step is one Step in progress: a copy of the state that may be changed freely,
// the time of the event, and the effects so far.
type step struct {
	State
	at  time.Time
	out []Effect
}

// Step applies e, which happened at at. A refused command returns the state
// unchanged and a *fault.Error of kind Conflict; a fact is never refused: a late or
// doubled one is counted in Late and changes nothing else. Asking for what already
// is succeeds without effects. The effects returned are also kept in Owed until
// they are answered.
func (s State) Step(at time.Time, e Event) (State, []Effect, error) {
	if h, command := e.(HangUp); command {
		if err := s.Check(e); err != nil || s.repeated(h.Key) {
			return s, nil, err
		}
	}
	n := &step{State: s.clone(), at: at}
	n.Version++
	n.apply(e)
	return n.State, n.out, nil
}

// apply has one line per event.
func (n *step) apply(e Event) {
	switch e := e.(type) {
	case HangUp:
		n.hangUp(e)
	case Arrived:
		n.arrived(e.Route)
	case Matched:
		n.matched(e)
	case Waiting:
		n.waiting(e)
	case Ringing:
		n.ringing(e)
	case RingEnded:
		n.ringEnded(e)
	case OfferRefused:
		n.offerRefused(e)
	case LegEnded:
		n.legEnded(e)
	case LegHeld:
		n.legHeld(e)
	case NodeLost:
		n.nodeLost(e)
	case OfferOverdue:
		n.offerOverdue(e)
	case WaitedOut:
		n.waitedOut()
	case TalkedOut:
		n.talkedOut()
	case Stuck:
		n.stuck()
	case Done:
		n.done(e)
	case Failed:
		n.failed(e)
	default:
		panic("call: no such event: " + string(e.Kind()))
	}
}

// Check says whether command e would be accepted now: nil, or the refusal. Ending a
// call is always accepted: one that has ended already is what was asked for.
func (s State) Check(Event) error { return nil }

// late counts a fact that came too late, twice, or about something unknown.
func (n *step) late() {
	n.Late++
	n.Version--
}

// keptCommands is how many idempotency keys a call remembers.
const keptCommands = 32

func (s State) repeated(key string) bool { return key != "" && slices.Contains(s.Commands, key) }

// clone copies everything that a Step may change in place.
func (s State) clone() State {
	s.Legs = slices.Clone(s.Legs)
	s.Tried = slices.Clone(s.Tried)
	s.Segments = slices.Clone(s.Segments)
	s.Commands = slices.Clone(s.Commands)
	s.Owed = slices.Clone(s.Owed)
	if s.Offer != nil {
		o := *s.Offer
		s.Offer = &o
	}
	return s
}

// enter goes to a phase.
func (n *step) enter(p Phase) { n.Phase, n.Since = p, n.at }
