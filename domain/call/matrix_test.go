package call_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/golden"
	"holdfast/domain/leg"
)

// variant is a row group of the matrix: a phase, told as the acts that reach it.
type variant struct {
	name string
	acts string
}

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
func variants() []variant {
	return []variant{
		{"Arriving", toArriving},
		{"Queued, being placed", toPlaced},
		{"Queued, music on", toQueued},
		{"Offering, caller hears ringing", toOffering},
		{"Offering, agent not told yet", toPlaced + "10:30:00.002 matched offer=c1/1 agent=1001\n10:30:00.010 done what=treat\n"},
		{"Offering, music on", toQueued + "10:31:00 matched offer=c1/1 agent=1001\n10:31:00.010 done what=tell\n10:31:00.010 done what=save\n"},
		{"Offering, direct call", toDirect},
		{"Offering, direct call, rings", toDirect + "10:30:00.100 ringing offer=c1/1\n10:30:00.110 done what=tell\n"},
		{"Offering, outbound call", toTrunk},
		{"Talking, queue call", toTalking},
		{"Talking, on hold", toTalking + "10:30:30 leg_held leg=agent-1 held=yes\n10:30:30.010 done what=save\n"},
		{"Talking, direct call", toDirect + "10:30:05 ring_ended offer=c1/1 outcome=answered leg=agent-1 device=1001\n10:30:05.010 done what=tell\n10:30:05.010 done what=save\n"},
		{"Talking, outbound call", toTrunk + "10:30:05 ring_ended offer=c1/1 outcome=answered leg=external-1\n10:30:05.010 done what=save\n"},
		{"Ended, abandoned while ringing, not closed", toOffering + "10:30:04 leg_ended leg=customer cause=abandoned remote=yes\n10:30:04.010 done what=tell\n"},
		{"Ended, closed", toTalking + "10:31:00 leg_ended leg=customer cause=hangup remote=yes\n10:31:00.010 done what=tell\n10:31:00.010 done what=close\n"},
	}
}

// reach plays the acts of a variant.
func (v variant) reach(t *testing.T) (call.State, time.Time) {
	st := &story{t: t}
	var at time.Time
	for _, a := range golden.Acts(t, v.acts) {
		st.play(a)
		at = a.At
	}
	return st.s, at.Add(time.Second)
}

