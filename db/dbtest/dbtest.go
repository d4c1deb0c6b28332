// Package dbtest gives each test a Postgres database of its own, with the schema
// of package db: a real server, one per test process, and databases that are
// copies of a migrated one, emptied between tests.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/cluster"
)

const template = "holdfast_template"

// server is the test process's cluster; Main stops it.
var server struct {
	once    sync.Once
	running bool // Main is in charge
	dir     string
	cluster *cluster.Cluster
	err     error
	count   atomic.Int64

	lending  sync.Mutex
	returned []string // databases that earlier tests are done with
}

// Main runs the tests of a package that uses New, and stops the server that they
// used. It is called by TestMain: os.Exit(dbtest.Main(m)).
func Main(m *testing.M) int {
	server.running = true
	code := m.Run()
	if server.cluster != nil {
		if err := server.cluster.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if server.dir != "" {
		if err := os.RemoveAll(server.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// New returns an empty, migrated database of the test's own, closed when the test
// ends.
func New(t testing.TB) *db.DB {
	t.Helper()
	return Open(t, db.Config{URL: URL(t)})
}

// Open opens a database, as another process would, and closes it when the test ends.
func Open(t testing.TB, c db.Config) *db.DB {
	t.Helper()
	d, err := db.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// URL lends the test an empty, migrated database of its own and returns its
// address for the superuser.
func URL(t testing.TB) string {
	t.Helper()
	ctx := context.Background()
	c := start(t)
	name, err := borrow(ctx, c)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			return // somebody may want to look at it
		}
		server.lending.Lock()
		defer server.lending.Unlock()
		server.returned = append(server.returned, name)
	})
	return address(t, c, name)
}

// borrow returns a database that an earlier test gave back, emptied, or a new one.
func borrow(ctx context.Context, c *cluster.Cluster) (string, error) {
	server.lending.Lock()
	defer server.lending.Unlock() // also because a template can be copied by one at a time only
	if n := len(server.returned); n > 0 {
		name := server.returned[n-1]
		server.returned = server.returned[:n-1]
		return name, run(ctx, c, name, wipe)
	}
	name := fmt.Sprintf("test_%d", server.count.Add(1))
	return name, run(ctx, c, "postgres", `CREATE DATABASE `+name+` TEMPLATE `+template)
}

// wipe ends what still uses the database and empties its tables. Deleting few rows
// is much faster than truncating as many tables.
const wipe = `
SET session_replication_role = replica; -- no order of foreign keys
DO $$
DECLARE t regclass;
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
  FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
            AND c.relname <> 'schema_migrations' LOOP
    IF pg_relation_size(t) > 1 << 20 THEN EXECUTE format('TRUNCATE %s CASCADE', t);
    ELSE EXECUTE format('DELETE FROM %s', t);
    END IF;
  END LOOP;
END $$`

// Empty makes a database of the test's own that was never migrated, and returns
// its address for the superuser.
func Empty(t testing.TB) string {
	t.Helper()
	c := start(t)
	name := fmt.Sprintf("test_%d", server.count.Add(1))
	require.NoError(t, run(context.Background(), c, "postgres", `CREATE DATABASE `+name))
	return address(t, c, name)
}

// Super opens a connection of the superuser, who sees all tenants: for looking
// behind row-level security.
func Super(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the database is dropped next
	return conn
}

// start starts the server, once per process, and migrates the template.
func start(t testing.TB) *cluster.Cluster {
	t.Helper()
	server.once.Do(func() { server.err = launch() })
	require.NoError(t, server.err)
	return server.cluster
}

func launch() (err error) {
	if !server.running {
		return errors.New("dbtest: call dbtest.Main from TestMain")
	}
	ctx := context.Background()
	if server.dir, err = os.MkdirTemp("", "holdfast-db-"); err != nil {
		return err
	}
	server.cluster, err = cluster.Start(ctx, cluster.Config{
		Dir: server.dir, Database: template,
		LoseDataOnPowerFailure: os.Getenv("HOLDFAST_TEST_FSYNC") == "", // durable when times are measured
	})
	if err != nil {
		return err
	}
	d, err := db.New(db.Config{URL: server.cluster.DSN()})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx), d.Close())
}

// run runs statements in a database as the superuser.
func run(ctx context.Context, c *cluster.Cluster, database, sql string) error {
	u, err := url.Parse(c.DSN())
	if err != nil {
		return err
	}
	u.Path = "/" + database
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, conn.Close(ctx))
}

func address(t testing.TB, c *cluster.Cluster, name string) string {
	t.Helper()
	u, err := url.Parse(c.DSN())
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}
