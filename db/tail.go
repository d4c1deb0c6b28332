package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/event"
)

// Tail lists the events of all tenants that streams show after seq, oldest first, at most limit, and
// returns the seq to go on from. It is complete: nothing appears later at or below
// a seq that was returned.
func (d *DB) Tail(ctx context.Context, after int64, limit int) ([]event.Event, int64, error) {
	var settled int64
	var rows []eventRow
	err := d.asSystem(ctx, "follow the events", func(ctx context.Context, tx bun.Tx) (err error) {
		settled, err = d.settle(ctx, tx)
		if err != nil || settled <= after {
			return err
		}
		// Each statement sees what is committed when it begins: all that is settled.
		return tx.NewSelect().Model(&rows).Where("seq > ?", after).Where("seq <= ?", settled).Where(shownInStreams).
			Order("seq").Limit(int64(limit)).Scan(ctx)
	})
	switch {
	case err != nil || settled <= after:
		return nil, after, err
	case len(rows) < limit:
		return eventsOf(rows), settled, nil
	}
	return eventsOf(rows), rows[len(rows)-1].Seq, nil
}

// End returns the seq from which Tail shows only what happens from now on.
func (d *DB) End(ctx context.Context) (end int64, err error) {
	err = d.asSystem(ctx, "find the end of the events", func(ctx context.Context, tx bun.Tx) error {
		end, err = d.settle(ctx, tx)
		return err
	})
	return end, err
}
