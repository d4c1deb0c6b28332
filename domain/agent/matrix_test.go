package agent_test

import (
	"fmt"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/golden"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

const (
	toReady  = "09:00:00 sign_in interface=phone reachable=desk\n09:00:01 done what=save\n09:00:10 ready\n09:00:11 done what=save\n"
	toOffer  = toReady + "09:10:00 offered offer=c1/1\n09:10:01 done what=save\n"
	toTalk   = toOffer + "09:10:04 established call=c1 offer=c1/1 class=inbound_queue from=+41791234567\n09:10:05 done what=save\n"
	toWrap   = toTalk + "09:13:00 call_ended call=c1 class=inbound_queue cause=hangup spoke=yes\n09:13:01 done what=save\n"
	toDirect = "09:10:00 call_started call=c1 class=inbound_direct from=+41791234567\n09:10:01 done what=save\n"
	toLunch  = "09:00:00 sign_in interface=phone reachable=desk\n09:00:01 done what=save\n09:00:10 not_ready reason=LUNCH\n09:00:11 done what=save\n"
)

// variants are the states in which the machine can be, as far as they matter.
func variants() []golden.Variant {
	return []golden.Variant{
		{Name: "LoggedOff, not signed in yet", Acts: "09:00:00 profile\n"},
		{Name: "LoggedOff, signed out", Acts: toReady + "17:00:00 sign_out\n17:00:01 done what=save\n"},
		{Name: "NotReady", Acts: toLunch},
		{Name: "NotReady, no phone", Acts: "09:00:00 sign_in interface=phone reachable=none\n09:00:01 done what=save\n"},
		{Name: "Ready", Acts: toReady},
		{Name: "Ready, missed offers: stay", Acts: "09:00:00 profile on_no_answer=stay on_reject=stay\n" + toReady},
		{Name: "Ready, with idle logout", Acts: "09:00:00 profile idle_logout=8h\n" + toReady},
		{Name: "Ready, last terminal closed", Acts: "09:00:00 profile terminal_grace=30s\n" + toReady + "09:01:00 terminal terminal_id=tab-1\n09:01:01 terminal terminal_id=tab-1 gone=yes\n"},
		{Name: "Ready, two devices", Acts: "09:00:00 profile addresses=desk,mobile\n09:00:00 sign_in interface=phone reachable=desk,mobile\n09:00:01 done what=save\n09:00:10 ready\n09:00:11 done what=save\n"},
		{Name: "Ready, a watched terminal has the phone", Acts: "09:00:00 profile idle_logout=8h\n" + toReady + "09:01:00 terminal terminal_id=tab-1 leased=yes phone=hold\n09:01:01 done what=save\n"},
		{Name: "Ready, by order", Acts: toLunch + "09:01:00 ready by=supervisor forced=yes why=RUSH\n09:01:01 done what=save\n"},
		{Name: "Ready, delayed", Acts: toOffer + "09:10:02 offer_ended offer=c1/1 cause=trunk_busy\n09:10:03 done what=save\n"},
		{Name: "Ready, shift ends", Acts: "09:00:00 profile shift_end=17h\n" + toReady},
		{Name: "Ready, after the shift", Acts: "09:00:00 profile shift_end=9h12m\n" + toTalk + "09:12:00 deadline\n09:12:01 sign_in interface=phone\n09:13:00 call_ended call=c1 class=inbound_queue cause=hangup spoke=yes\n09:13:10 deadline\n09:13:11 done what=save\n"},
		{Name: "NotReady, with a time limit", Acts: "09:00:00 profile reasons=LUNCH:30m\n" + toLunch},
		{Name: "NotReady, over its time limit", Acts: "09:00:00 profile reasons=LUNCH:30m\n" + toLunch + "09:30:10 deadline\n09:30:11 done what=save\n"},
		{Name: "NotReady, Ready after a time limit", Acts: "09:00:00 profile reasons=LUNCH:30m:ready\n" + toLunch},
		{Name: "NotReady, signed out after a time limit", Acts: "09:00:00 profile reasons=LUNCH:30m:sign_out\n" + toLunch},
		{Name: "NotReady, device in use", Acts: "09:00:00 sign_in interface=phone reachable=desk\n09:00:01 done what=save taken=desk taken_by=1002\n09:00:02 done what=save\n"},
		{Name: "LoggedOff, hot desk", Acts: "09:00:00 profile mode=hot_desk addresses=none\n"},
		{Name: "Busy, queue call, shift ends", Acts: "09:00:00 profile shift_end=9h15m\n" + toTalk},
		{Name: "Reserved", Acts: toOffer},
		{Name: "Reserved, stays Ready when missed", Acts: "09:00:00 profile on_no_answer=stay on_reject=stay\n" + toOffer},
		{Name: "Reserved, then NotReady", Acts: toOffer + "09:10:02 not_ready reason=LUNCH\n09:10:03 done what=save\n"},
		{Name: "Reserved, then LoggedOff", Acts: toOffer + "09:10:02 sign_out\n09:10:03 done what=save\n"},
		{Name: "Busy, queue call", Acts: toTalk},
		{Name: "Busy, queue call, no wrap-up", Acts: "09:00:00 profile wrap_up=0s\n" + toTalk},
		{Name: "Busy, queue call, then NotReady", Acts: toTalk + "09:11:00 not_ready reason=LUNCH\n09:11:01 done what=save\n"},
		{Name: "Busy, queue call, then LoggedOff", Acts: toTalk + "09:11:00 sign_out\n09:11:01 done what=save\n"},
		{Name: "Busy, direct call, was Ready", Acts: toReady + toDirect},
		{Name: "Busy, direct call, was NotReady", Acts: toLunch + toDirect},
		{Name: "Busy, two calls", Acts: toTalk + "09:11:00 call_started call=c2 class=internal from=1002\n09:11:01 done what=save\n"},
		{Name: "Busy, call in wrap-up", Acts: toWrap + "09:13:04 call_started call=c2 class=outbound_manual from=+41791234567\n09:13:05 done what=save\n"},
		{Name: "WorkingAfterCall", Acts: toWrap},
		{Name: "WorkingAfterCall, may finish early", Acts: "09:00:00 profile early_exit=yes\n" + toWrap},
		{Name: "WorkingAfterCall, then NotReady", Acts: toWrap + "09:13:02 not_ready reason=LUNCH\n09:13:03 done what=save\n"},
		{Name: "WorkingAfterCall, then LoggedOff", Acts: toWrap + "09:13:02 sign_out\n09:13:03 done what=save\n"},
	}
}

func always(e agent.Event) func(agent.State) agent.Event {
	return func(agent.State) agent.Event { return e }
}

var me, boss = agent.Actor{User: "ada"}, agent.Actor{User: "supervisor", Forced: true}

// order is a supervisor's who says why.
var order = agent.Actor{User: "supervisor", Forced: true, Why: "TRAINING"}

// columns are all events: the present offer and call, and others.
func columns() []column {
	cols := []column{
		{Name: "sign_in", Make: always(agent.SignIn{Actor: me, Terminal: "tab-2", Interface: "web", Reachable: devices("desk")})},
		{Name: "sign_in, other device", Make: always(agent.SignIn{Actor: me, Interface: "phone", Addresses: []leg.Address{mobile}, Reachable: devices("mobile")})},
		{Name: "ready", Make: always(agent.GoReady{Actor: me})},
		{Name: "not_ready BREAK", Make: always(agent.GoNotReady{Actor: me, Reason: "BREAK"})},
		{Name: "not_ready by supervisor", Make: always(agent.GoNotReady{Actor: boss})},
		{Name: "not_ready by supervisor, with a reason", Make: always(agent.GoNotReady{Actor: order, Reason: "TRAINING"})},
		{Name: "ready by supervisor, with a reason", Make: always(agent.GoReady{Actor: order})},
		{Name: "check_in sales", Make: always(agent.CheckIn{Actor: me, Queues: []id.Queue{"sales"}})},
		{Name: "check_in unknown", Make: always(agent.CheckIn{Actor: me, Queues: []id.Queue{"vip"}})},
		{Name: "check_out", Make: always(agent.CheckOut{Actor: me})},
		{Name: "bind mobile", Make: always(agent.Bind{Actor: me, Addresses: []leg.Address{mobile}, Reachable: devices("mobile")})},
		{Name: "bind nothing", Make: always(agent.Bind{Actor: me})},
		{Name: "wrap_up finish", Make: always(agent.WrapUp{Actor: me, Action: "finish"})},
		{Name: "wrap_up extend", Make: always(agent.WrapUp{Actor: me, Action: "extend"})},
		{Name: "sign_out", Make: always(agent.SignOut{Actor: me})},
		{Name: "sign_out by supervisor", Make: always(agent.SignOut{Actor: boss})},
		{Name: "terminal", Make: always(agent.Touch{Actor: me, Terminal: "tab-1"})},
		{Name: "terminal gone", Make: always(agent.Touch{Actor: me, Terminal: "tab-1", Gone: true})},
		{Name: "terminal, watched", Make: always(agent.Touch{Actor: me, Terminal: "tab-2", Leased: true})},
		{Name: "terminal holds the phone", Make: always(agent.Touch{Actor: me, Terminal: "tab-2", Phone: agent.HoldPhone})},
		{Name: "terminal takes the phone over", Make: always(agent.Touch{Actor: me, Terminal: "tab-2", Phone: agent.TakeOverPhone})},
		{Name: "terminal lets go of the phone", Make: always(agent.Touch{Actor: me, Terminal: "tab-1", Phone: agent.ReleasePhone})},
		{Name: "offered, new", Make: always(agent.Offered{Offer: offerOf(golden.Act{At: golden.Day.Add(9*time.Hour + 10*time.Minute), Args: map[string]string{"offer": "c9/1"}})})},
		{Name: "offered, known", Make: always(agent.Offered{Offer: offerOf(golden.Act{At: golden.Day.Add(9*time.Hour + 10*time.Minute), Args: map[string]string{"offer": "c1/1"}})})},
	}
	for _, c := range []leg.Cause{leg.NoAnswer, leg.Rejected, leg.Busy, leg.Unreachable, leg.TrunkBusy, leg.Overload, leg.Rescinded, leg.Abandoned, leg.NodeLost, leg.Failed} {
		cols = append(cols, column{Name: "offer_ended " + string(c), Make: always(agent.OfferEnded{Offer: "c1/1", Cause: c})})
	}
	cols = append(cols,
		column{Name: "offer_ended, other offer", Make: always(agent.OfferEnded{Offer: "c9/1", Cause: leg.NoAnswer})},
		column{Name: "established", Make: always(agent.Established{Call: "c1", Offer: "c1/1", Class: leg.InboundQueue, From: "+41791234567"})},
		column{Name: "established, other call", Make: always(agent.Established{Call: "c9", Offer: "c9/1", Class: leg.InboundQueue, From: "+41790000009"})},
		column{Name: "call_started", Make: always(agent.CallStarted{Call: "c9", Class: leg.OutboundManual, From: "+41790000009"})},
		column{Name: "call_ended, queue call, spoke", Make: always(agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup, Spoke: true})},
		column{Name: "call_ended, not spoke", Make: always(agent.CallEnded{Call: "c1", Class: leg.InboundQueue, Cause: leg.Hangup})},
		column{Name: "call_ended, the second call", Make: always(agent.CallEnded{Call: "c2", Class: leg.Internal, Cause: leg.Hangup, Spoke: true})},
		column{Name: "device_changed, gone", Make: always(agent.DeviceChanged{Device: "desk"})},
		column{Name: "device_changed, there", Make: always(agent.DeviceChanged{Device: "desk", Reachable: true})},
		column{Name: "device_taken", Make: always(agent.DeviceTaken{Device: "desk", By: "1002"})},
		column{Name: "device_taken, not bound", Make: always(agent.DeviceTaken{Device: "home", By: "1002"})},
		column{Name: "profile_changed, other device", Make: always(agent.ProfileChanged{Profile: agent.Profile{Addresses: []leg.Address{mobile}}})},
	)
	return append(cols, deadlineColumns()...)
}

