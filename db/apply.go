package db

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

// Apply makes a tenant what the document says, in one transaction: what is missing is
// created, what differs is changed, what the document doesn't name is removed. It
// returns the differences found; a dry run changes nothing. Passwords in clear are
// hashed, and applying the same document twice finds no difference. The document must
// be valid; a broken one is fault.Invalid with every field.
func (d *DB) Apply(ctx context.Context, doc tenancy.Document, dryRun bool) ([]tenancy.Change, error) {
	return d.apply(ctx, nil, doc, dryRun)
}

// ApplyBy is Apply by a user of the tenant, whom the trail names. Refusals besides:
// fault.NotFound, there is no such tenant yet; fault.Forbidden, it changes what stands
// above the tenant, or users or roles who hold more than the author, or what the author
// may not change by single requests.
func (d *DB) ApplyBy(ctx context.Context, by directory.Author, doc tenancy.Document, dryRun bool) ([]tenancy.Change, error) {
	if doc.Tenant.Domain != by.Tenant {
		return nil, fault.E(fault.NotFound, "apply a tenant", fmt.Errorf("%s is not the tenant of %s", doc.Tenant.Domain, by.Name))
	}
	return d.apply(ctx, &by, doc, dryRun)
}

// apply is Apply; by nobody: by the operator.
func (d *DB) apply(ctx context.Context, by *directory.Author, doc tenancy.Document, dryRun bool) ([]tenancy.Change, error) {
	const op = "apply a tenant"
	if wrong := doc.Validate(); len(wrong) > 0 {
		return nil, &fault.Error{Kind: fault.Invalid, Op: op, Code: "tenant_document", Sentence: wrong[0].Name + ": " + wrong[0].Sentence, Fields: wrong}
	}
	made, err := d.hashes(ctx, doc)
	if err != nil {
		return nil, failure(op, err)
	}
	var changes []tenancy.Change
	err = d.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := enterTenant(ctx, tx, doc.Tenant.Domain); err != nil {
			return err
		}
		// One apply of a tenant at a time: each compares with what the other left.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('apply ' || ?, 0))`, string(doc.Tenant.Domain)); err != nil {
			return err
		}
		current, err := export(ctx, tx, doc.Tenant.Domain)
		if err != nil {
			return err
		}
		wanted, err := musicOf(doc.Complete(), current)
		if err != nil {
			return err
		}
		if wanted, err = d.hashed(wanted, current, made); err != nil {
			return err
		}
		changes = tenancy.Compare(current, unsaid(wanted, current))
		if by != nil {
			if err := mayApply(ctx, tx, *by, current, wanted); err != nil {
				return err
			}
		}
		if current.Administered() && !wanted.Administered() {
			return lastAdministrator()
		}
		if dryRun || len(changes) == 0 {
			return nil
		}
		if err := unbound(ctx, tx, wanted); err != nil {
			return err
		}
		before, err := profiles(ctx, tx, doc.Tenant.Domain)
		if err != nil {
			return err
		}
		seen, err := shown(ctx, tx, doc.Tenant.Domain)
		if err != nil {
			return err
		}
		if err := write(ctx, tx, wanted); err != nil {
			return err
		}
		if err := countParts(ctx, tx, doc.Tenant.Domain, seen); err != nil {
			return err
		}
		if err := noteProfiles(ctx, tx, doc.Tenant.Domain, before); err != nil {
			return err
		}
		if err := directoryChanged(ctx, tx, doc.Tenant.Domain); err != nil {
			return err
		}
		return auditApply(ctx, tx, by, doc.Tenant.Domain, changes)
	})
	if err != nil {
		return nil, failure(op, err)
	}
	return changes, nil
}

// unsaid gives a document what it says nothing of and leaves alone.
func unsaid(wanted, current tenancy.Document) tenancy.Document {
	if wanted.Tariffs == nil {
		wanted.Tariffs = current.Tariffs
	}
	if wanted.Webhooks == nil {
		wanted.Webhooks = current.Webhooks
	}
	return wanted
}

// unbound refuses to take away a device that the running session of an agent who stays is
// bound to: it could not ring any more, and the session would not know. From then on no
// session can be bound to what is taken away (sqlBind).
func unbound(ctx context.Context, tx bun.Tx, doc tenancy.Document) error {
	kept := keys(doc.Devices, func(v tenancy.Device) string { return string(v.Name) })
	if _, err := tx.ExecContext(ctx, `SELECT FROM devices WHERE tenant_id = ? AND name <> ALL (?) ORDER BY name FOR UPDATE`, doc.Tenant.Domain, kept); err != nil {
		return err
	}
	var held []struct {
		Device string `bun:"device"`
		Agent  string `bun:"agent"`
	}
	working := map[string]bool{}
	for _, u := range doc.Users {
		working[string(u.Name)] = !u.Disabled
	}
	var agents []string
	for _, a := range doc.Agents {
		if working[string(a.User)] {
			agents = append(agents, string(a.Number))
		}
	}
	if err := tx.NewRaw(`SELECT b.device, b.agent FROM bindings b JOIN devices d ON d.tenant_id = b.tenant_id AND d.name = b.device
 WHERE b.tenant_id = ?0 AND b.device <> ALL (?1) AND b.agent = ANY (?2) ORDER BY 1 LIMIT 1`, doc.Tenant.Domain,
		kept, pgdialect.Array(agents)).Scan(ctx, &held); err != nil || len(held) == 0 {
		return err
	}
	use := &directory.InUse{By: []directory.Ref{{Kind: directory.Agent, Name: held[0].Agent}}}
	return refusal("in_use", use, "device %s is used by agent %s, who is signed in with it: sign the agent out or choose another device first.", held[0].Device, held[0].Agent)
}

