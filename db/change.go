package db

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// changing is a change under way in its transaction.
type changing struct {
	directory.Change
	by     directory.Author
	k      kind
	action string   // create, update, delete, restore
	before thingRow // zero: there was none
	after  thingRow // zero: there is none any more
	tell   []string // numbers of the agents whose sessions must be told
	// absorbed is the contact that a merge took away; zero: none
	absorbed thingRow
	// digests are the profiles before; nil: the thing is not part of all of them
	digests map[id.Agent]string
}

// begins reports whether there was no such thing before.
func (c *changing) begins() bool { return c.before.Version == 0 }

// Create makes a new thing. Refusals: fault.Conflict when its name is taken,
// fault.Forbidden when it gives more than its author holds, or stands outside of what
// the author reaches, fault.Invalid with the field.
func (d *DB) Create(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	if above(change.Kind) {
		return d.createLevel(ctx, by, change)
	}
	c := &changing{Change: change, by: by, k: kinds[change.Kind], action: "create"}
	return d.change(ctx, c, c.insert)
}

// insert writes the row of a new thing.
func (c *changing) insert(ctx context.Context, tx bun.Tx) error {
	if err := complete(ctx, tx, c); err != nil {
		return err
	}
	columns := c.columns()
	data, err := c.row()
	if err != nil {
		return err
	}
	var names, values string
	for _, column := range columns {
		names += `, ` + column
		values += `, r.` + column
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO `+c.k.table+` (tenant_id, `+c.k.key+names+`) SELECT ?, ?`+values+` FROM jsonb_populate_record(NULL::`+c.k.table+`, ?) r`,
		c.by.Tenant, c.Name, string(data))
	return err
}

// Update changes fields of a thing. Refusals as of Create; fault.NotFound; fault.Conflict
// with a directory.Newer if the thing has another version than the author saw.
func (d *DB) Update(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	if above(change.Kind) {
		return d.updateLevel(ctx, by, change)
	}
	c := &changing{Change: change, by: by, k: kinds[change.Kind], action: "update"}
	return d.change(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		if err := c.see(ctx, tx); err != nil {
			return err
		}
		if err := complete(ctx, tx, c); err != nil {
			return err
		}
		return c.update(ctx, tx)
	})
}

// update writes the fields that change.
func (c *changing) update(ctx context.Context, tx bun.Tx) error {
	columns := c.columns()
	if len(columns) == 0 {
		return nil
	}
	data, err := c.row()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE `+c.k.table+` x SET (`+strings.Join(columns, `, `)+`) = (SELECT r.`+strings.Join(columns, `, r.`)+
		` FROM jsonb_populate_record(x, ?) r) WHERE x.tenant_id = ? AND x.`+c.k.key+` = ?`, string(data), c.by.Tenant, c.Name)
	return err
}

// see reads and locks what is to be changed, and compares its version.
func (c *changing) see(ctx context.Context, tx bun.Tx) (err error) {
	c.before, err = read(ctx, tx, c.by, directory.Ref{Kind: c.Kind, Name: c.Name}, `FOR UPDATE OF x`)
	if err != nil {
		return err
	}
	if c.Version != 0 && c.Version != c.before.Version {
		return (&directory.Newer{Now: c.before.thing(c.Kind)}).Refuse()
	}
	return c.affected(ctx, tx)
}

// change runs one change with everything that follows from it, in one transaction.
func (d *DB) change(ctx context.Context, c *changing, write func(context.Context, bun.Tx) error) (directory.Thing, error) {
	err := d.inTenant(ctx, c.action+" a "+string(c.Kind), c.by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := c.perform(ctx, tx, write); err != nil {
			return err
		}
		return settle(ctx, tx, []*changing{c})
	})
	if err != nil {
		return directory.Thing{}, explained(c, err)
	}
	d.nudgeOf(c.Kind)
	return c.after.thing(c.Kind), nil
}

// perform makes a change with what its kind adds to it, and holds it to the rules. What
// follows from it for others is left to settle.
func (c *changing) perform(ctx context.Context, tx bun.Tx, write func(context.Context, bun.Tx) error) error {
	if err := c.look(ctx, tx); err != nil {
		return err
	}
	if err := write(ctx, tx); err != nil {
		return err
	}
	if c.k.write != nil {
		if err := c.k.write(ctx, tx, c); err != nil {
			return err
		}
	}
	if err := rules(ctx, tx, c); err != nil {
		return err
	}
	return c.reached(ctx, tx)
}

// look notes the profiles of all agents, if the thing is part of them.
func (c *changing) look(ctx context.Context, tx bun.Tx) (err error) {
	if c.k.profiles {
		c.digests, err = profiles(ctx, tx, c.by.Tenant)
	}
	return err
}

