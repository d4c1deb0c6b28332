package call_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// story is a call in a scenario: the state, and what happened last.
type story struct {
	t    *testing.T
	s    call.State
	last call.Event
}

// play lets one act happen and returns what the machine said.
func (st *story) play(a golden.Act) []string {
	if a.Verb == "invite" {
		st.s = call.New(incoming(a))
		return []string{st.s.Describe()}
	}
	e := st.event(a)
	st.last = e
	before := st.s
	check := before.Check(e)
	after, effects, err := before.Step(a.At, e)
	require.Equal(st.t, check, err, "Check and Step disagree about %s", e.Kind())
	st.s = after
	return said(before, after, effects)
}

func said(before, after call.State, effects []call.Effect) []string {
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

// incoming is a call from the trunk, or with agent=1001 from that agent's phone.
func incoming(a golden.Act) call.Incoming {
	in := call.Incoming{
		Tenant: "demo.localhost", Call: "c1", Node: "node-1", Boot: "b1", From: "+41791234567", To: "8000",
		Trunk: "carrier", Data: map[string]string{"Account": "77"}, At: a.At,
	}
	if n := a.Args["agent"]; n != "" {
		in.Trunk, in.Agent, in.Device, in.From = "", id.Agent(n), id.Device(n), n
	}
	if to := a.Args["to"]; to != "" {
		in.To = to
	}
	return in
}

func routeOf(t *testing.T, args map[string]string) call.Route {
	switch {
	case args["queue"] != "":
		q := call.Queue{Name: id.Queue(args["queue"]), Ring: 15 * time.Second, Music: "jazz"}
		if w := args["max_wait"]; w != "" {
			d, err := time.ParseDuration(w)
			require.NoError(t, err)
			q.MaxWait = d
		}
		return call.Route{Kind: call.ToQueue, Queue: q}
	case args["agent"] != "":
		r := call.Route{Kind: call.ToAgent, Agent: id.Agent(args["agent"]), Method: "all", Targets: targets(args["agent"])}
		if args["phones"] == "none" {
			r.Targets = nil
		}
		return r
	case args["trunk"] != "":
		return call.Route{Kind: call.ToTrunk, Targets: []leg.Address{{Device: "carrier", Kind: leg.PSTN, URI: args["trunk"]}}}
	}
	return call.Route{Kind: call.ToNobody}
}

func targets(agent string) []leg.Address {
	return []leg.Address{{Device: id.Device(agent), Kind: leg.SIP}}
}

// event is what an act means: most are decoded as the machine decodes them.
func (st *story) event(a golden.Act) call.Event {
	if e := st.special(a); e != nil {
		return e
	}
	fields := map[string]any{}
	for k, v := range a.Args {
		switch k {
		case "remote", "held":
			fields[k] = v == "yes"
		default:
			fields[k] = v
		}
	}
	data, err := json.Marshal(fields)
	require.NoError(st.t, err)
	e, err := call.Decode(call.Kind(a.Verb), data)
	require.NoError(st.t, err)
	return e
}

// special are the acts that are no plain event.
func (st *story) special(a golden.Act) call.Event {
	switch a.Verb {
	case "again":
		return st.last
	case "deadline":
		at, e := st.s.Deadline()
		require.NotNil(st.t, e, "nothing is due")
		require.Equal(st.t, at.Format("15:04:05.000"), a.At.Format("15:04:05.000"), "%s is due", e.Kind())
		return e
	case "arrived":
		return call.Arrived{Route: routeOf(st.t, a.Args)}
	case "matched":
		return call.Matched{Offer: id.Offer(a.Args["offer"]), Agent: id.Agent(a.Args["agent"]), Targets: targets(a.Args["agent"]), Method: "all"}
	case "offer_overdue":
		return call.OfferOverdue{Offer: id.Offer(a.Args["offer"])}
	case "done":
		return call.Done{Seq: st.owed(a.Args["what"])}
	case "failed":
		return call.Failed{Seq: st.owed(a.Args["what"]), Error: "away", Gone: a.Args["gone"] == "yes"}
	}
	return nil
}

// owed is the number of the first owed effect of that kind.
func (st *story) owed(what string) int {
	for _, e := range st.s.Owed {
		if effectKind(e) == what {
			return e.Seq
		}
	}
	require.Fail(st.t, "no "+what+" is owed", "%s", owedWords(st.s))
	return 0
}

func owedWords(s call.State) string {
	var w []string
	for _, e := range s.Owed {
		w = append(w, effectKind(e))
	}
	return strings.Join(w, " ")
}

func effectKind(e call.Effect) string {
	switch {
	case e.Place != nil:
		return "place"
	case e.Ring != nil:
		return "ring"
	case e.Cancel != nil:
		return "cancel"
	case e.Treat != nil:
		return "treat"
	case e.Drop != nil:
		return "drop"
	case e.Tell != nil:
		return "tell"
	case e.Save != nil:
		return "save"
	}
	return "close"
}
