package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

const (
	sqlProfile = `
SELECT u.display_name, coalesce(a.team, ''), a.wrap_up_ms, a.ring_method, a.on_no_answer, a.on_reject, a.binding_mode, a.shift_end, t.policies
  FROM agents a
  CROSS JOIN LATERAL (SELECT * FROM users WHERE tenant_id = $1 AND name = a.user_name LIMIT 1) u
  CROSS JOIN LATERAL (SELECT * FROM tenants WHERE tenant_id = $1 LIMIT 1) t
 WHERE a.tenant_id = $1 AND a.number = $2 AND NOT u.disabled`

	sqlProfileQueues = `
SELECT queue, NOT manual, static, penalty FROM memberships WHERE tenant_id = $1 AND agent = $2 ORDER BY queue`

	sqlProfileAddresses = `
SELECT d.name, d.kind, d.dial
  FROM agent_addresses x, LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = x.device LIMIT 1) d
 WHERE x.tenant_id = $1 AND x.agent = $2 ORDER BY x.place`

	sqlProfileReasons = `SELECT code, display_name, limit_ms, then_do FROM reasons WHERE tenant_id = $1 ORDER BY place, code`

	// sqlReachable lists devices that a call would ring now: registered ones, and those
	// that need no registration: numbers outside, phones at fixed addresses.
	sqlReachable = `
SELECT d.name
  FROM agent_addresses x, LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = x.device LIMIT 1) d
 WHERE x.tenant_id = $1 AND x.agent = $2
   AND (d.at_hand OR EXISTS (
        SELECT FROM registrations r WHERE r.tenant_id = $1 AND r.device = d.name AND r.expires > $3))
 ORDER BY x.place`
)

// Profile reads the agent's directory entry for the sign-in, with the devices of
// it that are reachable now. fault.NotFound if there is no such agent, or its user
// is disabled (SEED-16, SEED-17).
func (d *DB) Profile(ctx context.Context, ref agent.Ref) (agent.Profile, []id.Device, error) {
	var p agent.Profile
	var found bool
	reachable := []id.Device{}
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		p, found, reachable = agent.Profile{Queues: []agent.Membership{}, Addresses: []leg.Address{}}, false, []id.Device{}
		t, a := string(ref.Tenant), string(ref.Agent)
		f.each(func(rows pgx.Rows) error {
			found = true
			return d.scanProfile(rows, &p)
		}, sqlProfile, t, a)
		f.each(func(rows pgx.Rows) error {
			var m agent.Membership
			err := rows.Scan(&m.Queue, &m.CheckedIn, &m.Static, &m.Penalty)
			p.Queues = append(p.Queues, m)
			return err
		}, sqlProfileQueues, t, a)
		f.each(func(rows pgx.Rows) error {
			var x leg.Address
			err := rows.Scan(&x.Device, &x.Kind, &x.URI)
			p.Addresses = append(p.Addresses, x)
			return err
		}, sqlProfileAddresses, t, a)
		f.each(func(rows pgx.Rows) error {
			var r agent.Rule
			var limitMS int64
			err := rows.Scan(&r.Code, &r.Name, &limitMS, &r.Then)
			r.Limit = milliseconds(limitMS)
			p.Reasons = append(p.Reasons, r)
			return err
		}, sqlProfileReasons, t)
		f.each(func(rows pgx.Rows) error {
			var device id.Device
			err := rows.Scan(&device)
			reachable = append(reachable, device)
			return err
		}, sqlReachable, t, a, d.now())
		return nil
	})
	if err == nil && !found {
		err = fault.E(fault.NotFound, "read an agent's profile", fmt.Errorf("there is no agent %s", ref.Agent))
	}
	if err != nil {
		return agent.Profile{}, nil, failure("read an agent's profile", err)
	}
	return p, reachable, nil
}

func (d *DB) scanProfile(rows pgx.Rows, p *agent.Profile) error {
	var wrapUpMS int64
	var policies tenancy.Policies
	var shiftEnd string
	if err := rows.Scan(&p.Name, &p.Team, &wrapUpMS, &p.RingMethod, &p.OnNoAnswer, &p.OnReject, &p.Mode, &shiftEnd, &policies); err != nil {
		return err
	}
	p.WrapUp = milliseconds(wrapUpMS)
	p.EarlyExit, p.IdleLogout, p.TerminalGap = policies.WrapUpEarlyExit, policies.Idle(), policies.Grace()
	p.Conflict, p.ShiftEnd = policies.DeviceConflict, policies.NextTime(shiftEnd, d.now())
	return nil
}

// AgentsOf lists the agents of teams, in order.
func (d *DB) AgentsOf(ctx context.Context, t id.Tenant, teams []id.Team) ([]id.Agent, error) {
	agents := []id.Agent{}
	err := d.inTenant(ctx, "list the agents of teams", t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewSelect().Table("agents").Column("number").Where("tenant_id = ?", t).
			Where("team = ANY (?)", pgdialect.Array(texts(teams))).Order("number").Scan(ctx, &agents)
	})
	return agents, err
}
