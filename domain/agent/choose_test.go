package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

func candidate(a leg.Address, change ...func(*agent.Candidate)) agent.Candidate {
	c := agent.Candidate{Address: a, Reachable: true}
	for _, f := range change {
		f(&c)
	}
	return c
}

func shared(c *agent.Candidate)    { c.Shared = true }
func silent(c *agent.Candidate)    { c.Reachable = false }
func used(c *agent.Candidate)      { c.UsedBy = "1002" }
func inCall(c *agent.Candidate)    { c.UsedBy, c.InCall = "1002", true }
func atTheDesk(c *agent.Candidate) { c.From = []string{"10.0.0.5"} }

// One row for each way to be bound: what is chosen, or the code of the refusal.
func TestChoose_EveryModeAndConflict(t *testing.T) {
	t.Parallel()
	browser := leg.Address{Device: "browser", Kind: leg.WebRTC}
	two := []leg.Address{desk, home}
	for name, c := range map[string]struct {
		mode      string
		conflict  agent.Conflict
		addresses []leg.Address
		ask       agent.Ask
		all       []agent.Candidate
		want      []id.Device
		refused   string
		claim     []id.Device
	}{
		"dynamic, nothing chosen: the profile's":         {addresses: two, all: []agent.Candidate{candidate(desk), candidate(home)}, want: devices("desk,home")},
		"dynamic, one of them in use is left out":        {addresses: two, all: []agent.Candidate{candidate(desk, used), candidate(home)}, want: devices("home")},
		"dynamic, all in use":                            {addresses: two[:1], all: []agent.Candidate{candidate(desk, used)}, refused: "device_in_use"},
		"dynamic, chosen":                                {addresses: two, ask: agent.Ask{Devices: devices("home")}, all: []agent.Candidate{candidate(desk), candidate(home)}, want: devices("home")},
		"dynamic, chosen, in use: refuse":                {addresses: two, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, used)}, refused: "device_in_use"},
		"dynamic, chosen, in use: take over":             {conflict: agent.ConflictTakeOver, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, used)}, want: devices("desk"), claim: devices("desk")},
		"dynamic, chosen, on a call: take over":          {conflict: agent.ConflictTakeOver, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, inCall)}, refused: "device_in_use"},
		"dynamic, chosen, not one's own":                 {ask: agent.Ask{Devices: devices("desk")}, refused: "no_such_device"},
		"mobile: the number outside":                     {addresses: two, ask: agent.Ask{Interface: agent.Mobile}, all: []agent.Candidate{candidate(desk), candidate(home)}, want: devices("home")},
		"mobile without one":                             {addresses: two[:1], ask: agent.Ask{Interface: agent.Mobile}, all: []agent.Candidate{candidate(desk)}, refused: "no_mobile"},
		"web: the browser's":                             {addresses: []leg.Address{desk, browser}, ask: agent.Ask{Interface: agent.Web}, all: []agent.Candidate{candidate(desk), candidate(browser)}, want: devices("browser")},
		"phone: telephones":                              {addresses: []leg.Address{desk, browser}, ask: agent.Ask{Interface: agent.Phone}, all: []agent.Candidate{candidate(desk), candidate(browser)}, want: devices("desk")},
		"fixed":                                          {mode: agent.Fixed, addresses: two, ask: agent.Ask{Interface: agent.Mobile}, all: []agent.Candidate{candidate(desk), candidate(home)}, want: devices("desk,home")},
		"fixed, another chosen":                          {mode: agent.Fixed, addresses: two, ask: agent.Ask{Devices: devices("home")}, all: []agent.Candidate{candidate(desk), candidate(home)}, refused: "binding_fixed"},
		"fixed, in use":                                  {mode: agent.Fixed, addresses: two[:1], all: []agent.Candidate{candidate(desk, used)}, refused: "device_in_use"},
		"self-adapting: the one phone here":              {mode: agent.SelfAdapting, addresses: two[1:], ask: agent.Ask{From: "10.0.0.5"}, all: []agent.Candidate{candidate(home), candidate(desk, shared, atTheDesk), candidate(mobile, shared)}, want: devices("desk")},
		"self-adapting: several":                         {mode: agent.SelfAdapting, ask: agent.Ask{From: "10.0.0.5"}, all: []agent.Candidate{candidate(desk, atTheDesk), candidate(mobile, atTheDesk)}, refused: "several_phones_here"},
		"self-adapting: several, one chosen":             {mode: agent.SelfAdapting, ask: agent.Ask{From: "10.0.0.5", Devices: devices("mobile")}, all: []agent.Candidate{candidate(desk, atTheDesk), candidate(mobile, atTheDesk)}, want: devices("mobile")},
		"self-adapting: none":                            {mode: agent.SelfAdapting, addresses: two, ask: agent.Ask{From: "10.0.0.6"}, all: []agent.Candidate{candidate(desk, atTheDesk)}, refused: "no_phone_here"},
		"self-adapting: in use":                          {mode: agent.SelfAdapting, ask: agent.Ask{From: "10.0.0.5"}, all: []agent.Candidate{candidate(desk, atTheDesk, used)}, refused: "device_in_use"},
		"hot desk: nothing chosen":                       {mode: agent.HotDesk, addresses: two, all: []agent.Candidate{candidate(desk, shared)}, refused: "choose_phone"},
		"hot desk: chosen":                               {mode: agent.HotDesk, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, shared)}, want: devices("desk")},
		"hot desk: somebody's own":                       {mode: agent.HotDesk, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk)}, refused: "not_a_desk_phone"},
		"hot desk: not registered":                       {mode: agent.HotDesk, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, shared, silent)}, refused: "phone_not_registered"},
		"hot desk: in use":                               {mode: agent.HotDesk, ask: agent.Ask{Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, shared, used)}, refused: "device_in_use"},
		"hot desk: an interface is no choice (SEED-119)": {mode: agent.HotDesk, ask: agent.Ask{Interface: agent.Mobile, Devices: devices("desk")}, all: []agent.Candidate{candidate(desk, shared)}, refused: "hot_desk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := agent.Profile{Mode: c.mode, Conflict: c.conflict, Addresses: c.addresses}
			got, err := p.Choose(c.ask, c.all)
			if c.refused != "" {
				var f *fault.Error
				require.ErrorAs(t, err, &f)
				require.Equal(t, c.refused, f.Code, f.Sentence)
				return
			}
			require.NoError(t, err)
			chosen := []id.Device{}
			for _, a := range got.Addresses {
				chosen = append(chosen, a.Device)
			}
			require.Equal(t, c.want, chosen)
			require.Equal(t, c.claim, got.Claim)
		})
	}
}

