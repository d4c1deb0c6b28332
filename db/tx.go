package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/id"
)

// inTenant runs fn in one transaction that sees tenant t and no other, and
// commits it unless fn fails.
func (d *DB) inTenant(ctx context.Context, op string, t id.Tenant, fn func(ctx context.Context, tx bun.Tx) error) error {
	err := d.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := enterTenant(ctx, tx, t); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
	return failure(op, err)
}

// asSystem runs fn in one transaction of the system role, which sees all tenants
// in the few tables that it was granted.
func (d *DB) asSystem(ctx context.Context, op string, fn func(ctx context.Context, tx bun.Tx) error) error {
	err := d.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := takeRole(ctx, tx, systemRole); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
	return failure(op, err)
}

func enterTenant(ctx context.Context, tx bun.Tx, t id.Tenant) error {
	if t == "" {
		return errNoTenant
	}
	_, err := tx.ExecContext(ctx, `SELECT set_config('holdfast.tenant', ?, true)`, string(t))
	return err
}

func takeRole(ctx context.Context, tx bun.Tx, role string) error {
	_, err := tx.ExecContext(ctx, `SET LOCAL ROLE ?`, bun.Ident(role))
	return err
}
