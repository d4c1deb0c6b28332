package call

import (
	"slices"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// View is what others may see now.
func (s State) View() View {
	v := View{
		Tenant: s.Tenant, ID: s.ID, Class: s.Class, Direction: s.Direction, Phase: s.Phase,
		Queue: s.Route.Queue.Name, From: s.From, To: s.To, Agent: s.agent(), Node: s.Node,
		Legs: slices.Clone(s.Legs), Data: s.Data, Since: s.Since, QueuedAt: s.QueuedAt,
		Cause: s.Cause, Version: s.Version,
		ArrivedAt: s.ArrivedAt, AnsweredAt: s.AnsweredAt, EndedAt: s.EndedAt, EndedBy: s.EndedBy,
	}
	if s.Phase == Ended {
		v.Outcome = s.outcome()
	}
	return v
}

// agent is whom the call is offered to, or who talks or talked.
func (s State) agent() id.Agent {
	if s.Offer != nil {
		return s.Offer.Agent
	}
	for _, seg := range slices.Backward(s.Segments) {
		if seg.Kind == segTalk {
			return seg.Agent
		}
	}
	return ""
}

// record is the call as it is kept for good.
func (s State) record() Record {
	return Record{
		View: s.View(), Segments: slices.Clone(s.Segments), ArrivedAt: s.ArrivedAt, QueuedAt: s.QueuedAt,
		AnsweredAt: s.AnsweredAt, EndedAt: s.EndedAt, Cause: s.Cause, EndedBy: s.EndedBy,
		Offers: s.Offers, Outcome: s.outcome(),
	}
}

// The outcomes of a call. For queue calls Offered = Answered + Abandoned + Diverted;
// what failed by our own fault is none of these.
const (
	OutcomeAnswered  = "answered"
	OutcomeAbandoned = "abandoned" // the caller left, or was lost, before an answer
	OutcomeDiverted  = "diverted"  // the system, or a command, took it out of the queue
	OutcomeFailed    = "failed"    // no route, nobody reachable, a node that died
)

func (s State) outcome() string {
	if !s.AnsweredAt.IsZero() {
		return OutcomeAnswered
	}
	switch s.Cause {
	case leg.Abandoned, leg.Hangup, leg.MediaTimeout, leg.SessionExpiry, leg.AckMissing:
		return OutcomeAbandoned
	case leg.MaxWait, leg.Forced:
		return OutcomeDiverted
	}
	return OutcomeFailed
}

// open begins a segment.
func (n *step) open(seg Segment) {
	seg.From = n.at
	n.Segments = append(n.Segments, seg)
}

// SegmentOffer is the kind of a segment in which the call was offered to an agent.
const SegmentOffer = "offer"

// The kinds of segment.
const (
	segWaiting = "waiting"
	segOffer   = SegmentOffer
	segTalk    = "talk"
	segHold    = "hold"
)

// shut ends the open segments of a kind; "" means of every kind.
func (n *step) shut(kind string, c leg.Cause) {
	for i, seg := range n.Segments {
		if seg.To.IsZero() && (kind == "" || seg.Kind == kind) {
			n.Segments[i].To, n.Segments[i].Cause = n.at, c
		}
	}
}
