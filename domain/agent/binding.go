package agent

import (
	"slices"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// The modes of binding (SEED-53 to SEED-55, SEED-113).
const (
	Fixed        = "fixed"         // the profile's addresses and no others
	SelfAdapting = "self_adapting" // the phone at the sign-in's IP address
	Dynamic      = "dynamic"       // any of the agent's, at any time
	HotDesk      = "hot_desk"      // a shared phone, chosen at every sign-in
)

// The interfaces (SEED-118).
const (
	Web    = "web"    // the browser's phone; without one, all of the profile's
	Phone  = "phone"  // telephones
	Mobile = "mobile" // a number outside
)

// Conflict is what happens when an agent chooses a device that another one has.
type Conflict string

// The policies of a conflict; "" is refuse.
const (
	ConflictRefuse   Conflict = "refuse"
	ConflictTakeOver Conflict = "take_over"
)

// standard are the profile's addresses for an interface. Without any of the kind, all.
func (p Profile) standard(by string) []leg.Address {
	if by == "" || p.Mode == Fixed {
		return p.Addresses
	}
	var fit []leg.Address
	for _, a := range p.Addresses {
		if fits(a, by) {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return p.Addresses
	}
	return fit
}

func fits(a leg.Address, by string) bool {
	switch by {
	case Web:
		return a.Kind == leg.WebRTC
	case Mobile:
		return a.Kind == leg.PSTN
	}
	return a.Kind != leg.WebRTC
}

// claim notes which devices the next Save may take from others.
func (n *step) claim(devices []id.Device) {
	if len(devices) > 0 {
		n.Holding, n.Claims = true, slices.Clone(devices)
	}
}

// yield gives up a device that another agent has, or that is deleted. Who loses the device it is called by
// becomes NotReady, even if there is another one.
func (n *step) yield(t Taken) {
	at := func(a leg.Address) bool { return a.Device == t.Device }
	if !slices.ContainsFunc(n.Binding.Addresses, at) {
		return
	}
	n.Binding.Addresses = slices.DeleteFunc(n.Binding.Addresses, at)
	n.Binding.Reachable = slices.DeleteFunc(n.Binding.Reachable, func(d id.Device) bool { return d == t.Device })
	if t.By != "" {
		n.Binding.Taken = append(n.Binding.Taken, t)
	}
	n.Claims = slices.DeleteFunc(n.Claims, func(d id.Device) bool { return d == t.Device })
}

// deviceTaken follows the loss of a device to another agent (policy device_conflict).
func (n *step) deviceTaken(e DeviceTaken) {
	if !slices.ContainsFunc(n.Binding.Addresses, func(a leg.Address) bool { return a.Device == e.Device }) {
		n.late()
		return
	}
	n.yield(Taken(e))
	if n.Status == Ready {
		n.becomeNotReady(ReasonDeviceLost)
	}
}
