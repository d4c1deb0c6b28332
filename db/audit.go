package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/id"
	"holdfast/domain/record"
)

// auditRow is a row of audit.
type auditRow struct {
	bun.BaseModel `bun:"table:audit"`

	TenantID id.Tenant       `bun:"tenant_id"`
	UserName id.User         `bun:"user_name"`
	At       time.Time       `bun:"at"`
	Action   string          `bun:"action"`
	Object   string          `bun:"object"`
	Detail   json.RawMessage `bun:"detail,type:jsonb,nullzero"`
	Source   string          `bun:"source"`
	Result   string          `bun:"result"`
}

// Audit appends a line to the audit trail (SEED-4). Lines can't be changed.
func (d *DB) Audit(ctx context.Context, a record.AuditEntry) error {
	if a.At.IsZero() {
		a.At = d.now()
	}
	row := auditRow{TenantID: a.Tenant, UserName: a.User, At: a.At, Action: a.Action,
		Object: a.Object, Detail: a.Detail, Source: a.Source, Result: a.Result}
	return d.inTenant(ctx, "write the audit trail", a.Tenant, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
}
