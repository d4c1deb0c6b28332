package db

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

// timeline is what a call's time line is made of: the record, and for what that does
// not tell, its events and the decisions about it.
type timeline struct {
	call      record.Call
	events    []eventRow
	decisions []decisionRow
	entries   []record.TimelineEntry
}

type decisionRow struct {
	At       time.Time       `bun:"at"`
	Decision json.RawMessage `bun:"decision,type:jsonb"`
}

// Timeline lists everything that happened to a call, in order: what its record, its
// events and its agents' wrap-ups tell, and the decisions about it. Of a call that has not
// ended it tells what is known by now; that a phone rang is known when the offer is over.
// fault.NotFound if there is no such call.
func (d *DB) Timeline(ctx context.Context, ref call.Ref) ([]record.TimelineEntry, error) {
	var l timeline
	err := d.inTenant(ctx, "read a call's time line", ref.Tenant, func(ctx context.Context, tx bun.Tx) (err error) {
		if l.call, l.events, err = readCall(ctx, tx, ref); err != nil {
			return err
		}
		return tx.NewSelect().Table("decisions").Column("at", "decision").Where("tenant_id = ?", ref.Tenant).
			Where("call = ?", ref.Call).Order("id").Scan(ctx, &l.decisions)
	})
	if err != nil {
		return nil, err
	}
	return l.tell()
}

// order is in which order entries of one moment are told: causes before what follows.
var order = []string{"Initiated", "Queued", "OfferExpired", "OfferRejected", "OfferRescinded", "Decision", "Offered", "Delivered", "Established",
	"Held", "Retrieved", "ConnectionCleared", "Abandoned", "Diverted", "CallCleared", "WrapUpStarted", "WrapUpEnded"}

func (l *timeline) tell() ([]record.TimelineEntry, error) {
	c := l.call
	by, device := dialler(c.View)
	l.add(c.ArrivedAt, "Initiated", detail{From: c.From, To: c.To, Class: c.Class, Direction: c.Direction, Agent: by, Device: device})
	if !c.QueuedAt.IsZero() {
		l.add(c.QueuedAt, "Queued", detail{Queue: c.Queue})
	}
	if err := l.tellDecisions(); err != nil {
		return nil, err
	}
	l.tellOffers()
	if err := l.tellEvents(); err != nil {
		return nil, err
	}
	l.tellEnd()
	slices.SortStableFunc(l.entries, func(a, b record.TimelineEntry) int {
		if !a.At.Equal(b.At) {
			return a.At.Compare(b.At)
		}
		return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
	})
	return l.entries, nil
}

// add adds an entry with its sentence.
func (l *timeline) add(at time.Time, kind string, d detail) {
	data, _ := json.Marshal(d)               // texts and numbers always marshal
	at = at.UTC().Truncate(time.Microsecond) // as the database keeps moments, wherever this one comes from
	l.entries = append(l.entries, record.TimelineEntry{At: at, Kind: kind, Sentence: d.sentence(kind), Detail: data})
}

func (l *timeline) tellDecisions() error {
	offered := map[id.Offer]time.Time{}
	for _, s := range l.call.Offers() {
		offered[s.Offer] = s.From
	}
	for _, d := range l.decisions {
		var decision queue.Decision
		if err := json.Unmarshal(d.Decision, &decision); err != nil {
			return failure("read a decision", err)
		}
		at := d.At.UTC()
		if from, made := offered[decision.Offer]; made && from.Before(at) { // another clock: it was made before the offer
			at = from.UTC().Truncate(time.Microsecond)
		}
		l.entries = append(l.entries, record.TimelineEntry{At: at, Kind: "Decision", Sentence: decision.Reason, Detail: d.Decision})
	}
	return nil
}

