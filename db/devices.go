package db

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// Devices lists the devices that an agent may choose, with their reachability: its
// own, those of its addresses, and those that belong to nobody.
func (d *DB) Devices(ctx context.Context, ref agent.Ref) ([]record.DeviceStatus, error) {
	var rows []struct {
		Name      id.Device `bun:"name"`
		Kind      leg.Kind  `bun:"kind"`
		Agent     id.Agent  `bun:"agent"`
		Number    string    `bun:"number"`
		Reachable bool      `bun:"reachable"`
		UserAgent string    `bun:"user_agent"`
	}
	err := d.inTenant(ctx, "list devices", ref.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewSelect().TableExpr("devices AS d").
			ColumnExpr("d.name, d.kind, coalesce(d.agent, '') AS agent, d.number").
			ColumnExpr("d.kind = 'external' OR r.contact IS NOT NULL AS reachable, coalesce(r.user_agent, '') AS user_agent").
			Join("LEFT JOIN agent_addresses AS x ON x.tenant_id = d.tenant_id AND x.device = d.name AND x.agent = ?", ref.Agent).
			Join(`LEFT JOIN LATERAL (SELECT contact, user_agent FROM registrations AS r
				WHERE r.tenant_id = d.tenant_id AND r.device = d.name AND r.expires > ? ORDER BY expires DESC LIMIT 1) AS r ON true`, d.now()).
			Where("d.tenant_id = ?", ref.Tenant).
			Where("d.agent = ? OR d.agent IS NULL OR x.device IS NOT NULL", ref.Agent).
			OrderExpr("x.place NULLS LAST, d.name").Scan(ctx, &rows)
	})
	list := make([]record.DeviceStatus, len(rows))
	for i, r := range rows {
		list[i] = record.DeviceStatus{
			Device:    device.Device{Tenant: ref.Tenant, Name: r.Name, Kind: r.Kind, Agent: r.Agent, Number: r.Number},
			Reachable: r.Reachable, UserAgent: r.UserAgent,
		}
	}
	return list, err
}

// Credentials returns the digest secrets of a SIP user of a tenant, a device or a
// trunk; fault.NotFound if there are none.
func (d *DB) Credentials(ctx context.Context, t id.Tenant, user string) (device.Credentials, error) {
	const op = "read credentials"
	if t == "" || user == "" {
		return device.Credentials{}, fault.E(fault.NotFound, op, fmt.Errorf("there is no SIP user %q", user))
	}
	var row struct {
		Device id.Device `bun:"device"`
		Agent  id.Agent  `bun:"agent"`
		Trunk  string    `bun:"trunk"`
		MD5    string    `bun:"md5"`
		SHA256 string    `bun:"sha256"`
	}
	err := d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`
SELECT d.name AS device, coalesce(d.agent, '') AS agent, '' AS trunk, d.ha1_md5 AS md5, d.ha1_sha256 AS sha256 FROM devices d
 WHERE d.tenant_id = ?0 AND d.name = ?1 AND d.ha1_md5 <> ''
   AND NOT EXISTS (SELECT FROM agents a JOIN users u ON u.tenant_id = ?0 AND u.name = a.user_name
                    WHERE a.tenant_id = ?0 AND a.number = d.agent AND u.disabled)
UNION ALL
SELECT '', '', name, ha1_md5, ha1_sha256 FROM trunks WHERE tenant_id = ?0 AND user_name = ?1 AND ha1_md5 <> ''
LIMIT 1`, t, user).Scan(ctx, &row)
	})
	if err != nil {
		return device.Credentials{}, err
	}
	return device.Credentials{Tenant: t, User: user, Device: row.Device, Agent: row.Agent, Trunk: row.Trunk,
		MD5: row.MD5, SHA256: row.SHA256}, nil
}
