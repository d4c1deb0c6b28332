package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	temporallog "go.temporal.io/sdk/log"

	"holdfast/activities"
	"holdfast/db"
	"holdfast/dispatch"
	"holdfast/feed"
	"holdfast/httpapi"
	"holdfast/postbox"
	"holdfast/telephony"
)

// Who satisfies which port.
var (
	_ activities.Phone    = (*telephony.Node)(nil)
	_ activities.Renewed  = (*telephony.Node)(nil)
	_ activities.Journal  = (*db.DB)(nil)
	_ dispatch.Ledger     = (*db.DB)(nil)
	_ dispatch.Directory  = (*db.DB)(nil)
	_ telephony.Handler   = (*dispatch.Dispatcher)(nil)
	_ telephony.Directory = (*db.DB)(nil)
	_ httpapi.Commands    = (*dispatch.Dispatcher)(nil)
	_ httpapi.Reader      = (*db.DB)(nil)
	_ httpapi.Directory   = (*db.DB)(nil)
	_ httpapi.Vault       = (*db.DB)(nil)
	_ httpapi.Logins      = (*db.DB)(nil)
	_ httpapi.Keys        = (*db.DB)(nil)
	_ httpapi.Identities  = (*db.DB)(nil)
	_ httpapi.Feed        = (*feed.Follower)(nil)
	_ feed.Source         = (*db.DB)(nil)

	_ httpapi.Webhooks   = (*db.DB)(nil)
	_ dispatch.Post      = (*db.DB)(nil)
	_ postbox.Outbox     = (*db.DB)(nil)
	_ activities.Postbox = (*postbox.Postbox)(nil)
	_ activities.Keeper  = keeper{}
	_ activities.Attic   = (*db.DB)(nil)
)

// The pauses between two looks whether something is there yet.
const (
	waitPause = 200 * time.Millisecond
	waitMost  = 2 * time.Second
	tellAgain = 15 * time.Second
)

// ground is what every role stands on: the database and Temporal.
type ground struct {
	env       environment
	log       *slog.Logger
	db        *db.DB
	temporal  client.Client
	namespace string
}

// lay opens database and Temporal and waits until both are there, saying so.
func lay(ctx context.Context, e environment, log *slog.Logger) (*ground, error) {
	g, err := layDatabase(ctx, e, log)
	if err != nil {
		return nil, err
	}
	options, err := temporalOptions(log)
	if err != nil {
		g.close()
		return nil, err
	}
	if err := g.dial(ctx, options); err != nil {
		g.close()
		return nil, err
	}
	// The first calls should not wait for connections to open and statements to be
	// prepared; if it can't be done now, they do.
	if err := g.db.Warm(ctx, e.DatabaseConns/2); err != nil {
		log.Info("The database's connections are opened as they are needed.", "err", err)
	}
	return g, nil
}

// layDatabase opens the database only.
func layDatabase(ctx context.Context, e environment, log *slog.Logger) (*ground, error) {
	d, err := openDatabase(e, log)
	if err != nil {
		return nil, err
	}
	g := &ground{env: e, log: log, db: d}
	err = g.await(ctx, "The database at "+hostOf(e.DatabaseURL)+" is not there yet (is it migrated?); waiting for it.", d.Ping)
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func openDatabase(e environment, log *slog.Logger) (*db.DB, error) {
	if e.DatabaseURL == "" {
		return nil, usage("HOLDFAST_DATABASE_URL is not set; %s", howToSet())
	}
	if e.DatabaseConns < 2 {
		return nil, usage("HOLDFAST_DATABASE_CONNS: %d is too few; take 2 or more", e.DatabaseConns)
	}
	return db.New(db.Config{
		URL: e.DatabaseURL, MigrateURL: e.MigrateURL, LiveConns: e.DatabaseConns, RecordsConns: max(2, e.DatabaseConns/2), Log: log,
	})
}

// howToSet says how to name the database: that of `holdfast dev`, where it keeps its data here.
func howToSet() string {
	if _, err := os.Stat(filepath.Join(devFolderName, devVariables)); err == nil {
		return fmt.Sprintf("for the one of holdfast dev: set -a; . %s; set +a", filepath.Join(devFolderName, devVariables))
	}
	return "it names the database: postgres://user:password@host:5432/holdfast"
}

// temporalOptions reads TEMPORAL_* as the SDK does.
func temporalOptions(log *slog.Logger) (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return o, usage("the TEMPORAL_* variables can't be used: %w", err)
	}
	o.Logger = temporallog.NewStructuredLogger(log)
	return o, nil
}

// dial connects with Temporal and waits until the namespace answers.
func (g *ground) dial(ctx context.Context, o client.Options) error {
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	c, err := client.NewLazyClient(o)
	if err != nil {
		return usage("the TEMPORAL_* variables can't be used: %w", err)
	}
	g.temporal, g.namespace = c, o.Namespace
	address := o.HostPort
	if address == "" {
		address = client.DefaultHostPort
	}
	return g.await(ctx, fmt.Sprintf("Temporal at %s with namespace %s is not there yet; waiting for it.", address, o.Namespace), g.checkTemporal)
}

// await runs check until it succeeds or ctx ends; while it fails it says so now and then.
func (g *ground) await(ctx context.Context, message string, check func(context.Context) error) error {
	pause, told := waitPause, time.Time{}
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(try)
		cancel()
		if err == nil {
			if !told.IsZero() {
				g.log.Info("It is there now.")
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(told) > tellAgain {
			told = time.Now()
			g.log.Warn(message, "err", err)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, waitMost)
	}
}

// close gives back what lay opened.
func (g *ground) close() {
	if g.temporal != nil {
		g.temporal.Close()
	}
	if g.db != nil {
		if err := g.db.Close(); err != nil {
			g.log.Warn("The database could not be closed in order.", "err", err)
		}
	}
}

// hostOf is where a database is, without the secrets of its URL.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "?"
	}
	return u.Host
}

// sleep waits for d; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// stopped reports whether err only says that we were asked to stop.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err()))
}
