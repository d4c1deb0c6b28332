package db

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// levelChange is a change of an organization, a division or a tenant under way.
type levelChange struct {
	directory.Change
	by            directory.Author
	action        string
	here          directory.Neighbor
	before, after levelRow
}

// changeLevel runs a change in one transaction of the system role, and writes it into the
// trail of the author's tenant, and of the tenant that it is about.
func (d *DB) changeLevel(ctx context.Context, c *levelChange, write func(context.Context, bun.Tx) error) (t directory.Thing, err error) {
	of := directory.Ref{Kind: c.Kind, Name: c.Name}
	err = d.asSystem(ctx, c.action+" a "+string(c.Kind), func(ctx context.Context, tx bun.Tx) (err error) {
		if c.here, err = home(ctx, tx, c.by); err != nil {
			return err
		}
		if c.action == "update" || c.action == "delete" {
			if c.before, _, err = readLevel(ctx, tx, c.by, of); err != nil {
				return err
			}
			if c.Version != 0 && c.Version != c.before.Version {
				now, err := c.before.thing(c.Kind, c.by, c.here)
				if err != nil {
					return err
				}
				return (&directory.Newer{Now: now}).Refuse()
			}
		}
		if err := write(ctx, tx); err != nil {
			return err
		}
		if err := takeRole(ctx, tx, systemRole); err != nil {
			return err
		}
		if c.action != "delete" {
			all := c.by
			all.Needs = nil // whether the author reaches it was asked before
			if c.after, _, err = readLevel(ctx, tx, all, of); err != nil {
				return err
			}
			if t, err = c.after.thing(c.Kind, c.by, c.here); err != nil {
				return err
			}
		}
		return c.tell(ctx, tx)
	})
	return t, explained(&changing{Change: c.Change, action: c.action}, err)
}

// reached refuses what is farther away than the author's permissions reach.
func (c *levelChange) reached(shared account.Scope) error {
	for _, p := range c.by.Needs {
		if !c.by.Reach(p).Covers(shared) {
			return &fault.Error{Kind: fault.Forbidden, Code: "out_of_reach", Sentence: fmt.Sprintf("This takes %s.", p.At(shared))}
		}
	}
	return nil
}

// text is a field of the change, if it is given.
func (c *levelChange) text(field string) (string, bool) {
	v, given := c.Set[field].(string)
	return v, given
}

// tell writes the trails.
func (c *levelChange) tell(ctx context.Context, tx bun.Tx) error {
	if err := takeRole(ctx, tx, appRole); err != nil {
		return err
	}
	trails := []id.Tenant{c.by.Tenant}
	if t := id.Tenant(c.Name); c.Kind == directory.Tenant && t != c.by.Tenant {
		trails = append(trails, t)
	}
	for _, t := range trails {
		if err := enterTenant(ctx, tx, t); err != nil {
			return err
		}
		line := record.AuditEntry{Tenant: t, User: c.by.Name, Home: c.by.Home, Action: string(c.Kind) + "." + c.action, Object: string(c.Kind) + ":" + c.Name,
			Before: c.before.Body, After: c.after.Body, Source: c.by.Source, Result: "ok"}
		if t != c.by.Tenant && line.Home == "" {
			line.Home = c.by.Tenant
		}
		if err := appendAudit(ctx, tx, line); err != nil {
			return err
		}
	}
	return nil
}

// createLevel makes an organization, a division of one, or a tenant with the division and
// the organization that it names, if they are new; see Create.
func (d *DB) createLevel(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	c := &levelChange{Change: change, by: by, action: "create"}
	r := levelRow{Organization: change.Name}
	if change.Kind != directory.Organization {
		r.Organization, _ = c.text("organization")
	}
	switch change.Kind {
	case directory.Division:
		r.Division, c.Name = change.Name, r.Organization+":"+change.Name
	case directory.Tenant:
		r.Division, _ = c.text("division")
		r.Tenant = id.Tenant(change.Name)
	}
	return d.changeLevel(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		shared := r.shared(change.Kind, c.here)
		if change.Kind == directory.Division && shared == account.Division {
			shared = account.Organization // it is there already: said below
		}
		if err := c.reached(shared); err != nil {
			return err
		}
		shown, _ := c.text("display_name")
		switch change.Kind {
		case directory.Organization:
			_, err := tx.ExecContext(ctx, `INSERT INTO organizations (name, display_name) VALUES (?, ?)`, r.Organization, shown)
			return err
		case directory.Division:
			_, err := tx.ExecContext(ctx, `INSERT INTO divisions (organization, name, display_name) VALUES (?, ?, ?)`, r.Organization, r.Division, shown)
			if err != nil {
				return mapForeign(err, "organization", r.Organization)
			}
			return nil
		}
		for _, s := range []statement{
			{`INSERT INTO organizations (name) VALUES (?) ON CONFLICT DO NOTHING`, []any{r.Organization}},
			{`INSERT INTO divisions (organization, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, []any{r.Organization, r.Division}},
			{`INSERT INTO tenants (tenant_id, organization, division) VALUES (?, ?, ?)`, []any{r.Tenant, r.Organization, r.Division}},
		} {
			if _, err := tx.ExecContext(ctx, s.sql, s.args...); err != nil {
				return err
			}
		}
		return c.writeTenant(ctx, tx)
	})
}

// mapForeign says which level there is not.
func mapForeign(err error, field, name string) error {
	if e := explained(&changing{action: "create"}, err); fault.KindOf(e) == fault.Invalid {
		return wrongField(field, "there is no %s %q", field, name)
	}
	return err
}

// updateLevel changes fields of an organization, a division or a tenant; see Update.
func (d *DB) updateLevel(ctx context.Context, by directory.Author, change directory.Change) (directory.Thing, error) {
	c := &levelChange{Change: change, by: by, action: "update"}
	return d.changeLevel(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		shown, given := c.text("display_name")
		switch {
		case change.Kind == directory.Tenant:
			if err := c.move(ctx, tx); err != nil {
				return err
			}
			return c.writeTenant(ctx, tx)
		case !given:
			return nil
		case change.Kind == directory.Organization:
			_, err := tx.ExecContext(ctx, `UPDATE organizations SET display_name = ? WHERE name = ?`, shown, c.before.Organization)
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE divisions SET display_name = ? WHERE organization = ? AND name = ?`, shown, c.before.Organization, c.before.Division)
		return err
	})
}