func deadlineColumns() []column {
	due := func(s agent.State) agent.Event { _, e := s.Deadline(); return e }
	return []column{
		{Name: golden.Its, Make: due},
		{Name: "lease_expired, too early", Make: always(agent.LeaseExpired{Offer: "c1/1"})},
		{Name: "wrap_up_elapsed, too early", Make: always(agent.WrapUpElapsed{Call: "c1"})},
		{Name: "check_due, too early", Make: always(agent.CheckDue{Call: "c1"})},
		{Name: "idle_elapsed, too early", Make: always(agent.IdleElapsed{})},
		{Name: "terminals_gone, too early", Make: always(agent.TerminalsGone{})},
		{Name: "limit_elapsed, too early", Make: always(agent.LimitElapsed{Reason: "LUNCH"})},
		{Name: "shift_ended, too early", Make: always(agent.ShiftEnded{})},
		{Name: "delay_elapsed, too early", Make: always(agent.DelayElapsed{})},
		{Name: "stuck, nothing failed", Make: always(agent.Stuck{})},
		{Name: "done, nothing owed", Make: always(agent.Done{Seq: 999})},
		{Name: "done, reserved", Make: always(agent.Done{Seq: 999, Reserved: &agent.Offer{ID: "c9/1", Call: "c9", Deadline: golden.Day.Add(10 * time.Hour)}})},
		{Name: "done, device in use", Make: always(agent.Done{Seq: 999, Taken: []agent.Taken{{Device: "desk", By: "1002"}}})},
		{Name: "failed, nothing owed", Make: always(agent.Failed{Seq: 999, Error: "away"})},
	}
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
	if s.Delay != nil {
		l += " delayed(" + string(s.Delay.Cause) + ")"
	}
	if p := s.Pending; p != nil {
		l += " then " + string(p.Status)
		if p.Reason != "" {
			l += "(" + string(p.Reason) + ")"
		}
	}
	return l
}
