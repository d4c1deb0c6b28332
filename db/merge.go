package db

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// MergeContacts makes one contact of two: numbers, e-mail addresses, notes and calls of
// other.Name go to into; where both have a value, into's stays unless other.Set gives
// another. The other one is deleted; whoever asks for it is sent to into, and Restore
// brings it back with what it had but numbers and notes. A repetition changes nothing.
// Refusals: fault.NotFound, fault.Invalid, fault.Conflict as of Update of into.
func (d *DB) MergeContacts(ctx context.Context, by directory.Author, into id.Contact, other directory.Change) (directory.Thing, error) {
	c := &changing{Change: directory.Change{Kind: directory.Contact, Name: string(into), Version: other.Version, Set: maps.Clone(other.Set)}, by: by, k: contactKind, action: "merge"}
	if c.Set == nil {
		c.Set = map[string]any{}
	}
	if other.Name == string(into) {
		return directory.Thing{}, wrongField("other", "is this contact itself")
	}
	return d.change(ctx, c, func(ctx context.Context, tx bun.Tx) error {
		if done, err := merged(ctx, tx, by, into, other.Name); err != nil || done {
			c.Set = map[string]any{}
			return cmp.Or(err, c.see(ctx, tx))
		}
		// Two who merge the same two the other way round wait here, one after the other.
		if _, err := tx.ExecContext(ctx, `SELECT FROM contacts WHERE tenant_id = ? AND id IN (?, ?) ORDER BY id FOR UPDATE`, by.Tenant, into, other.Name); err != nil {
			return err
		}
		if err := c.see(ctx, tx); err != nil {
			return err
		}
		if err := c.absorb(ctx, tx, other.Name); err != nil {
			return err
		}
		if err := complete(ctx, tx, c); err != nil {
			return err
		}
		return c.update(ctx, tx)
	})
}

// merged reports whether that was done already.
func merged(ctx context.Context, tx bun.Tx, by directory.Author, into id.Contact, other string) (done bool, err error) {
	err = tx.NewRaw(`SELECT EXISTS (SELECT FROM contact_merges WHERE tenant_id = ? AND contact = ? AND merged_into = ?)`, by.Tenant, other, into).Scan(ctx, &done)
	return done, err
}

// joined are the fields of a contact as a merge joins them.
type joined struct {
	Name     string         `json:"display_name"`
	Company  string         `json:"company"`
	Emails   []string       `json:"emails"`
	Numbers  []string       `json:"numbers"`
	Language string         `json:"language"`
	VIP      bool           `json:"vip"`
	Fields   map[string]any `json:"fields"`
}

// absorb takes the other contact away and puts what it had into the change.
func (c *changing) absorb(ctx context.Context, tx bun.Tx, other string) error {
	loser, err := read(ctx, tx, c.by, directory.Ref{Kind: directory.Contact, Name: other}, `FOR UPDATE OF x`)
	if fault.KindOf(err) == fault.NotFound {
		return wrongField("other", "there is no contact %q", other)
	}
	if err != nil {
		return err
	}
	var keep, take joined
	if err := json.Unmarshal(c.before.Body, &keep); err != nil {
		return err
	}
	if err := json.Unmarshal(loser.Body, &take); err != nil {
		return err
	}
	for field, v := range joinedFields(keep, take) {
		if _, given := c.Set[field]; !given {
			c.Set[field] = v
		}
	}
	for _, sql := range []string{
		`UPDATE contact_notes SET contact = ?1 WHERE tenant_id = ?0 AND contact = ?2`,
		`UPDATE contact_merges SET merged_into = ?1 WHERE tenant_id = ?0 AND merged_into = ?2`,
		`INSERT INTO contact_merges (tenant_id, contact, merged_into) VALUES (?0, ?2, ?1) ON CONFLICT (tenant_id, contact) DO UPDATE SET merged_into = excluded.merged_into`,
	} {
		if _, err := tx.ExecContext(ctx, sql, c.by.Tenant, c.Name, other); err != nil {
			return err
		}
	}
	c.absorbed = loser
	return c.layAside(ctx, tx, loser)
}

// layAside deletes the contact that was merged, and tells the trail.
func (c *changing) layAside(ctx context.Context, tx bun.Tx, loser thingRow) error {
	gone := &changing{Change: directory.Change{Kind: directory.Contact, Name: loser.Name}, by: c.by, k: c.k, action: "merge", before: loser}
	parts, err := gone.take(ctx, tx, gone.Kind, gone.Name)
	if err != nil {
		return err
	}
	if err := gone.keep(ctx, tx, parts); err != nil {
		return err
	}
	detail, _ := json.Marshal(map[string]string{"into": c.Name}) // texts always marshal
	return appendAudit(ctx, tx, record.AuditEntry{Tenant: c.by.Tenant, User: c.by.Name, Home: c.by.Home, Action: "contact.merge",
		Object: "contact:" + loser.Name, Detail: detail, Source: c.by.Source, Result: "ok"})
}

// joinedFields are what the one who stays has after a merge, besides what was decided.
func joinedFields(keep, take joined) map[string]any {
	fields := maps.Clone(take.Fields)
	maps.Copy(fields, keep.Fields)
	return map[string]any{
		"display_name": cmp.Or(keep.Name, take.Name), "company": cmp.Or(keep.Company, take.Company), "language": cmp.Or(keep.Language, take.Language),
		"emails": union(keep.Emails, take.Emails), "numbers": union(keep.Numbers, take.Numbers), "vip": keep.VIP || take.VIP, "fields": fields,
	}
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
