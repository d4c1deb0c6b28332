package record

import (
	"time"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Call is a call with all that is kept of it.
type Call struct {
	call.View
	// Kept are its segments as they were written, overlapping; of a call that has not
	// ended, as far as its events tell them.
	Kept    []call.Segment
	Sums    *call.Sums // of an ended call
	WrapUps []WrapUp
}

// Stretches are the call's time in order, without gap or overlap; of a call that has not
// ended, up to now.
func (c Call) Stretches(now time.Time) []call.Segment {
	r := call.Record{ArrivedAt: c.ArrivedAt, AnsweredAt: c.AnsweredAt, EndedAt: c.EndedAt, Segments: c.Kept}
	if c.EndedAt.IsZero() {
		r.EndedAt = now
	}
	s := r.Stretches()
	if c.EndedAt.IsZero() && len(s) > 0 {
		s[len(s)-1].To = time.Time{}
	}
	return s
}

// Offers are the segments in which the call was presented to somebody, each with an
// outcome if it has ended.
func (c Call) Offers() []call.Segment {
	var offers []call.Segment
	for _, s := range c.Kept {
		if s.Kind != "offer" {
			continue
		}
		if s.Outcome == "" && !s.To.IsZero() {
			s.Outcome = call.OutcomeOf(s.Cause)
		}
		offers = append(offers, s)
	}
	return offers
}

// WrapUp is the work of an agent after a call.
type WrapUp struct {
	Agent id.Agent
	From  time.Time
	Until time.Time // when it was to end at the latest
	To    time.Time // zero: it goes on
}

// CallSort is an order of a list of calls.
type CallSort string

// The orders of calls.
const (
	NewestFirst CallSort = "-arrived_at"
	OldestFirst CallSort = "arrived_at"
	LongestTalk CallSort = "-talk_ms" // calls that have ended only
)

// CallQuery filters and pages a list of calls; zero fields don't.
type CallQuery struct {
	Queue id.Queue
	Agent id.Agent
	Phase call.Phase
	Live  *bool
	Since time.Time
	Until time.Time

	From      string // exactly
	To        string // exactly
	Number    string // digits with which From or To ends
	Class     leg.CallClass
	Direction call.Direction
	Outcome   string // of calls that have ended
	Cause     leg.Cause
	Contact   id.Contact

	// Of limits the list to calls in which one of these agents took part, or which are
	// offered to one; nil: to none.
	Of []id.Agent

	Sort   CallSort // empty: NewestFirst
	Limit  int
	Cursor string
}
