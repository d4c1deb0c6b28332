package db

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// User reads an account with what its roles permit. fault.NotFound also for an
// unknown tenant. A disabled user is returned as such.
func (d *DB) User(ctx context.Context, t id.Tenant, name id.User) (account.User, error) {
	const op = "read a user"
	if t == "" {
		return account.User{}, fault.E(fault.NotFound, op, fmt.Errorf("there is no user %s", name))
	}
	var row struct {
		DisplayName  string         `bun:"display_name"`
		PasswordHash string         `bun:"password_hash"`
		Roles        []account.Role `bun:"roles,array"`
		Teams        []id.Team      `bun:"teams,array"`
		Disabled     bool           `bun:"disabled"`
		Agent        id.Agent       `bun:"agent"`
	}
	var own account.Roles
	err := d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) (err error) {
		if own, err = tenantRoles(ctx, tx, t); err != nil {
			return err
		}
		return tx.NewSelect().TableExpr("users AS u").
			ColumnExpr("u.display_name, u.password_hash, u.roles, u.teams, u.disabled, coalesce(a.number, '') AS agent").
			Join("LEFT JOIN agents AS a ON a.tenant_id = u.tenant_id AND a.user_name = u.name").
			Where("u.tenant_id = ?", t).Where("u.name = ?", name).Scan(ctx, &row)
	})
	if err != nil {
		return account.User{}, err
	}
	return account.User{
		Tenant: t, Name: name, DisplayName: row.DisplayName, Roles: row.Roles, Permissions: own.Permissions(row.Roles),
		Agent: row.Agent, Teams: row.Teams, Disabled: row.Disabled, PasswordHash: row.PasswordHash,
	}, nil
}
