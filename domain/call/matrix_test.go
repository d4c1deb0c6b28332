package call_test

import (
	"fmt"
	"testing"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/leg"
)

const (
	toArriving = "10:30:00 invite\n"
	toPlaced   = toArriving + "10:30:00.001 arrived queue=support max_wait=5m\n"
	toQueued   = toPlaced + "10:30:00.002 waiting\n10:30:00.010 done what=treat\n"
	toOffering = toPlaced + "10:30:00.002 matched offer=c1/1 agent=1001\n10:30:00.010 done what=treat\n10:30:00.020 done what=tell\n"
	toTalking  = toOffering + "10:30:05 ring_ended offer=c1/1 outcome=answered leg=agent-1 device=1001\n10:30:05.010 done what=tell\n10:30:05.010 done what=save\n"
	toDirect   = "10:30:00 invite agent=1002 to=1001\n10:30:00.001 arrived agent=1001\n10:30:00.002 done what=treat\n10:30:00.003 done what=tell\n"
	toTrunk    = "10:30:00 invite agent=1001 to=+41443332211\n10:30:00.001 arrived trunk=+41443332211\n10:30:00.002 done what=treat\n10:30:00.003 done what=tell\n"
)

// variants are the phases in which the machine can be, as far as they matter.
func variants() []golden.Variant {
	return []golden.Variant{
		{Name: "Arriving", Acts: toArriving},
		{Name: "Queued, being placed", Acts: toPlaced},
		{Name: "Queued, music on", Acts: toQueued},
		{Name: "Offering, caller hears ringing", Acts: toOffering},
		{Name: "Offering, agent not told yet", Acts: toPlaced + "10:30:00.002 matched offer=c1/1 agent=1001\n10:30:00.010 done what=treat\n"},
		{Name: "Offering, music on", Acts: toQueued + "10:31:00 matched offer=c1/1 agent=1001\n10:31:00.010 done what=tell\n10:31:00.010 done what=save\n"},
		{Name: "Offering, direct call", Acts: toDirect},
		{Name: "Offering, direct call, rings", Acts: toDirect + "10:30:00.100 ringing offer=c1/1\n10:30:00.110 done what=tell\n"},
		{Name: "Offering, outbound call", Acts: toTrunk},
		{Name: "Talking, queue call", Acts: toTalking},
		{Name: "Talking, on hold", Acts: toTalking + "10:30:30 leg_held leg=agent-1 held=yes\n10:30:30.010 done what=save\n"},
		{Name: "Talking, direct call", Acts: toDirect + "10:30:05 ring_ended offer=c1/1 outcome=answered leg=agent-1 device=1001\n10:30:05.010 done what=tell\n10:30:05.010 done what=save\n"},
		{Name: "Talking, outbound call", Acts: toTrunk + "10:30:05 ring_ended offer=c1/1 outcome=answered leg=external-1\n10:30:05.010 done what=save\n"},
		{Name: "Ended, abandoned while ringing, not closed", Acts: toOffering + "10:30:04 leg_ended leg=customer cause=abandoned remote=yes\n10:30:04.010 done what=tell\n"},
		{Name: "Ended, closed", Acts: toTalking + "10:31:00 leg_ended leg=customer cause=hangup remote=yes\n10:31:00.010 done what=tell\n10:31:00.010 done what=close\n"},
	}
}

func always(e call.Event) func(call.State) call.Event {
	return func(call.State) call.Event { return e }
}

