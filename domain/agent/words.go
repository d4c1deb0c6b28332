package agent

import (
	"fmt"
	"strings"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// clock is a time of day as the sentences have it (UTC).
func clock(at time.Time) string { return at.UTC().Format("15:04:05") }

// Describe says in one English sentence what the agent is doing, with numbers
// masked: "Ready since 10:30:03", "Wrap-up of call c1 until 10:31:10, then Not ready (LUNCH)".
func (s State) Describe() string {
	return s.describe() + s.Pending.words()
}

// words is the pending state as the end of a sentence; nothing if there is none.
func (p *Pending) words() string {
	if p == nil {
		return ""
	}
	return ", then " + Label(p.Status) + inBrackets(p.Reason)
}

func (s State) describe() string {
	switch s.Status {
	case LoggedOff:
		if !s.Left {
			return "Not signed in yet"
		}
		return "Signed out since " + clock(s.Since) + inBrackets(s.Reason)
	case Reserved:
		return fmt.Sprintf("Offered call %s from %s since %s, until %s", s.Offer.Call, leg.Mask(s.Offer.From), clock(s.Since), clock(s.Offer.Deadline))
	case Busy:
		d := fmt.Sprintf("On call %s (%s with %s) since %s", s.Call, s.Class.Words(), leg.Mask(s.CallFrom), clock(s.CallAt))
		if n := len(s.Also); n > 0 {
			d += fmt.Sprintf(" and %d more", n)
		}
		return d
	case WorkingAfterCall:
		return fmt.Sprintf("Wrap-up of call %s until %s", s.Call, clock(s.Until))
	}
	d := Label(s.Status) + " since " + clock(s.Since) + inBrackets(s.Reason)
	if s.Delay != nil {
		d += fmt.Sprintf(", not offered calls until %s: %s", clock(s.Delay.Until), s.Delay.Cause.Words())
	}
	return d
}

// Label is the state as people read it on screen (vocabulary.md).
func Label(st Status) string {
	switch st {
	case LoggedOff:
		return "Signed out"
	case NotReady:
		return "Not ready"
	case Reserved:
		return "Offered"
	case Busy:
		return "On call"
	case WorkingAfterCall:
		return "Wrap-up"
	}
	return string(st)
}

func inBrackets(r Reason) string {
	if r == "" {
		return ""
	}
	return " (" + string(r) + ")"
}

// Words says in one English sentence what an effect does.
func (e Effect) Words() string {
	switch {
	case e.Save != nil && e.Save.Presence.Available:
		return "Save " + Label(e.Save.View.State) + " and look for a waiting call"
	case e.Save != nil && e.Save.View.Delay != nil:
		return "Save " + Label(e.Save.View.State) + ", not offered calls until " + clock(e.Save.View.Delay.Until)
	case e.Save != nil:
		return "Save " + Label(e.Save.View.State) + inBrackets(e.Save.View.Reason) + e.Save.View.Pending.words()
	case e.Verify != nil:
		return fmt.Sprintf("Ask whether call %s still lives", e.Verify.Call)
	case e.Refuse != nil:
		return fmt.Sprintf("Give %s back: %s", offer(e.Refuse.Offer), e.Refuse.Cause.Words())
	}
	return "Nothing"
}

func offer(o id.Offer) string { return fmt.Sprintf("offer %d of call %s", o.N(), o.Call()) }

// Words says in one English sentence what an event is, with numbers masked.
func Words(e Event) string {
	if a, command := actorOf(e); command {
		by := ""
		if a.Forced {
			by = ", by order of " + a.User
		}
		return commandWords(e) + by
	}
	return factWords(e)
}

func commandWords(e Event) string {
	switch e := e.(type) {
	case SignIn:
		return "Signs in by " + orElse(e.Interface, "api")
	case GoReady:
		return "Asks for Ready"
	case GoNotReady:
		return "Asks for Not ready" + inBrackets(e.Reason)
	case CheckIn:
		return "Checks in to " + queueNames(e.Queues)
	case CheckOut:
		return "Checks out of " + queueNames(e.Queues)
	case Bind:
		return fmt.Sprintf("Chooses %d device(s)", len(e.Addresses))
	case WrapUp:
		return "Asks to " + wrapUpVerb(e.Action) + " wrap-up"
	case SignOut:
		return "Signs out" + inBrackets(e.Reason)
	case Touch:
		if e.Gone {
			return fmt.Sprintf("Terminal %s was closed", e.Terminal)
		}
		switch e.Phone {
		case HoldPhone:
			return fmt.Sprintf("Terminal %s asks for the phone", e.Terminal)
		case TakeOverPhone:
			return fmt.Sprintf("Terminal %s takes the phone over", e.Terminal)
		case ReleasePhone:
			return fmt.Sprintf("Terminal %s lets go of the phone", e.Terminal)
		}
		return fmt.Sprintf("Terminal %s shows life", e.Terminal)
	}
	return string(e.Kind())
}

func factWords(e Event) string {
	switch e := e.(type) {
	case Offered:
		return fmt.Sprintf("Is offered call %s from %s", e.Offer.Call, leg.Mask(e.Offer.From))
	case OfferEnded:
		return sentence(offer(e.Offer)) + " ended: " + e.Cause.Words()
	case Established:
		return fmt.Sprintf("Talks with %s in call %s", leg.Mask(e.From), e.Call)
	case CallStarted:
		return fmt.Sprintf("Is on %s %s", e.Class.Words(), e.Call)
	case CallEnded:
		return fmt.Sprintf("Call %s ended: %s", e.Call, orElse(e.Cause.Words(), "it is gone"))
	case DeviceChanged:
		if e.Reachable {
			return fmt.Sprintf("Device %s is reachable", e.Device)
		}
		return fmt.Sprintf("Device %s is not reachable any more", e.Device)
	case ProfileChanged:
		return "The directory's entry changed"
	case DeviceTaken:
		return fmt.Sprintf("Device %s was taken over by agent %s", e.Device, e.By)
	case Done:
		if len(e.Taken) > 0 {
			return fmt.Sprintf("Saved; device %s is in use by agent %s", e.Taken[0].Device, e.Taken[0].By)
		}
		if e.Reserved != nil {
			return fmt.Sprintf("Saved, and matched with call %s from %s", e.Reserved.Call, leg.Mask(e.Reserved.From))
		}
		return fmt.Sprintf("Effect %d is done", e.Seq)
	case Failed:
		return fmt.Sprintf("Effect %d failed: %s", e.Seq, e.Error)
	}
	return deadlineWords(e)
}

func deadlineWords(e Event) string {
	switch e := e.(type) {
	case LeaseExpired:
		return sentence(offer(e.Offer)) + " ran out, and nobody told its end"
	case WrapUpElapsed:
		return fmt.Sprintf("Wrap-up of call %s is over", e.Call)
	case CheckDue:
		return fmt.Sprintf("It is time to ask whether call %s still lives", e.Call)
	case IdleElapsed:
		return "No sign of life from any terminal"
	case TerminalsGone:
		return "No terminal came back in time"
	case LimitElapsed:
		return "Not ready for longer than " + orElse(string(e.Reason), "its reason") + " allows"
	case ShiftEnded:
		return "The shift is over"
	case DelayElapsed:
		return "May be offered calls again"
	case Stuck:
		return "What failed is tried again"
	}
	return string(e.Kind())
}

func queueNames(queues []id.Queue) string {
	if len(queues) == 0 {
		return "all queues"
	}
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = string(q)
	}
	return strings.Join(names, ", ")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
