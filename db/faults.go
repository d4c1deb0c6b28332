package db

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/domain/fault"
)

// failure turns what went wrong while doing op into a fault of the kind that the
// other side of the border can act on. A fault that is one already stays it.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		if known.Op == "" {
			known.Op = op
		}
		return err
	}
	return fault.E(kindOf(err), op, err)
}

func kindOf(err error) fault.Kind {
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, sql.ErrNoRows) {
		return fault.NotFound
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return kindOfCode(pg.Code)
	}
	if lostConnection(err) {
		return fault.Unavailable
	}
	return fault.Internal
}

// lostConnection reports whether the server could not be asked, or its answer did
// not arrive: whether the transaction was committed is then unknown.
func lostConnection(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect), errors.As(err, &network),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, sql.ErrConnDone), pgconn.SafeToRetry(err), pgconn.Timeout(err):
		return true
	}
	// pgx and its pool say these two by text only.
	return strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}

// kindOfCode maps SQLSTATEs (PostgreSQL, Appendix A).
func kindOfCode(code string) fault.Kind {
	switch code {
	case "23505": // unique_violation
		return fault.Conflict
	case "23502", "23503", "23514", "22001", "22021", "22P02", "22P05": // not null, foreign key, check; unfit values
		return fault.Invalid
	case "HF001", "40001", "40P01": // lost every race; serialization failure; deadlock
		return fault.Unavailable
	case "57014": // query_canceled: a timeout
		return fault.Unavailable
	case "55P03", "25P03", "25006": // lock_not_available, idle in transaction, read-only
		return fault.Unavailable
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58": // connection, resources, operator's intervention, system
		return fault.Unavailable
	}
	return fault.Internal
}
