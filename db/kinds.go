package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// kind says how one kind of things is kept. All SQL of it speaks of the row as x.
type kind struct {
	table string
	key   string // the column of the name
	// body is the JSON object that the API shows.
	body string
	// team is the team that a thing belongs to; empty: it is the whole tenant's.
	team string
	// columns are those that a change may set; nullable ones of them are null when empty.
	columns, nullable []string
	search            []string          // columns
	filters           map[string]string // conditions with one argument
	sorts             map[string]string // columns, by the name of the sort; "name" is always one
	// users lists (kind, name) of what uses a thing: it can't be deleted before.
	users string
	// owned are the tables whose rows go with a thing and come back with it.
	owned []owned
	// write keeps the fields that are no columns, e.g. the members of a queue.
	write func(ctx context.Context, tx bun.Tx, c *changing) error
	// agents lists the numbers of the agents whose profile a thing is part of.
	agents string
	// routes: numbers lead through it, which processes keep in memory.
	routes bool
	// profiles: it is part of every agent's profile.
	profiles bool
	graves   bool      // see graveyard
	since    time.Time // of graves: what was deleted before can't be restored any more
	final    bool      // what is deleted can't be restored
	// find is the condition for a search, if it isn't one of columns; found is its answer.
	find  func(ctx context.Context, tx bun.Tx, t id.Tenant, search string) (statement, error)
	found *statement
	// own is the condition for things of an author whose permission reaches only its own;
	// nil: there is no such permission.
	own func(directory.Author) (string, []any)
	// private things are about people who may ask to be forgotten: the trail, which can't
	// forget, tells which fields changed, not what they were.
	private bool
}

// owned are rows of a table that belong to a thing; where speaks of them as o.
type owned struct {
	table, where string
	// release gives back what only refers to the thing, before it goes.
	release string
}

// kinds is every kind of thing that is administered one by one.
var kinds = map[directory.Kind]kind{
	directory.User: {
		table: "users", key: "name",
		body: `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'roles', x.roles, 'teams', x.teams, 'team', coalesce(x.team, ''), 'disabled', x.disabled,
		  'agent', coalesce((SELECT a.number FROM agents a WHERE a.tenant_id = x.tenant_id AND a.user_name = x.name), ''))`,
		team:    `coalesce(x.team, (SELECT a.team FROM agents a WHERE a.tenant_id = x.tenant_id AND a.user_name = x.name), '')`,
		columns: []string{"display_name", "roles", "teams", "team", "disabled", "password_hash"}, nullable: []string{"team"},
		search: []string{"x.name", "x.display_name"},
		filters: map[string]string{
			"role": `x.roles @> ARRAY[?]::text[]`, "disabled": `x.disabled = ?::boolean`,
			"team": `? = coalesce(x.team, (SELECT a.team FROM agents a WHERE a.tenant_id = x.tenant_id AND a.user_name = x.name), '')`,
		},
		sorts: map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
		// With a user goes its agent: what uses that, uses it.
		users:  `SELECT 'number' AS kind, n.number AS name FROM numbers n JOIN agents a ON a.tenant_id = n.tenant_id AND a.number = n.agent WHERE n.tenant_id = x.tenant_id AND a.user_name = x.name`,
		agents: `SELECT a.number FROM agents a WHERE a.tenant_id = x.tenant_id AND a.user_name = x.name`,
		routes: true,
	},
	directory.Role: {
		table: "roles", key: "name",
		body:    `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'permissions', x.permissions)`,
		columns: []string{"display_name", "permissions"},
		search:  []string{"x.name", "x.display_name"},
		filters: map[string]string{"permission": `x.permissions @> ARRAY[?]::text[]`},
		sorts:   map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
		users:   `SELECT 'user' AS kind, u.name FROM users u WHERE u.tenant_id = x.tenant_id AND u.roles @> ARRAY[x.name]`,
	},
	directory.Team: {
		table: "teams", key: "name",
		body:    `jsonb_build_object('name', x.name, 'display_name', x.display_name)`,
		team:    `x.name`,
		columns: []string{"display_name"},
		search:  []string{"x.name", "x.display_name"},
		sorts:   map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
		users: `SELECT 'user' AS kind, u.name FROM users u WHERE u.tenant_id = x.tenant_id AND (u.team = x.name OR u.teams @> ARRAY[x.name])
		  UNION ALL SELECT 'agent', a.number FROM agents a WHERE a.tenant_id = x.tenant_id AND a.team = x.name`,
	},
	directory.Agent:  agentKind,
	directory.Queue:  queueKind,
	directory.Number: numberKind,
	directory.Trunk:  trunkKind,
	directory.Device: deviceKind,
	directory.Key:    keyKind,
	directory.OIDC:   oidcKind,

	directory.Contact:      contactKind,
	directory.ContactField: contactFieldKind,

	directory.Webhook: webhookKind,
	directory.Tariff:  tariffKind,
}

