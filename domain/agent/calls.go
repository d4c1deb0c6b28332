package agent

import (
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// checkEvery is how often a long call is asked whether it still lives, so that an
// agent is not Busy for ever with a call whose end was lost.
const checkEvery = 30 * time.Minute

// maxCall is longer than any call can be (2 h of waiting and 12 h of talk): older
// than that, and silent when asked, it is gone.
const maxCall = 15 * time.Hour

// has reports whether the call is one of the agent's now.
func (s State) has(c id.Call) bool { return slices.Contains(s.calls(), c) }

// known reports whether a fact that call c begins comes too late.
func (s State) known(c id.Call) bool {
	return s.Status == LoggedOff || slices.Contains(s.EndedCalls, c) ||
		s.Status == Busy && s.has(c)
}

// established begins a call whose other party the agent hears. Who was NotReady by
// choice while the call was already on its way is so again afterwards.
func (n *step) established(e Established) {
	if n.known(e.Call) {
		n.late()
		return
	}
	wanted := n.Status == NotReady && e.Class == leg.InboundQueue && !slices.Contains(n.EndedOffers, e.Offer)
	reason := n.Reason
	if e.Offer != "" {
		n.endOffer(e.Offer)
	}
	n.busy(Line{Call: e.Call, Class: e.Class, From: e.From, At: n.at})
	if wanted {
		n.Pending = &Pending{Status: NotReady, Reason: reason, By: system}
	}
	if e.Class == leg.InboundQueue {
		n.Prior, n.PriorReason = Ready, ""
		n.Misses, n.Delays = 0, 0
		n.Taken++
	}
	n.Seen = n.at
}

// callStarted begins a call that the agent dials itself, or that rings it directly.
func (n *step) callStarted(e CallStarted) {
	if n.known(e.Call) {
		n.late()
		return
	}
	n.busy(Line{Call: e.Call, Class: e.Class, From: e.From, At: n.at})
}

// busy takes a call from any state; what was offered meanwhile goes to the next
// agent, what was worked on is worked on afterwards.
func (n *step) busy(l Line) {
	if n.Status == Busy {
		n.Also = append(n.Also, l)
		return
	}
	prior, reason, wrap := n.Status, n.Reason, (*Wrap)(nil)
	if o := n.Offer; o != nil && o.Call == l.Call {
		n.endOffer(o.ID)
	} else if o != nil {
		n.refuse(o.ID, leg.Busy)
	}
	if n.Status == WorkingAfterCall {
		wrap = &Wrap{Call: n.Call, From: n.CallFrom, For: max(n.Until.Sub(n.at), 0)}
	}
	if prior != NotReady {
		prior, reason = Ready, ""
	}
	extended := n.Extended
	n.become(Busy, "")
	n.Call, n.Class, n.CallFrom, n.CallAt = l.Call, l.Class, l.From, l.At
	n.Prior, n.PriorReason, n.Wrap, n.Extended = prior, reason, wrap, extended
	n.CheckAt = n.at.Add(checkEvery)
}

func (n *step) callEnded(e CallEnded) {
	n.answerVerify(e.Call)
	n.EndedCalls = keep(n.EndedCalls, e.Call, kept)
	switch {
	case n.Status == Busy && n.has(e.Call):
		n.hungUp(e)
	case n.Status == Reserved && n.Offer.Call == e.Call:
		n.offerGone(e)
	default:
		n.late()
	}
}

// offerGone ends a call of which the session never heard that it was answered, or
// whose offer's end was lost.
func (n *step) offerGone(e CallEnded) {
	from := n.Offer.From
	n.endOffer(n.Offer.ID)
	if e.Spoke {
		n.Taken++
		n.Misses = 0
	}
	if wrap := n.wrapFor(Line{Call: e.Call, Class: e.Class, From: from}, e.Spoke); wrap != nil {
		n.wrapUp(*wrap)
		return
	}
	n.rest(Ready, "", idle(!e.Spoke))
}

// hungUp ends one of the agent's calls; with the last, wrap-up or rest follows.
func (n *step) hungUp(e CallEnded) {
	line := n.drop(e.Call)
	spoke := e.Spoke || line.Class == leg.InboundQueue // which is Busy only by Established
	if spoke {
		n.Seen = n.at
	}
	if wrap := n.wrapFor(line, spoke); wrap != nil {
		n.Wrap, n.Extended = wrap, 0
	}
	switch {
	case n.Call != "":
		return
	case n.Wrap != nil:
		n.wrapUp(*n.Wrap)
	default:
		n.rest(n.Prior, n.PriorReason, idle(!spoke))
	}
}

// drop removes a call; a further one takes the place of the first.
func (n *step) drop(c id.Call) Line {
	lines := n.lines()
	i := slices.IndexFunc(lines, func(l Line) bool { return l.Call == c })
	gone := lines[i]
	lines = append(slices.Delete(lines, i, i+1), Line{})
	n.Call, n.Class, n.CallFrom, n.CallAt = lines[0].Call, lines[0].Class, lines[0].From, lines[0].At
	n.Also = nil
	if len(lines) > 2 {
		n.Also = lines[1 : len(lines)-1]
	}
	return gone
}

// lines are all calls of a Busy agent.
func (s State) lines() []Line {
	first := Line{Call: s.Call, Class: s.Class, From: s.CallFrom, At: s.CallAt}
	return append([]Line{first}, s.Also...)
}

// wrapFor is the wrap-up that follows a call: only an inbound queue call that the
// agent spoke in (SEED-93, SEED-94), and only if it is configured (SEED-95).
func (s State) wrapFor(l Line, spoke bool) *Wrap {
	if l.Class != leg.InboundQueue || !spoke || s.Profile.WrapUp <= 0 {
		return nil
	}
	return &Wrap{Call: l.Call, From: l.From, For: s.Profile.WrapUp}
}

// wrapUp begins wrap-up, or goes on with it after a call in between.
func (n *step) wrapUp(w Wrap) {
	if w.For <= 0 {
		n.rest(Ready, "", newIdle)
		return
	}
	extended := n.Extended
	n.become(WorkingAfterCall, "")
	n.Call, n.Class, n.CallFrom = w.Call, leg.InboundQueue, w.From
	n.Until, n.Extended = n.at.Add(w.For), extended
}

// changeWrapUp finishes wrap-up early, or makes it longer.
func (n *step) changeWrapUp(e WrapUp) {
	if e.Action == "finish" {
		n.rest(Ready, "", newIdle)
		return
	}
	by := e.By
	if by == 0 {
		by = defaultExtension
	}
	by = min(by, maxExtension-n.Extended)
	n.Until, n.Extended = n.Until.Add(by), n.Extended+by
}

// defaultExtension is by how much wrap-up is extended when nobody says by how much.
const defaultExtension = 30 * time.Second

// wrapUpElapsed makes the agent Ready (SEED-98), or what is pending (SEED-99).
func (n *step) wrapUpElapsed(e WrapUpElapsed) {
	if n.Status != WorkingAfterCall || n.Call != e.Call || n.at.Before(n.Until) {
		n.late()
		return
	}
	n.rest(Ready, "", newIdle)
}

// checkDue asks whether the agent's calls still live. A call that is older than any
// call can be and has not answered since the last time is gone.
func (n *step) checkDue(e CheckDue) {
	if n.Status != Busy || n.Call != e.Call || n.at.Before(n.CheckAt) {
		n.late()
		return
	}
	n.CheckAt = n.at.Add(checkEvery)
	for _, l := range n.lines() {
		if n.asking(l.Call) && n.at.Sub(l.At) >= maxCall {
			n.callEnded(CallEnded{Call: l.Call, Cause: leg.Failed})
			continue
		}
		n.answerVerify(l.Call)
		n.emit(Effect{Verify: &Verify{Call: l.Call}})
	}
}
