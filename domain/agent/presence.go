package agent

import (
	"reflect"
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// View is what others may see now.
func (s State) View() View {
	v := View{
		Tenant: s.Tenant, Agent: s.Agent, User: s.User, Name: s.Profile.Name, Team: s.Profile.Team,
		State: s.Status, Reason: s.Reason, Since: s.Since, Pending: s.Pending, Offer: s.Offer,
		CallIDs: s.calls(), CallClass: s.Class, Memberships: notNil(s.Members), Binding: s.Binding,
		Devices: notNil(s.Binding.Reachable), Terminals: []id.Terminal{}, Version: s.Version,
	}
	v.Order, v.LimitAt, v.OverSince = s.Order, s.LimitAt, s.OverSince
	v.ShiftEnd, v.Delay = s.shiftAt(), s.Delay
	for _, t := range s.Terminals {
		v.Terminals = append(v.Terminals, t.ID)
		if t.Phone {
			v.Phone = t.ID
		}
	}
	if s.Status == WorkingAfterCall {
		v.WrapUpUntil = s.Until
	}
	return v
}

// Buried is what others may see of a session that ended at a time without signing out:
// its workflow was terminated, or died.
func (v View) Buried(at time.Time) View {
	v.State, v.Reason, v.Since, v.Version = LoggedOff, ReasonForced, at, v.Version+1
	v.Pending, v.Offer, v.Delay, v.WrapUpUntil = nil, nil, nil, time.Time{}
	v.CallIDs, v.CallClass, v.Terminals, v.Phone = []id.Call{}, "", []id.Terminal{}, ""
	v.LimitAt, v.OverSince, v.ShiftEnd = time.Time{}, time.Time{}, time.Time{}
	v.Memberships = signedOut(v.Memberships)
	return v
}

// calls are the agent's calls now; in wrap-up, the call that is worked on.
func (s State) calls() []id.Call {
	calls := []id.Call{}
	if s.Call != "" {
		calls = append(calls, s.Call)
	}
	for _, l := range s.Also {
		calls = append(calls, l.Call)
	}
	return calls
}

// presence is the row by which the match knows the agent.
func (s State) presence() Presence {
	p := Presence{
		Tenant: s.Tenant, Agent: s.Agent, Status: s.Status, Available: s.available(), ReadyAt: s.ReadyAt,
		Queues: []Membership{}, Addresses: []leg.Address{}, Method: s.Profile.RingMethod,
		Release: s.EndedOffers, Calls: s.Taken, Gone: s.Status == LoggedOff, Version: s.Version,
	}
	if s.Offer != nil {
		p.Offer = s.Offer.ID
	}
	for _, m := range s.Members {
		if m.CheckedIn && s.Status != LoggedOff {
			p.Queues = append(p.Queues, m)
		}
	}
	for _, a := range s.Binding.Addresses {
		if s.canRing(a) {
			p.Addresses = append(p.Addresses, a)
		}
	}
	return p
}

// available reports whether a match may choose the agent.
func (s State) available() bool {
	return s.Status == Ready && s.Pending == nil && s.Delay == nil && s.reachable()
}

// saveIfChanged emits a Save when others may see a difference to before.
func (n *step) saveIfChanged(before State) {
	if reflect.DeepEqual(n.View(), before.View()) && reflect.DeepEqual(n.presence(), before.presence()) {
		return
	}
	n.Version++
	p := n.presence()
	if n.Holding {
		p.Bound, p.Claim = []id.Device{}, n.Claims
		for _, a := range n.Binding.Addresses {
			p.Bound = append(p.Bound, a.Device)
		}
	}
	n.emit(Effect{Save: &Save{Presence: p, View: n.View()}})
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return slices.Clip(list)
}
