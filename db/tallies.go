package db

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/account"
)

// tallyRow is a row of login_tallies.
type tallyRow struct {
	bun.BaseModel `bun:"table:login_tallies"`

	Name     string    `bun:"name,pk"`
	Failures int       `bun:"failures"`
	Last     time.Time `bun:"last_at,nullzero"`
	Until    time.Time `bun:"until,nullzero"`
	Good     time.Time `bun:"good_at,nullzero"`
	Expires  time.Time `bun:"expires"`
}

func (r tallyRow) tally() account.Tally {
	return account.Tally{Failures: r.Failures, Last: r.Last, Until: r.Until, Good: r.Good}
}

// tallyPrune is how many expired tallies are removed with each that is written, so that
// their number falls however many there are.
const tallyPrune = 20

// Tallies reads tallies by name; what is not there is not in the answer.
func (d *DB) Tallies(ctx context.Context, names ...string) (map[string]account.Tally, error) {
	all := map[string]account.Tally{}
	err := d.asSystem(ctx, "read tallies of logins", func(ctx context.Context, tx bun.Tx) error {
		var rows []tallyRow
		err := tx.NewSelect().Model(&rows).Where("name = ANY (?)", pgdialect.Array(names)).Where("expires > ?", d.now()).Scan(ctx)
		for _, r := range rows {
			all[r.Name] = r.tally()
		}
		return err
	})
	return all, err
}

// Tally changes tallies in one transaction that nobody else's change comes between.
// change gets what is known of all names and returns those to be written; they are
// forgotten at expires.
func (d *DB) Tally(ctx context.Context, names []string, change func(known map[string]account.Tally) map[string]account.Tally, expires time.Time) error {
	names = slices.Sorted(slices.Values(names)) // one order for all, so that nobody waits in a circle
	return d.asSystem(ctx, "count logins", func(ctx context.Context, tx bun.Tx) error {
		now := d.now()
		if _, err := tx.ExecContext(ctx, `
INSERT INTO login_tallies (name, failures, expires) SELECT n, 0, ? FROM unnest(?::text[]) AS n ORDER BY n ON CONFLICT (name) DO NOTHING`,
			expires, pgdialect.Array(names)); err != nil {
			return err
		}
		var rows []tallyRow
		if err := tx.NewSelect().Model(&rows).Where("name = ANY (?)", pgdialect.Array(names)).OrderExpr("name").For("UPDATE").Scan(ctx); err != nil {
			return err
		}
		known, until := map[string]account.Tally{}, map[string]time.Time{}
		for _, r := range rows {
			if r.Expires.After(now) {
				known[r.Name], until[r.Name] = r.tally(), r.Expires
			}
		}
		for name, t := range change(known) {
			row := tallyRow{Name: name, Failures: t.Failures, Last: t.Last, Until: t.Until, Good: t.Good, Expires: later(expires, until[name])}
			if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `
DELETE FROM login_tallies WHERE name IN (SELECT name FROM login_tallies WHERE expires < ? ORDER BY expires LIMIT ? FOR UPDATE SKIP LOCKED)`, now, tallyPrune)
		return err
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