// move puts a tenant into another division, if the author reaches both places.
func (c *levelChange) move(ctx context.Context, tx bun.Tx) error {
	to := levelRow{Organization: c.before.Organization, Division: c.before.Division}
	organization, moves := c.text("organization")
	if moves {
		to.Organization = organization
	}
	division, within := c.text("division")
	if within {
		to.Division = division
	}
	if !moves && !within || to.Organization == c.before.Organization && to.Division == c.before.Division {
		return nil
	}
	if err := c.reached(to.shared(directory.Division, c.here)); err != nil {
		return err
	}
	var there bool
	if err := tx.NewRaw(`SELECT EXISTS (SELECT FROM divisions WHERE organization = ? AND name = ?)`, to.Organization, to.Division).Scan(ctx, &there); err != nil {
		return err
	}
	if !there {
		return wrongField("division", "there is no division %q in organization %q", to.Division, to.Organization)
	}
	_, err := tx.ExecContext(ctx, `UPDATE tenants SET organization = ?, division = ? WHERE tenant_id = ?`, to.Organization, to.Division, c.Name)
	return err
}

// writeTenant writes what a tenant is besides its place. Running sessions are told of
// policies that are part of their profiles, and external devices are dialled as from the
// present country (SEED-26).
func (c *levelChange) writeTenant(ctx context.Context, tx bun.Tx) error {
	t := id.Tenant(c.Name)
	if err := takeRole(ctx, tx, appRole); err != nil {
		return err
	}
	if err := enterTenant(ctx, tx, t); err != nil {
		return err
	}
	doc, err := export(ctx, tx, t)
	if err != nil {
		return err
	}
	is := doc.Tenant
	was, allowed := is.Country, is.Policies.DialAllowed
	if v, given := c.text("display_name"); given {
		is.DisplayName = v
	}
	if v, given := c.text("country"); given {
		is.Country = v
	}
	if v, given := c.text("currency"); given {
		is.Currency = v
	}
	if v, given := c.Set["policies"]; given {
		if is.Policies, err = changedPolicies(is.Policies, v); err != nil {
			return err
		}
	}
	is.Policies.NotReadyReasons = nil // they have a table of their own
	if err := wrongPolicies(is, doc.Organization); err != nil {
		return err
	}
	before, err := profiles(ctx, tx, t)
	if err != nil {
		return err
	}
	kept, err := json.Marshal(is.Policies)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE tenants SET display_name = ?, country = ?, currency = ?, policies = ?::jsonb WHERE tenant_id = ?`, is.DisplayName, is.Country, is.Currency, string(kept), t); err != nil {
		return err
	}
	if is.Country != was {
		if err := abroad(ctx, tx, t, was, is.Country); err != nil {
			return err
		}
	}
	if is.Country == was && !slices.Equal(allowed, is.Policies.DialAllowed) {
		if _, err := redial(ctx, tx, t); err != nil {
			return err
		}
	}
	if err := noteProfiles(ctx, tx, t, before); err != nil {
		return err
	}
	return directoryChanged(ctx, tx, t)
}

// abroad refuses another country if external devices would not be understood or reached
// from there, and dials the others as from there.
func abroad(ctx context.Context, tx bun.Tx, t id.Tenant, was, is string) error {
	var devices []struct {
		Name   string `bun:"name"`
		Number string `bun:"number"`
	}
	if err := tx.NewRaw(`SELECT name, number FROM devices WHERE tenant_id = ? AND kind = 'external' ORDER BY name`, t).Scan(ctx, &devices); err != nil {
		return err
	}
	use := &directory.InUse{}
	for _, v := range devices {
		if _, err := dialplan.Parse(v.Number, was); err != nil {
			continue // it was not understood before
		}
		if _, err := dialplan.Parse(v.Number, is); err != nil {
			use.By = append(use.By, directory.Ref{Kind: directory.Device, Name: v.Name})
		}
	}
	if len(use.By) > 0 {
		return refusal("country_in_use", use, "Numbers could not be understood from there: the country is %s. Write these in the international form first.", use.Error())
	}
	_, err := redial(ctx, tx, t) // whom it concerns is seen in the profiles
	return err
}