// column is one event of the matrix, as it looks in state s.
type column struct {
	name string
	make func(s call.State) call.Event
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
		return column{"arrived for " + strings.Join(append(args[:len(args):len(args)], "nobody")[:1], ""), always(call.Arrived{Route: routeOf(t, m)})}
	}
	match := func(s call.State) call.Event {
		return call.Matched{Offer: s.NextOffer(), Agent: "1005", Targets: targets("1005"), Method: "all"}
	}
	cols := []column{
		{"hang_up", always(call.HangUp{User: "supervisor"})},
		route("queue", "support"), route("agent", "1001"), route("trunk", "+41443332211"), route(),
		{"matched", match},
		{"matched, known", always(call.Matched{Offer: "c1/1", Agent: "1001", Targets: targets("1001")})},
		{"waiting", always(call.Waiting{})},
		{"ringing", always(call.Ringing{Offer: "c1/1"})},
		{"ring_ended, other offer", always(call.RingEnded{Offer: "c1/9", Outcome: call.RingNoAnswer})},
		{"ring_ended answered, other offer", always(call.RingEnded{Offer: "c1/9", Outcome: call.RingAnswered, Leg: "agent-9", Device: "1009", Agent: "1009"})},
	}
	for _, o := range []call.Outcome{call.RingAnswered, call.RingNoAnswer, call.RingRejected, call.RingBusy, call.RingUnreachable, call.RingRescinded, call.RingFailed} {
		cols = append(cols, column{"ring_ended " + string(o), func(s call.State) call.Event {
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
		column{"offer_refused", always(call.OfferRefused{Offer: "c1/1", Cause: leg.Busy})},
		column{"offer_refused, other offer", always(call.OfferRefused{Offer: "c1/9", Cause: leg.Busy})},
		column{"leg_ended customer, hung up", always(call.LegEnded{Leg: "customer", Cause: leg.Hangup, Remote: true})},
		column{"leg_ended customer, media timeout", always(call.LegEnded{Leg: "customer", Cause: leg.MediaTimeout})},
		column{"leg_ended agent-1, hung up", always(call.LegEnded{Leg: "agent-1", Cause: leg.Hangup, Remote: true})},
		column{"leg_ended agent-1, by the node", always(call.LegEnded{Leg: "agent-1", Cause: leg.Hangup})},
		column{"leg_ended unknown", always(call.LegEnded{Leg: "agent-9", Cause: leg.Hangup, Remote: true})},
		column{"leg_held agent-1", always(call.LegHeld{Leg: "agent-1", Held: true})},
		column{"leg_held agent-1, back", always(call.LegHeld{Leg: "agent-1"})},
		column{"node_lost", always(call.NodeLost{Node: "node-1", Boot: "b1"})},
		column{"node_lost, other boot", always(call.NodeLost{Node: "node-1", Boot: "b0"})},
	)
	return append(cols, otherColumns()...)
}

func otherColumns() []column {
	due := func(s call.State) call.Event { _, e := s.Deadline(); return e }
	answer := func(kind string, make func(seq int) call.Event) func(s call.State) call.Event {
		return func(s call.State) call.Event {
			for _, e := range s.Owed {
				if effectKind(e) == kind {
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
		{"its deadline", due},
		{"offer_overdue, too early", always(call.OfferOverdue{Offer: "c1/1"})},
		{"waited_out, too early", always(call.WaitedOut{})},
		{"talked_out, too early", always(call.TalkedOut{})},
		{"stuck, too early", always(call.Stuck{})},
		{"done close", answer("close", func(seq int) call.Event { return call.Done{Seq: seq} })},
		{"done, nothing owed", always(call.Done{Seq: 999})},
		{"failed place", answer("place", failed(false))},
		{"failed place, gone", answer("place", failed(true))},
		{"failed ring", answer("ring", failed(false))},
		{"failed ring, gone", answer("ring", failed(true))},
		{"failed treat, gone", answer("treat", failed(true))},
		{"failed tell", answer("tell", failed(false))},
		{"failed tell, gone", answer("tell", failed(true))},
		{"failed close", answer("close", failed(false))},
		{"failed, nothing owed", always(call.Failed{Seq: 999, Error: "away"})},
	}
}

// The matrix: what every event does in every phase.
func TestMatrix_EveryPhaseAndEvent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, v := range variants() {
		s, at := v.reach(t)
		fmt.Fprintf(&b, "## %s\n", v.name)
		for _, c := range columns(t) {
			e := c.make(s)
			if e == nil {
				fmt.Fprintf(&b, "%-34s nothing of that kind\n", c.name)
				continue
			}
			when, name := at, c.name
			if c.name == "its deadline" {
				when, _ = s.Deadline()
				name = fmt.Sprintf("its deadline: %s", e.Kind())
			}
			fmt.Fprintf(&b, "%-34s %s\n", name, cell(t, s, when, e))
		}
		b.WriteString("\n")
	}
	golden.Compare(t, "testdata/transitions.txt", b.String())
}

// cell says what one event does.
func cell(t *testing.T, s call.State, at time.Time, e call.Event) string {
	next, effects, err := s.Step(at, e)
	require.NoError(t, err, "a call refuses nothing")
	text := "→ " + label(next)
	if label(next) == label(s) {
		text = "="
	}
	if next.Late > s.Late {
		text += " late"
	}
	for _, f := range effects {
		text += " · " + f.Words()
	}
	return text
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

// Every event has its row, so that none is forgotten.
func TestMatrix_KnowsEveryEvent(t *testing.T) {
	t.Parallel()
	seen := map[call.Kind]bool{}
	for _, v := range variants() {
		s, _ := v.reach(t)
		for _, c := range columns(t) {
			if e := c.make(s); e != nil {
				seen[e.Kind()] = true
			}
		}
	}
	for _, k := range call.Kinds() {
		require.True(t, seen[k], "no column for %s", k)
	}
}
