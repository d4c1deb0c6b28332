package db

import (
	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"

	"github.com/uptrace/bun/dialect/pgdialect"
)

func teamRows(doc tenancy.Document) (rows []statement) {
	for _, t := range doc.Teams {
		rows = append(rows, statement{`
INSERT INTO teams (tenant_id, name, display_name) VALUES (?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name`,
			[]any{doc.Tenant.Domain, t.Name, t.DisplayName}})
	}
	return rows
}

func userRows(doc tenancy.Document) (rows []statement) {
	for _, u := range doc.Users {
		roles := keys(u.Roles, func(r account.Role) string { return string(r) })
		teams := keys(u.Teams, func(t id.Team) string { return string(t) })
		rows = append(rows, statement{`
INSERT INTO users (tenant_id, name, display_name, password_hash, roles, teams, team, disabled) VALUES (?, ?, ?, ?, ?, ?, nullif(?, ''), ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, password_hash = excluded.password_hash,
  roles = excluded.roles, teams = excluded.teams, team = excluded.team, disabled = excluded.disabled`,
			[]any{doc.Tenant.Domain, u.Name, u.DisplayName, u.PasswordHash, roles, teams, string(u.Team), u.Disabled}})
	}
	return rows
}

func agentRows(doc tenancy.Document) (rows []statement) {
	for _, a := range doc.Agents {
		rows = append(rows, statement{`
INSERT INTO agents (tenant_id, number, user_name, team, wrap_up_ms, ring_method, on_no_answer, on_reject, binding_mode, shift_end) VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, number) DO UPDATE SET user_name = excluded.user_name, team = excluded.team, wrap_up_ms = excluded.wrap_up_ms,
  ring_method = excluded.ring_method, on_no_answer = excluded.on_no_answer, on_reject = excluded.on_reject,
  binding_mode = excluded.binding_mode, shift_end = excluded.shift_end`,
			[]any{doc.Tenant.Domain, a.Number, a.User, string(a.Team), ms(a.WrapUp), a.RingMethod, a.OnNoAnswer, a.OnReject, a.Binding, a.ShiftEnd}})
	}
	return rows
}

func addressRows(doc tenancy.Document) (rows []statement) {
	for _, a := range doc.Agents {
		for i, v := range a.Addresses {
			rows = append(rows, statement{`INSERT INTO agent_addresses (tenant_id, agent, place, device) VALUES (?, ?, ?, ?)`,
				[]any{doc.Tenant.Domain, a.Number, i, v}})
		}
	}
	return rows
}

func queueRows(doc tenancy.Document) (rows []statement) {
	for _, q := range doc.Queues {
		rows = append(rows, statement{`
INSERT INTO queues (tenant_id, name, display_name, strategy, ring_ms, max_wait_ms, priority, music) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, strategy = excluded.strategy, ring_ms = excluded.ring_ms,
  max_wait_ms = excluded.max_wait_ms, priority = excluded.priority, music = excluded.music`,
			[]any{doc.Tenant.Domain, q.Name, q.DisplayName, q.Strategy, ms(q.Ring), ms(q.MaxWait), q.Priority, q.Music}})
		for _, m := range q.Members {
			rows = append(rows, statement{`
INSERT INTO memberships (tenant_id, queue, agent, penalty, position, static, manual) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				[]any{doc.Tenant.Domain, q.Name, m.Agent, m.Penalty, m.Position, m.Static, m.Manual}})
		}
	}
	return rows
}

func trunkRows(doc tenancy.Document) (rows []statement) {
	for _, t := range doc.Trunks {
		rows = append(rows, statement{`
INSERT INTO trunks (tenant_id, name, host, transport, user_name, ha1_md5, ha1_sha256, realm, carrier_md5, carrier_sha256, call_limit, caller_id, identity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET host = excluded.host, transport = excluded.transport, user_name = excluded.user_name,
  ha1_md5 = excluded.ha1_md5, ha1_sha256 = excluded.ha1_sha256, realm = excluded.realm,
  carrier_md5 = excluded.carrier_md5, carrier_sha256 = excluded.carrier_sha256, call_limit = excluded.call_limit,
  caller_id = excluded.caller_id, identity = excluded.identity`,
			[]any{doc.Tenant.Domain, t.Name, t.Host, t.Transport, t.User, t.HA1MD5, t.HA1SHA256, t.Realm, t.CarrierMD5, t.CarrierSHA256, t.Limit, t.CallerID, t.Identity}})
		if len(t.Addresses) > 0 {
			rows = append(rows, statement{`INSERT INTO trunk_addresses (tenant_id, trunk, address) SELECT ?, ?, a::cidr FROM unnest(?::text[]) a`,
				[]any{doc.Tenant.Domain, t.Name, pgdialect.Array(t.Addresses)}})
		}
	}
	return rows
}

func numberRows(doc tenancy.Document) (rows []statement) {
	for _, n := range doc.Numbers {
		rows = append(rows, statement{`INSERT INTO numbers (tenant_id, number, queue, agent, trunk) VALUES (?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''))`,
			[]any{doc.Tenant.Domain, n.Number, string(n.Queue), string(n.Agent), n.Trunk}})
	}
	return rows
}
