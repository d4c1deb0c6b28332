package call_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

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
		r.NotReady = args["ready"] == "no"
		return r
	case args["trunk"] != "":
		return call.Route{Kind: call.ToTrunk, Targets: []leg.Address{{Device: "carrier", Kind: leg.PSTN, URI: args["trunk"]}}}
	}
	return call.Route{Kind: call.ToNobody}
}

func targets(agent string) []leg.Address {
	return []leg.Address{{Device: id.Device(agent), Kind: leg.SIP}}
}

// fields are an act's arguments as JSON has them.
func fields(_ *testing.T, a golden.Act) map[string]any {
	fields := map[string]any{}
	for k, v := range a.Args {
		switch k {
		case "remote", "held":
			fields[k] = v == "yes"
		default:
			fields[k] = v
		}
	}
	return fields
}

// special are the acts that are no plain event.
func special(st *story, a golden.Act) call.Event {
	switch a.Verb {
	case "arrived":
		return call.Arrived{Route: routeOf(st.T, a.Args)}
	case "matched":
		return call.Matched{Offer: id.Offer(a.Args["offer"]), Agent: id.Agent(a.Args["agent"]), Targets: targets(a.Args["agent"]), Method: "all"}
	case "offer_overdue":
		return call.OfferOverdue{Offer: id.Offer(a.Args["offer"])}
	case "done":
		return call.Done{Seq: st.Owed(a.Args["what"])}
	case "failed":
		return call.Failed{Seq: st.Owed(a.Args["what"]), Error: "away", Gone: a.Args["gone"] == "yes"}
	}
	return nil
}