var agentKind = kind{
	table: "agents", key: "number",
	body: `jsonb_build_object('number', x.number, 'user', x.user_name, 'team', coalesce(x.team, ''), 'wrap_up_ms', x.wrap_up_ms, 'ring_method', x.ring_method,
	  'on_no_answer', x.on_no_answer, 'on_reject', x.on_reject, 'binding_mode', x.binding_mode, 'shift_end', x.shift_end,
	  'display_name', (SELECT u.display_name FROM users u WHERE u.tenant_id = x.tenant_id AND u.name = x.user_name),
	  'addresses', coalesce((SELECT jsonb_agg(d.device ORDER BY d.place) FROM agent_addresses d WHERE d.tenant_id = x.tenant_id AND d.agent = x.number), '[]'),
	  'skills', coalesce((SELECT jsonb_agg(jsonb_build_object('skill', s.skill, 'level', s.level) ORDER BY s.skill) FROM agent_skills s WHERE s.tenant_id = x.tenant_id AND s.agent = x.number), '[]'))`,
	team:    `coalesce(x.team, '')`,
	columns: []string{"user_name", "team", "wrap_up_ms", "ring_method", "on_no_answer", "on_reject", "binding_mode", "shift_end"}, nullable: []string{"team"},
	search: []string{"x.number", "(SELECT u.display_name FROM users u WHERE u.tenant_id = x.tenant_id AND u.name = x.user_name)"},
	filters: map[string]string{
		"team": `coalesce(x.team, '') = ?`, "user": `x.user_name = ?`,
		"queue": `EXISTS (SELECT FROM memberships m WHERE m.tenant_id = x.tenant_id AND m.agent = x.number AND m.queue = ?)`,
		"skill": `EXISTS (SELECT FROM agent_skills s WHERE s.tenant_id = x.tenant_id AND s.agent = x.number AND s.skill = ?)`,
	},
	sorts: map[string]string{"user": "x.user_name", "updated_at": "x.updated_at"},
	users: `SELECT 'number' AS kind, n.number AS name FROM numbers n WHERE n.tenant_id = x.tenant_id AND n.agent = x.number`,
	owned: []owned{
		{table: "agent_addresses", where: `o.tenant_id = ?0 AND o.agent = ?1`},
		{table: "memberships", where: `o.tenant_id = ?0 AND o.agent = ?1`},
		{table: "agent_skills", where: `o.tenant_id = ?0 AND o.agent = ?1`},
		{release: `UPDATE devices SET agent = NULL WHERE tenant_id = ?0 AND agent = ?1`},
	},
	write:  writeAgent,
	agents: `SELECT x.number`,
	routes: true,
}

var queueKind = kind{
	table: "queues", key: "name",
	body: `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'strategy', x.strategy, 'ring_ms', x.ring_ms, 'max_wait_ms', x.max_wait_ms,
	  'priority', x.priority, 'music', x.music, 'members', coalesce((SELECT jsonb_agg(jsonb_build_object('agent', m.agent, 'penalty', m.penalty,
	     'position', m.position, 'static', m.static, 'manual', m.manual) ORDER BY m.agent) FROM memberships m WHERE m.tenant_id = x.tenant_id AND m.queue = x.name), '[]'),
	  'skills', coalesce((SELECT jsonb_agg(jsonb_build_object('skill', s.skill, 'level', s.level) ORDER BY s.skill) FROM queue_skills s WHERE s.tenant_id = x.tenant_id AND s.queue = x.name), '[]'))`,
	columns: []string{"display_name", "strategy", "ring_ms", "max_wait_ms", "priority", "music"},
	search:  []string{"x.name", "x.display_name"},
	filters: map[string]string{"agent": `EXISTS (SELECT FROM memberships m WHERE m.tenant_id = x.tenant_id AND m.queue = x.name AND m.agent = ?)`},
	sorts:   map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
	users: `SELECT 'number' AS kind, n.number AS name FROM numbers n WHERE n.tenant_id = x.tenant_id AND n.queue = x.name
	  UNION ALL SELECT 'disposition', d.disposition FROM disposition_queues d WHERE d.tenant_id = x.tenant_id AND d.queue = x.name
	  UNION ALL SELECT 'call', w.call FROM waiting w WHERE w.tenant_id = x.tenant_id AND w.queue = x.name
	  UNION ALL SELECT 'webhook', h.name FROM webhooks h WHERE h.tenant_id = x.tenant_id AND h.queue = x.name`,
	owned: []owned{
		{table: "memberships", where: `o.tenant_id = ?0 AND o.queue = ?1`},
		{table: "queue_skills", where: `o.tenant_id = ?0 AND o.queue = ?1`},
	},
	write:  writeQueue,
	agents: `SELECT m.agent FROM memberships m WHERE m.tenant_id = x.tenant_id AND m.queue = x.name`,
	routes: true,
}

