package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

// countedPlaces is up to which place in line a caller is told the exact number:
// counting costs what there is to count, and "more than 1000 before you" is no
// better known by its digits.
const countedPlaces = 1000

const (
	// sqlCallForPlace locks the call's row, so that a call is placed or ended, one
	// after the other, and no ended call gets into line. The state says what the machine's
	// ShownFrom does.
	sqlCallForPlace = `
SELECT c.open, c.class, CASE WHEN (c.state ->> 'private')::boolean THEN '` + call.Hidden + `' ELSE c.from_number END, c.data, c.ring_ms, w.offer_n, w.agent, w.targets, w.ring_method
  FROM calls c LEFT JOIN waiting w ON w.tenant_id = $1 AND w.call = $2
 WHERE c.tenant_id = $1 AND c.call = $2
   FOR NO KEY UPDATE OF c`

	sqlWait = `
INSERT INTO waiting (tenant_id, queue, call, priority, queued_at, offer, offer_n, tried,
                     agent, offered_at, targets, ring_method, from_number, class, data, ring_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9, ''), $10, $11, nullif($12, ''), $13, $14, $15, $16)
ON CONFLICT (tenant_id, call) DO UPDATE SET
       queue = excluded.queue, priority = excluded.priority, queued_at = excluded.queued_at,
       offer = excluded.offer, offer_n = excluded.offer_n, tried = excluded.tried,
       agent = excluded.agent, offered_at = excluded.offered_at,
       targets = excluded.targets, ring_method = excluded.ring_method, data = excluded.data`

	// sqlPosition counts the calls before one in line; one that is being offered is
	// about to leave, and isn't counted. (The order is for the planner: see match.go.)
	sqlPosition = `
SELECT (SELECT count(*) FROM (
          SELECT FROM waiting WHERE line = hashtextextended($1 || '/' || $2, 0) AND NOT offered AND priority > $4
             AND tenant_id = $1 AND queue = $2 ORDER BY priority DESC, queued_at LIMIT $6) AS higher)
     + (SELECT count(*) FROM (
          SELECT FROM waiting WHERE line = hashtextextended($1 || '/' || $2, 0) AND NOT offered AND priority = $4 AND queued_at < $5
             AND tenant_id = $1 AND queue = $2 AND call <> $3 ORDER BY priority DESC, queued_at LIMIT $6) AS earlier)`

	// sqlExcluded explains why nobody could be chosen: the members of the queue, in
	// their order, and what keeps them.
	sqlExcluded = `
SELECT m.agent, m.penalty, m.position, p.state, p.view->>'reason', p.view->'pending'->>'state',
       p.offer IS NOT NULL, $2 = ANY (p.queues), p.view->'delay'->>'cause'
  FROM (SELECT * FROM memberships
         WHERE line = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND queue = $2 ORDER BY position LIMIT $3) m
  LEFT JOIN LATERAL (SELECT * FROM presence WHERE tenant_id = $1 AND agent = m.agent LIMIT 1) p ON true`
)

// place is one run of call.Place in a transaction: the lock, the look at the
// agents, the choice, the writes.
type place struct {
	tenant     id.Tenant
	at         time.Time
	caller     caller
	strategy   queue.Strategy
	known      bool // the queue exists
	candidates []candidate
	decision   queue.Decision
	position   int
}

// Place puts a call into line and matches it; see call.Place. A repetition for an
// offer that is out already returns the same match. A call that is not open
// (never was, or has ended) is fault.NotFound.
func (d *DB) Place(ctx context.Context, ref call.Ref, p call.Place) (record.Placed, error) {
	var placed record.Placed
	err := d.match(ctx, ref.Tenant, func(f *flight) error {
		run := place{tenant: ref.Tenant, at: d.now(), caller: callerOf(ref.Call, p)}
		var row placeRow
		f.lockQueues(ref.Tenant, p.Queue)
		row.load(f, ref)
		run.look(f)
		if err := f.send(); err != nil {
			return err
		}
		if !row.found || !row.open {
			return fault.E(fault.NotFound, "place a call", fmt.Errorf("call %s is not open", ref.Call))
		}
		if done, ok := row.answer(run.caller); ok {
			placed = done
			return nil
		}
		run.caller.from, run.caller.class, run.caller.data, run.caller.ring = row.from, row.class, row.data, row.ring
		if err := run.choose(f); err != nil {
			return err
		}
		run.write(f)
		placed = run.placed()
		return nil
	})
	return placed, failure("place a call", err)
}

func callerOf(c id.Call, p call.Place) caller {
	return caller{
		Caller: queue.Caller{Call: c, Queue: p.Queue, QueuedAt: p.QueuedAt, Priority: p.Priority, Offer: p.Offer, Tried: p.Tried},
		number: p.Offer.N(),
	}
}

// placeRow is what the database knows of a call that is to be placed.
type placeRow struct {
	found, open bool
	class       leg.CallClass
	from        string
	data        map[string]string
	ring        time.Duration
	number      *int      // of the offer in line
	agent       *id.Agent // reserved for it
	targets     []leg.Address
	method      *string
}

func (r *placeRow) load(f *flight, ref call.Ref) {
	f.each(func(rows pgx.Rows) error {
		var ringMS int64
		r.found = true
		err := rows.Scan(&r.open, &r.class, &r.from, &r.data, &ringMS, &r.number, &r.agent, &r.targets, &r.method)
		r.ring = time.Duration(ringMS) * time.Millisecond
		return err
	}, sqlCallForPlace, string(ref.Tenant), string(ref.Call))
}

