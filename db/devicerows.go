package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/device"
	"holdfast/domain/dialplan"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

// deviceColumns are what deviceRow reads.
const deviceColumns = `d.name, d.kind, coalesce(d.agent, '') AS agent, coalesce(d.owner, '') AS owner, d.extension, d.number, d.ha1_md5, d.ha1_sha256,
       d.transports, d.host, d.nat, d.type, d.codecs, d.caller_id, d.context, d.call_groups, d.pickup_groups, d.monitoring, d.recording, d.srtp`

// deviceRow is a row of devices.
type deviceRow struct {
	Name         id.Device          `bun:"name"`
	Kind         leg.Kind           `bun:"kind"`
	Agent        id.Agent           `bun:"agent"`
	Owner        id.User            `bun:"owner"`
	Extension    string             `bun:"extension"`
	Number       string             `bun:"number"`
	MD5          string             `bun:"ha1_md5"`
	SHA256       string             `bun:"ha1_sha256"`
	Transports   []device.Transport `bun:"transports,array"`
	Host         string             `bun:"host"`
	NAT          device.NAT         `bun:"nat"`
	Type         device.Type        `bun:"type"`
	Codecs       []device.Codec     `bun:"codecs,array"`
	CallerID     string             `bun:"caller_id"`
	Context      string             `bun:"context"`
	CallGroups   []string           `bun:"call_groups,array"`
	PickupGroups []string           `bun:"pickup_groups,array"`
	Monitoring   bool               `bun:"monitoring"`
	Recording    device.Recording   `bun:"recording"`
	SRTP         bool               `bun:"srtp"`
}

func (r deviceRow) settings() device.Settings {
	return device.Settings{
		Transports: r.Transports, Host: r.Host, NAT: r.NAT, Type: r.Type, Codecs: r.Codecs, CallerID: r.CallerID, Context: r.Context,
		CallGroups: r.CallGroups, PickupGroups: r.PickupGroups, Monitoring: &r.Monitoring, Recording: r.Recording, SRTP: r.SRTP,
	}
}

func (r deviceRow) device(t id.Tenant) device.Device {
	return device.Device{
		Tenant: t, Name: r.Name, Kind: r.Kind, Agent: r.Agent, Number: r.Number, Extension: r.Extension, Owner: r.Owner, Settings: r.settings(),
	}
}

// exportDevices reads the devices with what is kept of their passwords.
func exportDevices(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []deviceRow
	err := tx.NewRaw(`SELECT `+deviceColumns+` FROM devices d WHERE d.tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Devices = append(doc.Devices, tenancy.Device{
			Name: r.Name, Kind: r.Kind, Agent: r.Agent, Owner: r.Owner, Extension: r.Extension, Number: r.Number,
			HA1MD5: r.MD5, HA1SHA256: r.SHA256, Settings: r.settings(),
		})
	}
	return err
}

// sqlWriteDevice writes one device as a whole.
const sqlWriteDevice = `
INSERT INTO devices (tenant_id, name, kind, agent, owner, extension, number, dial, ha1_md5, ha1_sha256, transports, host, nat, type, codecs,
                     caller_id, context, call_groups, pickup_groups, monitoring, recording, srtp)
VALUES (?, ?, ?, nullif(?, ''), nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET kind = excluded.kind, agent = excluded.agent, owner = excluded.owner, extension = excluded.extension,
  number = excluded.number, dial = excluded.dial, ha1_md5 = excluded.ha1_md5, ha1_sha256 = excluded.ha1_sha256, transports = excluded.transports,
  host = excluded.host, nat = excluded.nat, type = excluded.type, codecs = excluded.codecs, caller_id = excluded.caller_id,
  context = excluded.context, call_groups = excluded.call_groups, pickup_groups = excluded.pickup_groups,
  monitoring = excluded.monitoring, recording = excluded.recording, srtp = excluded.srtp`

// deviceRows are the devices of a complete document.
func deviceRows(doc tenancy.Document) (rows []statement) {
	plan := doc.Dialplan()
	for _, v := range doc.Devices {
		rows = append(rows, statement{sqlWriteDevice, []any{
			doc.Tenant.Domain, v.Name, v.Kind, string(v.Agent), string(v.Owner), v.Extension, v.Number, dialOf(plan, v), v.HA1MD5, v.HA1SHA256,
			labels(v.Transports), v.Host, v.NAT, v.Type, labels(v.Codecs), v.CallerID, v.Context, labels(v.CallGroups), labels(v.PickupGroups),
			v.Monitored(), v.Recording, v.SRTP,
		}})
	}
	return rows
}

// dialOf is what a trunk gets to reach an external device; its number as it is if the plan
// has no way, which Validate refuses before.
func dialOf(plan dialplan.Plan, v tenancy.Device) string {
	if v.Kind != leg.PSTN {
		return ""
	}
	n, err := dialplan.Parse(v.Number, plan.Country)
	if err != nil {
		return v.Number
	}
	way, err := plan.Reach(n)
	if err != nil {
		return v.Number
	}
	return way.Dial
}

// labels is a list as a Postgres array that is never null.
func labels[T ~string](list []T) any { return keys(list, func(v T) string { return string(v) }) }
