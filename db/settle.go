package db

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

const (
	// settlePatience is how long settle waits for writers that hold a seq which is
	// not visible yet; they commit within milliseconds.
	settlePatience = 50 * time.Millisecond
	settlePause    = time.Millisecond

	// sqlHead is the last visible seq and, if that is above a floor, who may hold a
	// lower one: a transaction that writes an event holds this lock from before it
	// takes a seq to its end. (Locks are read as they are when the row is made, which
	// is after the snapshot that the head is seen in.) One that said before that it writes
	// nothing that streams show is nobody to wait for: see sqlUnfollowed.
	sqlHead = `
SELECT coalesce(max(seq), 0) AS head, CASE WHEN max(seq) > ? THEN (
       SELECT array_agg(w.virtualtransaction) FROM (
         SELECT virtualtransaction FROM pg_locks
          WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (locktype = 'relation' AND relation = 'events'::regclass AND mode = 'RowExclusiveLock' OR ` + unfollowed + `)
          GROUP BY virtualtransaction HAVING NOT bool_or(` + unfollowed + `)) w) END AS writers
  FROM events`

	// sqlUnfollowed is said by a transaction before it changes the table of events, if what
	// it writes is shown in no stream: contacts, or nothing because it only deletes. An import
	// of thousands of contacts would hold up everybody's streams else, until its end.
	sqlUnfollowed = `SELECT holdfast_unfollowed()`
	// unfollowed is the lock by which it is said (migration 0018), in its two halves.
	unfollowed = `(locktype = 'advisory' AND classid = 1751 AND objid = 1475154877 AND objsubid = 1)`

	// sqlFirstGap is the first seq that is not visible though lower and higher ones
	// are, from a settled floor (0: none is known) to the head.
	sqlFirstGap = `
SELECT min(seq) FROM (
  SELECT seq + 1 AS seq, lead(seq) OVER (ORDER BY seq) AS next
    FROM (SELECT ?0::bigint AS seq WHERE ?0 >= ?2
          UNION ALL SELECT seq FROM events WHERE seq > greatest(?0, ?2) AND seq <= ?1) AS seen
) AS steps WHERE next IS NOT NULL AND next <> seq`

	// gapWindow is how far below the head a seq can be missing and still appear: a
	// transaction holds one for statementTimeout at most. What is missing further
	// below was rolled back, or removed long ago.
	gapWindow = 10_000
)

// settle returns the highest seq at or below which no event appears any more.
//
// Events get their seq when they are written and are seen when they are committed,
// so one with a lower seq can appear after one with a higher. A seq that is
// missing was either given to a transaction that is still at work, which holds a
// lock on the table then, or will never appear. So: the head is settled when
// nobody writes, or nothing is missing below it, or all who were writing when it
// was looked at have ended. Who writes longer than a moment holds back what is
// above its first missing seq, and nothing else.
func (d *DB) settle(ctx context.Context, tx bun.Tx) (int64, error) {
	floor := d.settled.Load()
	settled, err := settledAbove(ctx, tx, floor)
	if err != nil {
		return 0, err
	}
	for {
		known := d.settled.Load()
		if settled <= known || d.settled.CompareAndSwap(known, settled) {
			return max(settled, known), nil
		}
	}
}

func settledAbove(ctx context.Context, tx bun.Tx, floor int64) (int64, error) {
	head, writers, err := readHead(ctx, tx, floor)
	if err != nil || head <= floor || len(writers) == 0 {
		return max(head, floor), err
	}
	var gap *int64
	if err := tx.NewRaw(sqlFirstGap, floor, head, max(head-gapWindow, 1)).Scan(ctx, &gap); err != nil || gap == nil {
		return head, err
	}
	ended, err := awaitEnd(ctx, tx, writers)
	if !ended {
		return *gap - 1, err
	}
	return head, err
}

func readHead(ctx context.Context, tx bun.Tx, floor int64) (head int64, writers []string, err error) {
	var row struct {
		Head    int64    `bun:"head"`
		Writers []string `bun:"writers,array"`
	}
	err = tx.NewRaw(sqlHead, floor).Scan(ctx, &row)
	return row.Head, row.Writers, err
}

// awaitEnd waits until none of writers is at work any more, or for settlePatience.
func awaitEnd(ctx context.Context, tx bun.Tx, writers []string) (bool, error) {
	until := time.Now().Add(settlePatience)
	for time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(settlePause):
		}
		_, now, err := readHead(ctx, tx, 0)
		if err != nil {
			return false, err
		}
		writers = slices.DeleteFunc(writers, func(w string) bool { return !slices.Contains(now, w) })
		if len(writers) == 0 {
			return true, nil
		}
	}
	return false, nil
}