// answer is what an earlier run of this Place, or the agent's side in between,
// has settled already.
func (r *placeRow) answer(c caller) (record.Placed, bool) {
	switch {
	case r.number == nil || *r.number < c.number:
		return record.Placed{}, false
	case *r.number > c.number: // a late repetition: the call is further already
		return record.Placed{Waiting: &call.Waiting{Offer: c.Offer}}, true
	case r.agent == nil:
		return record.Placed{}, false
	}
	method := ""
	if r.method != nil {
		method = *r.method
	}
	return record.Placed{Matched: matched(c.Offer, *r.agent, r.targets, method)}, true
}

// look queues the look at the other side. The queue's lock must be queued before.
func (p *place) look(f *flight) {
	f.scanOne(&p.known, []any{&p.strategy}, sqlStrategy, string(p.tenant), string(p.caller.Queue))
	f.findCandidates(&p.candidates, p.tenant, p.caller.Caller)
}

// choose asks Pick. When it finds nobody, nobody is in a hurry: the reasons are
// looked up, and the place in line.
func (p *place) choose(f *flight) error {
	if !p.known {
		return &fault.Error{Kind: fault.NotFound, Op: "place a call", Code: "no_such_queue",
			Sentence: fmt.Sprintf("there is no queue %q", p.caller.Queue)}
	}
	p.decision = queue.Pick(p.ask(nil))
	if p.decision.Agent != "" {
		return nil
	}
	var excluded []queue.Candidate
	f.findExcluded(&excluded, p.tenant, p.caller.Queue)
	f.findPosition(&p.position, p.tenant, p.caller.Caller)
	if err := f.send(); err != nil {
		return err
	}
	p.decision = queue.Pick(p.ask(excluded))
	if p.decision.Agent != "" {
		return errors.New("an excluded agent was picked") // a defect: it must not be written
	}
	return nil
}

func (p *place) ask(excluded []queue.Candidate) queue.Ask {
	ask := queue.Ask{
		Strategies: map[id.Queue]queue.Strategy{p.caller.Queue: p.strategy},
		Callers:    []queue.Caller{p.caller.Caller},
		Candidates: excluded,
	}
	for _, c := range p.candidates {
		ask.Candidates = append(ask.Candidates, c.Candidate)
	}
	return ask
}

// chosen is the agent of the decision; nil if there is none.
func (p *place) chosen() *candidate {
	for i, c := range p.candidates {
		if c.Agent == p.decision.Agent {
			return &p.candidates[i]
		}
	}
	return nil
}

func (p *place) placed() record.Placed {
	if c := p.chosen(); c != nil {
		return record.Placed{Matched: matched(p.caller.Offer, c.Agent, c.addresses, c.method)}
	}
	return record.Placed{Waiting: &call.Waiting{Position: p.position, Offer: p.caller.Offer}}
}

// write queues the reservation on both rows, and the decision.
func (p *place) write(f *flight) {
	t, c, a := string(p.tenant), p.caller, p.chosen()
	var agent, method string
	var offeredAt *time.Time
	var targets any
	if a != nil {
		agent, method, targets, offeredAt = string(a.Agent), a.method, a.addresses, &p.at
		f.queue(sqlReserve, t, agent, a.version, string(c.Offer), c.offerTo(p.at))
	}
	f.queue(sqlWait, t, string(c.Queue), string(c.Call), c.Priority, c.QueuedAt, string(c.Offer), c.number, texts(c.Tried),
		agent, offeredAt, targets, method, c.from, string(c.class), jsonOrNull(c.data), c.ring.Milliseconds())
	f.decide(p.tenant, c.Caller, p.at, p.decision)
}

func (f *flight) findPosition(into *int, t id.Tenant, c queue.Caller) {
	f.each(func(rows pgx.Rows) error {
		var before int
		err := rows.Scan(&before)
		*into = before + 1
		return err
	}, sqlPosition, string(t), string(c.Queue), string(c.Call), c.Priority, c.QueuedAt, countedPlaces)
}

func (f *flight) findExcluded(into *[]queue.Candidate, t id.Tenant, q id.Queue) {
	f.each(func(rows pgx.Rows) error {
		var state, reason, pending, delay *string
		var checkedIn *bool
		var offered bool
		c := queue.Candidate{Queue: q}
		if err := rows.Scan(&c.Agent, &c.Penalty, &c.Position, &state, &reason, &pending, &offered, &checkedIn, &delay); err != nil {
			return err
		}
		if delay != nil {
			words := "delayed: " + leg.Cause(*delay).Words()
			reason = &words
		}
		c.Excluded = exclusion(state, reason, pending, offered, checkedIn != nil && *checkedIn)
		*into = append(*into, c)
		return nil
	}, sqlExcluded, string(t), string(q), bestOf)
}

// exclusion says in words why a member of the queue can't be offered a call.
func exclusion(state, reason, pending *string, offered, checkedIn bool) string {
	switch {
	case state == nil:
		return "signed out"
	case !checkedIn:
		return "not checked in"
	case offered:
		return "has an offer"
	case pending != nil && *pending != "":
		return *state + ", " + *pending + " is pending"
	case reason != nil && *reason != "":
		return *state + " (" + *reason + ")"
	case *state == "Ready":
		return "no phone of the agent can be reached"
	}
	return *state
}
