package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db/dbtest"
	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// hold runs a statement that locks, until it is released.
func (w *world) hold(sql string) (stood, release func()) {
	w.Helper()
	tx, stood := w.holding(sql)
	return stood, func() { require.NoError(w, tx.Rollback(context.WithoutCancel(w.Context()))) }
}

// holding runs a statement that locks, in a transaction of its own, and returns how to wait
// until somebody stands at the lock.
func (w *world) holding(sql string) (tx pgx.Tx, stood func()) {
	w.Helper()
	holder := dbtest.Super(w.TB, w.url)
	tx, err := holder.BeginTx(w.Context(), pgx.TxOptions{})
	require.NoError(w, err)
	_, err = tx.Exec(w.Context(), sql)
	require.NoError(w, err, sql)
	return tx, func() {
		w.Helper()
		require.Eventually(w, func() bool {
			var hit bool
			w.one(&hit, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))`, int32(holder.PgConn().PID()))
			return hit
		}, 10*time.Second, time.Millisecond, "nobody stands at the lock")
	}
}

// rows counts what a table has of the tenant.
func (w *world) rows(table string) (n int) {
	w.Helper()
	w.one(&n, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, string(w.tenant))
	return n
}

type opened struct {
	state call.State
	err   error
}

// opens opens a call on a goroutine of its own, by a caller who may hang up.
func (w *world) opens(ctx context.Context, s call.State) <-chan opened {
	done := make(chan opened, 1)
	go func() {
		got, _, err := w.Open(ctx, s.ArrivedAt, s)
		done <- opened{got, err}
	}()
	return done
}

func TestOpen_CallerHangsUpWhileItWaitsForItsTurn_NothingIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	stood, release := w.hold(`LOCK TABLE candidates IN ACCESS EXCLUSIVE MODE`)
	caller, hangUp := context.WithCancel(t.Context())
	done := w.opens(caller, w.arriving("support", t0))
	stood()
	hangUp()
	release()
	require.ErrorIs(t, (<-done).err, context.Canceled)
	for _, table := range []string{"calls", "waiting", "decisions"} {
		require.Zero(t, w.rows(table), table)
	}
	require.Equal(t, 1, w.rows("candidates"), "the agent is not taken away from the next caller")
	require.NotNil(t, w.open(w.arriving("support", t0)).Offer)
}

// Once the COMMIT is under way its outcome is waited for: a call of which nobody knows
// whether it is open would have to be looked for.
func TestOpen_CallerHangsUpDuringTheCommit_ItsOutcomeIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	stood, release := w.hold(`SELECT FROM presence FOR UPDATE`)
	caller, hangUp := context.WithCancel(t.Context())
	done := w.opens(caller, w.arriving("support", t0))
	stood()
	hangUp()
	release()
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, call.Offering, got.state.Phase)
}

// Who hung up before it could be placed is in the records, and was never in line.
func TestOpen_CallThatHasEndedAlready_IsWrittenAndStandsNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	s, _, err := w.arriving("support", t0).Step(t0.Add(time.Second), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	require.NoError(t, err)
	s = w.open(s)
	require.Zero(t, w.rows("waiting"))
	require.Equal(t, 1, w.rows("candidates"))
	var kind string
	w.one(&kind, `SELECT string_agg(kind, ' ') FROM events WHERE tenant_id = $1 AND stream = 'call:' || $2`, string(w.tenant), string(s.ID))
	require.Equal(t, "Abandoned", kind)
	require.NoError(t, w.CloseCall(t.Context(), s.Ref(), *s.Outstanding()[0].Close))
	w.one(&kind, `SELECT string_agg(kind, ' ') FROM events WHERE tenant_id = $1 AND stream = 'call:' || $2`, string(w.tenant), string(s.ID))
	require.Equal(t, "Abandoned", kind, "told once")
}