// columns are all events: about the present offer and legs, and about others.
func columns(t *testing.T) []column {
	route := func(args ...string) column {
		m := map[string]string{}
		for i := 0; i < len(args); i += 2 {
			m[args[i]] = args[i+1]
		}
		return column{Name: "arrived for " + map[bool]string{true: "unready "}[m["ready"] == "no"] + append(args[:len(args):len(args)], "nobody")[0], Make: always(call.Arrived{Route: routeOf(t, m)})}
	}
	match := func(s call.State) call.Event {
		return call.Matched{Offer: s.NextOffer(), Agent: "1005", Targets: targets("1005"), Method: "all"}
	}
	cols := []column{
		{Name: "hang_up", Make: always(call.HangUp{User: "supervisor"})},
		route("queue", "support"), route("agent", "1001"), route("agent", "1001", "ready", "no"), route("trunk", "+41443332211"), route(),
		{Name: "matched", Make: match},
		{Name: "matched, known", Make: always(call.Matched{Offer: "c1/1", Agent: "1001", Targets: targets("1001")})},
		{Name: "waiting", Make: always(call.Waiting{})},
		{Name: "ringing", Make: always(call.Ringing{Offer: "c1/1"})},
		{Name: "ring_ended, other offer", Make: always(call.RingEnded{Offer: "c1/9", Outcome: call.RingNoAnswer})},
		{Name: "ring_ended answered, other offer", Make: always(call.RingEnded{Offer: "c1/9", Outcome: call.RingAnswered, Leg: "agent-9", Device: "1009", Agent: "1009"})},
	}
	for _, o := range []call.Outcome{call.RingAnswered, call.RingNoAnswer, call.RingRejected, call.RingBusy, call.RingUnreachable, call.RingRescinded, call.RingLooped, call.RingTrunkBusy, call.RingOverload, call.RingFailed} {
		cols = append(cols, column{Name: "ring_ended " + string(o), Make: func(s call.State) call.Event {
			e := call.RingEnded{Offer: "c1/1", Outcome: o}
			if o == call.RingAnswered {
				e.Leg = "agent-1"
				if s.Route.Kind == call.ToTrunk {
					e.Leg = "external-1"
				}
			}
			return e
		}})
	}
	cols = append(cols,
		column{Name: "offer_refused", Make: always(call.OfferRefused{Offer: "c1/1", Cause: leg.Busy})},
		column{Name: "offer_refused, other offer", Make: always(call.OfferRefused{Offer: "c1/9", Cause: leg.Busy})},
		column{Name: "leg_ended customer, hung up", Make: always(call.LegEnded{Leg: "customer", Cause: leg.Hangup, Remote: true})},
		column{Name: "leg_ended customer, media timeout", Make: always(call.LegEnded{Leg: "customer", Cause: leg.MediaTimeout})},
		column{Name: "leg_ended agent-1, hung up", Make: always(call.LegEnded{Leg: "agent-1", Cause: leg.Hangup, Remote: true})},
		column{Name: "leg_ended agent-1, by the node", Make: always(call.LegEnded{Leg: "agent-1", Cause: leg.Hangup})},
		column{Name: "leg_ended unknown", Make: always(call.LegEnded{Leg: "agent-9", Cause: leg.Hangup, Remote: true})},
		column{Name: "leg_held agent-1", Make: always(call.LegHeld{Leg: "agent-1", Held: true})},
		column{Name: "leg_held agent-1, back", Make: always(call.LegHeld{Leg: "agent-1"})},
		column{Name: "node_lost", Make: always(call.NodeLost{Node: "node-1", Boot: "b1"})},
		column{Name: "node_lost, other boot", Make: always(call.NodeLost{Node: "node-1", Boot: "b0"})},
	)
	return append(cols, otherColumns()...)
}

func otherColumns() []column {
	due := func(s call.State) call.Event { _, e := s.Deadline(); return e }
	answer := func(kind string, make func(seq int) call.Event) func(s call.State) call.Event {
		return func(s call.State) call.Event {
			for _, e := range s.Owed {
				if golden.KindOf(e) == kind {
					return make(e.Seq)
				}
			}
			return nil
		}
	}
	failed := func(gone bool) func(int) call.Event {
		return func(seq int) call.Event { return call.Failed{Seq: seq, Error: "away", Gone: gone} }
	}
	return []column{
		{Name: golden.Its, Make: due},
		{Name: "offer_overdue, too early", Make: always(call.OfferOverdue{Offer: "c1/1"})},
		{Name: "waited_out, too early", Make: always(call.WaitedOut{})},
		{Name: "talked_out, too early", Make: always(call.TalkedOut{})},
		{Name: "stuck, too early", Make: always(call.Stuck{})},
		{Name: "done close", Make: answer("close", func(seq int) call.Event { return call.Done{Seq: seq} })},
		{Name: "done, nothing owed", Make: always(call.Done{Seq: 999})},
		{Name: "failed place", Make: answer("place", failed(false))},
		{Name: "failed place, gone", Make: answer("place", failed(true))},
		{Name: "failed ring", Make: answer("ring", failed(false))},
		{Name: "failed ring, gone", Make: answer("ring", failed(true))},
		{Name: "failed treat, gone", Make: answer("treat", failed(true))},
		{Name: "failed tell", Make: answer("tell", failed(false))},
		{Name: "failed tell, gone", Make: answer("tell", failed(true))},
		{Name: "failed close", Make: answer("close", failed(false))},
		{Name: "failed, nothing owed", Make: always(call.Failed{Seq: 999, Error: "away"})},
	}
}

// label names a phase in the matrix.
func label(s call.State) string {
	l := string(s.Phase)
	switch {
	case s.Offer != nil:
		l += fmt.Sprintf("[%s %s]", s.Offer.ID, s.Offer.Agent)
	case s.Phase == call.Talking:
		l += fmt.Sprintf("[%s]", s.Legs[1].Party)
	case s.Phase == call.Ended:
		l += fmt.Sprintf("(%s by %s)", s.Cause, s.EndedBy)
	}
	for _, g := range s.Legs {
		if g.Held {
			l += " held"
		}
	}
	if s.Closed {
		l += " closed"
	}
	return l
}
