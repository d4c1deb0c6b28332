package db

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
)

// The match has two entries, a call that is put into line (place.go) and an agent
// who becomes available (presence.go). What makes it right:
//
//   - Whoever adds to a side of a queue, a call or an available agent, first takes
//     the queue's advisory lock, in ascending order if there are several, and looks
//     at the other side only then. So of two that fit, the later one sees the earlier.
//   - Whoever takes something away, an agent who is not ready any more or a caller
//     who left, takes no lock: the match's own writes apply only to rows that are
//     still as it saw them (0005_match.sql), else it begins again.
//   - Row locks come after the advisory locks, and among them in one order: call,
//     presence, waiting. So nobody waits in a circle.
//
// What makes it fast: the sides are looked at by index in the queue's own order,
// at most bestOf rows each; BEGIN, lock and look are one round trip, choice and
// COMMIT another. The planner is left no choice, for it plans while tables are
// empty: joins are LATERAL with a LIMIT, from the few to what belongs to each, and
// each look has one index that fits (migrations/0003_live.sql).

// bestOf is how many of each side, per queue, the match looks at. Pick needs one;
// the others are there to explain the choice, and to pass those it must not take.
const bestOf = 16

const (
	sqlLock = `SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k`

	sqlStrategy = `SELECT strategy FROM queues WHERE tenant_id = $1 AND name = $2`

	// sqlCandidates finds the best agents of a queue ($2) who were not tried ($3),
	// and those who were. A queue with random choice begins at a place ($4) in
	// the circle of its agents' hashes, among those of the lowest penalty.
	sqlCandidates = `
WITH q AS (SELECT strategy FROM queues WHERE tenant_id = $1 AND name = $2),
     low AS (SELECT penalty FROM candidates
              WHERE line = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND queue = $2 AND agent <> ALL ($3::text[])
              ORDER BY penalty, rank, tie LIMIT 1),
     found AS (
  (SELECT * FROM candidates
    WHERE line = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND queue = $2 AND agent <> ALL ($3::text[])
      AND (SELECT strategy FROM q) <> 'random'
    ORDER BY penalty, rank, tie LIMIT $5)
  UNION ALL
  (SELECT * FROM candidates
    WHERE line = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND queue = $2 AND agent <> ALL ($3::text[])
      AND (SELECT strategy FROM q) = 'random' AND penalty = (SELECT penalty FROM low) AND rank >= $4
    ORDER BY penalty, rank, tie LIMIT $5)
  UNION ALL
  (SELECT * FROM candidates
    WHERE line = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND queue = $2 AND agent <> ALL ($3::text[])
      AND (SELECT strategy FROM q) = 'random' AND penalty = (SELECT penalty FROM low) AND rank < $4
    ORDER BY penalty, rank, tie LIMIT $5)
  UNION ALL
  (SELECT c.* FROM unnest($3::text[]) AS tried(agent), LATERAL (
      SELECT * FROM candidates WHERE tenant_id = $1 AND agent = tried.agent AND queue = $2 LIMIT 1) c
    LIMIT $5)
)
SELECT f.agent, f.ready_at, f.calls, f.penalty, f.position, f.version, p.addresses, p.ring_method
  FROM found f, LATERAL (
       SELECT addresses, ring_method FROM presence
        WHERE tenant_id = $1 AND agent = f.agent AND offer IS NULL AND available AND version = f.version LIMIT 1) p`

	// sqlCallers finds the first waiting calls of each of an agent's queues.
	sqlCallers = `
SELECT q.name, q.strategy, w.call, w.queued_at, w.priority, w.offer, w.offer_n, w.tried,
       w.from_number, w.class, w.data, w.ring_ms
  FROM unnest($2::text[]) AS mine(name)
  CROSS JOIN LATERAL (SELECT * FROM queues WHERE tenant_id = $1 AND name = mine.name LIMIT 1) q
  LEFT JOIN LATERAL (
       SELECT * FROM waiting
        WHERE line = hashtextextended($1 || '/' || q.name, 0) AND NOT offered AND tenant_id = $1 AND queue = q.name
        ORDER BY priority DESC, queued_at LIMIT $3) w ON true`

	sqlReserve = `SELECT holdfast_reserve($1, $2, $3, $4, $5)`
	sqlTake    = `SELECT holdfast_take($1, $2, $3, $4, $5, $6, $7)`
	sqlDecide  = `INSERT INTO decisions (tenant_id, call, queue, agent, offer, at, decision)
VALUES ($1, $2, $3, nullif($4, ''), nullif($5, ''), $6, $7)`
)

