package stage

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Line is a call as the records have it.
type Line struct {
	From    string
	Cause   string
	EndedBy string // customer, agent:<number>, system …
	Agent   string // who talked, or was offered it last
	Outcome string // answered, abandoned, diverted
	Offers  int
}

const sqlLines = `SELECT from_number, coalesce(cause, ''), coalesce(ended_by, ''), coalesce(agent, ''), coalesce(outcome, ''), offers FROM calls WHERE tenant_id = $1`

// Booked waits until every call of the tenant has ended, and proves that the records are
// these and no others, in the order in which the calls came: each written once, with the
// end of every leg, with one last event, and with nothing left in line or reserved.
func (ten *Tenant) Booked(want ...Line) {
	ten.t.Helper()
	have := ten.Books(len(want))
	require.Equal(ten.t, want, have, "the records")
}

// Books is Booked for n calls whose ends may differ: it returns what the records say.
func (ten *Tenant) Books(n int) []Line {
	ten.t.Helper()
	sql := ten.stage.SQL(ten.t)
	// A call is on its way to its workflow yet, perhaps: that an early look finds all of
	// them closed must not be the verdict.
	ten.eventually("all calls to end", func(ctx context.Context) (bool, error) {
		var ended int
		err := sql.QueryRow(ctx, `SELECT count(*) FROM calls WHERE tenant_id = $1 AND NOT open`, ten.Domain).Scan(&ended)
		return ended >= n, err
	})
	ctx := ten.Context()
	rows, err := sql.Query(ctx, sqlLines+` ORDER BY arrived_at`, ten.Domain)
	require.NoError(ten.t, err)
	have, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Line])
	require.NoError(ten.t, err)
	for what, query := range map[string]string{
		"calls still open":          `SELECT count(*) FROM calls WHERE tenant_id = $1 AND (open OR ended_at IS NULL OR phase <> 'Ended')`,
		"callers left in line":      `SELECT count(*) FROM waiting WHERE tenant_id = $1`,
		"legs without an end":       `SELECT count(*) FROM legs WHERE tenant_id = $1 AND (ended_at IS NULL OR cause IS NULL)`,
		"calls without a leg":       `SELECT count(*) FROM calls c WHERE tenant_id = $1 AND NOT EXISTS (SELECT FROM legs l WHERE l.tenant_id = $1 AND l.call = c.call)`,
		"calls without segments":    `SELECT count(*) FROM calls c WHERE tenant_id = $1 AND NOT EXISTS (SELECT FROM segments s WHERE s.tenant_id = $1 AND s.call = c.call)`,
		"answers without two legs":  `SELECT count(*) FROM calls c WHERE tenant_id = $1 AND outcome = 'answered' AND (SELECT count(*) FROM legs l WHERE l.tenant_id = $1 AND l.call = c.call AND l.answered_at IS NOT NULL) <> 2`,
		"answers without a moment":  `SELECT count(*) FROM calls WHERE tenant_id = $1 AND (outcome = 'answered') <> (answered_at IS NOT NULL)`,
		"calls without a last word": `SELECT count(*) FROM calls c WHERE tenant_id = $1 AND (SELECT count(*) FROM events e WHERE e.tenant_id = $1 AND e.stream = 'call:' || c.call AND e.kind IN ('CallCleared', 'Abandoned', 'Diverted')) <> 1`,
	} {
		require.Zero(ten.t, ten.count(sql, query), what)
	}
	// An agent's own save frees its row a moment after the call's record is written.
	ten.eventually("no agent to be reserved any more", func(ctx context.Context) (bool, error) {
		var reserved int
		err := sql.QueryRow(ctx, `SELECT count(*) FROM presence WHERE tenant_id = $1 AND offer IS NOT NULL`, ten.Domain).Scan(&reserved)
		return reserved == 0, err
	})
	return have
}

// WaitFree waits until the database would give the agent the next caller: Ready, and
// reserved for nobody; and returns the version of the view that says so. What the event
// stream shows may be of before the last call.
func (a *Agent) WaitFree() (version int64) {
	a.ten.t.Helper()
	a.ten.Until("agent "+a.Number+" to be free", func() bool { version = a.free(); return version > 0 })
	require.Positive(a.ten.t, version, "agent %s should be free: Ready, and reserved for nobody", a.Number)
	return version
}

// free is the version of the view by which the agent is free, or 0; also while the
// database is away.
func (a *Agent) free() (version int64) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := pgx.Connect(ctx, a.ten.stage.Postgres.DSN())
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close(ctx) }()
	err = c.QueryRow(ctx, `SELECT version FROM presence WHERE tenant_id = $1 AND agent = $2 AND state = 'Ready' AND available AND offer IS NULL`,
		a.ten.Domain, a.Number).Scan(&version)
	if err != nil {
		return 0
	}
	return version
}

