package db

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

const (
	// removedAtOnce is how many old rows one transaction looks at: it holds its locks, and
	// keeps a processor busy, for some 10 ms.
	removedAtOnce = 1000
	// levelsKept is for how long deleted organizations, divisions and tenants can be
	// restored: no tenant's policy is about them.
	levelsKept = tenancy.DefaultRemovedDays * day
)

// RemoveOld deletes some of what is older than it is to be kept, in a transaction of its
// own, and returns where it stands. It is called again with that as long as there is more.
// What is deleted already, or gone with its tenant, is no error.
func (d *DB) RemoveOld(ctx context.Context, r record.Removal) (record.Removal, error) {
	r.Rows, r.More = 0, false
	op := "remove old " + string(r.Of)
	if r.Tenant == "" {
		err := d.asSystem(ctx, op, func(ctx context.Context, tx bun.Tx) error { return removeOfNobody(ctx, tx, &r, d.now()) })
		return r, err
	}
	err := d.inTenant(ctx, op, r.Tenant, func(ctx context.Context, tx bun.Tx) error {
		// Should it be lost with the server, it is deleted again.
		if err := awaitDisk(ctx, tx, "off"); err != nil {
			return err
		}
		before, err := keptUntil(ctx, tx, r, d.now())
		if err != nil || before.IsZero() {
			return err
		}
		if r.Of == record.KeptEvents {
			return removeEvents(ctx, tx, &r, before)
		}
		return remove(ctx, tx, &r, outworn[r.Of], r.Tenant, before, removedAtOnce)
	})
	return r, err
}

// keptUntil is the time before which a tenant's things of a kind are old; zero: they are
// kept for good, or there is no such tenant any more.
func keptUntil(ctx context.Context, tx bun.Tx, r record.Removal, now time.Time) (time.Time, error) {
	var found []struct {
		Policies tenancy.Policies `bun:"policies,type:jsonb"`
	}
	if err := tx.NewRaw(`SELECT policies FROM tenants WHERE tenant_id = ?`, r.Tenant).Scan(ctx, &found); err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	p := found[0].Policies
	var days int
	switch r.Of {
	case record.KeptEvents:
		days = p.KeepEvents()
	case record.KeptCalls:
		days = p.CallDays
	case record.KeptDecisions:
		days = p.DecisionDays
	case record.KeptBookings:
		days = p.BookingDays
	case record.KeptRemoved:
		days = p.KeepRemoved()
	case record.KeptClientLogs:
		days = p.LogDays()
	default: // these say themselves when they expire
		return now, nil
	}
	if days == 0 {
		return time.Time{}, nil
	}
	return now.Add(-time.Duration(days) * day), nil
}

// outworn are the statements that delete at most ?2 things of tenant ?0 that are from before ?1, and count them.
var outworn = map[record.Kept]string{
	// A call is deleted when it has ended for so long; what is known of the customer's agents
	// goes with it.
	record.KeptCalls: `
WITH old AS (
  SELECT call FROM calls WHERE ledger = hashtextextended(?0, 0) AND tenant_id = ?0 AND NOT open AND arrived_at < ?1 AND coalesce(ended_at, arrived_at) < ?1
   ORDER BY arrived_at LIMIT ?2 FOR UPDATE SKIP LOCKED
), l AS (DELETE FROM legs x USING old WHERE x.tenant_id = ?0 AND x.call = old.call
), s AS (DELETE FROM segments x USING old WHERE x.tenant_id = ?0 AND x.call = old.call
), t AS (DELETE FROM call_agents x USING old WHERE x.tenant_id = ?0 AND x.call = old.call
), n AS (DELETE FROM decisions x USING old WHERE x.tenant_id = ?0 AND x.call = old.call
), a AS (DELETE FROM customer_agents WHERE ctid = ANY (ARRAY(SELECT ctid FROM customer_agents WHERE tenant_id = ?0 AND at < ?1 LIMIT ?2))
), c AS (DELETE FROM calls x USING old WHERE x.tenant_id = ?0 AND x.call = old.call RETURNING x.call)
SELECT count(*) FROM c`,
	record.KeptDecisions: `
WITH c AS (DELETE FROM decisions WHERE id = ANY (ARRAY(SELECT id FROM decisions WHERE tenant_id = ?0 AND at < ?1 LIMIT ?2)) RETURNING id) SELECT count(*) FROM c`,
	record.KeptBookings: `
WITH c AS (DELETE FROM bookings WHERE ctid = ANY (ARRAY(SELECT ctid FROM bookings WHERE tenant_id = ?0 AND ended_at < ?1 LIMIT ?2)) RETURNING call) SELECT count(*) FROM c`,
	record.KeptRemoved: `
WITH c AS (DELETE FROM removed WHERE ctid = ANY (ARRAY(SELECT ctid FROM removed WHERE tenant_id = ?0 AND removed_at <= ?1 LIMIT ?2)) RETURNING name) SELECT count(*) FROM c`,
	record.KeptClientLogs: `
WITH c AS (DELETE FROM client_logs WHERE ctid = ANY (ARRAY(SELECT ctid FROM client_logs WHERE tenant_id = ?0 AND at <= ?1 LIMIT ?2)) RETURNING id) SELECT count(*) FROM c`,
	record.KeptLogins: `
WITH r AS (DELETE FROM revocations WHERE ctid = ANY (ARRAY(SELECT ctid FROM revocations WHERE tenant_id = ?0 AND expires < ?1 LIMIT ?2)) RETURNING login),
     c AS (DELETE FROM logins WHERE ctid = ANY (ARRAY(SELECT ctid FROM logins WHERE tenant_id = ?0 AND expires < ?1 LIMIT ?2)) RETURNING login)
SELECT greatest((SELECT count(*) FROM c), (SELECT count(*) FROM r))`,
	record.KeptAnswers: `
WITH c AS (DELETE FROM answers WHERE ctid = ANY (ARRAY(SELECT ctid FROM answers WHERE tenant_id = ?0 AND expires < ?1 LIMIT ?2)) RETURNING key) SELECT count(*) FROM c`,
}

