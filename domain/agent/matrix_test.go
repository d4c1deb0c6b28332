package agent_test

import (
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

// variant is a row group of the matrix: a state, told as the acts that reach it.
type variant struct {
	name string
	acts string
}

const (
	toReady  = "09:00:00 sign_in interface=phone reachable=desk\n09:00:01 done what=save\n09:00:10 ready\n09:00:11 done what=save\n"
	toOffer  = toReady + "09:10:00 offered offer=c1/1\n09:10:01 done what=save\n"
	toTalk   = toOffer + "09:10:04 established call=c1 offer=c1/1 class=inbound_queue from=+41791234567\n09:10:05 done what=save\n"
	toWrap   = toTalk + "09:13:00 call_ended call=c1 class=inbound_queue cause=hangup spoke=yes\n09:13:01 done what=save\n"
	toDirect = "09:10:00 call_started call=c1 class=inbound_direct from=+41791234567\n09:10:01 done what=save\n"
	toLunch  = "09:00:00 sign_in interface=phone reachable=desk\n09:00:01 done what=save\n09:00:10 not_ready reason=LUNCH\n09:00:11 done what=save\n"
)

// variants are the states in which the machine can be, as far as they matter.
func variants() []variant {
	return []variant{
		{"LoggedOff, not signed in yet", "09:00:00 profile\n"},
		{"LoggedOff, signed out", toReady + "17:00:00 sign_out\n17:00:01 done what=save\n"},
		{"NotReady", toLunch},
		{"NotReady, no phone", "09:00:00 sign_in interface=phone reachable=none\n09:00:01 done what=save\n"},
		{"Ready", toReady},
		{"Ready, missed offers: stay", "09:00:00 profile on_no_answer=stay on_reject=stay\n" + toReady},
		{"Ready, with idle logout", "09:00:00 profile idle_logout=8h\n" + toReady},
		{"Ready, last terminal closed", "09:00:00 profile terminal_grace=30s\n" + toReady + "09:01:00 terminal terminal_id=tab-1\n09:01:01 terminal terminal_id=tab-1 gone=yes\n"},
		{"Reserved", toOffer},
		{"Reserved, stays Ready when missed", "09:00:00 profile on_no_answer=stay on_reject=stay\n" + toOffer},
		{"Reserved, then NotReady", toOffer + "09:10:02 not_ready reason=LUNCH\n09:10:03 done what=save\n"},
		{"Reserved, then LoggedOff", toOffer + "09:10:02 sign_out\n09:10:03 done what=save\n"},
		{"Busy, queue call", toTalk},
		{"Busy, queue call, no wrap-up", "09:00:00 profile wrap_up=0s\n" + toTalk},
		{"Busy, queue call, then NotReady", toTalk + "09:11:00 not_ready reason=LUNCH\n09:11:01 done what=save\n"},
		{"Busy, queue call, then LoggedOff", toTalk + "09:11:00 sign_out\n09:11:01 done what=save\n"},
		{"Busy, direct call, was Ready", toReady + toDirect},
		{"Busy, direct call, was NotReady", toLunch + toDirect},
		{"Busy, two calls", toTalk + "09:11:00 call_started call=c2 class=internal from=1002\n09:11:01 done what=save\n"},
		{"Busy, call in wrap-up", toWrap + "09:13:04 call_started call=c2 class=outbound_manual from=+41791234567\n09:13:05 done what=save\n"},
		{"WorkingAfterCall", toWrap},
		{"WorkingAfterCall, may finish early", "09:00:00 profile early_exit=yes\n" + toWrap},
		{"WorkingAfterCall, then NotReady", toWrap + "09:13:02 not_ready reason=LUNCH\n09:13:03 done what=save\n"},
		{"WorkingAfterCall, then LoggedOff", toWrap + "09:13:02 sign_out\n09:13:03 done what=save\n"},
	}
}

// reach plays the acts of a variant.
func (v variant) reach(t *testing.T) (agent.State, time.Time) {
	st := &story{t: t, profile: profile()}
	at := golden.Day.Add(9 * time.Hour)
	for _, a := range golden.Acts(t, v.acts) {
		st.play(a)
		at = a.At
	}
	if st.s.Agent == "" {
		st.s = agent.New(agent.Ref{Tenant: "demo.localhost", Agent: "1001"}, "ada", st.profile, at)
	}
	return st.s, at.Add(time.Second)
}

// column is one event of the matrix, as it looks in state s.
type column struct {
	name string
	make func(s agent.State) agent.Event
}

func always(e agent.Event) func(agent.State) agent.Event {
	return func(agent.State) agent.Event { return e }
}

var me, boss = agent.Actor{User: "ada"}, agent.Actor{User: "supervisor", Forced: true}

// columns are all events: the present offer and call, and others.
func columns() []column {
	cols := []column{
		{"sign_in", always(agent.SignIn{Actor: me, Terminal: "tab-2", Interface: "web", Reachable: devices("desk")})},
		{"sign_in, other device", always(agent.SignIn{Actor: me, Interface: "phone", Addresses: []leg.Address{mobile}, Reachable: devices("mobile")})},
		{"ready", always(agent.GoReady{Actor: me})},
		{"not_ready BREAK", always(agent.GoNotReady{Actor: me, Reason: "BREAK"})},
		{"not_ready by supervisor", always(agent.GoNotReady{Actor: boss})},
		{"check_in sales", always(agent.CheckIn{Actor: me, Queues: []id.Queue{"sales"}})},
		{"check_in unknown", always(agent.CheckIn{Actor: me, Queues: []id.Queue{"vip"}})},
		{"check_out", always(agent.CheckOut{Actor: me})},
		{"bind mobile", always(agent.Bind{Actor: me, Addresses: []leg.Address{mobile}, Reachable: devices("mobile")})},
		{"bind nothing", always(agent.Bind{Actor: me})},
		{"wrap_up finish", always(agent.WrapUp{Actor: me, Action: "finish"})},
		{"wrap_up extend", always(agent.WrapUp{Actor: me, Action: "extend"})},
		{"sign_out", always(agent.SignOut{Actor: me})},
		{"sign_out by supervisor", always(agent.SignOut{Actor: boss})},
		{"terminal", always(agent.Touch{Actor: me, Terminal: "tab-1"})},
		{"terminal gone", always(agent.Touch{Actor: me, Terminal: "tab-1", Gone: true})},
		{"offered, new", always(agent.Offered{Offer: offerOf(golden.Act{At: golden.Day.Add(9*time.Hour + 10*time.Minute), Args: map[string]string{"offer": "c9/1"}})})},
		{"offered, known", always(agent.Offered{Offer: offerOf(golden.Act{At: golden.Day.Add(9*time.Hour + 10*time.Minute), Args: map[string]string{"offer": "c1/1"}})})},
	}
	for _, c := range []leg.Cause{leg.NoAnswer, leg.Rejected, leg.Busy, leg.Unreachable, leg.Rescinded, leg.Abandoned, leg.NodeLost, leg.Failed} {
		cols = append(cols, column{"offer_ended " + string(c), always(agent.OfferEnded{Offer: "c1/1", Cause: c})})
	}
	cols = append(cols,
		column{"offer_ended, other offer", always(agent.OfferEnded{Offer: "c9/1", Cause: leg.NoAnswer})},
		column{"established", always(agent.Established{Call: "c1", Offer: "c1/1", Class: leg.InboundQueue, From: "+41791234567"})},
		column{"established, other call", always(agent.Established{Call: "c9", Offer: "c9/1", Class: leg.InboundQueue, From: "+41790000009"})},
		column{"call_started", always(agent.CallStarted{Call: "c9", Class: leg.OutboundManual, From: "+41790000009"})},
		column{"call_ended, queue call, spoke", always(agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup, Spoke: true})},
		column{"call_ended, not spoke", always(agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup})},
		column{"call_ended, the second call", always(agent.CallEnded{Call: "c2", Class: leg.Internal, Cause: leg.Hangup, Spoke: true})},
		column{"device_changed, gone", always(agent.DeviceChanged{Device: "desk"})},
		column{"device_changed, there", always(agent.DeviceChanged{Device: "desk", Reachable: true})},
		column{"profile_changed, other device", always(agent.ProfileChanged{Profile: agent.Profile{Addresses: []leg.Address{mobile}}})},
	)
	return append(cols, deadlineColumns()...)
}

