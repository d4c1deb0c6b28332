package tenancy

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/domain/dialplan"
	"holdfast/domain/leg"
)

// Dialplan is what the document says about numbers outside.
func (d Document) Dialplan() dialplan.Plan {
	plan := dialplan.Plan{Country: d.Tenant.Country}
	for _, t := range d.Trunks {
		if t.Host != "" {
			plan.Trunks = append(plan.Trunks, t.Name)
		}
	}
	for _, n := range d.Numbers {
		if n.Trunk != "" {
			plan.Routes = append(plan.Routes, dialplan.Route{Number: n.Number, Trunk: n.Trunk})
		}
	}
	plan.Allowed, plan.Inside = d.Tenant.Policies.DialAllowed, dialplan.Inside(d.inside(), d.Tenant.Country)
	return plan
}

// inside are the numbers by which a call from outside reaches somebody here.
func (d Document) inside() (list []string) {
	for _, n := range d.Numbers {
		if n.Trunk == "" {
			list = append(list, n.Number)
		}
	}
	for _, a := range d.Agents {
		list = append(list, string(a.Number))
	}
	return list
}

// devices checks each device, and that the numbers of the external ones are there and can be
// reached (SEED-26).
func (c *check) devices(d Document) {
	plan := d.Dialplan()
	for i, v := range d.Devices {
		path := fmt.Sprintf("devices[%d]", i)
		c.device(path, v)
		if v.Kind != leg.PSTN || v.Number == "" {
			continue
		}
		n, err := dialplan.Parse(v.Number, plan.Country)
		if err == nil {
			_, err = plan.Reach(n)
		}
		if err != nil {
			c.that(path+".number", false, "%s", err.Error())
		}
	}
}

func (c *check) device(path string, v Device) {
	kinds := []leg.Kind{"", leg.SIP, leg.WebRTC, leg.PSTN}
	c.that(path+".kind", slices.Contains(kinds, v.Kind), "%q is not allowed: sip, webrtc or external", v.Kind)
	c.refer("agent", path+".agent", string(v.Agent))
	c.refer("user", path+".owner", string(v.Owner))
	external := v.Kind == leg.PSTN
	c.that(path+".number", !external || v.Number != "", "an external device needs the number that is dialled")
	c.that(path+".number", external || v.Number == "", "only an external device has a number; extension is the internal one")
	c.that(path+".extension", v.Extension == "" || numberForm.MatchString(v.Extension) && len(v.Extension) <= maxName && !strings.HasSuffix(v.Extension, "*"),
		"%q is not a number to dial", v.Extension)
	c.that(path+".password", !external || v.Password+v.HA1MD5+v.HA1SHA256 == "", "an external device can't register or call, so it has no password")
	c.password(path, v.Password, v.HA1MD5+v.HA1SHA256)
	c.hex(path+".ha1_md5", v.HA1MD5, 32)
	c.hex(path+".ha1_sha256", v.HA1SHA256, 64)
	for _, f := range v.Settings.Validate(v.Kind) {
		c.that(path+"."+f.Name, false, "%s", f.Sentence)
	}
}

// numbersInside checks that what can be dialled inside leads to one thing only: an agent, a
// device, or what a number says (SEED-39). Each of the lists is checked for itself before.
func (c *check) numbersInside(d Document) {
	taken := map[string]string{}
	claim := func(path, number, who string) {
		if number == "" {
			return
		}
		other := taken[number]
		c.that(path, other == "", "%s is the number of %s already", number, other)
		if other == "" {
			taken[number] = who
		}
	}
	for _, a := range d.Agents {
		taken[string(a.Number)] = "agent " + string(a.Number)
	}
	for i, v := range d.Devices {
		claim(fmt.Sprintf("devices[%d].extension", i), v.Extension, "device "+string(v.Name))
	}
	own := map[string]bool{} // a number that stands twice is said elsewhere
	for i, n := range d.Numbers {
		if !own[n.Number] {
			claim(fmt.Sprintf("numbers[%d].number", i), n.Number, "this list")
		}
		own[n.Number] = true
	}
}
