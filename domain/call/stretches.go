package call

import (
	"slices"
	"time"
)

// segArriving is the kind of a stretch for which nothing was kept: on the way to where
// the number leads.
const segArriving = "arriving"

// Sums is how long an ended call was in what. Its whole time, from its arrival to its
// end, is Wait + Talk + Hold.
type Sums struct {
	Wait time.Duration // until the answer, or the end: in line and while phones rang
	Ring time.Duration // the part of Wait in which it was presented to somebody
	Talk time.Duration // without Hold
	Hold time.Duration // any party held the other
}

// Sums adds the stretches up, in milliseconds.
func (r Record) Sums() Sums {
	var s Sums
	for _, seg := range r.Stretches() {
		d := seg.To.Sub(seg.From)
		switch seg.Kind {
		case segTalk:
			s.Talk += d
		case segHold:
			s.Hold += d
		case segOffer:
			s.Ring += d
			s.Wait += d
		default:
			s.Wait += d
		}
	}
	return s
}

// Stretches cuts an ended call's life, from its arrival to its end, into stretches that
// follow each other without gap or overlap, to the millisecond. Segments as they are kept
// overlap: a call waits while it is offered, and is talked in while it is held. The
// answer is the node's: what the workflow heard of it later moves no boundary. A stretch
// has the cause of its segment only if it ends with it.
func (r Record) Stretches() []Segment {
	spans := r.spans()
	cuts := []time.Time{ms(r.ArrivedAt), ms(r.EndedAt)}
	for _, s := range spans {
		cuts = append(cuts, s.From, s.To)
	}
	slices.SortFunc(cuts, time.Time.Compare)
	cuts = slices.CompactFunc(cuts, time.Time.Equal)
	var out []Segment
	last := -2 // which of the spans the latest stretch is of; -1: none
	for i := range len(cuts) - 1 {
		at := uppermost(spans, cuts[i])
		if at == last {
			out[len(out)-1].To = cuts[i+1]
			continue
		}
		seg := Segment{Kind: segArriving}
		if at >= 0 {
			seg = spans[at]
		}
		seg.From, seg.To, last = cuts[i], cuts[i+1], at
		out = append(out, seg)
	}
	for i, seg := range out {
		if !slices.ContainsFunc(spans, func(s Segment) bool { return s.Kind == seg.Kind && s.To.Equal(seg.To) && s.Cause == seg.Cause }) {
			out[i].Cause = ""
		}
	}
	return out
}

// spans are the segments within the call's time, those before the answer ended by it.
func (r Record) spans() []Segment {
	begin, end := ms(r.ArrivedAt), ms(r.EndedAt)
	answered := within(ms(r.answeredAt()), begin, end)
	spans := make([]Segment, 0, len(r.Segments))
	talked := false
	for _, s := range r.Segments {
		if s.To.IsZero() {
			s.To = end
		}
		s.From, s.To = within(ms(s.From), begin, end), within(ms(s.To), begin, end)
		switch {
		case s.Kind != segTalk && s.Kind != segHold:
			s.From, s.To = within(s.From, begin, answered), within(s.To, begin, answered)
		case s.Kind == segTalk && !talked:
			s.From, talked = answered, true
		default:
			s.From = within(s.From, answered, end)
		}
		if s.To.After(s.From) {
			spans = append(spans, s)
		}
	}
	return spans
}

// answeredAt is when it was answered: the record says so, or else the talk; its end, if
// nobody answered.
func (r Record) answeredAt() time.Time {
	if !r.AnsweredAt.IsZero() {
		return r.AnsweredAt
	}
	for _, s := range r.Segments {
		if s.Kind == segTalk {
			return s.From
		}
	}
	return r.EndedAt
}

// uppermost is which of the spans shows at a moment: being held hides talking, being
// offered hides waiting, and the later one of a kind hides the earlier. -1: none.
func uppermost(spans []Segment, at time.Time) int {
	best := -1
	for i, s := range spans {
		if at.Before(s.From) || !at.Before(s.To) {
			continue
		}
		if best < 0 || slices.Index(layers, s.Kind) >= slices.Index(layers, spans[best].Kind) {
			best = i
		}
	}
	return best
}

// layers are the kinds of segment, the lowest first.
var layers = []string{segWaiting, segOffer, segTalk, segHold}

// ms is a moment to the millisecond, the same whether it is as it was taken or as the
// database keeps it, cut to the microsecond.
func ms(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

func within(t, low, high time.Time) time.Time {
	switch {
	case t.Before(low):
		return low
	case t.After(high):
		return high
	}
	return t
}