// statement is one SQL statement with its arguments.
type statement struct {
	sql  string
	args []any
}

// write makes the tables say what the document says. Rows that stay are updated in
// place, so that what refers to them is left alone.
func write(ctx context.Context, tx bun.Tx, doc tenancy.Document) error {
	if err := writeAccount(ctx, tx, doc); err != nil {
		return err
	}
	var all []statement
	for _, part := range []func(tenancy.Document) []statement{
		removals, reasonRows, skillRows, teamRows, roleRows, userRows, agentRows, deviceRows, addressRows, musicRows, queueRows, trunkRows, numberRows,
		levelRows, dispositionRows, contactFieldRows, tariffRows, webhookRows, leftovers,
	} {
		all = append(all, part(doc)...)
	}
	for _, s := range all {
		if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
			return fmt.Errorf("%.60s…: %w", s.sql, err)
		}
	}
	return nil
}

// writeAccount writes the three account levels, which belong to the system (SEED-37).
func writeAccount(ctx context.Context, tx bun.Tx, doc tenancy.Document) error {
	kept := doc.Tenant.Policies
	kept.NotReadyReasons = nil // they have a table of their own
	policies, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := takeRole(ctx, tx, systemRole); err != nil {
		return err
	}
	for _, s := range []statement{
		{`INSERT INTO organizations (name, display_name) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name`,
			[]any{doc.Organization.Name, doc.Organization.DisplayName}},
		{`INSERT INTO divisions (organization, name, display_name) VALUES (?, ?, ?) ON CONFLICT (organization, name) DO UPDATE SET display_name = excluded.display_name`,
			[]any{doc.Organization.Name, doc.Division.Name, doc.Division.DisplayName}},
		{`INSERT INTO tenants (tenant_id, organization, division, display_name, country, currency, policies) VALUES (?, ?, ?, ?, ?, ?, ?::jsonb)
		  ON CONFLICT (tenant_id) DO UPDATE SET organization = excluded.organization, division = excluded.division, display_name = excluded.display_name,
		    country = excluded.country, currency = excluded.currency, policies = excluded.policies`,
			[]any{doc.Tenant.Domain, doc.Organization.Name, doc.Division.Name, doc.Tenant.DisplayName, doc.Tenant.Country, doc.Tenant.Currency, string(policies)}},
	} {
		if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return takeRole(ctx, tx, appRole)
}

// removals empties what hangs below the entries and is written anew. Numbers go first:
// they hold queues, agents and trunks.
func removals(doc tenancy.Document) []statement {
	t := doc.Tenant.Domain
	return []statement{
		{`DELETE FROM numbers WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM trunk_addresses WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM agent_addresses WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM memberships WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM agent_skills WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM queue_skills WHERE tenant_id = ?`, []any{t}},
		{`DELETE FROM disposition_queues WHERE tenant_id = ?`, []any{t}},
		// An agent may change its user, a user be replaced: both keys are unique.
		{`DELETE FROM agents WHERE tenant_id = ? AND NOT number = ANY (?)`, []any{t, keys(doc.Agents, func(a tenancy.Agent) string { return string(a.Number) })}},
		{`DELETE FROM devices WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Devices, func(v tenancy.Device) string { return string(v.Name) })}},
		{`DELETE FROM contact_fields WHERE tenant_id = ? AND NOT key = ANY (?)`, []any{t, keys(doc.ContactFields, func(f tenancy.ContactField) string { return f.Key })}},
		{`DELETE FROM queues WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Queues, func(q tenancy.Queue) string { return string(q.Name) })}},
		{`DELETE FROM trunks WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Trunks, func(k tenancy.Trunk) string { return k.Name })}},
	}
}

// leftovers removes what could not go before the new rows let go of it.
func leftovers(doc tenancy.Document) []statement {
	t := doc.Tenant.Domain
	return []statement{
		{`DELETE FROM users WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Users, func(u tenancy.User) string { return string(u.Name) })}},
		{`DELETE FROM roles WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Roles, func(r tenancy.Role) string { return string(r.Name) })}},
		{`DELETE FROM teams WHERE tenant_id = ? AND NOT name = ANY (?)`, []any{t, keys(doc.Teams, func(g tenancy.Team) string { return string(g.Name) })}},
	}
}

// keys are the names of a list as a Postgres array.
func keys[T any](list []T, key func(T) string) any {
	names := make([]string, 0, len(list))
	for _, v := range list {
		names = append(names, key(v))
	}
	return pgdialect.Array(names)
}

func ms(d tenancy.Duration) int64 { return time.Duration(d).Milliseconds() }
