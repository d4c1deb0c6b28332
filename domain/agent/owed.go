package agent

import (
	"slices"
	"time"

	"holdfast/domain/id"
)

// maxTries is how often an effect is issued that can be given up: what it would
// have told, its receiver finds out by its own deadline.
const maxTries = 5

// emit numbers an effect and owes it to the world until it is answered. A Save
// supersedes those before it.
func (n *step) emit(e Effect) {
	if e.Save != nil {
		n.settle(func(o Effect) bool { return o.Save != nil })
	}
	n.Seq++
	e.Seq = n.Seq
	n.Owed = append(n.Owed, e)
	n.out = append(n.out, e)
}

// settle strikes out what need not be answered any longer.
func (n *step) settle(which func(Effect) bool) {
	n.Owed = slices.DeleteFunc(n.Owed, which)
	if len(n.Owed) == 0 {
		n.Owed = nil
	}
	if !slices.ContainsFunc(n.Owed, func(o Effect) bool { return o.Tries > 0 }) {
		n.RetryAt = time.Time{}
	}
}

// asking reports whether the question if call c lives is unanswered.
func (s State) asking(c id.Call) bool {
	return slices.ContainsFunc(s.Owed, func(o Effect) bool { return o.Verify != nil && o.Verify.Call == c })
}

// answerVerify strikes out the question whether call c lives.
func (n *step) answerVerify(c id.Call) {
	n.settle(func(o Effect) bool { return o.Verify != nil && o.Verify.Call == c })
}

// done strikes out an effect. One that is not owed was superseded. What a Save
// found reserved counts in any case: the row is the arbiter.
func (n *step) done(e Done) {
	if slices.ContainsFunc(n.Owed, func(o Effect) bool { return o.Seq == e.Seq && o.Save != nil }) {
		n.Holding, n.Claims = false, nil
	}
	for _, t := range e.Taken {
		n.yield(t)
	}
	if len(e.Taken) > 0 {
		n.loseDevice()
	}
	n.settle(func(o Effect) bool { return o.Seq == e.Seq })
	if e.Reserved != nil {
		n.offered(*e.Reserved)
	}
}

// failed decides what follows when an effect could not be carried out.
func (n *step) failed(e Failed) {
	i := slices.IndexFunc(n.Owed, func(o Effect) bool { return o.Seq == e.Seq })
	if i < 0 {
		return
	}
	switch o := n.Owed[i]; {
	case o.Verify != nil && e.Gone:
		n.callEnded(CallEnded{Call: o.Verify.Call})
	case o.Verify != nil: // CheckDue asks again
		n.done(Done{Seq: e.Seq})
	case o.Refuse != nil && (e.Gone || o.Tries+1 >= maxTries):
		n.done(Done{Seq: e.Seq})
	default: // Save: until it succeeds or is superseded
		n.Owed[i].Tries++
		n.RetryAt = n.at.Add(retryAfter(n.Owed[i].Tries))
	}
}

// retryAfter is 1 s, 2 s, 4 s … 64 s: the executor has retried before it gave up.
func retryAfter(tries int) time.Duration { return time.Second << min(tries-1, 6) }

// reissue issues what failed once more, as a new effect.
func (n *step) reissue() {
	if n.RetryAt.IsZero() || n.at.Before(n.RetryAt) {
		n.late()
		return
	}
	failed := func(o Effect) bool { return o.Tries > 0 }
	again := slices.DeleteFunc(slices.Clone(n.Owed), func(o Effect) bool { return !failed(o) })
	n.settle(failed)
	for _, o := range again {
		n.emit(o)
	}
	n.RetryAt = time.Time{}
}
