package agent

import (
	"slices"
	"strings"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Candidate is a device that an agent may be bound to: one of its own, one of its
// profile's addresses, or one that belongs to nobody.
type Candidate struct {
	leg.Address
	Shared    bool // belongs to nobody: a phone of a hot desk
	Reachable bool
	From      []string // IP addresses from which it is registered
	UsedBy    id.Agent // another agent whose session is bound to it
	InCall    bool     // that agent is offered a call, or has one
}

// Free reports whether nobody else uses the device.
func (c Candidate) Free() bool { return c.UsedBy == "" }

// Ask is what somebody wants to be bound to.
type Ask struct {
	Interface string
	Devices   []id.Device // empty: what the mode gives
	From      string      // IP address of the client; "" is not known
}

// Choice is the binding that an ask leads to.
type Choice struct {
	Interface string
	Addresses []leg.Address
	Reachable []id.Device
	Claim     []id.Device // to take from who has them
	Standard  bool        // see SignIn
}

// Choose finds the binding of an agent with this profile, or says as a *fault.Error of
// kind Conflict why there is none and what to do.
//
//   - fixed (SEED-53): the profile's addresses and no others.
//   - self_adapting (SEED-54): the one phone that is registered from the IP address of
//     the client; with several or none of them, the agent must choose.
//   - hot_desk (SEED-113 to SEED-119): one shared phone, chosen each time, registered and
//     free. There is no interface to choose then.
//   - dynamic (SEED-55): what is chosen, else those of the profile that the interface
//     means (SEED-118) and nobody else has (SEED-30).
func (p Profile) Choose(a Ask, all []Candidate) (Choice, error) {
	c, refused := p.choose(a, all)
	return c, refusal(refused)
}

func (p Profile) choose(a Ask, all []Candidate) (Choice, *fault.Error) {
	if a.Interface == "" {
		a.Interface = Web // Internal is the default of SEED-118
	}
	switch {
	case p.Mode == HotDesk:
		return p.deskPhone(a, all)
	case p.Mode == Fixed:
		return p.fixed(a, all)
	case len(a.Devices) > 0:
		return p.chosen(a, all)
	case p.Mode == SelfAdapting:
		return p.adapted(a, all)
	case a.Interface == Mobile && !slices.ContainsFunc(p.Addresses, func(x leg.Address) bool { return fits(x, Mobile) }):
		return Choice{}, fault.Refuse("no_mobile", "You have no number outside: choose another interface, or ask an administrator for an external device.")
	}
	c := Choice{Interface: a.Interface, Standard: true}
	var used *Candidate
	for _, x := range p.standard(a.Interface) {
		d := find(all, x.Device)
		switch {
		case d == nil: // deleted just now
		case !d.Free():
			used = d
		default:
			c.add(*d)
		}
	}
	if len(c.Addresses) == 0 && used != nil {
		return c, inUse(*used)
	}
	return c, nil
}

// Interfaces are those to choose from at the sign-in: the first is the default, mobile is
// there if there is a number outside (SEED-118); none where there is no choice (SEED-119).
func (p Profile) Interfaces() []string {
	switch {
	case p.Mode == HotDesk || p.Mode == Fixed:
		return nil
	case slices.ContainsFunc(p.Addresses, func(a leg.Address) bool { return fits(a, Mobile) }):
		return []string{Web, Phone, Mobile}
	}
	return []string{Web, Phone}
}

// fixed binds to the profile's addresses.
func (p Profile) fixed(a Ask, all []Candidate) (Choice, *fault.Error) {
	var mine []id.Device
	for _, x := range p.Addresses {
		mine = append(mine, x.Device)
	}
	if len(a.Devices) > 0 && !slices.Equal(a.Devices, mine) {
		return Choice{}, fault.Refuse("binding_fixed", "Your device is fixed: an administrator can change it.")
	}
	a.Devices = mine
	c, refused := p.chosen(a, all)
	c.Standard = true
	return c, refused
}

// chosen binds to the devices of the ask.
func (p Profile) chosen(a Ask, all []Candidate) (Choice, *fault.Error) {
	c := Choice{Interface: a.Interface}
	for _, name := range a.Devices {
		d := find(all, name)
		if d == nil {
			return c, fault.Refuse("no_such_device", "%s is not one of your devices.", name)
		}
		if !d.Free() && (d.InCall || p.Conflict != ConflictTakeOver) {
			return c, inUse(*d)
		}
		c.add(*d)
		if p.Conflict == ConflictTakeOver {
			c.Claim = append(c.Claim, d.Device)
		}
	}
	return c, nil
}

// adapted binds to the phone at the client's address.
func (p Profile) adapted(a Ask, all []Candidate) (Choice, *fault.Error) {
	var here []id.Device
	for _, d := range all {
		if a.From != "" && slices.Contains(d.From, a.From) {
			here = append(here, d.Device)
		}
	}
	switch len(here) {
	case 0:
		return Choice{}, fault.Refuse("no_phone_here", "No phone of yours is registered from your address %s: switch the phone on, or choose one by device_id%s.", a.From, among(registered(all)))
	case 1:
		a.Devices = here
		return p.chosen(a, all)
	}
	return Choice{}, fault.Refuse("several_phones_here", "Several phones are registered from your address %s: choose one by device_id%s.", a.From, among(here))
}

// deskPhone binds to a shared phone.
func (p Profile) deskPhone(a Ask, all []Candidate) (Choice, *fault.Error) {
	if a.Interface == Mobile {
		return Choice{}, fault.Refuse("hot_desk", "With hot desk you choose a telephone and not an interface: give its name as device_id.")
	}
	a.Interface = Phone
	if len(a.Devices) != 1 {
		return Choice{}, chooseAPhone(all)
	}
	d := find(all, a.Devices[0])
	switch {
	case d == nil || !d.desk():
		return Choice{}, fault.Refuse("not_a_desk_phone", "%s is not a telephone for hot desks: choose one of the list%s.", a.Devices[0], among(offered(all)))
	case !d.Reachable:
		return Choice{}, fault.Refuse("phone_not_registered", "Telephone %s is not registered: switch it on, or choose another one%s.", d.Device, among(offered(all)))
	}
	return p.chosen(a, all)
}

// desk reports whether a device is a telephone of hot desks (SEED-116).
func (c Candidate) desk() bool { return c.Shared && c.Kind == leg.SIP }

// OfferedTo reports whether the device is one to choose from at the sign-in of an agent
// with this profile, and whether it can be chosen now (SEED-115).
func (c Candidate) OfferedTo(p Profile) (listed, now bool) {
	switch p.Mode {
	case HotDesk:
		return c.desk(), c.desk() && c.Free() && c.Reachable
	case Fixed:
		listed = slices.ContainsFunc(p.Addresses, func(a leg.Address) bool { return a.Device == c.Device })
	default:
		listed = true
	}
	return listed, listed && (c.Free() || p.Conflict == ConflictTakeOver && !c.InCall)
}

func chooseAPhone(all []Candidate) *fault.Error {
	return fault.Refuse("choose_phone", "Choose a telephone for this session by device_id%s.", among(offered(all)))
}

func inUse(d Candidate) *fault.Error {
	if d.InCall {
		return fault.Refuse("device_in_use", "Device %s is in use by agent %s, who has a call on it: choose another one.", d.Device, d.UsedBy)
	}
	return fault.Refuse("device_in_use", "Device %s is in use by agent %s: choose another one, or ask for it to be released.", d.Device, d.UsedBy)
}

// among lists what there is to choose from as the end of a sentence.
func among(names []id.Device) string {
	if len(names) == 0 {
		return ""
	}
	const most = 10
	list := make([]string, 0, most)
	for _, n := range names[:min(len(names), most)] {
		list = append(list, string(n))
	}
	if len(names) > most {
		list = append(list, "…")
	}
	return ": " + strings.Join(list, ", ")
}

// offered are the free telephones for hot desks.
func offered(all []Candidate) (names []id.Device) {
	for _, d := range all {
		if d.desk() && d.Free() && d.Reachable {
			names = append(names, d.Device)
		}
	}
	return names
}

func registered(all []Candidate) (names []id.Device) {
	for _, d := range all {
		if d.Reachable && d.Free() {
			names = append(names, d.Device)
		}
	}
	return names
}

func find(all []Candidate, name id.Device) *Candidate {
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Device == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func (c *Choice) add(d Candidate) {
	c.Addresses = append(c.Addresses, d.Address)
	if d.Reachable {
		c.Reachable = append(c.Reachable, d.Device)
	}
}
