package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/domain/id"
)

// flight is one transaction of the live pool. Statements are queued and sent
// together, so that a transaction takes as many round trips as it has decisions
// to make in Go, plus one: its BEGIN travels with the first statements and its
// COMMIT with the last.
type flight struct {
	ctx   context.Context
	conn  *pgxpool.Conn
	batch *pgx.Batch
	begun bool
}

const (
	sqlBegin  = `BEGIN`
	sqlCommit = `COMMIT`
	sqlTenant = `SELECT set_config('holdfast.tenant', $1, true)`

	// rollbackWithin bounds the ROLLBACK after a failure; when it fails as well, the
	// connection is closed, which is the same to the server.
	rollbackWithin = time.Second
	// matchTries is how often a match begins again when its choice was taken by
	// another transaction meanwhile. Each time, somebody else has won.
	matchTries = 20
)

// fly runs fn in one transaction of tenant t and commits what it queued.
func (d *DB) fly(ctx context.Context, t id.Tenant, fn func(*flight) error) error {
	if t == "" {
		return errNoTenant
	}
	conn, err := d.live.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	f := &flight{ctx: ctx, conn: conn, batch: &pgx.Batch{}}
	f.queue(sqlBegin)
	f.queue(sqlTenant, string(t))
	err = fn(f)
	if err == nil {
		f.queue(sqlCommit)
		err = f.send()
	}
	if err != nil && f.begun {
		f.rollback()
	}
	return err
}

// match runs fn like fly, again and again while it loses races for the row that
// it chose.
func (d *DB) match(ctx context.Context, t id.Tenant, fn func(*flight) error) error {
	for try := 1; ; try++ {
		err := d.fly(ctx, t, fn)
		if err == nil || try == matchTries || !lostRace(err) {
			return err
		}
	}
}

// lostRace reports whether the transaction was undone because another one came
// first, so that it may be tried again.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "HF001", // 0005_match.sql
		"40001", "40P01": // serialization failure, deadlock
		return true
	}
	return false
}

// queue adds a statement to what is sent next.
func (f *flight) queue(sql string, args ...any) *pgx.QueuedQuery { return f.batch.Queue(sql, args...) }

// scanOne adds a query of at most one row; found stays false if there is none.
func (f *flight) scanOne(found *bool, into []any, sql string, args ...any) {
	f.queue(sql, args...).Query(func(rows pgx.Rows) error {
		if rows.Next() {
			*found = true
			if err := rows.Scan(into...); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// each adds a query and calls row for every row of its answer.
func (f *flight) each(row func(pgx.Rows) error, sql string, args ...any) {
	f.queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := row(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// affected adds a statement and stores how many rows it changed.
func (f *flight) affected(n *int64, sql string, args ...any) {
	f.queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		*n = tag.RowsAffected()
		return nil
	})
}

// send sends what is queued and waits for all answers: one round trip.
func (f *flight) send() error {
	batch := f.batch
	f.batch = &pgx.Batch{}
	f.begun = true
	return f.conn.SendBatch(f.ctx, batch).Close()
}

func (f *flight) rollback() {
	if f.conn.Conn().PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), rollbackWithin)
	defer cancel()
	if _, err := f.conn.Exec(ctx, `ROLLBACK`, pgx.QueryExecModeSimpleProtocol); err != nil {
		_ = f.conn.Conn().Close(ctx) // closing undoes the transaction as well
	}
}

// prepareLive prepares the statements of the match when a connection is new, so
// that no call waits for its first use.
func prepareLive(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range liveStatements {
		if _, err := conn.Prepare(ctx, sql, sql); err != nil {
			return err
		}
	}
	return nil
}
