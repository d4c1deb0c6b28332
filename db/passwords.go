package db

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// Passwords is what the tenant asks of passwords, and what is known of a user's; nothing
// is known of a user who is not there. fault.NotFound: there is no such tenant.
func (d *DB) Passwords(ctx context.Context, t id.Tenant, of id.User) (account.Passwords, error) {
	const op = "read the policy of passwords"
	if t == "" {
		return account.Passwords{}, fault.E(fault.NotFound, op, errNoTenant)
	}
	var row struct {
		Policies json.RawMessage `bun:"policies"`
		Hash     string          `bun:"password_hash"`
		History  []string        `bun:"password_history,array"`
		Set      time.Time       `bun:"password_set_at"`
		Off      bool            `bun:"off"`
	}
	err := d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`
SELECT t.policies, coalesce(u.password_hash, '') AS password_hash, coalesce(u.password_history, '{}') AS password_history, u.password_set_at,
       EXISTS (SELECT FROM oidc o WHERE o.tenant_id = t.tenant_id AND NOT o.passwords) AS off
  FROM tenants t LEFT JOIN users u ON u.tenant_id = t.tenant_id AND u.name = ? WHERE t.tenant_id = ?`, of, t).Scan(ctx, &row)
	})
	if err != nil {
		return account.Passwords{}, err
	}
	var policies tenancy.Policies
	if err := json.Unmarshal(row.Policies, &policies); err != nil {
		return account.Passwords{}, fault.E(fault.Internal, op, err)
	}
	return account.Passwords{Policy: policies.Password.Rules(), Hash: row.Hash, History: row.History, Set: row.Set, Off: row.Off}, nil
}

// SetPassword replaces the author's own password: was and is are hashes. All its logins
// end with it. fault.Conflict: it is not that one any more.
func (d *DB) SetPassword(ctx context.Context, by directory.Author, was, is string) error {
	return d.inTenant(ctx, "set a password", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := replaceHash(ctx, tx, by, was, is); err != nil {
			return err
		}
		return appendAudit(ctx, tx, record.AuditEntry{Tenant: by.Tenant, User: by.Name, Action: "user.password", Object: "user:" + string(by.Name),
			Detail: json.RawMessage(`{"secrets_set": ["password_hash"]}`), Source: by.Source, Result: "ok"})
	})
}

// RenewPassword replaces the hash of a password by another one of the same password:
// nobody is signed out, and nothing that people see changes.
func (d *DB) RenewPassword(ctx context.Context, by directory.Author, was, is string) error {
	return d.inTenant(ctx, "renew a password", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT set_config('holdfast.renewing', 'on', true)`); err != nil {
			return err
		}
		return replaceHash(ctx, tx, by, was, is)
	})
}

func replaceHash(ctx context.Context, tx bun.Tx, by directory.Author, was, is string) error {
	res, err := tx.ExecContext(ctx, `UPDATE users SET password_hash = ? WHERE tenant_id = ? AND name = ? AND password_hash = ? AND NOT disabled`, is, by.Tenant, by.Name, was)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return &fault.Error{Kind: fault.Conflict, Code: "password_changed", Sentence: "The password of this account was changed meanwhile.",
		Err: fmt.Errorf("user %s has another password, or is disabled", by.Name)}
}
