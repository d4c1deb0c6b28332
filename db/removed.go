package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

// keptPart is a row of a deleted thing, as it can come back.
type keptPart struct {
	Table    string          `json:"table"`
	Row      json.RawMessage `json:"row,omitempty"`
	Optional bool            `json:"optional,omitempty"` // it stays away if what it refers to is gone
	Agent    string          `json:"agent,omitempty"`    // of devices: whose they were
	Devices  []string        `json:"devices,omitempty"`
}

// Delete takes a thing away, with what belongs to it; Restore brings it back. Refusals:
// fault.NotFound; fault.Conflict with a directory.Newer, or with a directory.InUse
// that says what uses it.
func (d *DB) Delete(ctx context.Context, by directory.Author, change directory.Change) error {
	if above(change.Kind) {
		return d.deleteLevel(ctx, by, change)
	}
	c := &changing{Change: change, by: by, k: kinds[change.Kind], action: "delete"}
	err := d.inTenant(ctx, "delete a "+string(c.Kind), by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := c.look(ctx, tx); err != nil {
			return err
		}
		if err := c.see(ctx, tx); err != nil {
			return err
		}
		parts, err := c.take(ctx, tx, c.Kind, c.Name)
		if err != nil {
			return err
		}
		if err := rules(ctx, tx, c); err != nil {
			return err
		}
		if c.k.final {
			return settle(ctx, tx, []*changing{c})
		}
		if err := c.keep(ctx, tx, parts); err != nil {
			return err
		}
		return settle(ctx, tx, []*changing{c})
	})
	if err == nil {
		d.nudgeOf(c.Kind)
	}
	return explained(c, err)
}

// keep lays the rows of what was deleted aside.
func (c *changing) keep(ctx context.Context, tx bun.Tx, parts []keptPart) error {
	kept, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
INSERT INTO removed (tenant_id, kind, name, team, thing, parts, version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, kind, name) DO UPDATE SET team = excluded.team, thing = excluded.thing, parts = excluded.parts,
  version = excluded.version, created_at = excluded.created_at, removed_at = now()`,
		c.by.Tenant, c.Kind, c.Name, c.before.Team, string(c.before.Body), string(kept), c.before.Version, c.before.Created)
	return err
}

// take deletes a thing and returns its rows in the order in which they can come back.
// With a user goes its agent (SEED-16).
func (c *changing) take(ctx context.Context, tx bun.Tx, of directory.Kind, name string) ([]keptPart, error) {
	k := kinds[of]
	by, err := users(ctx, tx, c.by.Tenant, directory.Ref{Kind: of, Name: name})
	if err != nil {
		return nil, err
	}
	if len(by) > 0 {
		return nil, (&directory.InUse{By: by}).Refuse(of, name)
	}
	parts, err := rowsOf(ctx, tx, k.table, `o.tenant_id = ?0 AND o.`+k.key+` = ?1`, c.by.Tenant, name)
	if err != nil {
		return nil, err
	}
	if of == directory.User {
		agents, err := c.takeAgent(ctx, tx)
		if err != nil {
			return nil, err
		}
		parts = append(parts, agents...)
	}
	for _, o := range k.owned {
		if o.release != "" {
			released, err := release(ctx, tx, o, c.by.Tenant, name)
			if err != nil {
				return nil, err
			}
			parts = append(parts, released...)
			continue
		}
		rows, err := rowsOf(ctx, tx, o.table, o.where, c.by.Tenant, name)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].Optional = true
		}
		parts = append(parts, rows...)
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM `+k.table+` WHERE tenant_id = ? AND `+k.key+` = ?`, c.by.Tenant, name)
	return parts, err
}

// takeAgent ends the user's agent, if it has one.
func (c *changing) takeAgent(ctx context.Context, tx bun.Tx) ([]keptPart, error) {
	var numbers []string
	if err := tx.NewRaw(`SELECT number FROM agents WHERE tenant_id = ? AND user_name = ?`, c.by.Tenant, c.Name).Scan(ctx, &numbers); err != nil {
		return nil, err
	}
	var parts []keptPart
	for _, number := range numbers {
		c.tell = append(c.tell, number)
		taken, err := c.take(ctx, tx, directory.Agent, number)
		if err != nil {
			return nil, err
		}
		parts = append(parts, taken...)
	}
	return parts, nil
}

func rowsOf(ctx context.Context, tx bun.Tx, table, where string, args ...any) ([]keptPart, error) {
	var rows []json.RawMessage
	if err := tx.NewRaw(`SELECT to_jsonb(o) FROM `+table+` o WHERE `+where, args...).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	var parts []keptPart
	for _, r := range rows {
		parts = append(parts, keptPart{Table: table, Row: r})
	}
	return parts, nil
}

