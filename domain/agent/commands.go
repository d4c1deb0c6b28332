package agent

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// become enters a state and forgets what belongs to the one before.
func (n *step) become(st Status, r Reason) {
	n.Status, n.Reason, n.Since = st, r, n.at
	n.limit()
	n.Delay = nil
	if st != Reserved {
		n.Offer = nil
	}
	if st != Busy {
		n.CheckAt, n.CallAt, n.Also, n.Wrap, n.Prior, n.PriorReason = time.Time{}, time.Time{}, nil, nil, "", ""
	}
	if st != Busy && st != WorkingAfterCall {
		n.Call, n.Class, n.CallFrom = "", "", ""
	}
	if st != WorkingAfterCall {
		n.Until, n.Extended = time.Time{}, 0
	}
}

// idle says what happens to the agent's place among the idle on becoming Ready.
type idle bool

const (
	newIdle  idle = false // idle from now on
	keepIdle idle = true  // as if nothing had been: an offer that came to nothing
)

// rest leaves Reserved, Busy or WorkingAfterCall: for what is pending, else for to.
func (n *step) rest(to Status, r Reason, place idle) {
	if p := n.Pending; p != nil {
		to, r, n.Pending = p.Status, p.Reason, nil
	}
	switch to {
	case Ready:
		n.becomeReady(place)
	case LoggedOff:
		n.leave(r)
	default:
		n.becomeNotReady(r)
	}
}

func (n *step) becomeReady(place idle) {
	if !n.reachable() {
		n.becomeNotReady(ReasonDeviceLost)
		return
	}
	n.become(Ready, "")
	if place == newIdle || n.ReadyAt.IsZero() {
		n.ReadyAt = n.at
	}
}

func (n *step) becomeNotReady(r Reason) {
	n.become(NotReady, r)
	n.ReadyAt = time.Time{}
}

// leave signs out: checked out everywhere but from static memberships (SEED-60,
// SEED-62), bound to nothing (SEED-32).
func (n *step) leave(r Reason) {
	n.become(LoggedOff, r)
	n.Left, n.Pending, n.ReadyAt, n.Orphaned = true, nil, time.Time{}, time.Time{}
	n.Members, n.Terminals, n.Binding = signedOut(n.Members), nil, Binding{}
	n.Holding, n.Claims, n.Standard = false, nil, false
}

// signedOut are the memberships of somebody who is not signed in.
func signedOut(members []Membership) []Membership {
	out := slices.Clone(members)
	for i := range out {
		out[i].CheckedIn = out[i].Static
	}
	return out
}

func (n *step) signIn(e SignIn) {
	if n.Status == LoggedOff {
		n.begin(e)
	} else {
		n.attach(e)
	}
	if e.Terminal != "" {
		n.addTerminal(Terminal{ID: e.Terminal, Leased: e.Leased})
		n.hold(e.Terminal, e.Phone)
	}
	n.Orphaned = time.Time{}
}

// begin starts the session: checked in where the profile says so (SEED-58). Its
// versions begin above those of any session of the agent before, so that who
// follows the agent over several sessions never sees them go back.
func (n *step) begin(e SignIn) {
	n.Version = max(n.Version, n.at.UnixMilli())
	n.Left, n.SignedIn, n.Misses, n.Taken, n.Delays = false, n.at, 0, 0, 0
	n.Order, n.ShiftDone = nil, time.Time{}
	n.Members = slices.Clone(n.Profile.Queues)
	for i := range n.Members {
		n.Members[i].CheckedIn = n.Members[i].CheckedIn || n.Members[i].Static
	}
	mode := n.Profile.Mode
	if mode == "" {
		mode = "dynamic"
	}
	n.Binding = Binding{Interface: e.Interface, Mode: mode}
	n.Standard = e.Standard
	n.bindTo(e.Addresses, e.Reachable)
	n.claim(e.Claim)
	n.becomeNotReady(ReasonLogin)
	if e.Initial == Ready {
		n.becomeReady(newIdle)
	}
}

// attach adds a terminal to a running session. It changes no state: a second
// window neither makes Ready nor Not Ready; but whoever signs in again does not
// want to be signed out after the call.
func (n *step) attach(e SignIn) {
	if len(e.Addresses) > 0 {
		n.Standard = e.Standard
		n.claim(e.Claim)
	}
	if len(e.Addresses) > 0 || e.Reachable != nil {
		n.bindTo(e.Addresses, e.Reachable)
	}
	if p := n.Pending; p != nil && p.Status == LoggedOff && (p.By == e.User || p.By == system) {
		n.Pending = nil
	}
	n.loseDevice()
}

