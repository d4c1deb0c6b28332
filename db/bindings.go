package db

import (
	"context"
	"net/netip"
	"slices"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

const (
	// sqlBind takes hold of devices. Their rows are locked before: who deletes a device
	// holds its row as well, so that it sees who is bound to it, or has deleted it before
	// anybody is. A device that is gone is taken by nobody.
	sqlBind = `
WITH there AS MATERIALIZED (
  SELECT name FROM devices WHERE tenant_id = $1 AND name = ANY ($4) ORDER BY name FOR KEY SHARE)
SELECT o_device, o_agent, o_lost FROM holdfast_bind($1, $2, $3, ARRAY (SELECT name FROM there), $5, $6)
 UNION ALL
SELECT gone, '', false FROM unnest($4::text[]) gone WHERE NOT EXISTS (SELECT FROM there WHERE name = gone)`

	// sqlBound says what a save of that version was answered by sqlBind.
	sqlBound = `
SELECT device, CASE WHEN agent = $2 THEN taken_from ELSE agent END, agent = $2 FROM bindings
 WHERE tenant_id = $1 AND device = ANY ($4) AND (agent <> $2 OR version = $3 AND taken_from IS NOT NULL)
 UNION ALL
SELECT gone, '', false FROM unnest($4::text[]) gone WHERE NOT EXISTS (SELECT FROM devices WHERE tenant_id = $1 AND name = gone)`

	sqlRelease = `DELETE FROM bindings WHERE holder = hashtextextended($1 || '/' || $2, 0) AND tenant_id = $1 AND agent = $2`

	sqlCloseTerminals = `DELETE FROM terminals WHERE tenant_id = $1 AND agent = $2`

	// sqlCandidatesFor lists what an agent may be bound to: its own devices, those of its
	// addresses, and those that belong to nobody.
	sqlCandidatesFor = `
SELECT d.name, d.kind, d.dial, d.agent IS NULL,
       d.at_hand OR EXISTS (SELECT FROM registrations r WHERE r.tenant_id = $1 AND r.device = d.name AND r.expires > $3),
       ARRAY (SELECT r.flow FROM registrations r WHERE r.tenant_id = $1 AND r.device = d.name AND r.expires > $3),
       coalesce(p.agent, ''), p.agent IS NOT NULL AND (p.offer IS NOT NULL OR p.state IN ('Reserved', 'Busy'))
  FROM devices d
  LEFT JOIN agent_addresses x ON x.tenant_id = $1 AND x.agent = $2 AND x.device = d.name
  LEFT JOIN bindings b ON b.tenant_id = $1 AND b.device = d.name AND b.agent <> $2
  LEFT JOIN presence p ON p.tenant_id = $1 AND p.agent = b.agent AND p.state <> 'LoggedOff'
 WHERE d.tenant_id = $1 AND (d.agent = $2 OR d.agent IS NULL OR x.device IS NOT NULL)
 ORDER BY x.place NULLS LAST, d.name`

	sqlSeat = `
SELECT holder.agent,
       coalesce((t.policies ->> 'outbound_requires_not_ready')::boolean, false) AND coalesce(p.state IN ('Ready', 'Reserved'), false)
  FROM devices d
  JOIN tenants t ON t.tenant_id = $1
  CROSS JOIN LATERAL (SELECT coalesce((SELECT b.agent FROM bindings b WHERE b.tenant_id = $1 AND b.device = $2), d.agent, '') AS agent) holder
  LEFT JOIN LATERAL (SELECT * FROM presence WHERE tenant_id = $1 AND agent = holder.agent LIMIT 1) p ON true
 WHERE d.tenant_id = $1 AND d.name = $2`

	sqlSignedIn = `SELECT state <> 'LoggedOff' FROM presence WHERE tenant_id = $1 AND agent = $2`
)

// Seat is who sits at a device, and whether it may dial out; nobody sits at an unknown one.
func (d *DB) Seat(ctx context.Context, t id.Tenant, device id.Device) (seat record.Seat, err error) {
	err = d.fly(ctx, t, func(f *flight) error {
		var found bool
		f.scanOne(&found, []any{&seat.Agent, &seat.MayNotDialOut}, sqlSeat, string(t), string(device))
		return nil
	})
	return seat, failure("look up who sits at a device", err)
}

// Choice lists what an agent may choose at its sign-in; fault.NotFound if there is no
// such agent.
func (d *DB) Choice(ctx context.Context, ref agent.Ref) (record.Choice, error) {
	p, _, err := d.Profile(ctx, ref)
	if err != nil {
		return record.Choice{}, err
	}
	all, _, err := d.Candidates(ctx, ref)
	c := record.Choice{Mode: p.Mode, Interfaces: p.Interfaces(), Devices: map[id.Device]record.Offered{}}
	for _, x := range all {
		if listed, now := x.OfferedTo(p); listed {
			c.Devices[x.Device] = record.Offered{Now: now, UsedBy: x.UsedBy}
		}
	}
	return c, err
}

// release lets go of everything that an agent's session held.
func (f *flight) release(tenant, agent string) {
	f.queue(sqlRelease, tenant, agent)
	f.queue(sqlCloseTerminals, tenant, agent)
}

// bind takes hold of the devices that the session is bound to, if that changed. What
// others have does not ring for this agent.
func (s *agentSave) bind(f *flight) error {
	p := &s.Presence
	if p.Bound == nil || p.Gone {
		return nil
	}
	s.readBound(f, sqlBind, string(p.Tenant), string(p.Agent), p.Version, texts(p.Bound), texts(p.Claim), s.at)
	if err := f.send(); err != nil {
		return err
	}
	if len(s.taken) > 0 {
		p.Addresses = slices.DeleteFunc(slices.Clone(p.Addresses), func(a leg.Address) bool {
			return slices.ContainsFunc(s.taken, func(t agent.Taken) bool { return t.Device == a.Device })
		})
		p.Available = p.Available && len(p.Addresses) > 0
	}
	return nil
}

func (s *agentSave) readBound(f *flight, sql string, args ...any) {
	s.taken, s.lost = nil, nil
	f.each(func(rows pgx.Rows) error {
		var device id.Device
		var other id.Agent
		var lost bool
		err := rows.Scan(&device, &other, &lost)
		if lost {
			s.lost = append(s.lost, record.Lost{Agent: other, Device: device})
		} else {
			s.taken = append(s.taken, agent.Taken{Device: device, By: other})
		}
		return err
	}, sql, args...)
}

// rebound adds to the answer of a repeated save what the first one was answered about
// its devices.
func (s *agentSave) rebound(f *flight, saved *record.Saved) error {
	p := s.Presence
	if p.Bound == nil || p.Gone {
		return nil
	}
	s.readBound(f, sqlBound, string(p.Tenant), string(p.Agent), p.Version, texts(p.Bound))
	err := f.send()
	saved.Taken, saved.Lost = s.taken, s.lost
	return err
}

// Candidates lists the devices that an agent may be bound to, those of its profile first,
// and says whether it is signed in.
func (d *DB) Candidates(ctx context.Context, ref agent.Ref) (list []agent.Candidate, signedIn bool, err error) {
	t, a := string(ref.Tenant), string(ref.Agent)
	err = d.fly(ctx, ref.Tenant, func(f *flight) error {
		list, signedIn = nil, false
		found := false
		f.each(func(rows pgx.Rows) error {
			var c agent.Candidate
			var flows []string
			err := rows.Scan(&c.Device, &c.Kind, &c.URI, &c.Shared, &c.Reachable, &flows, &c.UsedBy, &c.InCall)
			for _, flow := range flows {
				if from, err := netip.ParseAddrPort(flow); err == nil {
					c.From = append(c.From, from.Addr().Unmap().String())
				}
			}
			list = append(list, c)
			return err
		}, sqlCandidatesFor, t, a, d.now())
		f.scanOne(&found, []any{&signedIn}, sqlSignedIn, t, a)
		return nil
	})
	return list, signedIn, failure("list the devices to choose from", err)
}
