package db

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// reasonKind: one for which agents are Not Ready now can't be deleted.
var reasonKind = kind{
	table: "reasons", key: "code",
	body:     `jsonb_build_object('code', x.code, 'display_name', x.display_name, 'names', x.names, 'limit_ms', x.limit_ms, 'then', x.then_do, 'place', x.place)`,
	columns:  []string{"display_name", "names", "limit_ms", "then_do", "place"},
	search:   []string{"x.code", "x.display_name"},
	sorts:    map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
	users:    `SELECT 'agent' AS kind, p.agent AS name FROM presence p WHERE p.tenant_id = x.tenant_id AND p.state = 'NotReady' AND p.view ->> 'reason' = x.code`,
	profiles: true,
}

var skillKind = kind{
	table: "skills", key: "name",
	body:    `jsonb_build_object('name', x.name, 'display_name', x.display_name)`,
	columns: []string{"display_name"},
	search:  []string{"x.name", "x.display_name"},
	sorts:   map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
	users: `SELECT 'agent' AS kind, s.agent AS name FROM agent_skills s WHERE s.tenant_id = x.tenant_id AND s.skill = x.name
	  UNION ALL SELECT 'queue', s.queue FROM queue_skills s WHERE s.tenant_id = x.tenant_id AND s.skill = x.name`,
}

var dispositionKind = kind{
	table: "dispositions", key: "name",
	body: `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'names', x.names,
	  'queues', coalesce((SELECT jsonb_agg(q.queue ORDER BY q.queue) FROM disposition_queues q WHERE q.tenant_id = x.tenant_id AND q.disposition = x.name), '[]'))`,
	columns: []string{"display_name", "names"},
	search:  []string{"x.name", "x.display_name"},
	filters: map[string]string{"queue": `(EXISTS (SELECT FROM disposition_queues q WHERE q.tenant_id = x.tenant_id AND q.disposition = x.name AND q.queue = ?)
	  OR NOT EXISTS (SELECT FROM disposition_queues q WHERE q.tenant_id = x.tenant_id AND q.disposition = x.name))`},
	sorts: map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
	owned: []owned{{table: "disposition_queues", where: `o.tenant_id = ?0 AND o.disposition = ?1`}},
	write: writeDispositionQueues,
}

func writeDispositionQueues(ctx context.Context, tx bun.Tx, c *changing) error {
	queues, given := part[[]string](c, "queues")
	if !given {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM disposition_queues WHERE tenant_id = ? AND disposition = ?`, c.by.Tenant, c.Name); err != nil {
		return err
	}
	for _, q := range queues {
		if err := c.refer(ctx, tx, "queues", `SELECT FROM queues WHERE tenant_id = ? AND name = ?`, q); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO disposition_queues (tenant_id, disposition, queue) VALUES (?, ?, ?)`, c.by.Tenant, c.Name, q); err != nil {
			return err
		}
	}
	return nil
}

// writeSkills keeps the skills of an agent or a queue: table and column say whose.
func writeSkills(ctx context.Context, tx bun.Tx, c *changing, table, column string) error {
	var levels []tenancy.SkillLevel
	if given, err := c.decode("skills", &levels); err != nil || !given {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM ? WHERE tenant_id = ? AND ? = ?`, bun.Ident(table), c.by.Tenant, bun.Ident(column), c.Name); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range levels {
		if seen[s.Skill] {
			return wrongField("skills", "skill %q stands twice", s.Skill)
		}
		seen[s.Skill] = true
		if err := c.refer(ctx, tx, "skills", `SELECT FROM skills WHERE tenant_id = ? AND name = ?`, s.Skill); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ? (tenant_id, ?, skill, level) VALUES (?, ?, ?, ?)`,
			bun.Ident(table), bun.Ident(column), c.by.Tenant, c.Name, s.Skill, s.Level); err != nil {
			return err
		}
	}
	return nil
}