// SignedOut proves that the database has the agent as signed out: in no state that
// could be offered a call, and a candidate nowhere.
func (a *Agent) SignedOut() {
	a.ten.t.Helper()
	sql := a.ten.stage.SQL(a.ten.t)
	var state string
	var available, reserved bool
	require.NoError(a.ten.t, sql.QueryRow(a.ten.Context(), `SELECT state, available, offer IS NOT NULL FROM presence WHERE tenant_id = $1 AND agent = $2`,
		a.ten.Domain, a.Number).Scan(&state, &available, &reserved))
	require.Equal(a.ten.t, "LoggedOff", state)
	require.False(a.ten.t, available || reserved, "may be offered calls, or is reserved")
	var stands int
	require.NoError(a.ten.t, sql.QueryRow(a.ten.Context(), `SELECT count(*) FROM candidates WHERE tenant_id = $1 AND agent = $2`, a.ten.Domain, a.Number).Scan(&stands))
	require.Zero(a.ten.t, stands, "a candidate")
}

// Record waits until the caller's one call has ended and returns what the records say of it.
func (ten *Tenant) Record(from string) Line {
	ten.t.Helper()
	sql := ten.stage.SQL(ten.t)
	ten.eventually("the call of "+from+" to end", func(ctx context.Context) (bool, error) {
		var ended bool
		err := sql.QueryRow(ctx, `SELECT count(*) > 0 AND bool_and(NOT open) FROM calls WHERE tenant_id = $1 AND from_number = $2`, ten.Domain, from).Scan(&ended)
		return ended, err
	})
	rows, err := sql.Query(ten.Context(), sqlLines+` AND from_number = $2`, ten.Domain, from)
	require.NoError(ten.t, err)
	line, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Line])
	require.NoError(ten.t, err, "the records of %s", from)
	return line
}

func (ten *Tenant) count(sql *pgx.Conn, query string) (n int) {
	ten.t.Helper()
	require.NoError(ten.t, sql.QueryRow(ten.Context(), query, ten.Domain).Scan(&n))
	return n
}

// Until asks again and again until the answer is yes; it returns after Patience all the
// same, for the caller to say what is missing.
func (ten *Tenant) Until(what string, ask func() bool) {
	ten.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for !ask() && ctx.Err() == nil {
		backoff(ctx)
	}
	if ctx.Err() != nil {
		ten.t.Log("in vain: ", what)
	}
}

// eventually asks again and again until the answer is yes, within Patience.
func (ten *Tenant) eventually(what string, ask func(context.Context) (bool, error)) {
	ten.t.Helper()
	ctx := ten.Context()
	for {
		ok, err := ask(ctx)
		require.NoError(ten.t, err, what)
		if ok {
			return
		}
		backoff(ctx)
		require.NoError(ten.t, ctx.Err(), "waited for %s", what)
	}
}

// Lock holds rows of the database, so that a transaction stops in the middle until
// they are released.
type Lock struct {
	ten    *Tenant
	tx     pgx.Tx
	pid    int
	beside *pgx.Conn // who looks from within a transaction always sees the same
}

// The rows that a Lock may hold: what a match, a session's save and a call's end write.
const (
	LineRows     = "waiting"
	PresenceRows = "presence"
	CallRows     = "calls"
)

// Lock holds all rows of this tenant in the table, until Release or the end of the test.
func (ten *Tenant) Lock(table string) *Lock {
	ten.t.Helper()
	l := &Lock{ten: ten, beside: ten.stage.SQL(ten.keep)}
	tx, err := ten.stage.SQL(ten.keep).Begin(ten.Context())
	require.NoError(ten.t, err)
	l.tx = tx
	require.NoError(ten.t, tx.QueryRow(ten.Context(), `SELECT pg_backend_pid()`).Scan(&l.pid))
	tag, err := tx.Exec(ten.Context(), fmt.Sprintf(`SELECT FROM %s WHERE tenant_id = $1 FOR UPDATE`, table), ten.Domain)
	require.NoError(ten.t, err)
	require.NotZero(ten.t, tag.RowsAffected(), "nothing in %s to hold", table)
	return l
}

// WaitHit returns when a transaction stands at the lock.
func (l *Lock) WaitHit() {
	l.ten.t.Helper()
	l.ten.eventually("a transaction to stand at the lock", func(ctx context.Context) (bool, error) {
		var hit bool
		err := l.beside.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)))`, l.pid).Scan(&hit)
		return hit, err
	})
}

// Release lets the rows go; who stood at the lock goes on.
func (l *Lock) Release() {
	l.ten.t.Helper()
	require.NoError(l.ten.t, l.tx.Commit(l.ten.Context()))
}

// Freeze stops Temporal in the middle of what it does, without closing a connection,
// until thaw, which may be called twice, or the end of the test.
func (s *Stage) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	return s.pause(t, s.Temporal.PID())
}

// FreezeNode does so with the node.
func (s *Stage) FreezeNode(t testing.TB) (thaw func()) {
	t.Helper()
	return s.pause(t, s.Node.PID())
}
