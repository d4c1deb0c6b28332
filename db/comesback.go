package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/dialplan"
	"holdfast/domain/id"
)

// oneAtATime keeps others waiting who make numbers inside, or dial outside, in ways that
// may meet: each then sees what the other left.
func oneAtATime(ctx context.Context, tx bun.Tx, t id.Tenant) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('dialling ' || ?, 0))`, string(t))
	return err
}

// numberRules refuses a number that leads to a queue or an agent, and that an external
// device dials.
func numberRules(ctx context.Context, tx bun.Tx, c *changing) error {
	var inside bool
	if err := tx.NewRaw(`SELECT EXISTS (SELECT FROM numbers WHERE tenant_id = ? AND number = ? AND trunk IS NULL)`, c.by.Tenant, c.Name).Scan(ctx, &inside); err != nil || !inside {
		return err
	}
	return comesBack(ctx, tx, c, "number", c.Name)
}

// comesBack refuses a number inside, given in that field, that an external device dials,
// in whatever form either is written: who called one would be called by the other, for
// ever and at a price. An empty number is none.
func comesBack(ctx context.Context, tx bun.Tx, c *changing, field, number string) error {
	if number == "" {
		return nil
	}
	if err := oneAtATime(ctx, tx, c.by.Tenant); err != nil {
		return err
	}
	var country string
	if err := tx.NewRaw(`SELECT country FROM tenants WHERE tenant_id = ?`, c.by.Tenant).Scan(ctx, &country); err != nil {
		return err
	}
	e164 := dialplan.Caller(number, country)
	if e164 == "" {
		return nil // nobody outside can call it
	}
	var devices []string
	err := tx.NewRaw(`SELECT name FROM devices WHERE tenant_id = ? AND kind = 'external' AND number IN (?, ?) ORDER BY 1 LIMIT 1`, c.by.Tenant, e164, number).Scan(ctx, &devices)
	if err != nil || len(devices) == 0 {
		return err
	}
	return wrongField(field, "%s is what external device %q dials: a call to it would come back", number, devices[0])
}
