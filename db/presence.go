package db

import (
	"context"
	"slices"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

const (
	sqlPresenceForUpdate = `
SELECT version, state = 'LoggedOff', since, offer, offer_detail, offer_by, addresses, ring_method FROM presence
 WHERE tenant_id = $1 AND agent = $2 FOR UPDATE`

	sqlSavePresence = `
INSERT INTO presence (tenant_id, agent, state, since, available, ready_at, queues, addresses, ring_method,
                      offer, offer_detail, offer_by, version, view)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, ''), $11, $12, $13, $14)
ON CONFLICT (tenant_id, agent) DO UPDATE SET
       state = excluded.state, since = excluded.since, available = excluded.available, ready_at = excluded.ready_at,
       queues = excluded.queues, addresses = excluded.addresses, ring_method = excluded.ring_method,
       offer = excluded.offer, offer_detail = excluded.offer_detail, offer_by = excluded.offer_by,
       version = excluded.version, view = excluded.view
 WHERE presence.version < excluded.version OR presence.state = 'LoggedOff'`

	sqlLeaveStand = `DELETE FROM candidates WHERE tenant_id = $1 AND agent = $2`

	// sqlStand makes an agent a candidate in its queues, at the place that each
	// queue's strategy gives it.
	sqlStand = `
INSERT INTO candidates (tenant_id, queue, agent, version, penalty, position, calls, ready_at, rank, tie)
SELECT $1, q.name, $2, $3, mine.penalty, coalesce(m.position, 0), $6::int, $7::timestamptz,
       holdfast_rank(q.strategy, $7::timestamptz, $6::int, coalesce(m.position, 0), $2),
       holdfast_tie(q.strategy, $7::timestamptz, $2)
  FROM unnest($4::text[], $5::int[]) AS mine(name, penalty)
  CROSS JOIN LATERAL (SELECT * FROM queues WHERE tenant_id = $1 AND name = mine.name LIMIT 1) q
  LEFT JOIN LATERAL (SELECT * FROM memberships WHERE tenant_id = $1 AND queue = q.name AND agent = $2 LIMIT 1) m ON true
    ON CONFLICT DO NOTHING`

	// sqlCallEnded reports whether the call of an offer has ended.
	sqlCallEnded = `SELECT NOT open FROM calls WHERE tenant_id = $1 AND call = $2`
)

// SaveAgent writes a session's presence row, view and event and, when the agent is
// available, matches it with the best waiting call of its queues: one transaction.
//
// A save that is not newer than the row writes nothing and answers what the row
// says; so a repetition returns the same match. A row that is reserved for an
// offer which the session doesn't know keeps the reservation: the offer comes back
// as Reserved and nothing else is matched. Only an offer whose call has ended
// already is dropped.
func (d *DB) SaveAgent(ctx context.Context, s agent.Save) (record.Saved, error) {
	var saved record.Saved
	written := false
	if s.Presence.Addresses == nil {
		s.Presence.Addresses = []leg.Address{}
	}
	if s.Presence.ReadyAt.IsZero() {
		s.Presence.ReadyAt = s.View.Since
	}
	err := d.match(ctx, s.Presence.Tenant, func(f *flight) error {
		run := agentSave{Save: s, at: d.now(), strategies: map[id.Queue]queue.Strategy{}}
		written = false
		if err := run.look(f); err != nil {
			return err
		}
		if run.stale() {
			saved = run.repeated()
			return run.rebound(f, &saved)
		}
		if err := run.settleOffer(f); err != nil {
			return err
		}
		if err := run.bind(f); err != nil {
			return err
		}
		run.choose()
		run.write(f)
		saved, written = run.saved(), true
		return nil
	})
	if written && err == nil {
		d.nudge()
	}
	return saved, failure("save an agent's session", err)
}

// agentSave is one run of SaveAgent in a transaction.
type agentSave struct {
	agent.Save
	at         time.Time
	row        presenceRow
	callers    []caller
	strategies map[id.Queue]queue.Strategy
	reserved   *agent.Offer // the row is reserved for this one, and the session doesn't know it
	decision   queue.Decision
	taken      []agent.Taken // devices of the binding that others have
	lost       []record.Lost // … that others had until now
}

// presenceRow is the row before the save.
type presenceRow struct {
	found     bool
	version   int64
	gone      bool // of a session that has ended
	since     time.Time
	offer     *id.Offer
	detail    *agent.Offer
	by        *int64
	addresses []leg.Address
	method    string
}

// stale reports whether the row is as new as this save, or newer. The row of a
// session that has ended stays, so that what is late of it is known as late; only
// a state that began after that end is of the next session.
func (s *agentSave) stale() bool {
	switch {
	case !s.row.found:
		return false
	case s.row.gone && !s.Presence.Gone:
		return !s.View.Since.Truncate(time.Microsecond).After(s.row.since)
	}
	return s.row.version >= s.Presence.Version
}

// queues are the names of the queues that the session is checked in to.
func (s *agentSave) queues() []id.Queue {
	names := make([]id.Queue, 0, len(s.Presence.Queues))
	for _, m := range s.Presence.Queues {
		names = append(names, m.Queue)
	}
	return names
}

// available reports whether this save makes the agent available for a match.
func (s *agentSave) available() bool { return s.Presence.Available && !s.Presence.Gone }

// look locks the agent's queues if it becomes available, then its row, and looks
// at who waits.
func (s *agentSave) look(f *flight) error {
	p := s.Presence
	if s.available() && len(p.Queues) > 0 {
		f.lockQueues(p.Tenant, s.queues()...)
	}
	f.scanOne(&s.row.found, []any{&s.row.version, &s.row.gone, &s.row.since, &s.row.offer, &s.row.detail, &s.row.by, &s.row.addresses, &s.row.method},
		sqlPresenceForUpdate, string(p.Tenant), string(p.Agent))
	if s.available() && len(p.Queues) > 0 {
		f.findCallers(&s.callers, s.strategies, p.Tenant, s.queues())
	}
	return f.send()
}

// unknown is the offer that the row is reserved for and the session doesn't know.
func (s *agentSave) unknown() *agent.Offer {
	o := s.row.offer
	if o == nil || s.row.gone && !s.Presence.Gone || *o == s.Presence.Offer || slices.Contains(s.Presence.Release, *o) {
		return nil
	}
	return s.row.detail
}

// repeated is the answer to a save that is not newer than the row.
func (s *agentSave) repeated() record.Saved {
	saved := record.Saved{Reserved: s.unknown()}
	if by := s.row.by; s.row.offer != nil && by != nil && *by == s.Presence.Version {
		saved.Matched = matched(*s.row.offer, s.Presence.Agent, s.row.addresses, s.row.method)
	}
	return saved
}

// settleOffer decides what becomes of the reservation in the row. The session is
// asked to take what it doesn't know, unless there is nothing left to take.
func (s *agentSave) settleOffer(f *flight) error {
	s.reserved = s.unknown()
	if s.reserved == nil {
		return nil
	}
	var found, ended bool
	f.scanOne(&found, []any{&ended}, sqlCallEnded, string(s.Presence.Tenant), string(s.reserved.Call))
	if err := f.send(); err != nil {
		return err
	}
	if ended {
		s.reserved = nil
	}
	return nil
}

// choose asks Pick which of the waiting calls the agent takes.
func (s *agentSave) choose() {
	if !s.free() || len(s.callers) == 0 {
		return
	}
	ask := queue.Ask{Strategies: s.strategies}
	for _, c := range s.callers {
		ask.Callers = append(ask.Callers, c.Caller)
	}
	for _, m := range s.Presence.Queues {
		ask.Candidates = append(ask.Candidates, queue.Candidate{
			Agent: s.Presence.Agent, Queue: m.Queue, ReadyAt: s.Presence.ReadyAt, Calls: s.Presence.Calls, Penalty: m.Penalty,
		})
	}
	s.decision = queue.Pick(ask)
}

// chosen is the call of the decision; nil if there is none.
func (s *agentSave) chosen() *caller {
	for i, c := range s.callers {
		if c.Call == s.decision.Call && s.decision.Agent != "" {
			return &s.callers[i]
		}
	}
	return nil
}

func (s *agentSave) saved() record.Saved {
	if c := s.chosen(); c != nil {
		offer := c.offerTo(s.at)
		return record.Saved{
			Taken: s.taken, Lost: s.lost, Reserved: &offer,
			Matched: matched(c.Offer, s.Presence.Agent, s.Presence.Addresses, s.Presence.Method),
		}
	}
	return record.Saved{Reserved: s.reserved, Taken: s.taken, Lost: s.lost}
}

// write queues the row with what it is reserved for, the agent's places in its
// queues, the match if there is one, and the event.
func (s *agentSave) write(f *flight) {
	t, a := string(s.Presence.Tenant), string(s.Presence.Agent)
	if c := s.chosen(); c != nil {
		f.queue(sqlTake, t, string(c.Call), c.number, a, s.at, s.Presence.Addresses, s.Presence.Method)
		f.decide(s.Presence.Tenant, c.Caller, s.at, s.decision)
	}
	s.writeRow(f)
	f.queue(sqlLeaveStand, t, a)
	if s.Presence.Gone {
		f.release(t, a)
	}
	if s.free() && s.chosen() == nil {
		s.stand(f)
	}
	f.addAgentEvent(event.Event{
		Tenant: s.Presence.Tenant, Stream: event.AgentStream(s.Presence.Agent), Version: s.View.Version,
		Kind: string(s.View.State), At: s.at,
	}, s.View)
}

// free reports whether the agent may be given a call by this save, or later: it is
// available and the row is reserved for nothing.
func (s *agentSave) free() bool { return s.available() && s.reserved == nil && s.kept() == "" }

// kept is the offer that the session knows and the row keeps.
func (s *agentSave) kept() id.Offer {
	if o := s.row.offer; o != nil && !s.row.gone && *o == s.Presence.Offer && !slices.Contains(s.Presence.Release, *o) {
		return *o
	}
	return ""
}

func (s *agentSave) writeRow(f *flight) {
	p := s.Presence
	var offer id.Offer
	var detail *agent.Offer
	var by *int64
	switch c := s.chosen(); {
	case c != nil:
		made := c.offerTo(s.at)
		offer, detail, by = c.Offer, &made, &p.Version
	case s.reserved != nil || s.kept() != "":
		offer, detail, by = *s.row.offer, s.row.detail, s.row.by
	}
	f.queue(sqlSavePresence, string(p.Tenant), string(p.Agent), string(p.Status), s.View.Since, s.available(), stamp(p.ReadyAt),
		texts(s.queues()), p.Addresses, p.Method, string(offer), detail, by, p.Version, s.View)
}

func (s *agentSave) stand(f *flight) {
	p := s.Presence
	penalties := make([]int, 0, len(p.Queues))
	for _, m := range p.Queues {
		penalties = append(penalties, m.Penalty)
	}
	f.queue(sqlStand, string(p.Tenant), string(p.Agent), p.Version, texts(s.queues()), penalties, p.Calls, p.ReadyAt)
}
