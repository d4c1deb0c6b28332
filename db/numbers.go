package db

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/call"
	"holdfast/domain/dialplan"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// sqlRoute looks a number up: what is configured for it, else the agent whose
// number it is, else the device whose extension it is, else the longest prefix.
// Addresses are those of the agent, or that of the device.
const sqlRoute = `
WITH candidates AS (
  SELECT 0 AS rank, queue, agent, trunk, NULL AS device FROM numbers WHERE tenant_id = $1 AND number = $2
  UNION ALL
  SELECT 1, NULL, number, NULL, NULL FROM agents WHERE tenant_id = $1 AND number = $2
  UNION ALL
  SELECT 2, NULL, agent, NULL, name FROM devices WHERE tenant_id = $1 AND extension = $2 AND extension <> ''
  UNION ALL
  SELECT 1000 - length(number), NULL, NULL, trunk, NULL FROM numbers
   WHERE tenant_id = $1 AND number = ANY ($3)
), best AS (SELECT * FROM candidates ORDER BY rank LIMIT 1)
SELECT b.queue, b.agent, b.trunk, b.device,
       coalesce(q.ring_ms, 0), coalesce(q.max_wait_ms, 0), coalesce(q.priority, 0), coalesce(q.music, ''), coalesce(q.display_name, ''),
       coalesce(a.ring_method, ''), coalesce(u.display_name, ''), coalesce(u.disabled, false),
       CASE WHEN b.device IS NULL THEN
       (SELECT coalesce(jsonb_agg(jsonb_build_object('device', d.name, 'kind', d.kind, 'uri', d.dial) ORDER BY x.place), '[]')
          FROM agent_addresses x, LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = x.device LIMIT 1) d
         WHERE x.tenant_id = $1 AND x.agent = b.agent)
       ELSE (SELECT jsonb_build_array(jsonb_build_object('device', d.name, 'kind', d.kind, 'uri', d.dial))
               FROM devices d WHERE d.tenant_id = $1 AND d.name = b.device) END,
       coalesce(t.country, ''), coalesce(t.policies -> 'dial_allowed', '[]')
  FROM (SELECT $1::text AS tenant_id) one
  LEFT JOIN best b ON true
  LEFT JOIN LATERAL (SELECT * FROM tenants WHERE tenant_id = one.tenant_id LIMIT 1) t ON true
  LEFT JOIN LATERAL (SELECT * FROM queues WHERE tenant_id = $1 AND name = b.queue LIMIT 1) q ON true
  LEFT JOIN LATERAL (SELECT * FROM agents WHERE tenant_id = $1 AND number = b.agent LIMIT 1) a ON true
  LEFT JOIN LATERAL (SELECT * FROM users WHERE tenant_id = $1 AND name = a.user_name LIMIT 1) u ON true`

// longestPrefix bounds the prefixes of a dialled number that are tried: E.164 has
// 15 digits, and an access code may come before it.
const longestPrefix = 24

// Route looks a number up in a tenant; kind ToNobody if it leads nowhere. Answers
// are kept until the directory changes, and while the database is away. Whether the caller may go there is not
// asked here: a call from a trunk must not be sent out by another. An agent who is signed
// in is reached where its session is bound to (SEED-117).
func (d *DB) Route(ctx context.Context, t id.Tenant, number string) (call.Route, error) {
	r, err := d.route(ctx, t, number)
	if err == nil && r.Kind == call.ToAgent && r.Agent != "" {
		d.present(ctx, t, number, &r)
	}
	return r, err
}

// sqlPresent reads to which addresses an agent's session is bound, unless the number that
// was dialled is that of a device; and whether the tenant keeps direct calls from the agent
// because it is not Ready.
const sqlPresent = `
SELECT CASE WHEN p.state <> 'LoggedOff' AND jsonb_typeof(p.view -> 'binding' -> 'addresses') = 'array'
             AND NOT EXISTS (SELECT FROM devices WHERE tenant_id = $1 AND extension = $3 AND extension <> '')
            THEN p.view -> 'binding' -> 'addresses' END,
       coalesce((t.policies ->> 'direct_call_requires_ready')::boolean, false) AND p.state IS DISTINCT FROM 'Ready'
  FROM tenants t
  LEFT JOIN LATERAL (SELECT * FROM presence WHERE tenant_id = $1 AND agent = $2 LIMIT 1) p ON true
 WHERE t.tenant_id = $1`