func (n *step) goReady(e GoReady) {
	switch n.Status {
	case NotReady:
		n.Misses = 0
		n.becomeReady(newIdle)
	case Busy:
		n.Pending = nil
		if n.Prior == NotReady && n.Wrap == nil {
			n.Pending = &Pending{Status: Ready, By: e.User}
		}
	case Reserved, WorkingAfterCall:
		n.Pending = nil // Ready follows anyway (SEED-98)
	}
}

func (n *step) goNotReady(e GoNotReady) {
	r := reasonOf(e.Actor, e.Reason)
	switch n.Status {
	case Ready:
		n.becomeNotReady(r)
	case NotReady:
		if r != "" && r != n.Reason {
			n.becomeNotReady(r)
		}
	default: // SEED-97
		if n.Status == Busy && n.Pending == nil && n.Prior == NotReady && n.Wrap == nil && (r == "" || r == n.PriorReason) {
			return // NotReady follows anyway
		}
		n.pend(Pending{Status: NotReady, Reason: r, By: e.User})
	}
}

func (n *step) signOut(e SignOut) {
	r := reasonOf(e.Actor, e.Reason)
	switch n.Status {
	case LoggedOff:
		n.Left = true
	case NotReady, Ready:
		n.leave(r)
	default:
		n.pend(Pending{Status: LoggedOff, Reason: r, By: e.User})
	}
}

// pend notes what is asked for until it can be taken; asking for the same again
// changes nothing.
func (n *step) pend(p Pending) {
	if n.Pending != nil && n.Pending.Status == p.Status && n.Pending.Reason == p.Reason {
		return
	}
	n.Pending = &p
}

// system is who asks when no person does.
const system = "system"

func reasonOf(a Actor, r Reason) Reason {
	if r == "" && a.Forced {
		return ReasonForced
	}
	return r
}

// check checks in to or out of queues; none named means all. A person's command
// also checks a static member out: only the automatic is barred (SEED-62).
func (n *step) check(queues []id.Queue, in bool) {
	for i, m := range n.Members {
		if len(queues) == 0 || slices.Contains(queues, m.Queue) {
			n.Members[i].CheckedIn = in
		}
	}
}

// touch is a terminal's sign of life, or its end. Closing one of several changes
// nothing else (SEED-61); closing the last starts the grace (SEED-100).
func (n *step) touch(e Touch) {
	if e.Gone {
		had := len(n.Terminals) > 0
		n.Terminals = slices.DeleteFunc(n.Terminals, func(t Terminal) bool {
			if t.ID == e.Terminal && t.Leased {
				n.Seen = n.at // it was there until now
			}
			return t.ID == e.Terminal
		})
		if had && len(n.Terminals) == 0 {
			n.Orphaned = n.at
		}
		return
	}
	if e.Terminal != "" {
		n.addTerminal(Terminal{ID: e.Terminal, Leased: e.Leased})
		n.hold(e.Terminal, e.Phone)
	}
	if p := n.Pending; p != nil && p.By == system && (p.Reason == ReasonIdle || p.Reason == ReasonClosed) {
		n.Pending = nil
	}
}

func (n *step) addTerminal(t Terminal) {
	n.Orphaned = time.Time{}
	t.Seen = n.at
	for i, old := range n.Terminals {
		if old.ID == t.ID {
			t.Leased, t.Phone = t.Leased || old.Leased, old.Phone
			n.Terminals[i] = t
			return
		}
	}
	n.Terminals = append(n.Terminals, t)
}

func (n *step) bind(e Bind) {
	if e.Interface != "" {
		n.Binding.Interface = e.Interface
	}
	if e.Mode != "" {
		n.Binding.Mode = e.Mode
	}
	n.Standard, n.Delay = false, nil // another try was asked for
	n.bindTo(e.Addresses, e.Reachable)
	n.claim(e.Claim)
	n.loseDevice()
}

// bindTo binds to the addresses (none: keep those bound, at first all of the
// profile), of which the reachable ones are told.
func (n *step) bindTo(addresses []leg.Address, reachable []id.Device) {
	if len(addresses) == 0 {
		addresses = n.Binding.Addresses
	}
	if len(addresses) == 0 {
		addresses = n.Profile.Addresses
	}
	if !slices.Equal(addresses, n.Binding.Addresses) {
		n.Holding, n.Binding.Taken = true, nil
		n.Delay = nil // it is reached by another way now
	}
	n.Binding.Addresses = slices.Clone(addresses)
	n.Binding.Reachable = []id.Device{}
	for _, a := range addresses {
		if a.Kind == leg.PSTN || slices.Contains(reachable, a.Device) {
			n.Binding.Reachable = append(n.Binding.Reachable, a.Device)
		}
	}
}

// loseDevice takes a Ready agent whom nothing can ring out of the queues.
func (n *step) loseDevice() {
	if n.Status == Ready && !n.reachable() {
		n.becomeNotReady(ReasonDeviceLost)
	}
}