// lockQueues queues the locks of the queues, always in the same order.
func (f *flight) lockQueues(t id.Tenant, queues ...id.Queue) {
	keys := make([]int64, 0, len(queues))
	for _, q := range queues {
		keys = append(keys, lockKey(t, q))
	}
	slices.Sort(keys)
	f.queue(sqlLock, slices.Compact(keys))
}

// lockKey is the advisory lock of a queue. Two queues of the same hash would only
// wait for each other.
func lockKey(t id.Tenant, q id.Queue) int64 {
	h := fnv.New64a()
	h.Write([]byte(string(t) + "\x00" + string(q)))
	return int64(h.Sum64()) // any 64 bits will do
}

// circleRank is a place in the circle of a queue with random choice; agents have
// theirs by holdfast_rank (0005_match.sql).
func circleRank(o id.Offer) int64 {
	h := fnv.New32a()
	h.Write([]byte(o))
	return int64(h.Sum32() & 0x7fffffff)
}

// candidate is an agent who may be offered a call, with what the offer needs.
type candidate struct {
	queue.Candidate
	version   int64
	addresses []leg.Address
	method    string
}

// findCandidates queues the search for agents of queue q.
func (f *flight) findCandidates(into *[]candidate, t id.Tenant, c queue.Caller) {
	*into = nil
	f.each(func(rows pgx.Rows) error {
		found := candidate{Candidate: queue.Candidate{Queue: c.Queue}}
		if err := rows.Scan(&found.Agent, &found.ReadyAt, &found.Calls, &found.Penalty, &found.Position,
			&found.version, &found.addresses, &found.method); err != nil {
			return err
		}
		*into = append(*into, found)
		return nil
	}, sqlCandidates, string(t), string(c.Queue), texts(c.Tried), circleRank(c.Offer), bestOf)
}

// caller is a waiting call, with what the offer needs.
type caller struct {
	queue.Caller
	number int // of its next offer
	from   string
	class  leg.CallClass
	data   map[string]string
	ring   time.Duration
}

// findCallers queues the search for calls that wait in the queues, and for the
// strategies of those queues.
func (f *flight) findCallers(into *[]caller, strategies map[id.Queue]queue.Strategy, t id.Tenant, queues []id.Queue) {
	f.each(func(rows pgx.Rows) error {
		var name id.Queue
		var strategy queue.Strategy
		var w struct {
			call, offer, from, class *string
			queuedAt                 *time.Time
			priority, number         *int
			tried                    []id.Agent
			data                     map[string]string
			ringMS                   *int64
		}
		if err := rows.Scan(&name, &strategy, &w.call, &w.queuedAt, &w.priority, &w.offer, &w.number, &w.tried,
			&w.from, &w.class, &w.data, &w.ringMS); err != nil {
			return err
		}
		strategies[name] = strategy
		if w.call == nil {
			return nil // the queue is empty
		}
		*into = append(*into, caller{
			Caller: queue.Caller{Call: id.Call(*w.call), Queue: name, QueuedAt: *w.queuedAt, Priority: *w.priority,
				Offer: id.Offer(*w.offer), Tried: w.tried},
			number: *w.number, from: *w.from, class: leg.CallClass(*w.class), data: w.data,
			ring: time.Duration(*w.ringMS) * time.Millisecond,
		})
		return nil
	}, sqlCallers, string(t), texts(queues), bestOf)
}

// offerTo is the offer of c as the agent sees it.
func (c caller) offerTo(at time.Time) agent.Offer {
	return agent.Offer{
		ID: c.Offer, Call: c.Call, Class: c.class, Queue: c.Queue, From: c.from, Data: c.data,
		At: at, Deadline: at.Add(c.ring + call.RingGrace),
	}
}

// matched is the fact that tells a call of its match.
func matched(o id.Offer, a id.Agent, addresses []leg.Address, method string) *call.Matched {
	return &call.Matched{Offer: o, Agent: a, Targets: addresses, Method: method}
}

// decide queues the decision's record.
func (f *flight) decide(t id.Tenant, c queue.Caller, at time.Time, decision queue.Decision) {
	f.queue(sqlDecide, string(t), string(c.Call), string(c.Queue), string(decision.Agent), string(decision.Offer), at, decision)
}

// texts makes plain strings of names: what a text[] parameter takes. It is never nil.
func texts[T ~string](names []T) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = string(n)
	}
	return list
}

// stamp is a timestamptz parameter: null for the zero time.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// jsonOrNull is a jsonb parameter: null for an empty map or list.
func jsonOrNull[K comparable, V any](m map[K]V) any {
	if len(m) == 0 {
		return nil
	}
	return m
}
