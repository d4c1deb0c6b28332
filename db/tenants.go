package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/id"
)

// Tenants lists the domains of all tenants.
func (d *DB) Tenants(ctx context.Context) ([]id.Tenant, error) {
	var tenants []id.Tenant
	err := d.asSystem(ctx, "list tenants", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewSelect().Table("tenants").Column("tenant_id").Order("tenant_id").Scan(ctx, &tenants)
	})
	return tenants, err
}
