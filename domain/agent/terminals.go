package agent

import (
	"slices"

	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Hold is what a terminal asks about the phone lease: one of a session's terminals at
// most is the agent's phone.
type Hold string

// The things to ask; "" asks nothing.
const (
	HoldPhone     Hold = "hold"      // if no other terminal has it
	TakeOverPhone Hold = "take_over" // from whichever has it
	ReleasePhone  Hold = "release"
)

func (s State) checkTouch(e Touch) *fault.Error {
	if r := s.checkSignedIn(); r != nil || e.Gone {
		return r
	}
	return s.checkHold(e.Terminal, e.Phone)
}

// checkHold says whether a terminal may be the phone. Who talks by another one is not
// cut off by mistake: a take-over must be asked for by its name.
func (s State) checkHold(t id.Terminal, h Hold) *fault.Error {
	switch h {
	case "", TakeOverPhone, ReleasePhone:
		return nil
	case HoldPhone:
		i := slices.IndexFunc(s.Terminals, func(o Terminal) bool { return o.Phone && o.ID != t })
		if i < 0 {
			return nil
		}
		return fault.Refuse("phone_held", "The phone is in terminal %s: close that one, or take the phone over.", s.Terminals[i].ID)
	}
	return fault.Refuse("phone", "The phone can be asked for by hold, take_over or release, not by %q.", h)
}

// hold makes a terminal the phone, or no longer.
func (n *step) hold(t id.Terminal, h Hold) {
	if h == "" {
		return
	}
	for i := range n.Terminals {
		mine := n.Terminals[i].ID == t
		switch {
		case h == ReleasePhone && mine:
			n.Terminals[i].Phone = false
		case h != ReleasePhone:
			n.Terminals[i].Phone = mine
		}
	}
}