// What cannot be chosen now is listed and marked, not offered.
func TestCandidate_OfferedTo_MarksWhatIsInUseOrSilent(t *testing.T) {
	t.Parallel()
	hot, free := agent.Profile{Mode: agent.HotDesk}, agent.Profile{Mode: agent.Dynamic}
	take := agent.Profile{Mode: agent.Dynamic, Conflict: agent.ConflictTakeOver}
	for name, c := range map[string]struct {
		p           agent.Profile
		c           agent.Candidate
		listed, now bool
	}{
		"hot desk, free":              {hot, candidate(desk, shared), true, true},
		"hot desk, in use":            {hot, candidate(desk, shared, used), true, false},
		"hot desk, not registered":    {hot, candidate(desk, shared, silent), true, false},
		"hot desk, somebody's own":    {hot, candidate(desk), false, false},
		"dynamic, in use":             {free, candidate(desk, used), true, false},
		"dynamic, in use, take over":  {take, candidate(desk, used), true, true},
		"dynamic, on a call":          {take, candidate(desk, inCall), true, false},
		"fixed, not of the addresses": {agent.Profile{Mode: agent.Fixed}, candidate(desk), false, false},
		"fixed, one of the addresses": {agent.Profile{Mode: agent.Fixed, Addresses: []leg.Address{desk}}, candidate(desk), true, true},
	} {
		listed, now := c.c.OfferedTo(c.p)
		require.Equal(t, []bool{c.listed, c.now}, []bool{listed, now}, name)
	}
}
