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
	"holdfast/domain/tenancy"
)

// levels are the kinds above what a tenant holds, as rows of one form: see levelRow.
var levels = map[directory.Kind]string{
	directory.Organization: `SELECT o.name AS id, '' AS tenant, o.name AS organization, '' AS division, o.display_name, o.version, o.created_at, o.updated_at, NULL::timestamptz AS removed_at,
	  jsonb_build_object('name', o.name, 'display_name', o.display_name) AS body FROM organizations o`,
	directory.Division: `SELECT v.organization || ':' || v.name AS id, '' AS tenant, v.organization, v.name AS division, v.display_name, v.version, v.created_at, v.updated_at, NULL::timestamptz AS removed_at,
	  jsonb_build_object('id', v.organization || ':' || v.name, 'name', v.name, 'organization', v.organization, 'display_name', v.display_name) AS body FROM divisions v`,
	directory.Tenant: `SELECT t.tenant_id AS id, t.tenant_id AS tenant, t.organization, t.division, t.display_name, t.version, t.created_at, t.updated_at, NULL::timestamptz AS removed_at,
	  jsonb_build_object('tenant', t.tenant_id, 'display_name', t.display_name, 'organization', t.organization, 'division', t.division, 'country', t.country, 'currency', t.currency, 'policies', t.policies) AS body FROM tenants t`,
}

// removedLevels are rows of the same form of what was deleted.
const removedLevels = `SELECT r.name AS id, CASE r.kind WHEN 'tenant' THEN r.name ELSE '' END AS tenant, r.organization, r.division, coalesce(r.thing ->> 'display_name', '') AS display_name,
	  r.version, r.created_at, r.removed_at AS updated_at, r.removed_at, r.thing AS body FROM removed_levels r WHERE r.kind = `

// above reports whether a kind is one of the levels above what a tenant holds.
func above(k directory.Kind) bool { return levels[k] != "" }

// levelRow is an organization, a division or a tenant.
type levelRow struct {
	ID           string          `bun:"id"`
	Tenant       id.Tenant       `bun:"tenant"`
	Organization string          `bun:"organization"`
	Division     string          `bun:"division"`
	DisplayName  string          `bun:"display_name"`
	Body         json.RawMessage `bun:"body"`
	Version      int64           `bun:"version"`
	Created      time.Time       `bun:"created_at"`
	Updated      time.Time       `bun:"updated_at"`
	Removed      time.Time       `bun:"removed_at"`
	Sorted       string          `bun:"sorted"`
}

// shared is the closest level that an author's tenant has in common with it.
func (r levelRow) shared(k directory.Kind, here directory.Neighbor) account.Scope {
	switch {
	case k == directory.Tenant && r.Tenant == here.Tenant:
		return account.Tenant
	case r.Organization != here.Organization:
		return account.System
	case k == directory.Organization || r.Division != here.Division:
		return account.Organization
	}
	return account.Division
}

// visible reports whether the author sees it: what its permissions reach, and of reading
// the division and the organization that it belongs to.
func (r levelRow) visible(k directory.Kind, by directory.Author, here directory.Neighbor) bool {
	shared := r.shared(k, here)
	own := k == directory.Organization && shared == account.Organization || k == directory.Division && shared == account.Division
	for _, p := range by.Needs {
		if !by.Reach(p).Covers(shared) && !(own && p.Action() == account.TenantsRead) {
			return false
		}
	}
	return true
}

// thing is the row as the author sees it.
func (r levelRow) thing(k directory.Kind, by directory.Author, here directory.Neighbor) (directory.Thing, error) {
	t := directory.Thing{Kind: k, Name: r.ID, Body: r.Body, Version: r.Version, Created: r.Created, Updated: r.Updated, Deleted: r.Removed}
	if k != directory.Tenant {
		return t, nil
	}
	fields := map[string]any{}
	if err := json.Unmarshal(r.Body, &fields); err != nil {
		return t, err
	}
	p, err := policiesOf(r.Body)
	if err != nil {
		return t, err
	}
	shared := r.shared(k, here)
	fields["policies"], fields["shared"] = shownPolicies(p), shared
	fields["may_switch"] = shared != account.Tenant && by.Reach(account.TenantsSwitch).Covers(shared)
	t.Body, err = json.Marshal(fields)
	return t, err
}

// policiesOf reads the policies of a tenant's body as it is kept.
func policiesOf(body json.RawMessage) (tenancy.Policies, error) {
	var kept struct {
		Policies tenancy.Policies `json:"policies"`
	}
	err := json.Unmarshal(body, &kept)
	return kept.Policies, err
}

