package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// redial finds anew how external devices are dialled after a number or a trunk was changed
// by itself, and refuses a change by which one could not be called any more (SEED-26).
func (c *changing) redial(ctx context.Context, tx bun.Tx) error {
	if c.Kind != directory.Number && c.Kind != directory.Trunk {
		return nil
	}
	var devices []struct {
		Name   id.Device `bun:"name"`
		Number string    `bun:"number"`
	}
	err := tx.NewRaw(`SELECT name, number FROM devices WHERE tenant_id = ? AND kind = 'external' ORDER BY name`, c.by.Tenant).Scan(ctx, &devices)
	if err != nil || len(devices) == 0 {
		return err
	}
	plan, err := planOf(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	for _, v := range devices {
		n, err := dialplan.Parse(v.Number, plan.Country)
		if err != nil {
			continue // kept since before numbers were checked
		}
		way, err := plan.Reach(n)
		if err != nil {
			return refusal("device_unreachable", err, "Device %s could not be called any more: %s. Change or delete the device first.", v.Name, err.Error())
		}
		var tell []string
		if err := tx.NewRaw(sqlRedial, way.Dial, c.by.Tenant, v.Name).Scan(ctx, &tell); err != nil {
			return err
		}
		c.tell = append(c.tell, tell...)
	}
	return nil
}

// sqlRedial sets what a trunk gets, and returns the agents whose address it is.
const sqlRedial = `
WITH dialled AS (UPDATE devices SET dial = ?0 WHERE tenant_id = ?1 AND name = ?2 AND dial <> ?0 RETURNING name)
SELECT x.agent FROM dialled d JOIN agent_addresses x ON x.tenant_id = ?1 AND x.device = d.name`

// planOf is what the tenant's directory says about numbers outside.
func planOf(ctx context.Context, tx bun.Tx, t id.Tenant) (dialplan.Plan, error) {
	var doc tenancy.Document
	doc.Tenant.Domain = t
	if err := tx.NewRaw(`SELECT country FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &doc.Tenant.Country); err != nil {
		return dialplan.Plan{}, err
	}
	if err := exportTrunks(ctx, tx, &doc); err != nil {
		return dialplan.Plan{}, err
	}
	err := exportNumbers(ctx, tx, &doc)
	return doc.Dialplan(), err
}
