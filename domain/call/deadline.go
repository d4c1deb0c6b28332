package call

import "time"

const (
	// routeWithin is how long a call may be without a route: the look-up takes
	// milliseconds, and callers hang up before.
	routeWithin = time.Minute
	// defaultMaxWait is the longest wait when the queue names none.
	defaultMaxWait = 2 * time.Hour
	// maxTalk ends a conversation that nobody ended: a phone forgotten off the hook.
	maxTalk = 12 * time.Hour
)

// Deadline says when to wake the call and with which event; the zero time means
// that nothing is due by itself.
func (s State) Deadline() (time.Time, Event) {
	at, e := s.phaseDeadline()
	if !s.RetryAt.IsZero() && (e == nil || s.RetryAt.Before(at)) {
		return s.RetryAt, Stuck{}
	}
	return at, e
}

// phaseDeadline is the end that every phase has.
func (s State) phaseDeadline() (time.Time, Event) {
	switch s.Phase {
	case Arriving, InFlow:
		return s.Since.Add(routeWithin), Stuck{}
	case Queued:
		return s.waitEnd(), WaitedOut{}
	case Offering:
		return s.Offer.Deadline, OfferOverdue{Offer: s.Offer.ID}
	case Talking:
		return s.talkEnd(), TalkedOut{}
	}
	if s.Over() {
		return time.Time{}, nil
	}
	return s.StuckAt, Stuck{}
}

// waitEnd is when the caller has waited as long as the queue allows.
func (s State) waitEnd() time.Time {
	if s.Route.Queue.MaxWait > 0 {
		return s.QueuedAt.Add(s.Route.Queue.MaxWait)
	}
	return s.QueuedAt.Add(defaultMaxWait)
}

func (s State) talkEnd() time.Time { return s.Since.Add(maxTalk) }