func remove(ctx context.Context, tx bun.Tx, r *record.Removal, statement string, args ...any) error {
	if err := tx.NewRaw(statement, args...).Scan(ctx, &r.Rows); err != nil {
		return err
	}
	r.More = r.Rows >= removedAtOnce
	return nil
}

func removeOfNobody(ctx context.Context, tx bun.Tx, r *record.Removal, now time.Time) error {
	if r.Of == record.KeptLevels {
		return remove(ctx, tx, r, `
WITH c AS (DELETE FROM removed_levels WHERE (kind, name) IN (SELECT kind, name FROM removed_levels WHERE removed_at <= ? LIMIT ?) RETURNING name) SELECT count(*) FROM c`,
			now.Add(-levelsKept), removedAtOnce)
	}
	return remove(ctx, tx, r, `
WITH c AS (DELETE FROM login_tallies WHERE name IN (SELECT name FROM login_tallies WHERE expires < ? ORDER BY expires LIMIT ? FOR UPDATE SKIP LOCKED) RETURNING name) SELECT count(*) FROM c`,
		now, removedAtOnce)
}

// sqlRemoveEvents deletes what is from before ?3 of the tenant's next ?2 events after ?1. The
// last of an agent's stream stays, by which its versions are counted on; so does what a
// webhook still has to be sent.
const sqlRemoveEvents = `
WITH old AS (
  SELECT seq, stream, version, at FROM events WHERE ledger = hashtextextended(?0, 0) AND tenant_id = ?0 AND seq > ?1 ORDER BY seq LIMIT ?2
), reach AS (
  SELECT min(seq) AS first, max(seq) AS last, count(*) AS n, min(at) AS oldest FROM old
), gone AS (
  DELETE FROM events e USING old o WHERE e.seq = o.seq AND o.at < ?3
     AND (o.stream NOT LIKE 'agent:%' OR EXISTS (SELECT FROM events l WHERE l.tenant_id = ?0 AND l.stream = o.stream AND l.version > o.version))
     AND o.seq NOT IN (SELECT d.seq FROM webhooks w JOIN deliveries d ON d.hook = w.hook, reach
                        WHERE w.tenant_id = ?0 AND d.state = 'pending' AND d.seq BETWEEN reach.first AND reach.last)
  RETURNING e.seq)
SELECT (SELECT count(*) FROM gone) AS rows, coalesce((SELECT max(seq) FROM gone), 0) AS gone, coalesce(last, 0) AS last, n = ?2 AND oldest < ?3 AS more FROM reach`

// removeEvents deletes old events, in the order in which they were written.
func removeEvents(ctx context.Context, tx bun.Tx, r *record.Removal, before time.Time) error {
	// Nobody who follows the log waits for this.
	if _, err := tx.ExecContext(ctx, sqlUnfollowed); err != nil {
		return err
	}
	var done struct {
		Rows int   `bun:"rows"`
		Gone int64 `bun:"gone"`
		Last int64 `bun:"last"`
		More *bool `bun:"more"`
	}
	if err := tx.NewRaw(sqlRemoveEvents, r.Tenant, r.Cursor, removedAtOnce, before).Scan(ctx, &done); err != nil {
		return err
	}
	r.Rows, r.Cursor, r.More = done.Rows, done.Last, done.More != nil && *done.More
	if done.Rows == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO retention (tenant_id, events_gone) VALUES (?, ?)
		ON CONFLICT (tenant_id) DO UPDATE SET events_gone = greatest(retention.events_gone, excluded.events_gone)`, r.Tenant, done.Gone)
	return err
}

// noneGone refuses to go on after an event if some behind it were deleted. It is asked after
// the events were read, so that none is missing unnoticed.
func noneGone(ctx context.Context, tx bun.Tx, t id.Tenant, after int64) error {
	var gone []int64
	if err := tx.NewRaw(`SELECT events_gone FROM retention WHERE tenant_id = ?`, t).Scan(ctx, &gone); err != nil {
		return err
	}
	if len(gone) == 0 || after >= gone[0] {
		return nil
	}
	return &fault.Error{Kind: fault.NotFound, Code: "events_gone", Sentence: fmt.Sprintf("Events after %d were deleted, for their time is over; begin with what is so now.", after)}
}