// release lets go of devices that belong to what is deleted; they remain.
func release(ctx context.Context, tx bun.Tx, o owned, args ...any) ([]keptPart, error) {
	var names []string
	if err := tx.NewRaw(o.release+` RETURNING name`, args...).Scan(ctx, &names); err != nil || len(names) == 0 {
		return nil, err
	}
	return []keptPart{{Table: "devices", Agent: fmt.Sprint(args[1]), Devices: names}}, nil
}

// Restore brings back what was deleted, with what belonged to it as far as that is
// possible. Refusals: fault.NotFound, also when the tenant keeps it no longer; fault.Conflict if its name is taken meanwhile, or
// something that it refers to is gone; as of Create.
func (d *DB) Restore(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	if above(change.Kind) {
		return d.restoreLevel(ctx, by, change)
	}
	c := &changing{Change: change, by: by, k: kinds[change.Kind], action: "restore"}
	return d.change(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		var kept []struct {
			Team    string          `bun:"team"`
			Parts   json.RawMessage `bun:"parts"`
			Removed time.Time       `bun:"removed_at"`
		}
		since, err := keptUntil(ctx, tx, record.Removal{Tenant: by.Tenant, Of: record.KeptRemoved}, d.now())
		if err != nil {
			return err
		}
		if err := tx.NewRaw(`DELETE FROM removed WHERE tenant_id = ? AND kind = ? AND name = ? AND removed_at > ? RETURNING team, parts, removed_at`,
			by.Tenant, c.Kind, c.Name, since).Scan(ctx, &kept); err != nil {
			return err
		}
		if len(kept) == 0 || !c.k.reaches(by, kept[0].Team) {
			return &fault.Error{Kind: fault.NotFound, Code: "no_such_" + string(c.Kind), Sentence: fmt.Sprintf("No %s %s was deleted.", c.Kind, c.Name)}
		}
		var parts []keptPart
		if err := json.Unmarshal(kept[0].Parts, &parts); err != nil {
			return err
		}
		for _, p := range parts {
			if err := putBack(ctx, tx, c, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func putBack(ctx context.Context, tx bun.Tx, c *changing, p keptPart) error {
	if p.Devices != nil {
		_, err := tx.ExecContext(ctx, `UPDATE devices SET agent = ? WHERE tenant_id = ? AND name = ANY (?::text[]) AND agent IS NULL`,
			p.Agent, c.by.Tenant, pgdialect.Array(p.Devices))
		return err
	}
	_, err := tx.ExecContext(ctx, `SELECT holdfast_restore(?::regclass, ?, ?)`, p.Table, string(p.Row), p.Optional)
	return err
}

// explained says in words what the database refused.
func explained(c *changing, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch {
	case pg.ConstraintName == "taken_numbers_pkey" || pg.ConstraintName == "agents_pkey":
		return refusal("number_taken", err, "This number leads to something else already; choose another.")
	case pg.ConstraintName == "contact_numbers_pkey":
		return refusal("number_taken", err, "One of these numbers belongs to another contact; take it from that one first.")
	case pg.ConstraintName == "agents_tenant_id_user_name_key":
		return refusal("agent_exists", err, "This user has an agent already: a user has at most one.")
	case pg.ConstraintName == "trunks_user":
		return refusal("user_taken", err, "Another trunk has this user already.")
	case pg.Code == "23505" && c.action == "restore":
		return refusal("name_taken", err, "Another %s is called %s meanwhile; rename or delete it first.", c.Kind, c.Name)
	case pg.Code == "23505":
		return refusal("name_taken", err, "There is a %s %s already.", c.Kind, c.Name)
	case pg.Code == "23503" && c.action == "restore":
		return refusal("reference_gone", err, "Something that %s %s belongs to was deleted meanwhile (%s); bring that back first.", c.Kind, c.Name, foreign(pg.ConstraintName))
	case pg.Code == "23503" && c.action == "delete":
		return refusal("in_use", err, "%s %s is still used by something else (%s).", c.Kind, c.Name, pg.TableName)
	case pg.Code == "23503":
		return wrongField(foreign(pg.ConstraintName), "there is no such %s", foreign(pg.ConstraintName))
	case pg.Code == "23514":
		return wrongField("body", "breaks the rule %s", pg.ConstraintName)
	}
	return err
}

func refusal(code string, err error, sentence string, args ...any) error {
	return &fault.Error{Kind: fault.Conflict, Code: code, Sentence: fmt.Sprintf(sentence, args...), Err: err}
}

// foreign is the field that a foreign key stands for: agents_tenant_id_team_fkey is team.
func foreign(constraint string) string {
	_, field, _ := strings.Cut(constraint, "_tenant_id_")
	field = strings.TrimSuffix(field, "_fkey")
	if field == "user_name" {
		return "user"
	}
	return field
}
