// Package db keeps everything that outlives a process: the directory, presence
// and lines, calls, events, audit. It is the only place that knows SQL.
//
// *DB satisfies the ports of its consumers (activities.Journal, dispatch.Ledger,
// telephony.Directory, httpapi.Reader, feed.Source) without knowing them.
//
// Every statement runs in a transaction that names its tenant; row-level security
// does the rest (migrations/0001_accounts.sql). Two pools keep what is urgent
// apart from what is long: the match and the other writes of live calls run as
// pipelined, prepared statements on one (flight.go); directory, lists and records
// run through bun on the other. Errors are of package fault: a failure of the
// connection is Unavailable, what isn't there for this tenant is NotFound.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/fault"
)

const (
	// appRole is the role that every connection takes on, whoever logs in: it owns
	// nothing and is bound by row-level security.
	appRole = "holdfast_app"
	// systemRole is taken on for one transaction by what belongs to no tenant.
	systemRole = "holdfast_system"

	defaultLiveConns    = 16
	defaultRecordsConns = 8

	// statementTimeout and idleTimeout bound how long one statement, or a silent
	// process in the middle of a transaction, can hold locks that calls wait for.
	// Both are many times what the slowest healthy one takes.
	statementTimeout = 10 * time.Second
	idleTimeout      = 10 * time.Second
	// connectTimeout is short: callers wait, and whoever asks retries.
	connectTimeout = 5 * time.Second
)

// Config says which database, and how much of it one process may use.
type Config struct {
	// URL names the database and a login that is a member of the roles
	// holdfast_app and holdfast_system, or is holdfast_app:
	// postgres://user:password@host:port/database.
	URL string
	// MigrateURL is the login that owns the schema and runs Migrate; URL when empty.
	MigrateURL string
	// LiveConns is how many connections serve live calls and sessions, 16 when 0.
	LiveConns int
	// RecordsConns is how many connections serve directory, lists and records, 8 when 0.
	RecordsConns int
	// Now is the clock for what is written without a time of its own; time.Now when nil.
	Now func() time.Time
	// Log gets what an operator wants to know; nil is silent.
	Log *slog.Logger
}

// Validate says what is wrong with c in one sentence.
func (c Config) Validate() error {
	for _, u := range []string{c.URL, c.MigrateURL} {
		if u == "" && u == c.MigrateURL {
			continue
		}
		if parsed, err := url.Parse(u); err != nil || (parsed.Scheme != "postgres" && parsed.Scheme != "postgresql") {
			return &fault.Error{Kind: fault.Invalid, Op: "configure the database", Code: "database_url",
				Sentence: "the database's address must be a URL like postgres://user:password@host:5432/holdfast"}
		}
	}
	if c.URL == "" {
		return &fault.Error{Kind: fault.Invalid, Op: "configure the database", Code: "database_url",
			Sentence: "no address of the database is given"}
	}
	if c.LiveConns < 0 || c.RecordsConns < 0 {
		return &fault.Error{Kind: fault.Invalid, Op: "configure the database", Code: "database_connections",
			Sentence: "the number of database connections must not be negative"}
	}
	return nil
}

// DB is the database of one process. Its methods may be called from any goroutine.
type DB struct {
	config Config
	live   *pgxpool.Pool
	bun    *bun.DB
	now    func() time.Time
	log    *slog.Logger
	hash   func(password string) (string, error) // see hashPassword; tests look on

	routes  routeCache
	logins  loginCache
	nudges  nudges
	settled atomic.Int64 // seq up to which all events are known to be visible: see settle

	life    context.Context // ends with Close
	end     context.CancelFunc
	workers sync.WaitGroup // listener and notifier
	listen  sync.Once
	notify  sync.Once
	closing sync.Once
}

// New prepares a database for use; it connects when it is first needed. The
// schema must have been migrated by then. Close must be called.
func New(c Config) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.LiveConns == 0 {
		c.LiveConns = defaultLiveConns
	}
	if c.RecordsConns == 0 {
		c.RecordsConns = defaultRecordsConns
	}
	d := &DB{config: c, now: c.Now, log: c.Log, hash: hashPassword}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.life, d.end = context.WithCancel(context.Background())
	live, err := livePool(d.life, c)
	if err != nil {
		d.end()
		return nil, fault.E(fault.Invalid, "configure the database", err)
	}
	d.live = live
	records, err := recordsPool(c)
	if err != nil {
		live.Close()
		d.end()
		return nil, fault.E(fault.Invalid, "configure the database", err)
	}
	d.bun = bun.NewDB(records, pgdialect.New())
	return d, nil
}

// livePool is the pool of the match.
func livePool(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(c.LiveConns) // validated, and small
	config.MaxConnIdleTime = 30 * time.Minute
	serve(config.ConnConfig, "holdfast live")
	liveSettings(config.ConnConfig)
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		return errors.Join(speakUTC(ctx, conn), prepareLive(ctx, conn))
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// liveSettings are those of the match. Its plans must not depend on the statistics
// of tables that were empty a minute ago and hold thousands of rows now: generic
// plans, by index, in the index's order.
func liveSettings(c *pgx.ConnConfig) {
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"} {
		c.RuntimeParams[name] = "off"
	}
	c.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	// What we told somebody about is on disk, whatever the server's default.
	c.RuntimeParams["synchronous_commit"] = "on"
}

// recordsPool is bun's. bun writes its arguments into the statement's text, so
// that preparing it would cost a round trip and win nothing.
func recordsPool(c Config) (*sql.DB, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	serve(config, "holdfast records")
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(speakUTC))
	pool.SetMaxOpenConns(c.RecordsConns)
	pool.SetMaxIdleConns(c.RecordsConns)
	pool.SetConnMaxIdleTime(30 * time.Minute)
	return pool, nil
}

// serve sets what all connections that serve tenants have in common.
func serve(c *pgx.ConnConfig, name string) {
	c.ConnectTimeout = connectTimeout
	c.RuntimeParams["role"] = appRole
	c.RuntimeParams["application_name"] = name
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["statement_timeout"] = fmt.Sprint(statementTimeout.Milliseconds())
	c.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(idleTimeout.Milliseconds())
}

// speakUTC makes times come back in UTC, wherever the process runs.
func speakUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// Ping says whether the database can be used now: reachable, and migrated.
func (d *DB) Ping(ctx context.Context) error {
	_, err := d.live.Exec(ctx, `SELECT`)
	return failure("reach the database", err)
}

// Warm opens n connections of the live pool, so that the first calls don't wait
// for connections and plans.
func (d *DB) Warm(ctx context.Context, n int) error {
	n = min(n, d.config.LiveConns)
	held := make([]*pgxpool.Conn, 0, n)
	defer func() {
		for _, c := range held {
			c.Release()
		}
	}()
	for range n {
		c, err := d.live.Acquire(ctx)
		if err != nil {
			return failure("open connections to the database", err)
		}
		held = append(held, c)
	}
	return nil
}

// Close ends what runs in the background and closes all connections; it waits for
// statements in progress. It may be repeated.
func (d *DB) Close() error {
	var err error
	d.closing.Do(func() {
		d.end()
		d.workers.Wait()
		err = d.bun.Close()
		d.live.Close()
	})
	return failure("close the database", err)
}

// errNoTenant is a defect of ours: whose data is meant must always be said.
var errNoTenant = errors.New("no tenant is named")
