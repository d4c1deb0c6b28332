package call

import (
	"fmt"
	"strings"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// clock is a time of day as the sentences have it (UTC).
func clock(at time.Time) string { return at.UTC().Format("15:04:05") }

// Describe says in one English sentence where the call stands, with numbers masked:
// "Talking since 10:30:03 with 1001", "Waiting in support since 10:29:40".
func (s State) Describe() string {
	switch s.Phase {
	case Arriving, InFlow:
		return fmt.Sprintf("Arriving since %s from %s", clock(s.Since), leg.Mask(s.From))
	case Queued:
		return fmt.Sprintf("Waiting in %s since %s", s.Route.Queue.Name, clock(s.QueuedAt))
	case Offering:
		return fmt.Sprintf("%s since %s", s.offerWords(s.Offer.ID), clock(s.Since))
	case Talking:
		return fmt.Sprintf("Talking since %s with %s", clock(s.Since), s.other())
	}
	return fmt.Sprintf("Ended at %s by %s: %s", clock(s.EndedAt), byWords(s.EndedBy), s.Cause.Words())
}

// other is whom the caller talks with.
func (s State) other() string {
	for _, l := range s.Legs {
		if l.ID != CallerLeg && l.State == leg.Up {
			return partyWords(l.Agent, l.Party)
		}
	}
	return "nobody"
}

func partyWords(a id.Agent, number string) string {
	if a != "" {
		return string(a)
	}
	return leg.Mask(number)
}

func byWords(by string) string { return strings.Replace(by, ":", " ", 1) }

// offerWords is "Offer 2 to 1003"; without the agent if the call does not know it.
func (s State) offerWords(o id.Offer) string {
	for _, seg := range s.Segments {
		if seg.Kind == segOffer && seg.Offer == o {
			return fmt.Sprintf("Offer %d to %s", o.N(), partyWords(seg.Agent, s.To))
		}
	}
	return fmt.Sprintf("Offer %d", o.N())
}

func (s State) legWords(l id.Leg) string {
	for _, o := range s.Legs {
		if o.ID == l && (o.Agent != "" || l != CallerLeg) {
			return partyWords(o.Agent, o.Party)
		}
	}
	if l == CallerLeg {
		return "the caller"
	}
	return string(l)
}

// Words says in one English sentence what an event is.
func Words(e Event) string { return State{}.Words(e) }

// Words says in one English sentence what e is to a call in state s, with numbers
// masked: "Offer 2 to 1003 ran out unanswered".
func (s State) Words(e Event) string {
	switch e := e.(type) {
	case HangUp:
		return "User " + e.User + " ends the call"
	case Arrived:
		return "Arrives for " + routeWords(e.Route)
	case Matched:
		return fmt.Sprintf("Offer %d goes to %s", e.Offer.N(), partyWords(e.Agent, s.To))
	case Waiting:
		return "Nobody is free: waits in line"
	case Ringing:
		return s.offerWords(e.Offer) + " rings"
	case RingEnded:
		return s.offerWords(e.Offer) + " " + e.Outcome.words()
	case OfferRefused:
		return s.offerWords(e.Offer) + " can't be taken: " + e.Cause.Words()
	case LegEnded:
		return s.legEndedWords(e)
	case LegHeld:
		return sentence(s.legWords(e.Leg)) + map[bool]string{true: " holds", false: " takes back"}[e.Held] + " the call"
	case NodeLost:
		return fmt.Sprintf("Telephony node %s was lost", e.Node)
	case Done:
		return fmt.Sprintf("Effect %d is done", e.Seq)
	case Failed:
		return fmt.Sprintf("Effect %d failed: %s", e.Seq, e.Error)
	}
	return s.deadlineWords(e)
}

func (s State) deadlineWords(e Event) string {
	switch e := e.(type) {
	case OfferOverdue:
		return s.offerWords(e.Offer) + " ran out, and nobody told its end"
	case WaitedOut:
		return "Waited as long as the queue allows"
	case TalkedOut:
		return "Talked as long as the platform allows"
	case Stuck:
		return "What is still owed is tried again"
	}
	return string(e.Kind())
}

func (s State) legEndedWords(e LegEnded) string {
	who := sentence(s.legWords(e.Leg))
	if e.Remote && (e.Cause == leg.Hangup || e.Cause == leg.Abandoned) {
		return who + " hung up"
	}
	return "The leg of " + s.legWords(e.Leg) + " ended: " + e.Cause.Words()
}

// words is the outcome as the end of a sentence.
func (o Outcome) words() string {
	switch o {
	case RingAnswered:
		return "was answered"
	case RingNoAnswer:
		return "ran out unanswered"
	case RingRejected:
		return "was declined"
	case RingBusy:
		return "found the phone busy"
	case RingUnreachable:
		return "reached no phone"
	case RingRescinded:
		return "was taken back"
	case RingTrunkBusy:
		return "found no line free"
	case RingOverload:
		return "found no capacity"
	}
	return "failed"
}

func routeWords(r Route) string {
	switch r.Kind {
	case ToQueue:
		return "queue " + string(r.Queue.Name)
	case ToAgent:
		return "agent " + string(r.Agent)
	case ToTrunk:
		return "an outside number"
	}
	return "a number that leads nowhere"
}

// Words says in one English sentence what an effect does, with numbers masked.
func (e Effect) Words() string {
	switch {
	case e.Place != nil:
		return fmt.Sprintf("Take the place of %s in %s and look for an agent", clock(e.Place.QueuedAt), e.Place.Queue)
	case e.Ring != nil:
		return fmt.Sprintf("Offer %d: ring %s for %.0f s", e.Ring.Offer.N(), partyWords(e.Ring.Agent, e.Ring.To), e.Ring.Timeout.Seconds())
	case e.Cancel != nil:
		return fmt.Sprintf("Take offer %d back: %s", e.Cancel.Offer.N(), e.Cancel.Cause.Words())
	case e.Treat != nil && e.Treat.With == TreatMusic:
		return "Play music to the caller"
	case e.Treat != nil:
		return "Let the caller hear ringing"
	case e.Drop != nil:
		return fmt.Sprintf("End leg %s: %s", e.Drop.Leg, e.Drop.Cause.Words())
	case e.Tell != nil:
		return e.Tell.words()
	case e.Save != nil:
		return "Save the event " + e.Save.Event
	case e.Close != nil:
		return fmt.Sprintf("Write the record: %s, ended by %s, %s", e.Close.Record.Outcome, byWords(e.Close.Record.EndedBy), e.Close.Record.Cause.Words())
	}
	return "Nothing"
}

func (t Tell) words() string {
	what := fmt.Sprintf("offer %d ended, %s", t.Offer.N(), t.Cause.Words())
	switch t.What {
	case TellOffered:
		what = fmt.Sprintf("offer %d, from %s", t.Offer.N(), leg.Mask(t.From))
	case TellStarted:
		what = t.Class.Words() + " begins"
	case TellEstablished:
		what = "talks with " + leg.Mask(t.From)
	case TellEnded:
		what = "the call ended, " + t.Cause.Words()
	}
	return fmt.Sprintf("Tell %s: %s", t.Agent, what)
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
