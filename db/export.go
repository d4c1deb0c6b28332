package db

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/queue"
	"holdfast/domain/tenancy"
)

// Export reads a whole tenant as a document that Apply takes: complete, with what is
// kept of passwords. fault.NotFound if there is no such tenant.
func (d *DB) Export(ctx context.Context, t id.Tenant) (tenancy.Document, error) {
	var doc tenancy.Document
	err := d.inTenant(ctx, "export a tenant", t, func(ctx context.Context, tx bun.Tx) (err error) {
		doc, err = export(ctx, tx, t)
		if err == nil && doc.Tenant.Domain == "" {
			return fault.E(fault.NotFound, "export a tenant", fmt.Errorf("there is no tenant %s", t))
		}
		return err
	})
	return doc, err
}

// export reads the tenant whose transaction tx is; the zero document if there is none.
func export(ctx context.Context, tx bun.Tx, t id.Tenant) (tenancy.Document, error) {
	var doc tenancy.Document
	var head []struct {
		Organization     string          `bun:"organization"`
		OrganizationName string          `bun:"organization_name"`
		Division         string          `bun:"division"`
		DivisionName     string          `bun:"division_name"`
		DisplayName      string          `bun:"display_name"`
		Country          string          `bun:"country"`
		Currency         string          `bun:"currency"`
		Policies         json.RawMessage `bun:"policies"`
	}
	err := tx.NewRaw(`
SELECT t.organization, o.display_name AS organization_name, t.division, v.display_name AS division_name, t.display_name, t.country, t.currency, t.policies
  FROM tenants t JOIN organizations o ON o.name = t.organization
  JOIN divisions v ON v.organization = t.organization AND v.name = t.division
 WHERE t.tenant_id = ?`, t).Scan(ctx, &head)
	if err != nil || len(head) == 0 {
		return doc, err
	}
	h := head[0]
	doc.Organization = tenancy.Unit{Name: h.Organization, DisplayName: h.OrganizationName}
	doc.Division = tenancy.Unit{Name: h.Division, DisplayName: h.DivisionName}
	doc.Tenant = tenancy.Tenant{Domain: t, DisplayName: h.DisplayName, Country: h.Country, Currency: h.Currency}
	if err := json.Unmarshal(h.Policies, &doc.Tenant.Policies); err != nil {
		return doc, fmt.Errorf("read the policies: %w", err)
	}
	for _, read := range []func(context.Context, bun.Tx, *tenancy.Document) error{
		exportRoles, exportPeople, exportAgents, exportDevices, exportQueues, exportTrunks, exportNumbers, exportReasons, exportSkills, exportDispositions,
		exportMusic, exportContactFields, exportTariffs, exportWebhooks,
	} {
		if err := read(ctx, tx, &doc); err != nil {
			return doc, err
		}
	}
	return doc.Complete(), nil
}

func exportPeople(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var teams []struct {
		Name        id.Team `bun:"name"`
		DisplayName string  `bun:"display_name"`
	}
	if err := tx.NewRaw(`SELECT name, display_name FROM teams WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &teams); err != nil {
		return err
	}
	for _, r := range teams {
		doc.Teams = append(doc.Teams, tenancy.Team(r))
	}
	var users []struct {
		Name         id.User        `bun:"name"`
		DisplayName  string         `bun:"display_name"`
		PasswordHash string         `bun:"password_hash"`
		Roles        []account.Role `bun:"roles,array"`
		Teams        []id.Team      `bun:"teams,array"`
		Team         id.Team        `bun:"team"`
		Disabled     bool           `bun:"disabled"`
	}
	err := tx.NewRaw(`SELECT name, display_name, password_hash, roles, teams, coalesce(team, '') AS team, disabled FROM users WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &users)
	for _, r := range users {
		doc.Users = append(doc.Users, tenancy.User{Name: r.Name, DisplayName: r.DisplayName, PasswordHash: r.PasswordHash, Roles: r.Roles, Teams: r.Teams, Team: r.Team, Disabled: r.Disabled})
	}
	return err
}