// present lets a route lead to where the agent is now. If that can't be read, it leads to
// where the directory says, and to an agent of any state.
func (d *DB) present(ctx context.Context, t id.Tenant, number string, r *call.Route) {
	var bound []leg.Address
	found := false
	err := d.fly(ctx, t, func(f *flight) error {
		found = false
		f.scanOne(&found, []any{&bound, &r.NotReady}, sqlPresent, string(t), string(r.Agent), number)
		return nil
	})
	if err == nil && found && len(bound) > 0 {
		r.Targets = bound
	}
}

func (d *DB) route(ctx context.Context, t id.Tenant, number string) (call.Route, error) {
	d.startListening()
	r, since, kept := d.routes.get(t, number)
	if kept {
		return r, nil
	}
	err := d.fly(ctx, t, func(f *flight) error {
		r = call.Route{Kind: call.ToNobody}
		f.each(func(rows pgx.Rows) error {
			var limits dialplan.Limits
			var err error
			r, err = scanRoute(rows, number, &limits)
			r.Barred = barred(limits, r, number)
			d.routes.settle(t, limits.Country)
			return err
		}, sqlRoute, string(t), number, prefixes(number))
		return nil
	})
	if err != nil {
		err = failure("look a number up", err)
		if last, known := d.routes.last(t, number); known && fault.KindOf(err) == fault.Unavailable {
			return last, nil
		}
		return call.Route{}, err
	}
	d.routes.put(t, number, r, since)
	return r, nil
}

// prefixes are the patterns that a number fits: "0*", "04*", …
func prefixes(number string) []string {
	var list []string
	for i := range min(len(number), longestPrefix) + 1 {
		list = append(list, number[:i]+"*")
	}
	return list
}

// barred says why a number may not be dialled that leads outside, or nowhere in the
// directory: the only trunk may still take it.
func barred(l dialplan.Limits, r call.Route, number string) string {
	switch {
	case r.Kind == call.ToNobody:
		return l.Refuse(number)
	case r.Kind == call.ToTrunk && len(r.Targets) == 1:
		return l.Refuse(r.Targets[0].URI)
	}
	return ""
}

func scanRoute(rows pgx.Rows, number string, limits *dialplan.Limits) (call.Route, error) {
	var q, trunk, device *string
	var a *id.Agent
	var queue call.Queue
	var ringMS, maxWaitMS int64
	var queueName, agentName, method string
	var disabled bool
	var addresses []leg.Address
	if err := rows.Scan(&q, &a, &trunk, &device, &ringMS, &maxWaitMS, &queue.Priority, &queue.Music, &queueName,
		&method, &agentName, &disabled, &addresses, &limits.Country, &limits.Allowed); err != nil {
		return call.Route{}, err
	}
	switch {
	case q != nil:
		queue.Name, queue.Ring, queue.MaxWait = id.Queue(*q), milliseconds(ringMS), milliseconds(maxWaitMS)
		return call.Route{Kind: call.ToQueue, Queue: queue, Name: queueName}, nil
	case device != nil && len(addresses) == 1 && !disabled:
		return toDevice(addresses[0], a, agentName), nil
	case a != nil && !disabled:
		return call.Route{Kind: call.ToAgent, Agent: *a, Targets: addresses, Method: method, Name: agentName}, nil
	case trunk != nil:
		return call.Route{Kind: call.ToTrunk, Targets: []leg.Address{{Device: id.Device(*trunk), Kind: leg.PSTN, URI: number}},
			Method: "single", Name: *trunk}, nil
	}
	return call.Route{Kind: call.ToNobody}, nil
}

// toDevice leads to one device: to a phone as to the agent whose it is, if it is anybody's;
// to an external one as to the number outside (SEED-49), so that a carrier's call is never
// sent back to a carrier.
func toDevice(to leg.Address, owner *id.Agent, name string) call.Route {
	r := call.Route{Kind: call.ToAgent, Targets: []leg.Address{to}, Method: "single", Name: cmp.Or(name, string(to.Device))}
	switch {
	case to.Kind == leg.PSTN:
		r.Kind = call.ToTrunk
	case owner != nil:
		r.Agent = *owner
	}
	return r
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
