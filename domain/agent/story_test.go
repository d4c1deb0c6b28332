package agent_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/golden"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// desk and mobile are the phones of agent 1001, home its external number.
var (
	desk   = leg.Address{Device: "desk", Kind: leg.SIP}
	mobile = leg.Address{Device: "mobile", Kind: leg.SIP}
	home   = leg.Address{Device: "home", Kind: leg.PSTN, URI: "+41441112233"}
)

func profile() agent.Profile {
	return agent.Profile{
		Name: "Ada", Team: "first", WrapUp: 10 * time.Second, RingMethod: "all",
		Queues:    []agent.Membership{{Queue: "support", CheckedIn: true}, {Queue: "sales"}, {Queue: "emergency", Static: true}},
		Addresses: []leg.Address{desk},
	}
}

func profileOf(t *testing.T, args map[string]string) agent.Profile {
	p := profile()
	for k, v := range args {
		switch k {
		case "wrap_up":
			p.WrapUp = duration(t, v)
		case "idle_logout":
			p.IdleLogout = duration(t, v)
		case "terminal_grace":
			p.TerminalGap = duration(t, v)
		case "on_no_answer":
			p.OnNoAnswer = agent.Follow(v)
		case "on_reject":
			p.OnReject = agent.Follow(v)
		case "early_exit":
			p.EarlyExit = v == "yes"
		case "mode":
			p.Mode = v
		case "device_conflict":
			p.Conflict = agent.Conflict(v)
		case "shift_end":
			p.ShiftEnd = golden.Day.Add(duration(t, v))
		case "reasons":
			p.Reasons = rules(t, v)
		case "queues":
			p.Queues = nil
			for q := range strings.SplitSeq(v, ",") {
				p.Queues = append(p.Queues, agent.Membership{Queue: id.Queue(q), CheckedIn: true})
			}
		case "addresses":
			p.Addresses = addresses(v)
		default:
			require.Fail(t, "no such setting of a profile", k)
		}
	}
	return p
}

// rules reads LUNCH:30m:ready,BREAK.
func rules(t *testing.T, list string) (rules []agent.Rule) {
	for text := range strings.SplitSeq(list, ",") {
		part := append(strings.Split(text, ":"), "0s", "")
		rules = append(rules, agent.Rule{Code: agent.Reason(part[0]), Limit: duration(t, part[1]), Then: agent.Follow(strings.TrimSuffix(part[2], "0s"))})
	}
	return rules
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}

func addresses(list string) []leg.Address {
	all := map[string]leg.Address{"desk": desk, "mobile": mobile, "home": home}
	var out []leg.Address
	for d := range strings.SplitSeq(list, ",") {
		if d != "none" {
			out = append(out, all[d])
		}
	}
	return out
}

func devices(list string) []id.Device {
	out := []id.Device{}
	for d := range strings.SplitSeq(list, ",") {
		if d != "" && d != "none" {
			out = append(out, id.Device(d))
		}
	}
	return out
}

// fields are an act's arguments as JSON has them.
func fields(t *testing.T, a golden.Act) map[string]any {
	fields := map[string]any{"by": "ada"}
	for k, v := range a.Args {
		switch k {
		case "queues", "reachable", "claim":
			fields[k] = strings.Split(v, ",")
		case "addresses":
			fields[k] = addresses(v)
		case "by_ms":
			fields[k] = duration(t, v)
		case "forced", "gone", "spoke", "leased", "standard":
			fields[k] = v == "yes"
		default:
			fields[k] = v
		}
	}
	if by := a.Args["taken_by"]; by != "" {
		fields["by"] = by
	}
	if a.Verb == "device_changed" {
		fields["reachable"] = a.Args["reachable"] == "yes"
	}
	return fields
}

// special are the acts that are no plain event.
func special(st *story, a golden.Act) agent.Event {
	switch a.Verb {
	case "offered":
		return agent.Offered{Offer: offerOf(a)}
	case "profile_changed":
		settings := maps.Clone(a.Args)
		delete(settings, "reachable")
		return agent.ProfileChanged{Profile: profileOf(st.T, settings), Reachable: devices(a.Args["reachable"])}
	case "done":
		d := agent.Done{Seq: st.Owed(a.Args["what"])}
		if by := a.Args["taken_by"]; by != "" {
			d.Taken = []agent.Taken{{Device: id.Device(a.Args["taken"]), By: id.Agent(by)}}
		}
		if a.Args["reserved"] != "" {
			o := offerOf(golden.Act{At: a.At, Args: map[string]string{"offer": a.Args["reserved"]}})
			d.Reserved = &o
		}
		return d
	case "failed":
		return agent.Failed{Seq: st.Owed(a.Args["what"]), Error: "database away", Gone: a.Args["gone"] == "yes"}
	}
	return nil
}

func offerOf(a golden.Act) agent.Offer {
	o := id.Offer(a.Args["offer"])
	return agent.Offer{
		ID: o, Call: o.Call(), Class: leg.InboundQueue, Queue: "support", From: "+41791234567",
		At: a.At, Deadline: a.At.Add(20 * time.Second),
	}
}
