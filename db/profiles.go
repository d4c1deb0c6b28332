package db

import (
	"context"
	"maps"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// sqlProfiles is a digest of what Profile reads, for every agent of the tenant that has
// one: two are equal exactly if the profiles are. A test holds the two together.
const sqlProfiles = `
SELECT a.number AS agent, md5(jsonb_build_array(u.display_name, a.team, a.wrap_up_ms, a.ring_method, a.on_no_answer, a.on_reject, a.binding_mode, a.shift_end,
         t.policies -> 'wrapup_early_exit', t.policies -> 'idle_logout', t.policies -> 'terminal_grace',
         t.policies -> 'device_conflict', t.policies -> 'time_zone',
         (SELECT jsonb_agg(jsonb_build_array(r.code, r.display_name, r.limit_ms, r.then_do) ORDER BY r.place, r.code)
            FROM reasons r WHERE r.tenant_id = a.tenant_id),
         (SELECT jsonb_agg(jsonb_build_array(m.queue, m.manual, m.static, m.penalty) ORDER BY m.queue)
            FROM memberships m WHERE m.tenant_id = a.tenant_id AND m.agent = a.number),
         (SELECT jsonb_agg(jsonb_build_array(d.name, d.kind, d.dial) ORDER BY x.place)
            FROM agent_addresses x JOIN devices d ON d.tenant_id = x.tenant_id AND d.name = x.device
           WHERE x.tenant_id = a.tenant_id AND x.agent = a.number))::text) AS digest
  FROM agents a
  JOIN users u ON u.tenant_id = a.tenant_id AND u.name = a.user_name AND NOT u.disabled
  JOIN tenants t ON t.tenant_id = a.tenant_id
 WHERE a.tenant_id = ?`

// profiles are the digests of the tenant's profiles now.
func profiles(ctx context.Context, tx bun.Tx, t id.Tenant) (map[id.Agent]string, error) {
	var rows []struct {
		Agent  id.Agent `bun:"agent"`
		Digest string   `bun:"digest"`
	}
	if err := tx.NewRaw(sqlProfiles, t).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	digests := map[id.Agent]string{}
	for _, r := range rows {
		digests[r.Agent] = r.Digest
	}
	return digests, nil
}

// noteProfiles writes down whose profile is another than before, or is gone, so that
// their sessions are told even if nobody listens now. Who had none has no session.
func noteProfiles(ctx context.Context, tx bun.Tx, t id.Tenant, before map[id.Agent]string) error {
	after, err := profiles(ctx, tx, t)
	if err != nil {
		return err
	}
	var changed []string
	for _, a := range slices.Sorted(maps.Keys(before)) {
		if after[a] != before[a] {
			changed = append(changed, string(a))
		}
	}
	if len(changed) == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO profile_changes (tenant_id, agent) SELECT ?, unnest(?::text[])`, t, pgdialect.Array(changed))
	return err
}

// ProfileChanges hands the oldest changes that nobody else is telling, at most most and
// none of later, to tell, and forgets those that it returns as told. It reports whether
// changes remain besides those of later. tell must be quick: the changes are held
// meanwhile, on a connection (idleTimeout).
func (d *DB) ProfileChanges(ctx context.Context, most int, later []int64, tell func(context.Context, []record.ProfileChange) (told []int64, err error)) (left bool, err error) {
	const op = "tell of changed profiles"
	not := pgdialect.Array(append([]int64{}, later...))
	err = d.asSystem(ctx, op, func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			Seq    int64     `bun:"seq"`
			Tenant id.Tenant `bun:"tenant_id"`
			Agent  id.Agent  `bun:"agent"`
		}
		if err := tx.NewRaw(`SELECT seq, tenant_id, agent FROM profile_changes WHERE seq <> ALL (?) ORDER BY seq LIMIT ? FOR UPDATE SKIP LOCKED`, not, most).Scan(ctx, &rows); err != nil {
			return err
		}
		var changes []record.ProfileChange
		for _, r := range rows {
			changes = append(changes, record.ProfileChange{Seq: r.Seq, Agent: agent.Ref{Tenant: r.Tenant, Agent: r.Agent}})
		}
		if len(changes) > 0 {
			told, err := tell(ctx, changes)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM profile_changes WHERE seq = ANY (?)`, pgdialect.Array(told)); err != nil {
				return err
			}
		}
		return tx.NewRaw(`SELECT EXISTS (SELECT FROM profile_changes WHERE seq <> ALL (?))`, not).Scan(ctx, &left)
	})
	return left, err
}
