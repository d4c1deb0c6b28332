package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/db"
	"holdfast/domain/fault"
)

func migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", GroupID: "data",
		Long: "Brings the schema of HOLDFAST_DATABASE_URL up to date; repeated, it does nothing more. Waits for a database that is not there yet.",
		RunE: func(c *cobra.Command, _ []string) error {
			e, log, err := prepare(c.ErrOrStderr())
			if err != nil {
				return err
			}
			d, err := openDatabase(e, log)
			if err != nil {
				return err
			}
			g := &ground{env: e, log: log, db: d}
			defer g.close()
			if err := g.migrate(c.Context()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "The schema is up to date.")
			return err
		},
	}
}

// migrate migrates as soon as the database is there. What waiting can't heal ends it.
func (g *ground) migrate(ctx context.Context) error {
	var fatal error
	err := g.await(ctx, "The database at "+hostOf(g.env.DatabaseURL)+" is not there yet; waiting for it.", func(ctx context.Context) error {
		err := migrateOnce(ctx, g.db)
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			fatal = err
			return nil
		}
		return err
	})
	if fatal != nil {
		return fatal
	}
	return err
}

// migrateOnce gives one migration all the time it needs: it is not ended in the middle.
func migrateOnce(ctx context.Context, d *db.DB) error {
	return d.Migrate(context.WithoutCancel(ctx))
}
