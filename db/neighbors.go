package db

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
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

// Neighbors lists the tenants that share at least the named level with one, by name,
// after the one named last; at most limit.
func (d *DB) Neighbors(ctx context.Context, from id.Tenant, within account.Scope, after id.Tenant, limit int) ([]directory.Neighbor, error) {
	var list []directory.Neighbor
	err := d.asSystem(ctx, "list tenants", func(ctx context.Context, tx bun.Tx) error {
		here, err := neighbor(ctx, tx, from)
		if err != nil {
			return err
		}
		var rows []neighborRow
		err = tx.NewRaw(`SELECT tenant_id, organization, division, display_name FROM tenants
 WHERE (?0 = 'system' OR organization = ?1 AND (?0 = 'organization' OR division = ?2 AND (?0 = 'division' OR tenant_id = ?3)))
   AND tenant_id COLLATE "C" > ?4 ORDER BY tenant_id COLLATE "C" LIMIT ?5`,
			string(within), here.Organization, here.Division, from, after, limit).Scan(ctx, &rows)
		for _, r := range rows {
			n := r.neighbor()
			n.Shared = directory.SharedLevel(here, n)
			list = append(list, n)
		}
		return err
	})
	return list, err
}

// Found makes a tenant, with division and organization if they are new: in one's own
// division, in one's organization, or anywhere, as far as what the author needs reaches.
// Refusals: fault.Forbidden; fault.Conflict if there is a tenant of that domain. Both
// trails, the author's tenant's and the new one's, begin with it.
func (d *DB) Found(ctx context.Context, by directory.Author, n directory.Neighbor) (directory.Neighbor, error) {
	home := by.Tenant
	if by.Home != "" {
		home = by.Home
	}
	err := d.asSystem(ctx, "found a tenant", func(ctx context.Context, tx bun.Tx) error {
		here, err := neighbor(ctx, tx, home)
		if err != nil {
			return err
		}
		n.Shared = directory.SharedLevel(here, n)
		for _, p := range by.Needs {
			if !by.Reach(p).Covers(n.Shared) {
				return &fault.Error{Kind: fault.Forbidden, Code: "out_of_reach", Sentence: fmt.Sprintf("This takes %s.", p.At(n.Shared))}
			}
		}
		if _, err := neighbor(ctx, tx, n.Tenant); err == nil {
			return refusal("name_taken", nil, "There is a tenant %s already.", n.Tenant)
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		for _, s := range []statement{
			{`INSERT INTO organizations (name) VALUES (?) ON CONFLICT DO NOTHING`, []any{n.Organization}},
			{`INSERT INTO divisions (organization, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, []any{n.Organization, n.Division}},
			{`INSERT INTO tenants (tenant_id, organization, division, display_name) VALUES (?, ?, ?, ?)`, []any{n.Tenant, n.Organization, n.Division, n.DisplayName}},
		} {
			if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
				return err
			}
		}
		return founded(ctx, tx, by, n)
	})
	return n, err
}

// founded writes the founding into both trails.
func founded(ctx context.Context, tx bun.Tx, by directory.Author, n directory.Neighbor) error {
	if err := takeRole(ctx, tx, appRole); err != nil {
		return err
	}
	after, err := json.Marshal(map[string]string{"tenant": string(n.Tenant), "organization": n.Organization, "division": n.Division, "display_name": n.DisplayName})
	if err != nil {
		return err
	}
	line := record.AuditEntry{User: by.Name, Action: "tenant.create", Object: "tenant:" + string(n.Tenant), After: after, Source: by.Source, Result: "ok"}
	for _, t := range []id.Tenant{by.Tenant, n.Tenant} {
		if err := enterTenant(ctx, tx, t); err != nil {
			return err
		}
		line.Tenant, line.Home = t, by.Home
		if t == n.Tenant && line.Home == "" {
			line.Home = by.Tenant
		}
		if err := appendAudit(ctx, tx, line); err != nil {
			return err
		}
	}
	return nil
}
