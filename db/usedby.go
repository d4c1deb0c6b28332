package db

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"

	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// mostUsers is how much of what uses a thing is listed.
const mostUsers = 200

// UsedBy lists what keeps a thing from being deleted, the first 200: exactly what the
// refusal of its deletion would name. fault.NotFound: there is none that the author may see.
func (d *DB) UsedBy(ctx context.Context, by directory.Author, of directory.Ref) ([]directory.Ref, error) {
	if above(of.Kind) {
		return d.levelUsers(ctx, by, of)
	}
	list := []directory.Ref{}
	err := d.inTenant(ctx, "list what uses a thing", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := read(ctx, tx, by, of, ""); err != nil {
			return err
		}
		found, err := users(ctx, tx, by.Tenant, of)
		if err != nil {
			return err
		}
		list = append(list, found...)
		if len(list) > 0 || of.Kind != directory.Number && of.Kind != directory.Trunk {
			return nil
		}
		lost, _, err := stranded(ctx, tx, by.Tenant, of)
		list = append(list, lost...)
		return err
	})
	return list, err
}

// users lists what refers to a thing.
func users(ctx context.Context, tx bun.Tx, t id.Tenant, of directory.Ref) (by []directory.Ref, err error) {
	k := kinds[of.Kind]
	if k.users == "" {
		return nil, nil
	}
	err = tx.NewRaw(`SELECT DISTINCT u.kind, u.name FROM `+k.table+` x, LATERAL (`+k.users+`) u WHERE x.tenant_id = ? AND x.`+k.key+` = ? ORDER BY 1, 2 LIMIT ?`,
		t, of.Name, mostUsers).Scan(ctx, &by)
	return by, err
}

// way is how an external device is dialled.
type way struct {
	device id.Device
	dial   string
}

// stranded lists the external devices that could not be called without a number or a
// trunk, with the reason of the first, and how the others are dialled. An empty ref
// takes the directory as it is (SEED-26).
func stranded(ctx context.Context, tx bun.Tx, t id.Tenant, without directory.Ref) (lost []directory.Ref, ways []way, err error) {
	var devices []struct {
		Name   id.Device `bun:"name"`
		Number string    `bun:"number"`
	}
	err = tx.NewRaw(`SELECT name, number FROM devices WHERE tenant_id = ? AND kind = 'external' ORDER BY name`, t).Scan(ctx, &devices)
	if err != nil || len(devices) == 0 {
		return nil, nil, err
	}
	plan, err := planOf(ctx, tx, t, without)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range devices {
		n, err := dialplan.Parse(v.Number, plan.Country)
		if err != nil {
			continue // kept since before numbers were checked
		}
		w, err := plan.Reach(n)
		if err != nil {
			lost = append(lost, directory.Ref{Kind: directory.Device, Name: string(v.Name)})
			continue
		}
		ways = append(ways, way{v.Name, w.Dial})
	}
	return lost, ways, nil
}

// planOf is what the tenant's directory says about numbers outside, but for one number or trunk.
func planOf(ctx context.Context, tx bun.Tx, t id.Tenant, without directory.Ref) (dialplan.Plan, error) {
	var doc tenancy.Document
	doc.Tenant.Domain = t
	if err := dialling(ctx, tx, &doc); err != nil {
		return dialplan.Plan{}, err
	}
	if err := exportTrunks(ctx, tx, &doc); err != nil {
		return dialplan.Plan{}, err
	}
	if err := exportNumbers(ctx, tx, &doc); err != nil {
		return dialplan.Plan{}, err
	}
	switch without.Kind {
	case directory.Number:
		doc.Numbers = except(doc.Numbers, func(n tenancy.Number) bool { return n.Number == without.Name })
	case directory.Trunk:
		doc.Trunks = except(doc.Trunks, func(k tenancy.Trunk) bool { return k.Name == without.Name })
	}
	return doc.Dialplan(), nil
}

// dialling reads what limits the dialling of a tenant: its country, its policies and its agents' own numbers.
func dialling(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	t := doc.Tenant.Domain
	var policies json.RawMessage
	if err := tx.NewRaw(`SELECT country, policies FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &doc.Tenant.Country, &policies); err != nil {
		return err
	}
	if err := json.Unmarshal(policies, &doc.Tenant.Policies); err != nil {
		return err
	}
	var agents []id.Agent
	if err := tx.NewRaw(`SELECT number FROM agents WHERE tenant_id = ?`, t).Scan(ctx, &agents); err != nil {
		return err
	}
	for _, a := range agents {
		doc.Agents = append(doc.Agents, tenancy.Agent{Number: a})
	}
	return nil
}

func except[T any](list []T, gone func(T) bool) (left []T) {
	for _, v := range list {
		if !gone(v) {
			left = append(left, v)
		}
	}
	return left
}