// reached reads what became of the thing, and counts a change of what hangs on it.
func (c *changing) reached(ctx context.Context, tx bun.Tx) (err error) {
	all := c.by
	all.Needs = nil // whether the author reaches it is asked below: the answer is another one
	of := directory.Ref{Kind: c.Kind, Name: c.Name}
	if c.after, err = read(ctx, tx, all, of, ``); err != nil {
		return err
	}
	if !c.begins() && c.after.Version == c.before.Version && !bytes.Equal(c.after.Body, c.before.Body) {
		if _, err := tx.ExecContext(ctx, `UPDATE `+c.k.table+` SET updated_at = clock_timestamp() WHERE tenant_id = ? AND `+c.k.key+` = ?`, c.by.Tenant, c.Name); err != nil {
			return err
		}
		if c.after, err = read(ctx, tx, all, of, ``); err != nil {
			return err
		}
	}
	if !c.k.reaches(c.by, c.after.Team) {
		return &fault.Error{Kind: fault.Forbidden, Code: "out_of_reach", Sentence: "You may do this in your own teams only."}
	}
	return c.affected(ctx, tx)
}

// affected notes the agents whose profile the thing is part of now.
func (c *changing) affected(ctx context.Context, tx bun.Tx) error {
	if c.k.agents == "" {
		return nil
	}
	var numbers []string
	err := tx.NewRaw(`SELECT a.number FROM `+c.k.table+` x, LATERAL (`+c.k.agents+`) AS a (number) WHERE x.tenant_id = ? AND x.`+c.k.key+` = ?`,
		c.by.Tenant, c.Name).Scan(ctx, &numbers)
	c.tell = append(c.tell, numbers...)
	return err
}

// settle tells sessions and processes of changes of one tenant, and writes their lines of
// the audit trail: last, because the trail's chain is held until the transaction ends.
func settle(ctx context.Context, tx bun.Tx, all []*changing) error {
	if len(all) == 0 {
		return nil
	}
	t, changed := all[0].by.Tenant, false
	var tell []string
	for _, c := range all {
		if err := c.redial(ctx, tx); err != nil {
			return err
		}
		if c.digests != nil {
			if err := noteProfiles(ctx, tx, t, c.digests); err != nil {
				return err
			}
		}
		tell = append(tell, c.tell...)
		changed = changed || c.k.routes || c.k.profiles
	}
	if len(tell) > 0 {
		slices.Sort(tell)
		if _, err := tx.ExecContext(ctx, `INSERT INTO profile_changes (tenant_id, agent) SELECT ?, unnest(?::text[])`,
			t, pgdialect.Array(slices.Compact(tell))); err != nil {
			return err
		}
	}
	if changed {
		if err := directoryChanged(ctx, tx, t); err != nil {
			return err
		}
	}
	for _, c := range all {
		if err := c.enter(ctx, tx); err != nil {
			return err
		}
	}
	return tellOfContacts(ctx, tx, t, contactEvents(all))
}

// enter writes the line of a change into the audit trail.
func (c *changing) enter(ctx context.Context, tx bun.Tx) error {
	line := record.AuditEntry{
		Tenant: c.by.Tenant, User: c.by.Name, Home: c.by.Home, Action: string(c.Kind) + "." + c.action, Object: string(c.Kind) + ":" + c.Name,
		Before: c.before.Body, After: c.after.Body, Detail: c.secretly(), Source: c.by.Source, Result: "ok",
	}
	if c.k.private {
		line.Before, line.After, line.Detail = nil, nil, c.discreetly()
	}
	return appendAudit(ctx, tx, line)
}

// secretly tells the trail which secrets were set, not what they are.
func (c *changing) secretly() json.RawMessage {
	var set []string
	for _, name := range c.Secrets {
		if _, given := c.Set[name]; given {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return nil
	}
	data, _ := json.Marshal(map[string][]string{"secrets_set": set}) // texts always marshal
	return data
}

// columns are those that the change sets, in order.
func (c *changing) columns() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Set)), func(name string) bool { return !slices.Contains(c.k.columns, name) })
}

// row is what the change sets, as JSON of the table's columns.
func (c *changing) row() ([]byte, error) {
	values := map[string]any{}
	for _, name := range c.columns() {
		v := c.Set[name]
		if v == "" && slices.Contains(c.k.nullable, name) {
			v = nil
		}
		values[name] = v
	}
	return json.Marshal(values)
}

// decode reads a field that is no column.
func (c *changing) decode(field string, into any) (given bool, err error) {
	v, given := c.Set[field]
	if !given {
		return false, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return true, err
	}
	return true, json.Unmarshal(data, into)
}

// refer refuses a name in a field that nothing has; query takes tenant and name.
func (c *changing) refer(ctx context.Context, tx bun.Tx, field, query, name string) error {
	var there bool
	if err := tx.NewRaw(`SELECT EXISTS (`+query+`)`, c.by.Tenant, name).Scan(ctx, &there); err != nil {
		return err
	}
	if !there {
		return wrongField(field, "there is no %q", name)
	}
	return nil
}

func wrongField(field, sentence string, args ...any) error {
	f := fault.Field{Name: field, Sentence: fmt.Sprintf(sentence, args...)}
	return &fault.Error{Kind: fault.Invalid, Code: "invalid", Sentence: f.Name + ": " + f.Sentence + ".", Fields: []fault.Field{f}}
}
