package db

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Zone is the tenant's time zone, whose days are meant where days are counted; UTC if it
// has set none. fault.NotFound: there is no such tenant.
func (d *DB) Zone(ctx context.Context, t id.Tenant) (*time.Location, error) {
	const op = "read a tenant's time zone"
	var names []string
	err := d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT coalesce(policies ->> 'time_zone', '') FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &names)
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fault.E(fault.NotFound, op, fmt.Errorf("there is no tenant %s", t))
	}
	zone, err := time.LoadLocation(names[0])
	return zone, fault.E(fault.Internal, op, err)
}