func exportAgents(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Number     id.Agent     `bun:"number"`
		User       id.User      `bun:"user_name"`
		Team       id.Team      `bun:"team"`
		WrapUpMS   int64        `bun:"wrap_up_ms"`
		RingMethod string       `bun:"ring_method"`
		OnNoAnswer agent.Follow `bun:"on_no_answer"`
		OnReject   agent.Follow `bun:"on_reject"`
		Binding    string       `bun:"binding_mode"`
		ShiftEnd   string       `bun:"shift_end"`
		Addresses  []id.Device  `bun:"addresses,array"`
	}
	err := tx.NewRaw(`
SELECT number, user_name, coalesce(team, '') AS team, wrap_up_ms, ring_method, on_no_answer, on_reject, binding_mode, shift_end,
       ARRAY (SELECT device FROM agent_addresses x WHERE x.tenant_id = a.tenant_id AND x.agent = a.number ORDER BY place) AS addresses
  FROM agents a WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Agents = append(doc.Agents, tenancy.Agent{
			Number: r.Number, User: r.User, Team: r.Team, WrapUp: span(r.WrapUpMS), RingMethod: r.RingMethod,
			OnNoAnswer: r.OnNoAnswer, OnReject: r.OnReject, Addresses: r.Addresses, Binding: r.Binding, ShiftEnd: r.ShiftEnd,
		})
	}
	return err
}

func exportQueues(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name        id.Queue       `bun:"name"`
		DisplayName string         `bun:"display_name"`
		Strategy    queue.Strategy `bun:"strategy"`
		RingMS      int64          `bun:"ring_ms"`
		MaxWaitMS   int64          `bun:"max_wait_ms"`
		Priority    int            `bun:"priority"`
		Music       string         `bun:"music"`
	}
	err := tx.NewRaw(`SELECT name, display_name, strategy, ring_ms, max_wait_ms, priority, music FROM queues WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	var members []struct {
		Queue    id.Queue `bun:"queue"`
		Agent    id.Agent `bun:"agent"`
		Penalty  int      `bun:"penalty"`
		Position int      `bun:"position"`
		Static   bool     `bun:"static"`
		Manual   bool     `bun:"manual"`
	}
	if err := tx.NewRaw(`SELECT queue, agent, penalty, position, static, manual FROM memberships WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &members); err != nil {
		return err
	}
	of := map[id.Queue][]tenancy.Member{}
	for _, m := range members {
		of[m.Queue] = append(of[m.Queue], tenancy.Member{Agent: m.Agent, Penalty: m.Penalty, Position: m.Position, Static: m.Static, Manual: m.Manual})
	}
	for _, r := range rows {
		doc.Queues = append(doc.Queues, tenancy.Queue{
			Name: r.Name, DisplayName: r.DisplayName, Strategy: r.Strategy, Ring: span(r.RingMS), MaxWait: span(r.MaxWaitMS),
			Priority: r.Priority, Music: r.Music, Members: of[r.Name],
		})
	}
	return nil
}

func exportTrunks(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name      string   `bun:"name"`
		Host      string   `bun:"host"`
		Transport string   `bun:"transport"`
		User      string   `bun:"user_name"`
		HA1MD5    string   `bun:"ha1_md5"`
		HA1SHA256 string   `bun:"ha1_sha256"`
		Realm     string   `bun:"realm"`
		MD5       string   `bun:"carrier_md5"`
		SHA256    string   `bun:"carrier_sha256"`
		Limit     int      `bun:"call_limit"`
		CallerID  string   `bun:"caller_id"`
		Identity  string   `bun:"identity"`
		Addresses []string `bun:"addresses,array"`
	}
	err := tx.NewRaw(`
SELECT name, host, transport, user_name, ha1_md5, ha1_sha256, realm, carrier_md5, carrier_sha256, call_limit, caller_id, identity,
       ARRAY (SELECT address::text FROM trunk_addresses x WHERE x.tenant_id = t.tenant_id AND x.trunk = t.name) AS addresses
  FROM trunks t WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Trunks = append(doc.Trunks, tenancy.Trunk{
			Name: r.Name, Addresses: r.Addresses, Host: r.Host, Transport: r.Transport, User: r.User,
			HA1MD5: r.HA1MD5, HA1SHA256: r.HA1SHA256, Realm: r.Realm, CarrierMD5: r.MD5, CarrierSHA256: r.SHA256, Limit: r.Limit,
			CallerID: r.CallerID, Identity: r.Identity,
		})
	}
	return err
}

func exportNumbers(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Number string   `bun:"number"`
		Queue  id.Queue `bun:"queue"`
		Agent  id.Agent `bun:"agent"`
		Trunk  string   `bun:"trunk"`
	}
	err := tx.NewRaw(`
SELECT number, coalesce(queue, '') AS queue, coalesce(agent, '') AS agent, coalesce(trunk, '') AS trunk FROM numbers WHERE tenant_id = ?`,
		doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Numbers = append(doc.Numbers, tenancy.Number(r))
	}
	return err
}

// span is a column in milliseconds as a document has it.
func span(ms int64) tenancy.Duration { return tenancy.Duration(time.Duration(ms) * time.Millisecond) }
