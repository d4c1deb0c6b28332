package db_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/cluster"
	"holdfast/db/dbtest"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

func openAnother(t testing.TB, url string) *db.DB {
	t.Helper()
	return dbtest.Open(t, db.Config{URL: url})
}

// With the server dead everything is Unavailable, soon; with the server back
// everything works again, without a restart of ours.
func TestDB_ServerDiesAndComesBack_UnavailableMeanwhile(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "holdfast-faults-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: dir, LoseDataOnPowerFailure: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	d := openAnother(t, c.DSN())
	require.NoError(t, d.Migrate(t.Context()))
	apply(t, d)
	s := call.New(call.Incoming{Tenant: demoTenant, Call: "c1", Node: "node-1", Boot: "b1", From: "1", To: "8000", At: t0})
	s, _, err = s.Step(t0, call.Arrived{Route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support"}}})
	require.NoError(t, err)
	all := map[string]func(context.Context) error{
		"ping":  d.Ping,
		"route": func(ctx context.Context) error { _, err := d.Route(ctx, demoTenant, "8000"); return err },
		"open":  func(ctx context.Context) error { _, _, err := d.Open(ctx, t0, s); return ignoreConflict(err) },
		"profile": func(ctx context.Context) error {
			_, _, err := d.Profile(ctx, agent.Ref{Tenant: demoTenant, Agent: "1001"})
			return err
		},
		"user": func(ctx context.Context) error { _, err := d.User(ctx, demoTenant, "admin"); return err },
		"calls": func(ctx context.Context) error {
			_, _, err := d.Calls(ctx, demoTenant, record.CallQuery{})
			return err
		},
		"tail":  func(ctx context.Context) error { _, _, err := d.Tail(ctx, 0, 10); return err },
		"nodes": func(ctx context.Context) error { _, err := d.CallsOf(ctx, "node-1", "b1"); return err },
	}
	for name, try := range all {
		require.NoError(t, try(t.Context()), name)
	}
	c.Kill()
	_, err = d.Route(t.Context(), demoTenant, "8999")
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	for name, try := range all {
		if name == "route" { // as it was last known
			require.NoError(t, try(t.Context()))
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := try(ctx)
		require.NoError(t, ctx.Err(), "%s took too long", name)
		cancel()
		require.Equal(t, fault.Unavailable, fault.KindOf(err), "%s: %v", name, err)
	}
	require.NoError(t, c.Restart(t.Context()))
	for name, try := range all {
		require.Eventually(t, func() bool { return try(t.Context()) == nil }, 20*time.Second, 20*time.Millisecond, name)
	}
}

func ignoreConflict(err error) error {
	if fault.KindOf(err) == fault.Conflict {
		return nil
	}
	return err
}

func TestDB_CallerGivesUp_IsUnavailable_AndTheConnectionIsUsableAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := w.Open(ctx, t0, w.arriving("support", t0))
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.ErrorIs(t, err, context.Canceled)
	w.open(w.arriving("support", t0))
}

func TestDB_NotMigrated_SaysSo(t *testing.T) {
	t.Parallel()
	d := openAnother(t, dbtest.Empty(t))
	err := d.Ping(t.Context())
	require.Error(t, err)
	require.NoError(t, d.Migrate(t.Context()))
	require.NoError(t, d.Ping(t.Context()))
}

func TestDB_NoTenant_IsOurDefect(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	_, err := d.Presence(t.Context(), "")
	require.Equal(t, fault.Internal, fault.KindOf(err))
	_, err = d.Route(t.Context(), id.Tenant(""), "8000")
	require.Equal(t, fault.Internal, fault.KindOf(err))
}

func TestConfig_IsCheckedInOneSentence(t *testing.T) {
	t.Parallel()
	for _, c := range []db.Config{{}, {URL: "mysql://x"}, {URL: "postgres://x/y", MigrateURL: "nonsense"}, {URL: "postgres://x/y", LiveConns: -1}} {
		_, err := db.New(c)
		require.Equal(t, fault.Invalid, fault.KindOf(err))
		require.NotEmpty(t, fault.Sentence(err))
	}
	d, err := db.New(db.Config{URL: "postgres://nobody@127.0.0.1:1/x"})
	require.NoError(t, err)
	require.Equal(t, fault.Unavailable, fault.KindOf(d.Ping(t.Context())))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
}
