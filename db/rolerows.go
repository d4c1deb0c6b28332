package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// tenantRoles reads the roles that a tenant has made.
func tenantRoles(ctx context.Context, tx bun.Tx, t id.Tenant) (account.Roles, error) {
	var doc tenancy.Document
	doc.Tenant.Domain = t
	err := exportRoles(ctx, tx, &doc)
	return doc.OwnRoles(), err
}

func exportRoles(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name        account.Role         `bun:"name"`
		DisplayName string               `bun:"display_name"`
		Permissions []account.Permission `bun:"permissions,array"`
	}
	err := tx.NewRaw(`SELECT name, display_name, permissions FROM roles WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Roles = append(doc.Roles, tenancy.Role{Name: r.Name, DisplayName: r.DisplayName, Permissions: r.Permissions})
	}
	return err
}

func roleRows(doc tenancy.Document) (rows []statement) {
	for _, r := range doc.Roles {
		permissions := keys(r.Permissions, func(p account.Permission) string { return string(p) })
		rows = append(rows, statement{`
INSERT INTO roles (tenant_id, name, display_name, permissions) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, permissions = excluded.permissions`,
			[]any{doc.Tenant.Domain, r.Name, r.DisplayName, permissions}})
	}
	return rows
}