var numberKind = kind{
	table: "numbers", key: "number",
	body:    `jsonb_build_object('number', x.number, 'queue', coalesce(x.queue, ''), 'agent', coalesce(x.agent, ''), 'trunk', coalesce(x.trunk, ''))`,
	columns: []string{"queue", "agent", "trunk"}, nullable: []string{"queue", "agent", "trunk"},
	search: []string{"x.number"},
	filters: map[string]string{
		"queue": `x.queue = ?`, "agent": `x.agent = ?`, "trunk": `x.trunk = ?`,
	},
	sorts:  map[string]string{"updated_at": "x.updated_at"},
	routes: true,
}

var trunkKind = kind{
	table: "trunks", key: "name",
	body: `jsonb_build_object('name', x.name, 'host', x.host, 'transport', x.transport, 'user', x.user_name, 'realm', x.realm, 'limit', x.call_limit,
	  'caller_id', x.caller_id, 'identity', x.identity,
	  'addresses', coalesce((SELECT jsonb_agg(a.address::text ORDER BY a.address) FROM trunk_addresses a WHERE a.tenant_id = x.tenant_id AND a.trunk = x.name), '[]'))`,
	columns: []string{"host", "transport", "user_name", "realm", "call_limit", "caller_id", "identity"},
	search:  []string{"x.name", "x.host"},
	sorts:   map[string]string{"host": "x.host", "updated_at": "x.updated_at"},
	users:   `SELECT 'number' AS kind, n.number AS name FROM numbers n WHERE n.tenant_id = x.tenant_id AND n.trunk = x.name`,
	owned:   []owned{{table: "trunk_addresses", where: `o.tenant_id = ?0 AND o.trunk = ?1`}},
	routes:  true,
}

// part is a field of a change that is no column.
func part[T any](c *changing, field string) (v T, given bool) {
	v, given = c.Set[field].(T)
	return v, given
}

func writeAgent(ctx context.Context, tx bun.Tx, c *changing) error {
	if err := writeSkills(ctx, tx, c, "agent_skills", "agent"); err != nil {
		return err
	}
	devices, given := part[[]string](c, "addresses")
	if !given {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM agent_addresses WHERE tenant_id = ? AND agent = ?`, c.by.Tenant, c.Name); err != nil {
		return err
	}
	for i, device := range devices {
		if err := c.refer(ctx, tx, "addresses", `SELECT FROM devices WHERE tenant_id = ? AND name = ?`, device); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO agent_addresses (tenant_id, agent, place, device) VALUES (?, ?, ?, ?)`, c.by.Tenant, c.Name, i, device); err != nil {
			return err
		}
	}
	return nil
}

// member is an agent of a queue as a change of the queue sets it.
type member struct {
	Agent    id.Agent `json:"agent"`
	Penalty  int      `json:"penalty"`
	Position int      `json:"position"`
	Static   bool     `json:"static"`
	Manual   bool     `json:"manual"`
}

func writeQueue(ctx context.Context, tx bun.Tx, c *changing) error {
	if err := writeSkills(ctx, tx, c, "queue_skills", "queue"); err != nil {
		return err
	}
	if err := writeMusic(ctx, tx, c); err != nil {
		return err
	}
	var members []member
	if given, err := c.decode("members", &members); err != nil || !given {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM memberships WHERE tenant_id = ? AND queue = ?`, c.by.Tenant, c.Name); err != nil {
		return err
	}
	for _, m := range members {
		if err := c.refer(ctx, tx, "members", `SELECT FROM agents WHERE tenant_id = ? AND number = ?`, string(m.Agent)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO memberships (tenant_id, queue, agent, penalty, position, static, manual) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			c.by.Tenant, c.Name, m.Agent, m.Penalty, m.Position, m.Static, m.Manual); err != nil {
			return err
		}
	}
	return nil
}
