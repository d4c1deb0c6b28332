package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

// deviceKind: what is written is completed by deviceRules, as apply would.
var deviceKind = kind{
	table: "devices", key: "name",
	body: `jsonb_build_object('name', x.name, 'kind', x.kind, 'agent', coalesce(x.agent, ''), 'owner', coalesce(x.owner, ''), 'extension', x.extension, 'number', x.number,
	  'transports', x.transports, 'host', x.host, 'nat', x.nat, 'type', x.type, 'codecs', x.codecs, 'caller_id', x.caller_id, 'context', x.context,
	  'call_groups', x.call_groups, 'pickup_groups', x.pickup_groups, 'monitoring', x.monitoring, 'recording', x.recording, 'srtp', x.srtp)`,
	columns: []string{"kind", "agent", "owner", "extension", "number", "transports", "host", "nat", "type", "codecs", "caller_id", "context",
		"call_groups", "pickup_groups", "monitoring", "recording", "srtp"},
	nullable: []string{"agent", "owner"},
	search:   []string{"x.name", "x.number", "x.extension"},
	filters:  map[string]string{"agent": `x.agent = ?`, "owner": `x.owner = ?`, "kind": `x.kind = ?`},
	sorts:    map[string]string{"kind": "x.kind", "extension": "x.extension", "updated_at": "x.updated_at"},
	users: `SELECT 'agent' AS kind, a.agent AS name FROM agent_addresses a WHERE a.tenant_id = x.tenant_id AND a.device = x.name
	  UNION SELECT 'agent', b.agent FROM bindings b WHERE b.tenant_id = x.tenant_id AND b.device = x.name`,
	agents: `SELECT a.agent FROM agent_addresses a WHERE a.tenant_id = x.tenant_id AND a.device = x.name`,
	routes: true,
}

// surroundings is what devices and trunks are checked beside: the tenant's country, its
// trunks and its numbers.
func (c *changing) surroundings(ctx context.Context, tx bun.Tx) (tenancy.Document, error) {
	var doc tenancy.Document
	doc.Tenant.Domain = c.by.Tenant
	if err := dialling(ctx, tx, &doc); err != nil {
		return doc, err
	}
	if err := exportTrunks(ctx, tx, &doc); err != nil {
		return doc, err
	}
	return doc, exportNumbers(ctx, tx, &doc)
}

// deviceRules checks a device as apply would, and writes it with its defaults and what is
// kept of a password.
func deviceRules(ctx context.Context, tx bun.Tx, c *changing) error {
	var rows []deviceRow
	if err := tx.NewRaw(`SELECT `+deviceColumns+` FROM devices d WHERE d.tenant_id = ? AND d.name = ?`, c.by.Tenant, c.Name).Scan(ctx, &rows); err != nil || len(rows) == 0 {
		return err
	}
	r := rows[0]
	v := tenancy.Device{Name: r.Name, Kind: r.Kind, Agent: r.Agent, Owner: r.Owner, Extension: r.Extension, Number: r.Number, HA1MD5: r.MD5, HA1SHA256: r.SHA256, Settings: r.settings()}
	if c.action == "create" {
		c.unsetDefaults(&v)
	}
	if password, given := part[string](c, "password"); given {
		v.Password, v.HA1MD5, v.HA1SHA256 = password, "", ""
	}
	if v.Kind == leg.PSTN {
		if err := oneAtATime(ctx, tx, c.by.Tenant); err != nil {
			return err
		}
	}
	doc, err := c.surroundings(ctx, tx)
	if err != nil {
		return err
	}
	v, wrong := doc.CompleteDevice(v)
	if len(wrong) > 0 {
		return wrongFields(wrong)
	}
	doc.Devices = []tenancy.Device{v}
	digested(doc)
	for _, s := range deviceRows(doc) {
		if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// unsetDefaults takes away what the table put in by itself: another kind has others.
func (c *changing) unsetDefaults(v *tenancy.Device) {
	for field, clear := range map[string]func(){
		"host": func() { v.Host = "" }, "nat": func() { v.NAT = "" }, "type": func() { v.Type = "" },
		"context": func() { v.Context = "" }, "recording": func() { v.Recording = "" }, "monitoring": func() { v.Monitoring = nil },
	} {
		if _, given := c.Set[field]; !given {
			clear()
		}
	}
}

// trunkRules checks a trunk as apply would, and writes it with its defaults and what is
// kept of a password.
func trunkRules(ctx context.Context, tx bun.Tx, c *changing) error {
	doc, err := c.surroundings(ctx, tx)
	if err != nil {
		return err
	}
	all := doc.Trunks
	doc.Trunks = nil
	for _, t := range all {
		if t.Name != c.Name {
			continue
		}
		if password, given := part[string](c, "password"); given {
			t.Password, t.HA1MD5, t.HA1SHA256, t.CarrierMD5, t.CarrierSHA256 = password, "", "", "", ""
		}
		if texts, given := part[[]string](c, "addresses"); given {
			t.Addresses = texts
		}
		t, wrong := doc.CompleteTrunk(t)
		if len(wrong) > 0 {
			return wrongFields(wrong)
		}
		doc.Trunks = []tenancy.Trunk{t}
	}
	if len(doc.Trunks) == 0 {
		return nil
	}
	digested(doc)
	if _, err := tx.ExecContext(ctx, `DELETE FROM trunk_addresses WHERE tenant_id = ? AND trunk = ?`, c.by.Tenant, c.Name); err != nil {
		return err
	}
	for _, s := range trunkRows(doc) {
		if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func wrongFields(wrong []fault.Field) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid", Sentence: wrong[0].Name + ": " + wrong[0].Sentence + ".", Fields: wrong}
}
