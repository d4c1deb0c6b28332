package agent_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
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

// story is a session in a scenario: the state, and what happened last.
type story struct {
	t       *testing.T
	profile agent.Profile
	s       agent.State
	last    agent.Event
}

// play lets one act happen and returns what the machine said.
func (st *story) play(a golden.Act) []string {
	if a.Verb == "profile" {
		st.profile = profileOf(st.t, a.Args)
		return nil
	}
	if st.s.Agent == "" {
		st.s = agent.New(agent.Ref{Tenant: "demo.localhost", Agent: "1001"}, "ada", st.profile, a.At)
	}
	e := st.event(a)
	st.last = e
	before := st.s
	check := before.Check(e)
	after, effects, err := before.Step(a.At, e)
	require.Equal(st.t, check, err, "Check and Step disagree about %s", e.Kind())
	st.s = after
	return said(before, after, effects, err)
}

func said(before, after agent.State, effects []agent.Effect, err error) []string {
	if err != nil {
		return []string{"refused: " + fault.Sentence(err)}
	}
	line := after.Describe()
	if after.Late > before.Late {
		line += " [late]"
	}
	lines := []string{line}
	for _, e := range effects {
		lines = append(lines, "- "+e.Words())
	}
	return lines
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

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}

func addresses(list string) []leg.Address {
	all := map[string]leg.Address{"desk": desk, "mobile": mobile, "home": home}
	var out []leg.Address
	for d := range strings.SplitSeq(list, ",") {
		out = append(out, all[d])
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

// event is what an act means: most are decoded as the machine decodes them.
func (st *story) event(a golden.Act) agent.Event {
	if e := st.special(a); e != nil {
		return e
	}
	fields := map[string]any{"by": "ada"}
	for k, v := range a.Args {
		switch k {
		case "queues", "reachable":
			fields[k] = strings.Split(v, ",")
		case "addresses":
			fields[k] = addresses(v)
		case "by_ms":
			fields[k] = duration(st.t, v)
		case "forced", "gone", "spoke":
			fields[k] = v == "yes"
		default:
			fields[k] = v
		}
	}
	if a.Verb == "device_changed" {
		fields["reachable"] = a.Args["reachable"] == "yes"
	}
	data, err := json.Marshal(fields)
	require.NoError(st.t, err)
	e, err := agent.Decode(agent.Kind(a.Verb), data)
	require.NoError(st.t, err)
	return e
}

// special are the acts that are no plain event.
func (st *story) special(a golden.Act) agent.Event {
	switch a.Verb {
	case "again":
		return st.last
	case "deadline":
		at, e := st.s.Deadline()
		require.NotNil(st.t, e, "nothing is due")
		require.Equal(st.t, at.Format("15:04:05.000"), a.At.Format("15:04:05.000"), "%s is due", e.Kind())
		return e
	case "offered":
		return agent.Offered{Offer: offerOf(a)}
	case "profile_changed":
		return agent.ProfileChanged{Profile: profileOf(st.t, a.Args)}
	case "done":
		d := agent.Done{Seq: st.owed(a.Args["what"])}
		if a.Args["reserved"] != "" {
			o := offerOf(golden.Act{At: a.At, Args: map[string]string{"offer": a.Args["reserved"]}})
			d.Reserved = &o
		}
		return d
	case "failed":
		return agent.Failed{Seq: st.owed(a.Args["what"]), Error: "database away", Gone: a.Args["gone"] == "yes"}
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

// owed is the number of the owed effect of that kind.
func (st *story) owed(what string) int {
	for _, e := range st.s.Owed {
		if effectKind(e) == what {
			return e.Seq
		}
	}
	require.Fail(st.t, fmt.Sprintf("no %s is owed", what))
	return 0
}

func effectKind(e agent.Effect) string {
	switch {
	case e.Save != nil:
		return "save"
	case e.Verify != nil:
		return "verify"
	}
	return "refuse"
}
