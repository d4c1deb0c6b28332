package simulation

import (
	"fmt"
	"slices"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
)

// ledger is the database in small: the rows by which a match is made. Each method
// is one transaction.
type ledger struct {
	strategies map[id.Queue]queue.Strategy
	presence   map[id.Agent]*presence
	waiting    map[id.Call]*place
	closed     map[id.Call]bool
	records    map[id.Call]call.Record
	broken     string // a match that must not be
}

type presence struct {
	agent.Presence
	reserved *agent.Offer
	by       int64 // the version of the agent's own save that reserved it; 0: the call's side did
}

type place struct {
	queue.Caller
	agent id.Agent // reserved for Offer
	from  string
}

func newLedger() *ledger {
	return &ledger{
		strategies: map[id.Queue]queue.Strategy{"support": queue.LongestIdle, "sales": queue.FewestCalls},
		presence:   map[id.Agent]*presence{}, waiting: map[id.Call]*place{},
		closed: map[id.Call]bool{}, records: map[id.Call]call.Record{},
	}
}

// saveAgent is agent.Save: the answer is what the session does not know yet, and
// the match that this transaction made.
func (l *ledger) saveAgent(at time.Time, s agent.Save) (reserved *agent.Offer, match *call.Matched) {
	p := s.Presence
	row := l.presence[p.Agent]
	if row == nil {
		row = &presence{}
		l.presence[p.Agent] = row
	}
	if row.Version >= p.Version {
		return l.unknown(row, p), l.madeBy(row, p)
	}
	row.Presence = p
	if row.reserved != nil && (slices.Contains(p.Release, row.reserved.ID) || l.closed[row.reserved.Call]) {
		row.reserved = nil
	}
	if row.reserved == nil && p.Available {
		if d := queue.Pick(l.askFor(row)); d.Call != "" {
			row.by = p.Version
			return l.reserve(at, row, l.waiting[d.Call])
		}
	}
	return l.unknown(row, p), nil
}

func (l *ledger) unknown(row *presence, p agent.Presence) *agent.Offer {
	if row.reserved == nil || row.reserved.ID == p.Offer || slices.Contains(p.Release, row.reserved.ID) {
		return nil
	}
	return row.reserved
}

// madeBy repeats the match of an earlier run of the same Save.
func (l *ledger) madeBy(row *presence, p agent.Presence) *call.Matched {
	if row.reserved == nil || row.by != p.Version {
		return nil
	}
	if w := l.waiting[row.reserved.Call]; w != nil && w.agent == p.Agent && w.Offer == row.reserved.ID {
		return matched(row, w)
	}
	return nil
}

// askFor asks which waiting call the agent takes.
func (l *ledger) askFor(row *presence) queue.Ask {
	ask := queue.Ask{Strategies: l.strategies}
	for _, m := range row.Queues {
		ask.Candidates = append(ask.Candidates, candidate(row, m))
	}
	for _, w := range l.waiting {
		if w.agent == "" {
			ask.Callers = append(ask.Callers, w.Caller)
		}
	}
	return ask
}

func candidate(row *presence, m agent.Membership) queue.Candidate {
	c := queue.Candidate{Agent: row.Agent, Queue: m.Queue, ReadyAt: row.ReadyAt, Calls: row.Calls, Penalty: m.Penalty}
	switch {
	case !row.Available:
		c.Excluded = "is " + string(row.Status)
	case row.reserved != nil:
		c.Excluded = "is reserved"
	}
	return c
}

func (l *ledger) reserve(at time.Time, row *presence, w *place) (*agent.Offer, *call.Matched) {
	if row.Status != agent.Ready || !row.Available || row.reserved != nil || w.agent != "" {
		l.broken = "agent " + string(row.Agent) + ", who is " + string(row.Status) + " or reserved, was matched with call " + string(w.Call)
	}
	w.agent = row.Agent
	row.reserved = &agent.Offer{
		ID: w.Offer, Call: w.Call, Class: leg.InboundQueue, Queue: w.Queue, From: w.from,
		At: at, Deadline: at.Add(ringTime + call.RingGrace),
	}
	return row.reserved, matched(row, w)
}

func matched(row *presence, w *place) *call.Matched {
	return &call.Matched{Offer: w.Offer, Agent: row.Agent, Targets: row.Addresses, Method: row.Method}
}

// place is call.Place. Its repetition finds the same match.
func (l *ledger) place(at time.Time, c id.Call, from string, p call.Place) call.Event {
	if l.closed[c] {
		return nil
	}
	w := l.waiting[c]
	if w != nil && w.Offer == p.Offer && w.agent != "" {
		return *matched(l.presence[w.agent], w)
	}
	if w != nil && w.Offer.N() > p.Offer.N() {
		return call.Waiting{Offer: p.Offer}
	}
	w = &place{from: from, Caller: queue.Caller{
		Call: c, Queue: p.Queue, QueuedAt: p.QueuedAt, Priority: p.Priority, Offer: p.Offer, Tried: p.Tried,
	}}
	l.waiting[c] = w
	ask := queue.Ask{Strategies: l.strategies, Callers: []queue.Caller{w.Caller}}
	for _, row := range l.presence {
		for _, m := range row.Queues {
			ask.Candidates = append(ask.Candidates, candidate(row, m))
		}
	}
	d := queue.Pick(ask)
	if d.Call == "" {
		return call.Waiting{Offer: p.Offer}
	}
	l.presence[d.Agent].by = 0
	_, m := l.reserve(at, l.presence[d.Agent], w)
	return *m
}

// leave takes a call out of the line.
func (l *ledger) leave(c id.Call) { delete(l.waiting, c) }

func (l *ledger) close(c id.Call, r call.Record) {
	l.leave(c)
	l.closed[c] = true
	l.records[c] = r
	if why := untrue(r); why != "" {
		l.broken = fmt.Sprintf("the record of call %s: %s", c, why)
	}
}

// untrue says what in a record does not add up: its stretches must follow each other from
// its arrival to its end, and its sums be its whole time.
func untrue(r call.Record) string {
	at := r.ArrivedAt.Truncate(time.Millisecond)
	for _, s := range r.Stretches() {
		if !s.From.Equal(at) || !s.To.After(at) {
			return fmt.Sprintf("%s from %s to %s follows on %s", s.Kind, s.From, s.To, at)
		}
		at = s.To
	}
	if end := r.EndedAt.Truncate(time.Millisecond); !at.Equal(end) {
		return fmt.Sprintf("its stretches end at %s, and it at %s", at, end)
	}
	sums := r.Sums()
	if all := at.Sub(r.ArrivedAt.Truncate(time.Millisecond)); sums.Wait+sums.Talk+sums.Hold != all || sums.Ring > sums.Wait {
		return fmt.Sprintf("%+v do not make %s", sums, all)
	}
	if (r.Outcome == call.OutcomeAnswered) != !r.AnsweredAt.IsZero() || r.AnsweredAt.IsZero() && sums.Talk > 0 {
		return "somebody talked, and nobody answered"
	}
	return ""
}
