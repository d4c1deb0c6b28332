package db

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// neighborRow is a tenant with the levels above it.
type neighborRow struct {
	Tenant       id.Tenant `bun:"tenant_id"`
	Organization string    `bun:"organization"`
	Division     string    `bun:"division"`
	DisplayName  string    `bun:"display_name"`
}

func (r neighborRow) neighbor() directory.Neighbor {
	return directory.Neighbor{Tenant: r.Tenant, Organization: r.Organization, Division: r.Division, DisplayName: r.DisplayName}
}

// neighbor reads a tenant from above; fault.NotFound.
func neighbor(ctx context.Context, tx bun.Tx, t id.Tenant) (directory.Neighbor, error) {
	var rows []neighborRow
	err := tx.NewRaw(`SELECT tenant_id, organization, division, display_name FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &rows)
	if err == nil && len(rows) == 0 {
		err = &fault.Error{Kind: fault.NotFound, Code: "no_such_tenant", Sentence: fmt.Sprintf("There is no tenant %s.", t)}
	}
	if err != nil {
		return directory.Neighbor{}, err
	}
	return rows[0].neighbor(), nil
}

// Neighbor is a tenant as seen from another: how close they are (SEED-37). fault.NotFound.
func (d *DB) Neighbor(ctx context.Context, from, to id.Tenant) (directory.Neighbor, error) {
	var there directory.Neighbor
	err := d.asSystem(ctx, "look at a tenant", func(ctx context.Context, tx bun.Tx) error {
		here, err := neighbor(ctx, tx, from)
		if err != nil {
			return err
		}
		if there, err = neighbor(ctx, tx, to); err != nil {
			return err
		}
		there.Shared = directory.SharedLevel(here, there)
		return nil
	})
	return there, err
}
