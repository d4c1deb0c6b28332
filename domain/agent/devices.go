package agent

import (
	"slices"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// deviceChanged follows the registrations of the bound devices. Reachable again
// does not make Ready by itself: the agent may have gone with the phone.
func (n *step) deviceChanged(e DeviceChanged) {
	bound := func(a leg.Address) bool { return a.Device == e.Device && a.Kind != leg.PSTN }
	if !slices.ContainsFunc(n.Binding.Addresses, bound) {
		return
	}
	was := slices.Contains(n.Binding.Reachable, e.Device)
	switch {
	case e.Reachable && !was:
		n.Binding.Reachable = append(n.Binding.Reachable, e.Device)
		n.Delay = nil
	case !e.Reachable && was:
		n.Binding.Reachable = slices.DeleteFunc(n.Binding.Reachable, func(d id.Device) bool { return d == e.Device })
	}
	n.loseDevice()
}

// profileChanged takes over what the directory says now. Queues keep their
// check-in; a binding that was the whole profile follows it. Of devices that were bound
// before, the session knows better than the directory which are reachable: what changed
// in between is told to it in order.
func (n *step) profileChanged(e ProfileChanged) {
	p, bound := e.Profile, n.Binding.Addresses
	whole := n.Standard || slices.Equal(bound, n.Profile.Addresses)
	n.Profile = p
	n.Members = n.merged(p.Queues)
	if n.Status == LoggedOff {
		return
	}
	if whole {
		reachable := slices.Clone(n.Binding.Reachable)
		for _, d := range e.Reachable {
			if !slices.ContainsFunc(bound, func(a leg.Address) bool { return a.Device == d }) {
				reachable = append(reachable, d)
			}
		}
		addresses := p.Addresses
		if n.Standard {
			addresses = p.standard(n.Binding.Interface)
		}
		n.bindTo(addresses, reachable)
	}
	n.loseDevice()
}

// merged are the memberships of the directory with the check-ins of the session.
func (s State) merged(queues []Membership) []Membership {
	out := slices.Clone(queues)
	for i, m := range out {
		old := slices.IndexFunc(s.Members, func(o Membership) bool { return o.Queue == m.Queue })
		switch {
		case old >= 0:
			out[i].CheckedIn = s.Members[old].CheckedIn
		case s.Status == LoggedOff:
			out[i].CheckedIn = m.Static
		default:
			out[i].CheckedIn = m.CheckedIn || m.Static
		}
	}
	return out
}