// reasonRules checks names in other languages, and that what follows has a limit.
func reasonRules(ctx context.Context, tx bun.Tx, c *changing) error {
	if err := translated(c); err != nil {
		return err
	}
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err
	}
	var is struct {
		Limit int64        `json:"limit_ms"`
		Then  agent.Follow `json:"then"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	if is.Then != "" && is.Limit == 0 {
		return wrongField("then", "needs a limit")
	}
	return nil
}

// completeReason gives a new reason the last place, before it is written: a thing begins
// with version 1.
func completeReason(ctx context.Context, tx bun.Tx, c *changing) error {
	if _, given := c.Set["place"]; given || c.action != "create" {
		return nil
	}
	var last int
	if err := tx.NewRaw(`SELECT coalesce(max(place), 0) FROM reasons WHERE tenant_id = ?`, c.by.Tenant).Scan(ctx, &last); err != nil {
		return err
	}
	if c.Set == nil {
		c.Set = map[string]any{}
	}
	c.Set["place"] = last + 1
	return nil
}

// translated checks names in other languages.
func translated(c *changing) error {
	var names tenancy.Names
	if _, err := c.decode("names", &names); err != nil {
		return err
	}
	for language, sentence := range names.Validate() {
		return wrongField("names."+language, "%s", sentence)
	}
	return nil
}

func exportReasons(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Code    agent.Reason    `bun:"code"`
		Name    string          `bun:"display_name"`
		Names   json.RawMessage `bun:"names"`
		LimitMS int64           `bun:"limit_ms"`
		Then    agent.Follow    `bun:"then_do"`
	}
	err := tx.NewRaw(`SELECT code, display_name, names, limit_ms, then_do FROM reasons WHERE tenant_id = ? ORDER BY place, code`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		reason := tenancy.Reason{Code: r.Code, DisplayName: r.Name, Limit: span(r.LimitMS), Then: r.Then}
		if reason.Names, err = namesOf(r.Names); err != nil {
			return err
		}
		doc.Tenant.Policies.NotReadyReasons = append(doc.Tenant.Policies.NotReadyReasons, reason)
	}
	return err
}

func namesOf(kept json.RawMessage) (names tenancy.Names, err error) {
	if err = json.Unmarshal(kept, &names); len(names) == 0 {
		names = nil
	}
	return names, err
}

func keptNames(n tenancy.Names) string {
	if len(n) == 0 {
		return "{}"
	}
	data, _ := json.Marshal(n) // texts always marshal
	return string(data)
}

func reasonRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	rows = append(rows, statement{`DELETE FROM reasons WHERE tenant_id = ? AND NOT code = ANY (?)`,
		[]any{t, keys(doc.Tenant.Policies.NotReadyReasons, func(r tenancy.Reason) string { return string(r.Code) })}})
	for i, r := range doc.Tenant.Policies.NotReadyReasons {
		rows = append(rows, statement{`
INSERT INTO reasons (tenant_id, code, place, display_name, names, limit_ms, then_do) VALUES (?, ?, ?, ?, ?::jsonb, ?, ?)
ON CONFLICT (tenant_id, code) DO UPDATE SET place = excluded.place, display_name = excluded.display_name, names = excluded.names,
  limit_ms = excluded.limit_ms, then_do = excluded.then_do`,
			[]any{t, r.Code, i + 1, r.DisplayName, keptNames(r.Names), ms(r.Limit), r.Then}})
	}
	return rows
}

func exportSkills(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var skills []struct {
		Name        string `bun:"name"`
		DisplayName string `bun:"display_name"`
	}
	if err := tx.NewRaw(`SELECT name, display_name FROM skills WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &skills); err != nil {
		return err
	}
	for _, s := range skills {
		doc.Skills = append(doc.Skills, tenancy.Skill(s))
	}
	var rows []struct {
		Agent id.Agent `bun:"agent"`
		Queue id.Queue `bun:"queue"`
		Skill string   `bun:"skill"`
		Level int      `bun:"level"`
	}
	if err := tx.NewRaw(`SELECT agent, '' AS queue, skill, level FROM agent_skills WHERE tenant_id = ?0
 UNION ALL SELECT '', queue, skill, level FROM queue_skills WHERE tenant_id = ?0`, doc.Tenant.Domain).Scan(ctx, &rows); err != nil {
		return err
	}
	ofAgent, ofQueue := map[id.Agent][]tenancy.SkillLevel{}, map[id.Queue][]tenancy.SkillLevel{}
	for _, r := range rows {
		ofAgent[r.Agent] = append(ofAgent[r.Agent], tenancy.SkillLevel{Skill: r.Skill, Level: r.Level})
		ofQueue[r.Queue] = append(ofQueue[r.Queue], tenancy.SkillLevel{Skill: r.Skill, Level: r.Level})
	}
	for i, a := range doc.Agents {
		doc.Agents[i].Skills = ofAgent[a.Number]
	}
	for i, q := range doc.Queues {
		doc.Queues[i].Skills = ofQueue[q.Name]
	}
	return nil
}

func skillRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	rows = append(rows,
		statement{`DELETE FROM skills WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Skills, func(s tenancy.Skill) string { return s.Name })}},
		statement{`DELETE FROM dispositions WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Dispositions, func(p tenancy.Disposition) string { return p.Name })}})
	for _, s := range doc.Skills {
		rows = append(rows, statement{`INSERT INTO skills (tenant_id, name, display_name) VALUES (?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name`, []any{t, s.Name, s.DisplayName}})
	}
	return rows
}

// levelRows are what agents can and queues ask for, after all three are there.
func levelRows(doc tenancy.Document) (rows []statement) {
	for _, a := range doc.Agents {
		for _, s := range a.Skills {
			rows = append(rows, statement{`INSERT INTO agent_skills (tenant_id, agent, skill, level) VALUES (?, ?, ?, ?)`, []any{doc.Tenant.Domain, a.Number, s.Skill, s.Level}})
		}
	}
	for _, q := range doc.Queues {
		for _, s := range q.Skills {
			rows = append(rows, statement{`INSERT INTO queue_skills (tenant_id, queue, skill, level) VALUES (?, ?, ?, ?)`, []any{doc.Tenant.Domain, q.Name, s.Skill, s.Level}})
		}
	}
	return rows
}

func exportDispositions(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name        string          `bun:"name"`
		DisplayName string          `bun:"display_name"`
		Names       json.RawMessage `bun:"names"`
		Queues      []string        `bun:"queues,array"`
	}
	err := tx.NewRaw(`SELECT name, display_name, names,
       ARRAY (SELECT queue FROM disposition_queues q WHERE q.tenant_id = d.tenant_id AND q.disposition = d.name) AS queues
  FROM dispositions d WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		p := tenancy.Disposition{Name: r.Name, DisplayName: r.DisplayName, Queues: r.Queues}
		if p.Names, err = namesOf(r.Names); err != nil {
			return err
		}
		doc.Dispositions = append(doc.Dispositions, p)
	}
	return err
}

func dispositionRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	for _, p := range doc.Dispositions {
		rows = append(rows, statement{`INSERT INTO dispositions (tenant_id, name, display_name, names) VALUES (?, ?, ?, ?::jsonb)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, names = excluded.names`, []any{t, p.Name, p.DisplayName, keptNames(p.Names)}})
		for _, q := range p.Queues {
			rows = append(rows, statement{`INSERT INTO disposition_queues (tenant_id, disposition, queue) VALUES (?, ?, ?)`, []any{t, p.Name, q}})
		}
	}
	return rows
}

// The kinds are in a map that their own functions look into.
func init() {
	kinds[directory.Reason], kinds[directory.Skill], kinds[directory.Disposition] = reasonKind, skillKind, dispositionKind
}