// home is the place of the author's own tenant among all.
func home(ctx context.Context, tx bun.Tx, by directory.Author) (directory.Neighbor, error) {
	t := by.Tenant
	if by.Home != "" {
		t = by.Home
	}
	return neighbor(ctx, tx, t)
}

// Level reads an organization, a division or a tenant; see Thing.
func (d *DB) level(ctx context.Context, by directory.Author, of directory.Ref) (found directory.Thing, err error) {
	err = d.asSystem(ctx, "read a "+string(of.Kind), func(ctx context.Context, tx bun.Tx) error {
		r, here, err := readLevel(ctx, tx, by, of)
		if err != nil {
			return err
		}
		found, err = r.thing(of.Kind, by, here)
		return err
	})
	return found, err
}

func noLevel(of directory.Ref) error {
	return &fault.Error{Kind: fault.NotFound, Code: "no_such_" + string(of.Kind), Sentence: fmt.Sprintf("There is no %s %s.", of.Kind, of.Name)}
}

func readLevel(ctx context.Context, tx bun.Tx, by directory.Author, of directory.Ref) (levelRow, directory.Neighbor, error) {
	here, err := home(ctx, tx, by)
	if err != nil {
		return levelRow{}, here, err
	}
	var rows []levelRow
	if err := tx.NewRaw(`SELECT x.* FROM (`+levels[of.Kind]+`) x WHERE x.id = ?`, of.Name).Scan(ctx, &rows); err != nil {
		return levelRow{}, here, err
	}
	if len(rows) == 0 || !rows[0].visible(of.Kind, by, here) {
		return levelRow{}, here, noLevel(of)
	}
	return rows[0], here, nil
}

// levelSorts are the orders besides that by name.
var levelSorts = map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"}

// levelList lists organizations, divisions or tenants; see Things.
func (d *DB) levelList(ctx context.Context, by directory.Author, q directory.Query) (list []directory.Thing, next string, err error) {
	k := kind{key: "id", sorts: levelSorts}
	p, err := k.pageOf(q)
	if err != nil {
		return nil, "", err
	}
	source := levels[q.Kind]
	if q.Deleted {
		source = removedLevels + `'` + string(q.Kind) + `' AND r.removed_at > '` + d.now().Add(-levelsKept).UTC().Format(time.RFC3339Nano) + `'`
	}
	err = d.asSystem(ctx, "list "+string(q.Kind)+"s", func(ctx context.Context, tx bun.Tx) error {
		here, err := home(ctx, tx, by)
		if err != nil {
			return err
		}
		var reach account.Scope
		for _, n := range by.Needs {
			reach = by.Reach(n)
		}
		where, args := withinReach(q.Kind, reach, here)
		if q.Search != "" {
			where += ` AND (x.id ILIKE ? OR x.display_name ILIKE ?)`
			args = append(args, "%"+likeEscape.Replace(q.Search)+"%", "%"+likeEscape.Replace(q.Search)+"%")
		}
		for _, column := range []string{"organization", "division"} {
			if v := q.Filters[column]; v != "" {
				where += ` AND x.` + column + ` = ?`
				args = append(args, v)
			}
		}
		from, more := p.from(k)
		var rows []levelRow
		if err := tx.NewRaw(`SELECT x.*, `+p.shown()+` AS sorted FROM (`+source+`) x WHERE `+where+from+p.order(k)+fmt.Sprintf(` LIMIT %d`, q.Limit+1), append(args, more...)...).Scan(ctx, &rows); err != nil {
			return err
		}
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			next = p.cursor(rows[q.Limit-1].Sorted, rows[q.Limit-1].ID)
		}
		for _, r := range rows {
			t, err := r.thing(q.Kind, by, here)
			if err != nil {
				return err
			}
			list = append(list, t)
		}
		return nil
	})
	return list, next, err
}

// withinReach is the condition for what an author sees, as visible says.
func withinReach(k directory.Kind, reach account.Scope, here directory.Neighbor) (string, []any) {
	switch {
	case reach == account.System:
		return `true`, nil
	case k == directory.Organization || reach == account.Organization:
		return `x.organization = ?`, []any{here.Organization}
	case k == directory.Division || reach == account.Division:
		return `x.organization = ? AND x.division = ?`, []any{here.Organization, here.Division}
	case reach == account.Tenant:
		return `x.tenant = ?`, []any{here.Tenant}
	}
	return `false`, nil
}
