package agent

import (
	"slices"
	"time"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Check says whether command e would be accepted now: nil, or the refusal. Facts
// are never refused.
func (s State) Check(e Event) error {
	if actor, command := actorOf(e); !command || s.repeated(actor) {
		return nil
	}
	switch e := e.(type) {
	case SignIn:
		return refusal(s.checkSignIn(e))
	case GoReady:
		return refusal(s.checkReady(e))
	case CheckIn:
		return refusal(s.checkMember(e.Queues))
	case CheckOut:
		return refusal(s.checkMember(e.Queues))
	case Bind:
		return refusal(s.checkBind(e))
	case WrapUp:
		return refusal(s.checkWrapUp(e))
	case GoNotReady:
		return refusal(s.checkNotReady(e))
	case Touch:
		return refusal(s.checkTouch(e))
	}
	return nil // SignOut: who is signed out already has what was asked
}

func (s State) checkSignedIn() *fault.Error {
	if s.Status == LoggedOff {
		return fault.Refuse("not_signed_in", "Agent %s is not signed in: sign in first.", s.Agent)
	}
	return nil
}

func (s State) checkSignIn(e SignIn) *fault.Error {
	switch e.Initial {
	case "", NotReady, Ready:
	default:
		return fault.Refuse("initial_state", "A session cannot begin as %s: ask for NotReady or Ready.", e.Initial)
	}
	bound := s.Binding.Addresses
	if s.Status == LoggedOff {
		bound = s.Profile.Addresses
	}
	if s.Status == LoggedOff && s.Profile.Mode == HotDesk && len(e.Addresses) == 0 {
		return chooseAPhone(nil)
	}
	if len(e.Addresses) > 0 && !slices.Equal(e.Addresses, bound) {
		if r := s.checkRebind(); r != nil {
			return r
		}
	}
	return s.checkHold(e.Terminal, e.Phone)
}

func (s State) checkReady(e GoReady) *fault.Error {
	if r := s.checkSignedIn(); r != nil {
		return r
	}
	if s.Status == NotReady && !s.reachable() {
		if e.Forced {
			return fault.Refuse("no_device", "No phone of agent %s is registered: it must be switched on first.", s.Agent)
		}
		if len(s.Binding.Addresses) == 0 && len(s.Binding.Taken) > 0 {
			t := s.Binding.Taken[0]
			return fault.Refuse("no_device", "Device %s is in use by agent %s: choose another device, then try again.", t.Device, t.By)
		}
		return fault.Refuse("no_device", "No phone of yours is registered: switch your phone on or choose another device, then try again.")
	}
	return nil
}

func (s State) checkMember(queues []id.Queue) *fault.Error {
	if r := s.checkSignedIn(); r != nil {
		return r
	}
	for _, q := range queues {
		if !slices.ContainsFunc(s.Members, func(m Membership) bool { return m.Queue == q }) {
			return fault.Refuse("not_a_member", "Agent %s is not a member of queue %s: an administrator must add the membership.", s.Agent, q)
		}
	}
	return nil
}

func (s State) checkBind(e Bind) *fault.Error {
	if r := s.checkSignedIn(); r != nil {
		return r
	}
	if len(e.Addresses) == 0 {
		return fault.Refuse("no_address", "No device was chosen: choose at least one.")
	}
	if slices.Equal(e.Addresses, s.Binding.Addresses) {
		return nil
	}
	return s.checkRebind()
}

// checkRebind says whether the addresses may change now.
func (s State) checkRebind() *fault.Error {
	switch {
	case s.Profile.Mode == Fixed:
		return fault.Refuse("binding_fixed", "The device of agent %s is fixed: an administrator can change it.", s.Agent)
	case s.Status == Reserved:
		return fault.Refuse("binding_in_use", "A call is being offered on the present device: answer or decline it, then choose another.")
	case s.Status == Busy:
		return fault.Refuse("binding_in_use", "The present device is in a call: end the call, then choose another.")
	}
	return nil
}

// maxExtension is how much longer than the administrator's time wrap-up may be made.
const maxExtension = 10 * time.Minute

func (s State) checkWrapUp(e WrapUp) *fault.Error {
	if s.Status != WorkingAfterCall {
		return fault.Refuse("not_in_wrap_up", "There is no wrap-up to %s: it runs only after a queue call.", wrapUpVerb(e.Action))
	}
	switch {
	case e.Action == "finish" && !s.Profile.EarlyExit:
		return fault.Refuse("wrap_up_running", "Wrap-up runs until %s and cannot be ended before: ask for Not Ready if you need a break then.", clock(s.Until))
	case e.Action == "extend" && s.Extended >= maxExtension:
		return fault.Refuse("wrap_up_limit", "Wrap-up was extended by %.0f minutes already, and that is all there is: go Not Ready instead.", maxExtension.Minutes())
	case e.Action != "finish" && e.Action != "extend":
		return fault.Refuse("wrap_up_action", "Wrap-up can be finished or extended, not %q.", e.Action)
	case e.By < 0:
		return fault.Refuse("wrap_up_action", "Wrap-up can only be extended by a positive time.")
	}
	return nil
}

func wrapUpVerb(action string) string {
	if action == "extend" {
		return "extend"
	}
	return "finish"
}

// reachable reports whether some address of the binding can ring now.
func (s State) reachable() bool { return slices.ContainsFunc(s.Binding.Addresses, s.canRing) }

// canRing reports whether the address can ring now. An external number needs no
// registration (SEED-22).
func (s State) canRing(a leg.Address) bool {
	return a.Kind == leg.PSTN || slices.Contains(s.Binding.Reachable, a.Device)
}
