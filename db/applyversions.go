package db

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// partly are the kinds that show what stands in tables of its own: skills, addresses,
// members, queues. A change of these alone does not touch the thing's row, whose trigger
// counts its version.
var partly = []directory.Kind{directory.Agent, directory.Queue, directory.Trunk, directory.Disposition}

// shownThing is what a thing shows, and its version.
type shownThing struct {
	Name    string `bun:"name"`
	Digest  string `bun:"digest"`
	Version int64  `bun:"version"`
}

// shown reads what the tenant's things of the kinds partly show.
func shown(ctx context.Context, tx bun.Tx, t id.Tenant) (map[directory.Kind]map[string]shownThing, error) {
	all := map[directory.Kind]map[string]shownThing{}
	for _, of := range partly {
		k := kinds[of]
		var rows []shownThing
		if err := tx.NewRaw(`SELECT x.`+k.key+` AS name, md5((`+k.body+`)::text) AS digest, x.version FROM `+k.table+` x WHERE x.tenant_id = ?`, t).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		all[of] = map[string]shownThing{}
		for _, r := range rows {
			all[of][r.Name] = r
		}
	}
	return all, nil
}

// countParts raises the versions of those things that show something else than before
// although their rows are the same: who saw them before must not overwrite them.
func countParts(ctx context.Context, tx bun.Tx, t id.Tenant, before map[directory.Kind]map[string]shownThing) error {
	after, err := shown(ctx, tx, t)
	if err != nil {
		return err
	}
	for _, of := range partly {
		k := kinds[of]
		var changed []string
		for name, now := range after[of] {
			if was, known := before[of][name]; known && was.Version == now.Version && was.Digest != now.Digest {
				changed = append(changed, name)
			}
		}
		if len(changed) == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE `+k.table+` SET updated_at = clock_timestamp() WHERE tenant_id = ? AND `+k.key+` = ANY (?::text[])`,
			t, pgdialect.Array(changed)); err != nil {
			return err
		}
	}
	return nil
}
