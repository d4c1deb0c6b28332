package db

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// goesAlong are the tables whose rows go with a tenant and come back with it, in the order
// in which they can: what nobody but the tenant itself needs, and its last user.
var goesAlong = []string{"teams", "roles", "users", "reasons", "skills", "dispositions", "tariffs", "music", "removed", "retention"}

// levelUsers lists what keeps a level from being deleted: divisions in an organization,
// tenants in a division, and what a tenant holds; see UsedBy.
func (d *DB) levelUsers(ctx context.Context, by directory.Author, of directory.Ref) (list []directory.Ref, err error) {
	err = d.asSystem(ctx, "list what uses a level", func(ctx context.Context, tx bun.Tx) error {
		r, _, err := readLevel(ctx, tx, by, of)
		if err != nil {
			return err
		}
		list, err = usersOfLevel(ctx, tx, of.Kind, r)
		return err
	})
	return list, err
}

// usersOfLevel is levelUsers in a transaction, which it leaves in the role of the system
// or, of a tenant, in that of the tenant.
func usersOfLevel(ctx context.Context, tx bun.Tx, k directory.Kind, r levelRow) ([]directory.Ref, error) {
	list := []directory.Ref{}
	switch k {
	case directory.Organization:
		err := tx.NewRaw(`SELECT 'division' AS kind, organization || ':' || name AS name FROM divisions WHERE organization = ? ORDER BY 2 LIMIT ?`, r.Organization, mostUsers).Scan(ctx, &list)
		return list, err
	case directory.Division:
		err := tx.NewRaw(`SELECT 'tenant' AS kind, tenant_id AS name FROM tenants WHERE organization = ? AND division = ? ORDER BY 2 LIMIT ?`, r.Organization, r.Division, mostUsers).Scan(ctx, &list)
		return list, err
	}
	if err := takeRole(ctx, tx, appRole); err != nil {
		return nil, err
	}
	if err := enterTenant(ctx, tx, r.Tenant); err != nil {
		return nil, err
	}
	var users int
	if err := tx.NewRaw(`SELECT count(*) FROM users WHERE tenant_id = ?`, r.Tenant).Scan(ctx, &users); err != nil {
		return nil, err
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		table := kinds[k].table
		if slices.Contains(goesAlong, table) && (table != "users" || users <= 1) {
			continue
		}
		var found []directory.Ref
		if err := tx.NewRaw(`SELECT ? AS kind, ? AS name FROM ? WHERE tenant_id = ? ORDER BY 2 LIMIT ?`, string(k), bun.Ident(kinds[k].key), bun.Ident(table), r.Tenant, mostUsers-len(list)).Scan(ctx, &found); err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// deleteLevel takes a level away that nothing is in; see Delete.
func (d *DB) deleteLevel(ctx context.Context, by directory.Author, change directory.Change) error {
	c := &levelChange{Change: change, by: by, action: "delete"}
	_, err := d.changeLevel(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		if c.Kind == directory.Tenant && (c.before.Tenant == c.here.Tenant || c.before.Tenant == by.Tenant) {
			return refusal("own_tenant", nil, "This is the tenant that you work in: somebody from above must delete it.")
		}
		by, err := usersOfLevel(ctx, tx, c.Kind, c.before)
		if err != nil {
			return err
		}
		if len(by) > 0 {
			return (&directory.InUse{By: by}).Refuse(c.Kind, c.Name)
		}
		var parts []keptPart
		if c.Kind == directory.Tenant {
			if parts, err = takeTenant(ctx, tx, c.before.Tenant); err != nil {
				return err
			}
		}
		if err := takeRole(ctx, tx, systemRole); err != nil {
			return err
		}
		return c.bury(ctx, tx, parts)
	})
	return err
}

// takeTenant reads what goes along with a tenant.
func takeTenant(ctx context.Context, tx bun.Tx, t id.Tenant) (parts []keptPart, err error) {
	for _, table := range append([]string{"tenants"}, goesAlong...) {
		rows, err := rowsOf(ctx, tx, table, `o.tenant_id = ?0`, t)
		if err != nil {
			return nil, err
		}
		parts = append(parts, rows...)
	}
	return parts, directoryChanged(ctx, tx, t)
}

// bury lays a level aside and deletes it.
func (c *levelChange) bury(ctx context.Context, tx bun.Tx, parts []keptPart) error {
	kept, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	b := c.before
	if _, err := tx.ExecContext(ctx, `
INSERT INTO removed_levels (kind, name, organization, division, thing, parts, version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name) DO UPDATE SET organization = excluded.organization, division = excluded.division, thing = excluded.thing, parts = excluded.parts,
  version = excluded.version, created_at = excluded.created_at, removed_at = now()`,
		c.Kind, c.Name, b.Organization, b.Division, string(b.Body), string(kept), b.Version, b.Created); err != nil {
		return err
	}
	switch c.Kind {
	case directory.Organization:
		_, err = tx.ExecContext(ctx, `DELETE FROM organizations WHERE name = ?`, b.Organization)
	case directory.Division:
		_, err = tx.ExecContext(ctx, `DELETE FROM divisions WHERE organization = ? AND name = ?`, b.Organization, b.Division)
	default:
		// By the role that may delete what hangs on it.
		if err := takeRole(ctx, tx, appRole); err != nil {
			return err
		}
		if err := enterTenant(ctx, tx, b.Tenant); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM tenants WHERE tenant_id = ?`, b.Tenant)
	}
	return err
}

// restoreLevel brings a level back, a tenant with what went along; see Restore.
func (d *DB) restoreLevel(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	c := &levelChange{Change: change, by: by, action: "restore"}
	return d.changeLevel(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		var kept []struct {
			levelRow
			Parts json.RawMessage `bun:"parts"`
		}
		if err := tx.NewRaw(`DELETE FROM removed_levels WHERE kind = ? AND name = ? AND removed_at > ?
 RETURNING CASE kind WHEN 'tenant' THEN name ELSE '' END AS tenant, organization, division, thing AS body, parts, removed_at`, c.Kind, c.Name, d.now().Add(-levelsKept)).Scan(ctx, &kept); err != nil {
			return err
		}
		if len(kept) == 0 || !kept[0].visible(c.Kind, by, c.here) {
			return &fault.Error{Kind: fault.NotFound, Code: "no_such_" + string(c.Kind), Sentence: fmt.Sprintf("No %s %s was deleted.", c.Kind, c.Name)}
		}
		r := kept[0].levelRow
		var shown struct {
			Name string `json:"display_name"`
		}
		if err := json.Unmarshal(r.Body, &shown); err != nil {
			return err
		}
		switch c.Kind {
		case directory.Organization:
			_, err := tx.ExecContext(ctx, `INSERT INTO organizations (name, display_name) VALUES (?, ?)`, r.Organization, shown.Name)
			return err
		case directory.Division:
			_, err := tx.ExecContext(ctx, `INSERT INTO divisions (organization, name, display_name) VALUES (?, ?, ?)`, r.Organization, r.Division, shown.Name)
			return err
		}
		return restoreTenant(ctx, tx, id.Tenant(c.Name), kept[0].Parts)
	})
}

func restoreTenant(ctx context.Context, tx bun.Tx, t id.Tenant, kept json.RawMessage) error {
	var parts []keptPart
	if err := json.Unmarshal(kept, &parts); err != nil {
		return err
	}
	for i, p := range parts {
		if _, err := tx.ExecContext(ctx, `SELECT holdfast_restore(?::regclass, ?, false)`, p.Table, string(p.Row)); err != nil {
			return err
		}
		if i > 0 {
			continue // the tenant itself is the first, and the system's to make
		}
		if err := takeRole(ctx, tx, appRole); err != nil {
			return err
		}
		if err := enterTenant(ctx, tx, t); err != nil {
			return err
		}
	}
	return directoryChanged(ctx, tx, t)
}
