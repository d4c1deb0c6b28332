package call

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// maxTries is how often an effect is issued that can be given up: what a Tell would
// have told, the session finds out by its own deadline; what Drop and Cancel would
// have ended, the node ends by its media timeout.
const maxTries = 5

// emit numbers an effect and owes it to the world until it is answered. A Save
// supersedes those before it, Close every Save.
func (n *step) emit(e Effect) {
	if e.Save != nil || e.Close != nil {
		n.settle(func(o Effect) bool { return o.Save != nil || o.Close != nil })
	}
	n.Seq++
	e.Seq = n.Seq
	n.Owed = append(n.Owed, e)
	n.out = append(n.out, e)
}

// save writes row, view and event. What a superseded Save was to take out of the
// line is taken out by this one.
func (n *step) save(event string, leave bool) {
	leave = leave || n.owes(func(o Effect) bool { return o.Save != nil && o.Save.Leave })
	n.emit(Effect{Save: &Save{View: n.View(), Event: event, Leave: leave}})
}

// saveEnded is save for an offer that came to nothing: its event tells how it ended,
// which the record of the call will, but only when the call is over.
func (n *step) saveEnded(o id.Offer, event string) {
	n.save(event, false)
	for _, seg := range n.Segments {
		if seg.Kind == segOffer && seg.Offer == o {
			n.out[len(n.out)-1].Save.View.Ended = &seg // whom it points to is what is owed, too
		}
	}
}

func (s State) owes(which func(Effect) bool) bool { return slices.ContainsFunc(s.Owed, which) }

// settle strikes out what need not be answered any longer.
func (n *step) settle(which func(Effect) bool) {
	n.Owed = slices.DeleteFunc(n.Owed, which)
	if len(n.Owed) == 0 {
		n.Owed = nil
	}
	if !n.owes(hasFailed) {
		n.RetryAt = time.Time{}
	}
}

func hasFailed(e Effect) bool { return e.Tries > 0 }

// done strikes out an effect; one that is not owed was superseded. Place and Ring
// are answered by their own facts.
func (n *step) done(e Done) {
	n.Version--
	n.settle(func(o Effect) bool {
		if o.Seq == e.Seq && o.Close != nil {
			n.Closed = true
		}
		return o.Seq == e.Seq && o.Place == nil && o.Ring == nil
	})
}

// failed decides what follows when an effect could not be carried out.
func (n *step) failed(e Failed) {
	i := slices.IndexFunc(n.Owed, func(o Effect) bool { return o.Seq == e.Seq })
	if i < 0 {
		n.Version--
		return
	}
	o := n.Owed[i]
	switch {
	case o.Ring != nil && !e.Gone:
		n.ringEnded(RingEnded{Offer: o.Ring.Offer, Outcome: RingFailed})
	case (o.Ring != nil || o.Treat != nil) && e.Gone: // the caller's leg is not there
		n.callerLeft(leg.Abandoned)
	case o.Place != nil && e.Gone: // the queue is not there
		n.turnAway(leg.NoRoute)
	case o.Tell != nil && e.Gone && n.offering(o.Tell.Offer): // the agent's session is not there
		n.settle(func(t Effect) bool { return t.Seq == e.Seq })
		n.offerRefused(OfferRefused{Offer: o.Tell.Offer, Cause: leg.Unreachable})
	case o.canGiveUp() && (e.Gone || o.Tries+1 >= maxTries):
		n.done(Done{Seq: e.Seq})
	default:
		n.retry(i)
	}
}

// canGiveUp reports whether the call may go on without the effect.
func (e Effect) canGiveUp() bool {
	return e.Tell != nil || e.Drop != nil || e.Cancel != nil || e.Treat != nil
}

// retry keeps what failed until it is issued again. A caller who can't be placed
// hears music meanwhile.
func (n *step) retry(i int) {
	n.Owed[i].Tries++
	n.RetryAt = n.at.Add(retryAfter(n.Owed[i].Tries))
	if n.Owed[i].Place != nil {
		n.playMusic()
	}
}

// retryAfter is 1 s, 2 s, 4 s … 64 s: the executor has retried before it gave up.
func retryAfter(tries int) time.Duration { return time.Second << min(tries-1, 6) }

// stuck issues again what failed or, after the end, whatever is still owed. A call
// that never got its route ends.
func (n *step) stuck() {
	switch {
	case !n.RetryAt.IsZero() && !n.at.Before(n.RetryAt):
		n.RetryAt = time.Time{}
		n.reissue(hasFailed)
	case n.Phase == Ended && !n.Over() && !n.at.Before(n.StuckAt):
		n.StuckAt = n.at.Add(stuckAfter)
		n.giveUp()
		n.reissue(func(Effect) bool { return true })
	case n.Phase == Arriving && !n.at.Before(n.Since.Add(routeWithin)):
		n.turnAway(leg.Failed)
	default:
		n.late()
	}
}

// giveUp counts an unanswered minute as a failure of what may be given up.
func (n *step) giveUp() {
	for i := range n.Owed {
		n.Owed[i].Tries++
	}
	n.settle(func(o Effect) bool { return o.canGiveUp() && o.Tries >= maxTries })
	n.RetryAt = time.Time{}
}

// reissue issues effects once more, as new ones.
func (n *step) reissue(which func(Effect) bool) {
	again := slices.DeleteFunc(slices.Clone(n.Owed), func(o Effect) bool { return !which(o) })
	n.settle(which)
	for _, o := range again {
		n.emit(o)
	}
}
