package agent

import (
	"slices"
	"strings"
	"time"

	"holdfast/domain/fault"
)

// Rule is a reason for NotReady that the tenant knows.
type Rule struct {
	Code  Reason        `json:"code"`
	Name  string        `json:"name,omitempty"`
	Limit time.Duration `json:"limit,omitempty"` // how long it allows; 0 = no limit
	Then  Follow        `json:"then,omitempty"`  // what follows when that is past; "" is nothing but to show it
}

// What may follow a time limit, besides nothing.
const (
	FollowReady   Follow = "ready"
	FollowSignOut Follow = "sign_out"
)

// Order is what a supervisor made of the session, and why; the agent sees it until it
// decides for itself again.
type Order struct {
	Command Kind      `json:"command"`
	By      string    `json:"by"`
	Why     string    `json:"why"`
	At      time.Time `json:"at"`
}

// checkNotReady lets agents give only the tenant's reasons, if it has any. A supervisor
// is free in the choice.
func (s State) checkNotReady(e GoNotReady) *fault.Error {
	if r := s.checkSignedIn(); r != nil {
		return r
	}
	if e.Forced || e.Reason == "" || len(s.Profile.Reasons) == 0 || s.rule(e.Reason) != nil {
		return nil
	}
	var codes []string
	for _, r := range s.Profile.Reasons {
		codes = append(codes, string(r.Code))
	}
	return fault.Refuse("unknown_reason", "There is no reason %s: choose one of %s.", e.Reason, strings.Join(codes, ", "))
}

func (s State) rule(r Reason) *Rule {
	i := slices.IndexFunc(s.Profile.Reasons, func(o Rule) bool { return o.Code == r })
	if i < 0 {
		return nil
	}
	return &s.Profile.Reasons[i]
}

// limit begins the time that the present reason allows.
func (n *step) limit() {
	n.LimitAt, n.OverSince = time.Time{}, time.Time{}
	if n.Status != NotReady {
		return
	}
	if r := n.rule(n.Reason); r != nil && r.Limit > 0 {
		n.LimitAt = n.at.Add(r.Limit)
	}
}

// limitElapsed shows that an agent is NotReady for longer than the reason allows, and
// does what the tenant wants then.
func (n *step) limitElapsed(e LimitElapsed) {
	if n.Status != NotReady || n.Reason != e.Reason || n.LimitAt.IsZero() || n.at.Before(n.LimitAt) {
		n.late()
		return
	}
	n.LimitAt, n.OverSince = time.Time{}, n.at
	r := n.rule(n.Reason)
	switch {
	case r == nil:
	case r.Then == FollowSignOut:
		n.leave(n.Reason)
	case r.Then == FollowReady && n.reachable():
		n.becomeReady(newIdle)
	}
}

// shiftAt is when the shift of a running session ends; zero: it does not, or did.
func (s State) shiftAt() time.Time {
	if s.Status == LoggedOff || s.leaving() || !s.Profile.ShiftEnd.After(s.ShiftDone) {
		return time.Time{}
	}
	return s.Profile.ShiftEnd
}

// shiftEnded signs out, after a running call. Who signs in again meanwhile stays.
func (n *step) shiftEnded() {
	at := n.shiftAt()
	n.timeOut(at, ReasonShiftEnd)
	if !at.IsZero() && !n.at.Before(at) {
		n.ShiftDone = at
	}
}

// order notes what a supervisor commands and why. What the agent does itself afterwards
// puts an end to it.
func (n *step) order(by Actor, k Kind) {
	switch {
	case by.Forced && by.Why != "":
		n.Order = &Order{Command: k, By: by.User, Why: by.Why, At: n.at}
	case by.Forced:
	case k == KindReady || k == KindNotReady || k == KindSignOut:
		n.Order = nil
	}
}