func deadlineColumns() []column {
	due := func(s agent.State) agent.Event { _, e := s.Deadline(); return e }
	return []column{
		{"its deadline", due},
		{"lease_expired, too early", always(agent.LeaseExpired{Offer: "c1/1"})},
		{"wrap_up_elapsed, too early", always(agent.WrapUpElapsed{Call: "c1"})},
		{"check_due, too early", always(agent.CheckDue{Call: "c1"})},
		{"idle_elapsed, too early", always(agent.IdleElapsed{})},
		{"terminals_gone, too early", always(agent.TerminalsGone{})},
		{"stuck, nothing failed", always(agent.Stuck{})},
		{"done, nothing owed", always(agent.Done{Seq: 999})},
		{"done, reserved", always(agent.Done{Seq: 999, Reserved: &agent.Offer{ID: "c9/1", Call: "c9", Deadline: golden.Day.Add(10 * time.Hour)}})},
		{"failed, nothing owed", always(agent.Failed{Seq: 999, Error: "away"})},
	}
}

// The matrix: what every event does in every state, or why it is refused.
func TestMatrix_EveryStateAndEvent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, v := range variants() {
		s, at := v.reach(t)
		fmt.Fprintf(&b, "## %s\n", v.name)
		for _, c := range columns() {
			e := c.make(s)
			if e == nil {
				fmt.Fprintf(&b, "%-32s nothing is due\n", c.name)
				continue
			}
			when, name := at, c.name
			if c.name == "its deadline" {
				when, _ = s.Deadline()
				name = fmt.Sprintf("its deadline: %s", e.Kind())
			}
			fmt.Fprintf(&b, "%-32s %s\n", name, cell(t, s, when, e))
		}
		b.WriteString("\n")
	}
	golden.Compare(t, "testdata/transitions.txt", b.String())
}

