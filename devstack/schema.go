package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	v12 "go.temporal.io/server/schema/postgresql/v12"
	"go.temporal.io/server/tools/common/schema"
	"go.temporal.io/server/tools/sql"
)

// PostgresError says that Postgres is out of reach or refuses us.
type PostgresError struct {
	Addr string
	Err  error
}

func (e *PostgresError) Error() string {
	var refused *pgconn.PgError
	if errors.As(e.Err, &refused) {
		return fmt.Sprintf("Postgres at %s refuses us: %s; see --postgres-user and the password", e.Addr, refused.Message)
	}
	cause := e.Err
	var op *net.OpError
	if errors.As(cause, &op) {
		cause = op.Err
	}
	return fmt.Sprintf("Postgres at %s is out of reach: %v; start it, or name another with --postgres-addr", e.Addr, cause)
}

// Unwrap returns the cause.
func (e *PostgresError) Unwrap() error { return e.Err }

// postgresRetry is the pause between two attempts to reach Postgres.
const postgresRetry = 100 * time.Millisecond

// store returns how the server reaches one of the two databases.
func (c Config) store(database string) *config.SQL {
	return &config.SQL{
		PluginName:      postgresql.PluginNamePGX,
		ConnectProtocol: "tcp",
		ConnectAddr:     c.PostgresAddr,
		User:            url.QueryEscape(c.PostgresUser),
		Password:        c.PostgresPassword,
		DatabaseName:    database,
		MaxConns:        c.Connections,
		// As many idle as open: a pool that closes connections pays a new
		// process and a password check for each burst.
		MaxIdleConns:    c.Connections,
		MaxConnLifetime: 12 * time.Hour,
	}
}

func (c Config) url(database string) string {
	u := url.URL{
		Scheme: "postgres", Host: c.PostgresAddr, Path: "/" + database,
		User:     url.UserPassword(c.PostgresUser, c.PostgresPassword),
		RawQuery: "sslmode=disable&application_name=holdfast-devstack",
	}
	return u.String()
}

// prepareDatabases waits for Postgres, creates the two databases when they are
// missing and brings their schemas to the version of this build. It may be
// repeated at any time, also after a death half way. say gets one line when it
// has to wait.
func (c Config) prepareDatabases(ctx context.Context, logger log.Logger, say io.Writer) error {
	conn, err := c.waitForPostgres(ctx, say)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the server forgets us either way
	for _, part := range []struct{ database, schema, version string }{
		{c.Database, "postgresql/v12/temporal", v12.Version},
		{c.VisibilityDatabase, "postgresql/v12/visibility", v12.VisibilityVersion},
	} {
		if err := createDatabase(ctx, conn, part.database); err != nil {
			return err
		}
		if err := updateSchema(c.store(part.database), part.schema, part.version, logger); err != nil {
			return fmt.Errorf("set up the schema of database %s: %w", part.database, err)
		}
	}
	return nil
}

func (c Config) waitForPostgres(ctx context.Context, say io.Writer) (*pgx.Conn, error) {
	deadline := time.Now().Add(c.PostgresWait)
	for said := false; ; said = true {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn, nil
		}
		if !worthWaiting(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return nil, &PostgresError{Addr: c.PostgresAddr, Err: err}
		}
		if !said {
			_, _ = fmt.Fprintf(say, "waiting for Postgres at %s\n", c.PostgresAddr) // telling is best effort
		}
		select {
		case <-ctx.Done():
		case <-time.After(postgresRetry):
		}
	}
}

// worthWaiting tells a server that is not up yet from one that refuses us.
func worthWaiting(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code == "57P03" // cannot_connect_now: starting up or recovering
	}
	var network net.Error
	var op *net.OpError
	return errors.As(err, &op) || errors.As(err, &network)
}

func createDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	var exists bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func updateSchema(store *config.SQL, name, version string, logger log.Logger) error {
	db, err := sql.NewConnection(store, logger)
	if err != nil {
		return err
	}
	defer db.Close()
	current, err := db.ReadSchemaVersion()
	if err == nil && current == version {
		return nil
	}
	if err != nil { // no version table yet
		setup := schema.NewSetupSchemaTask(db, &schema.SetupConfig{InitialVersion: "0.0"}, logger)
		if err := setup.Run(); err != nil {
			return err
		}
	}
	return schema.NewUpdateSchemaTask(db, &schema.UpdateConfig{SchemaName: name}, logger).Run()
}
