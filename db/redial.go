package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// redial finds anew how external devices are dialled after a number or a trunk was changed
// by itself, and refuses a change by which one could not be called any more (SEED-26).
func (c *changing) redial(ctx context.Context, tx bun.Tx) error {
	if c.Kind != directory.Number && c.Kind != directory.Trunk {
		return nil
	}
	tell, err := redial(ctx, tx, c.by.Tenant)
	c.tell = append(c.tell, tell...)
	return err
}

// redial is the above for one tenant; it returns the agents whose addresses are dialled
// in another form now.
func redial(ctx context.Context, tx bun.Tx, t id.Tenant) (tell []string, err error) {
	lost, ways, err := stranded(ctx, tx, t, directory.Ref{})
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		use := &directory.InUse{By: lost}
		return nil, refusal("device_unreachable", use, "An external device could not be called any more: it is %s. Change or delete it first, or give it another way out.", use.Error())
	}
	for _, w := range ways {
		var agents []string
		if err := tx.NewRaw(sqlRedial, w.dial, t, w.device).Scan(ctx, &agents); err != nil {
			return nil, err
		}
		tell = append(tell, agents...)
	}
	return tell, nil
}

// sqlRedial sets what a trunk gets, and returns the agents whose address it is.
const sqlRedial = `
WITH dialled AS (UPDATE devices SET dial = ?0 WHERE tenant_id = ?1 AND name = ?2 AND dial <> ?0 RETURNING name)
SELECT x.agent FROM dialled d JOIN agent_addresses x ON x.tenant_id = ?1 AND x.device = d.name`