// cell says what one event does: "→ NotReady(RONA) · Save Not ready (RONA)".
func cell(t *testing.T, s agent.State, at time.Time, e agent.Event) string {
	check := s.Check(e)
	next, effects, err := s.Step(at, e)
	require.Equal(t, check, err)
	if err != nil {
		require.Equal(t, fault.Conflict, fault.KindOf(err))
		require.Empty(t, effects)
		require.Equal(t, s, next, "a refusal changes nothing")
		return "✗ " + fault.Sentence(err)
	}
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

// label names a state in the matrix.
func label(s agent.State) string {
	l := string(s.Status)
	if s.Reason != "" {
		l += "(" + string(s.Reason) + ")"
	}
	if calls := s.View().CallIDs; len(calls) > 0 {
		l += fmt.Sprintf("%s", calls)
	}
	if s.Offer != nil {
		l += "[" + string(s.Offer.ID) + "]"
	}
	if p := s.Pending; p != nil {
		l += " then " + string(p.Status)
		if p.Reason != "" {
			l += "(" + string(p.Reason) + ")"
		}
	}
	return l
}

// Every event has its row, so that none is forgotten.
func TestMatrix_KnowsEveryEvent(t *testing.T) {
	t.Parallel()
	seen := map[agent.Kind]bool{}
	for _, v := range variants() {
		s, _ := v.reach(t)
		for _, c := range columns() {
			if e := c.make(s); e != nil {
				seen[e.Kind()] = true
			}
		}
	}
	for _, k := range agent.Kinds() {
		require.True(t, seen[k], "no column for %s", k)
	}
}
