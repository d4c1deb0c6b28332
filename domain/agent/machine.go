package agent

import (
	"slices"
	"time"

	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Ref names an agent's session.
type Ref struct {
	Tenant id.Tenant `json:"tenant"`
	Agent  id.Agent  `json:"agent"`
}

// Ref names the session.
func (s State) Ref() Ref { return Ref{Tenant: s.Tenant, Agent: s.Agent} }

// New is the session of an agent who has not signed in yet (LoggedOff). The first
// event must be SignIn; if it doesn't come within a minute, the session is over.
func New(ref Ref, user id.User, p Profile, at time.Time) State {
	return State{
		Tenant: ref.Tenant, Agent: ref.Agent, User: user, Profile: p,
		Status: LoggedOff, Since: at, Seen: at, Members: signedOut(p.Queues),
	}
}

// Over reports whether the session has ended and the world owes it no answer: its
// workflow may complete.
func (s State) Over() bool { return s.Left && len(s.Owed) == 0 }

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
// they are answered; a Save follows every change that others may see.
func (s State) Step(at time.Time, e Event) (State, []Effect, error) {
	if actor, command := actorOf(e); command {
		if s.repeated(actor) {
			return s, nil, nil
		}
		if err := s.Check(e); err != nil {
			return s, nil, err
		}
	}
	n := &step{State: s.clone(), at: at}
	n.apply(e)
	n.accepted(e)
	n.saveIfChanged(s)
	return n.State, n.out, nil
}

// apply has one line per event.
func (n *step) apply(e Event) {
	switch e := e.(type) {
	case SignIn:
		n.signIn(e)
	case GoReady:
		n.goReady(e)
	case GoNotReady:
		n.goNotReady(e)
	case CheckIn:
		n.check(e.Queues, true)
	case CheckOut:
		n.check(e.Queues, false)
	case Bind:
		n.bind(e)
	case WrapUp:
		n.changeWrapUp(e)
	case SignOut:
		n.signOut(e)
	case Touch:
		n.touch(e)
	case Offered:
		n.offered(e.Offer)
	case OfferEnded:
		n.offerEnded(e)
	case Established:
		n.established(e)
	case CallStarted:
		n.callStarted(e)
	case CallEnded:
		n.callEnded(e)
	case DeviceChanged:
		n.deviceChanged(e)
	case ProfileChanged:
		n.profileChanged(e)
	case DeviceTaken:
		n.deviceTaken(e)
	case LeaseExpired:
		n.leaseExpired(e)
	case WrapUpElapsed:
		n.wrapUpElapsed(e)
	case CheckDue:
		n.checkDue(e)
	case IdleElapsed:
		n.idleElapsed()
	case TerminalsGone:
		n.terminalsGone()
	case LimitElapsed:
		n.limitElapsed(e)
	case ShiftEnded:
		n.shiftEnded()
	case DelayElapsed:
		n.delayElapsed()
	case Stuck:
		n.reissue()
	case Done:
		n.done(e)
	case Failed:
		n.failed(e)
	default:
		panic("agent: no such event: " + string(e.Kind()))
	}
}

// late counts a fact that came too late, twice, or about something unknown.
func (n *step) late() { n.Late++ }

// keptCommands is how many idempotency keys a session remembers.
const keptCommands = 32

// kept is how many ended calls and offers a session remembers, to know a late fact
// about them as late: more than can be on the way at once.
const kept = 16

// keep appends x to list and drops the oldest beyond n.
func keep[T comparable](list []T, x T, n int) []T {
	if slices.Contains(list, x) {
		return list
	}
	list = append(list, x)
	return list[max(0, len(list)-n):]
}

// accepted remembers a command's key, and that its person is alive.
func (n *step) accepted(e Event) {
	actor, command := actorOf(e)
	if !command {
		return
	}
	if actor.Key != "" {
		n.Commands = keep(n.Commands, actor.Key, keptCommands)
	}
	if t, leaves := e.(Touch); !actor.Forced && !(leaves && t.Gone) {
		n.Seen = n.at
	}
	n.order(actor, e.Kind())
}

// repeated reports whether the command was accepted before.
func (s State) repeated(a Actor) bool { return a.Key != "" && slices.Contains(s.Commands, a.Key) }

// actorOf returns who gave the command e; false if e is a fact.
func actorOf(e Event) (Actor, bool) {
	switch e := e.(type) {
	case SignIn:
		return e.Actor, true
	case GoReady:
		return e.Actor, true
	case GoNotReady:
		return e.Actor, true
	case CheckIn:
		return e.Actor, true
	case CheckOut:
		return e.Actor, true
	case Bind:
		return e.Actor, true
	case WrapUp:
		return e.Actor, true
	case SignOut:
		return e.Actor, true
	case Touch:
		return e.Actor, true
	}
	return Actor{}, false
}

// clone copies everything that a Step may change in place.
func (s State) clone() State {
	s.Members = slices.Clone(s.Members)
	s.Binding.Addresses = slices.Clone(s.Binding.Addresses)
	s.Binding.Reachable = slices.Clone(s.Binding.Reachable)
	s.Binding.Taken = slices.Clone(s.Binding.Taken)
	s.Claims = slices.Clone(s.Claims)
	s.Terminals = slices.Clone(s.Terminals)
	s.EndedCalls = slices.Clone(s.EndedCalls)
	s.EndedOffers = slices.Clone(s.EndedOffers)
	s.Commands = slices.Clone(s.Commands)
	s.Also = slices.Clone(s.Also)
	s.Owed = slices.Clone(s.Owed)
	s.Pending = clonePtr(s.Pending)
	s.Offer = clonePtr(s.Offer)
	s.Wrap = clonePtr(s.Wrap)
	s.Delay = clonePtr(s.Delay)
	return s
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// refusal makes a plain nil of a nil *fault.Error.
func refusal(e *fault.Error) error {
	if e == nil {
		return nil
	}
	return e
}
