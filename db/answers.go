package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/record"
)

// Answer fills in what was answered under a's key; fault.NotFound if nothing was, or
// it is forgotten.
func (d *DB) Answer(ctx context.Context, a record.Answer) (record.Answer, error) {
	err := d.inTenant(ctx, "look up an answer", a.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`
SELECT request, answer, expires FROM answers WHERE tenant_id = ? AND user_name = ? AND operation = ? AND key = ? AND expires > ?`,
			a.Tenant, a.User, a.Operation, a.Key, d.now()).Scan(ctx, &a.Request, &a.Body, &a.Expires)
	})
	return a, err
}

// KeepAnswer keeps what was answered until a.Expires. The first answer under a key stays.
func (d *DB) KeepAnswer(ctx context.Context, a record.Answer) error {
	return d.inTenant(ctx, "keep an answer", a.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE tenant_id = ? AND expires < ?`, a.Tenant, d.now()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
INSERT INTO answers (tenant_id, user_name, operation, key, request, answer, expires) VALUES (?, ?, ?, ?, ?, ?::jsonb, ?)
ON CONFLICT DO NOTHING`, a.Tenant, a.User, a.Operation, a.Key, a.Request, string(a.Body), a.Expires)
		return err
	})
}
