package db

import (
	"context"
	"fmt"
	"time"

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
		deviceRow
		Reachable bool   `bun:"reachable"`
		UserAgent string `bun:"user_agent"`
	}
	err := d.inTenant(ctx, "list devices", ref.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewSelect().TableExpr("devices AS d").ColumnExpr(deviceColumns).
			ColumnExpr("d.at_hand OR r.contact IS NOT NULL AS reachable, coalesce(r.user_agent, '') AS user_agent").
			Join("LEFT JOIN agent_addresses AS x ON x.tenant_id = d.tenant_id AND x.device = d.name AND x.agent = ?", ref.Agent).
			Join(`LEFT JOIN LATERAL (SELECT contact, user_agent FROM registrations AS r
				WHERE r.tenant_id = d.tenant_id AND r.device = d.name AND r.expires > ? ORDER BY expires DESC LIMIT 1) AS r ON true`, d.now()).
			Where("d.tenant_id = ?", ref.Tenant).
			Where("d.agent = ? OR d.agent IS NULL OR x.device IS NOT NULL", ref.Agent).
			OrderExpr("x.place NULLS LAST, d.name").Scan(ctx, &rows)
	})
	list := make([]record.DeviceStatus, len(rows))
	for i, r := range rows {
		list[i] = record.DeviceStatus{Device: r.device(ref.Tenant), Reachable: r.Reachable, UserAgent: r.UserAgent}
	}
	return list, err
}

// Device reads one device with its settings; fault.NotFound if there is none of that name.
func (d *DB) Device(ctx context.Context, t id.Tenant, name id.Device) (device.Device, error) {
	const op = "read a device"
	if t == "" || name == "" {
		return device.Device{}, fault.E(fault.NotFound, op, fmt.Errorf("there is no device %q", name))
	}
	var row deviceRow
	err := d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT `+deviceColumns+` FROM devices d WHERE d.tenant_id = ? AND d.name = ?`, t, name).Scan(ctx, &row)
	})
	return row.device(t), err
}

// mostDevices bounds one page of devices.
const mostDevices = 1000

// DeviceStatuses lists the devices of a tenant with their live registrations (SEED-54,
// SEED-115). There may be more if it returns as many as the limit.
func (d *DB) DeviceStatuses(ctx context.Context, t id.Tenant, by record.DeviceQuery) ([]record.DeviceStatus, error) {
	var rows []deviceRow
	contacts := map[id.Device][]device.Contact{}
	err := d.inTenant(ctx, "list devices", t, func(ctx context.Context, tx bun.Tx) error {
		if err := devicesWhere(tx.NewSelect().TableExpr("devices AS d").ColumnExpr(deviceColumns), t, by).Scan(ctx, &rows); err != nil {
			return err
		}
		names := keys(rows, func(r deviceRow) string { return string(r.Name) })
		var found []contactRow
		if err := tx.NewRaw(sqlContacts, t, names, d.now()).Scan(ctx, &found); err != nil {
			return err
		}
		for _, r := range found {
			r.RoundTrip = time.Duration(r.Micros) * time.Microsecond
			if r.MeasuredAt != nil {
				r.Measured = *r.MeasuredAt
			}
			contacts[r.Device] = append(contacts[r.Device], r.Contact)
		}
		return nil
	})
	list := make([]record.DeviceStatus, len(rows))
	for i, r := range rows {
		v := r.device(t)
		s := record.DeviceStatus{Device: v, Contacts: contacts[v.Name]}
		s.Reachable = len(s.Contacts) > 0 || v.Kind == leg.PSTN || v.Fixed() && v.Type.Called()
		if len(s.Contacts) > 0 {
			s.UserAgent = s.Contacts[0].UserAgent
		}
		list[i] = s
	}
	return list, err
}

// contactRow is a live registration with the latest pulse.
type contactRow struct {
	device.Contact
	Device     id.Device  `bun:"device"`
	Micros     int64      `bun:"micros"`
	MeasuredAt *time.Time `bun:"measured_at"`
}

const sqlContacts = `
SELECT r.device, r.flow AS address, r.transport, r.user_agent, r.node, r.since, r.expires,
       coalesce(extract(epoch FROM p.round_trip) * 1000000, 0)::bigint AS micros, p.measured_at
  FROM registrations r LEFT JOIN pulses p ON p.tenant_id = r.tenant_id AND p.device = r.device AND p.instance = r.instance AND p.measured_at >= r.since
 WHERE r.tenant_id = ?0 AND r.device = ANY (?1) AND r.expires > ?2 ORDER BY r.device, r.expires DESC, r.instance`

func devicesWhere(q *bun.SelectQuery, t id.Tenant, by record.DeviceQuery) *bun.SelectQuery {
	q = q.Where("d.tenant_id = ?", t).Where("d.name > ?", by.After).OrderExpr("d.name")
	if by.Name != "" {
		q = q.Where("d.name = ?", by.Name)
	}
	if by.Kind != "" {
		q = q.Where("d.kind = ?", by.Kind)
	}
	if by.Agent != "" {
		q = q.Where("d.agent = ?", by.Agent)
	}
	if by.Search != "" {
		q = q.Where("position(lower(?) IN lower(concat_ws(' ', d.name, d.extension, d.number, d.agent))) > 0", by.Search)
	}
	if by.Limit <= 0 {
		by.Limit = 100
	}
	return q.Limit(int64(min(by.Limit, mostDevices)))
}

// Credentials returns the digest secrets of a SIP user of a tenant, a device (with the agent
// whose session is bound to it, else its owner) or a
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
SELECT d.name AS device, coalesce((SELECT b.agent FROM bindings b WHERE b.tenant_id = ?0 AND b.device = d.name), d.agent, '') AS agent, '' AS trunk, d.ha1_md5 AS md5, d.ha1_sha256 AS sha256 FROM devices d
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
