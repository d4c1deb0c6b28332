package db

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateLock keeps two processes from migrating one database at once; the number
// is arbitrary, and no queue's lock has it: those are hashes of names.
const migrateLock = 0x686f6c6466617374 // "holdfast"

// Migrate brings the schema up to date as the login of Config.MigrateURL, which
// must be allowed to create roles the first time. Repeated, or at the same time in
// several processes, it does nothing more. A migration that was applied with
// another text than this build has is refused: migrations are only ever added.
func (d *DB) Migrate(ctx context.Context) error {
	const op = "migrate the database"
	address := d.config.MigrateURL
	if address == "" {
		address = d.config.URL
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fault.E(fault.Invalid, op, err)
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = "holdfast migrate"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return failure(op, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // releases the lock; there is nothing to lose
	if err := d.migrate(ctx, conn); err != nil {
		return failure(op, err)
	}
	// Connections that could not prepare statements for want of tables try again.
	d.live.Reset()
	return nil
}

func (d *DB) migrate(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrateLock)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
		name text PRIMARY KEY, sum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	applied, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := d.applyMigration(ctx, conn, name, applied[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func appliedMigrations(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, `SELECT name, sum FROM schema_migrations`)
	if err != nil {
		return nil, err
	}
	applied := map[string]string{}
	var name, sum string
	_, err = pgx.ForEachRow(rows, []any{&name, &sum}, func() error {
		applied[name] = sum
		return nil
	})
	return applied, err
}

// applyMigration runs one file in one transaction, unless it was applied.
func (d *DB) applyMigration(ctx context.Context, conn *pgx.Conn, name, applied string) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	sum := hex.EncodeToString(digest[:])
	if applied == sum {
		return nil
	}
	if applied != "" {
		return errors.New("was applied with another text; restore it and add a new migration instead")
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO schema_migrations (name, sum) VALUES ($1, $2)`, name, sum); err != nil {
			return err
		}
		d.log.Info("Applied a migration of the database", "migration", name)
		return nil
	})
}