// tellOffers tells each offer with what its phones said, and the answer.
func (l *timeline) tellOffers() {
	talks := l.talks()
	for _, s := range l.call.Offers() {
		of := detail{Offer: s.Offer, Agent: s.Agent, Queue: s.Queue}
		if s.Agent == "" {
			of.Party = l.call.To
		}
		l.add(s.From, "Offered", of)
		of.Device = s.Device
		end := s.To
		if s.Outcome == call.RingAnswered && !talks.AnsweredAt.IsZero() {
			end = between(talks.AnsweredAt, s.From, s.To)
		}
		if !s.RangAt.IsZero() {
			l.add(between(s.RangAt, s.From, end), "Delivered", of)
		}
		of.Cause = s.Cause
		if s.SIPCode >= 300 {
			of.SIPCode, of.SIPPhrase = s.SIPCode, phrases[s.SIPCode]
		}
		switch {
		case s.To.IsZero():
		case s.Outcome == call.RingAnswered:
			l.add(end, "Established", detail{Offer: s.Offer, Leg: talks.ID, Agent: s.Agent, Queue: s.Queue, Device: talks.Device, Party: talks.Party})
		case s.Outcome == call.RingNoAnswer:
			l.add(s.To, "OfferExpired", of)
		case s.Outcome == call.RingRescinded, s.Outcome == call.RingTrunkBusy, s.Outcome == call.RingOverload:
			l.add(s.To, "OfferRescinded", of)
		default:
			l.add(s.To, "OfferRejected", of)
		}
	}
}

// talks is the leg that answered.
func (l *timeline) talks() leg.Leg {
	for _, x := range l.call.Legs {
		if x.ID != call.CallerLeg && !x.AnsweredAt.IsZero() {
			return x
		}
	}
	return leg.Leg{}
}

// told are the kinds that the record tells of itself.
var told = []string{"Initiated", "Queued", "Offered", "OfferExpired", "OfferRejected", "OfferRescinded", "Established", "Abandoned", "Diverted", "CallCleared"}

// tellEvents tells what only the events know.
func (l *timeline) tellEvents() error {
	held := map[id.Leg]bool{}
	for _, e := range l.events {
		var v call.View
		if err := json.Unmarshal(e.View, &v); err != nil {
			return failure("read a view", err)
		}
		if slices.Contains(told, e.Kind) {
			continue
		}
		var d detail
		for _, x := range v.Legs {
			if x.Held != held[x.ID] {
				d.Leg, d.Agent, d.Party, d.Device = x.ID, x.Agent, x.Party, x.Device
			}
			held[x.ID] = x.Held
		}
		l.add(e.At, e.Kind, d)
	}
	return nil
}

// tellEnd tells how each leg ended, the call, and what work followed.
func (l *timeline) tellEnd() {
	c := l.call
	for _, x := range c.Legs {
		if !x.EndedAt.IsZero() {
			l.add(x.EndedAt, "ConnectionCleared", detail{Leg: x.ID, Agent: x.Agent, Party: x.Party, Device: x.Device, Cause: x.Cause})
		}
	}
	if c.Phase != call.Ended {
		return
	}
	end := detail{Cause: c.Cause, EndedBy: c.EndedBy}
	if !c.AnsweredAt.IsZero() && !c.EndedAt.IsZero() {
		end.TalkMS = max(c.EndedAt.Sub(c.AnsweredAt), 0).Milliseconds()
	}
	l.add(c.EndedAt, closedKind(call.Record{Outcome: c.Outcome}), end)
	for _, w := range c.WrapUps {
		l.add(w.From, "WrapUpStarted", detail{Agent: w.Agent, Until: stamp(w.Until)})
		if !w.To.IsZero() {
			l.add(w.To, "WrapUpEnded", detail{Agent: w.Agent, WrapUpMS: w.To.Sub(w.From).Milliseconds()})
		}
	}
}

// dialler is which of our agents and devices placed the call, if one did.
func dialler(v call.View) (id.Agent, id.Device) {
	for _, x := range v.Legs {
		if x.ID == call.CallerLeg {
			return x.Agent, x.Device
		}
	}
	return "", ""
}

func between(t, low, high time.Time) time.Time {
	switch {
	case t.Before(low):
		return low
	case !high.IsZero() && t.After(high):
		return high
	}
	return t
}

// wrapsUp reports whether an agent works for a call after it.
func wrapsUp(v agent.View, c id.Call) bool {
	return v.State == agent.WorkingAfterCall && len(v.CallIDs) > 0 && v.CallIDs[0] == c
}
