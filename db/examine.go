package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/fault"
)

// Examination is what an operator wants to know of the database.
type Examination struct {
	Server  string        // version of Postgres, such as "17.6"
	Pending []string      // migrations of this build that were not applied, or with another text
	Skew    time.Duration // how far the database's clock is ahead of ours, half the round trip's time taken off
}

// Examine looks at the database as the login of Config.MigrateURL. It changes
// nothing. fault.Unavailable: the database can't be reached.
func (d *DB) Examine(ctx context.Context) (Examination, error) {
	const op = "examine the database"
	address := d.config.MigrateURL
	if address == "" {
		address = d.config.URL
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return Examination{}, fault.E(fault.Invalid, op, err)
	}
	config.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Examination{}, failure(op, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written
	e, err := d.examine(ctx, conn)
	return e, failure(op, err)
}

func (d *DB) examine(ctx context.Context, conn *pgx.Conn) (e Examination, err error) {
	var migrated bool
	// The first query may prepare; the second one's round trip is measured.
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), to_regclass('schema_migrations') IS NOT NULL`).Scan(&e.Server, &migrated); err != nil {
		return e, err
	}
	var theirs time.Time
	before := d.now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`, pgx.QueryExecModeSimpleProtocol).Scan(&theirs); err != nil {
		return e, err
	}
	after := d.now()
	e.Skew = theirs.Sub(before.Add(after.Sub(before) / 2))
	applied := map[string]string{}
	if migrated {
		if applied, err = appliedMigrations(ctx, conn); err != nil {
			return e, err
		}
	}
	e.Pending, err = pending(applied)
	return e, err
}

// pending lists the migrations of this build that applied does not hold.
func pending(applied map[string]string) ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var missing []string
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		if applied[name] != hex.EncodeToString(sum[:]) {
			missing = append(missing, path.Base(name))
		}
	}
	return missing, nil
}
