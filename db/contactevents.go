package db

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// contactStream is how the streams of contacts begin.
const contactStream = "contact:"

// sqlContactEvents adds events of contacts, which the caller holds, in their order: one
// statement for a whole import. A stream counts on, whatever becomes of its contact.
const sqlContactEvents = `
INSERT INTO events (tenant_id, stream, version, kind, at, view)
SELECT ?0, r.stream, holdfast_last_version(?0, r.stream) + row_number() OVER (PARTITION BY r.stream ORDER BY r.n),
       r.kind, clock_timestamp(), r.view
  FROM ROWS FROM (jsonb_to_recordset(?1::jsonb) AS (stream text, kind text, view jsonb)) WITH ORDINALITY AS r (stream, kind, view, n)
 ORDER BY r.n`

// contactEvent is an event of a contact that is to be written.
type contactEvent struct {
	Stream string       `json:"stream"`
	Kind   string       `json:"kind"`
	View   contact.Told `json:"view"`
}

func eventOf(kind string, told contact.Told) contactEvent {
	return contactEvent{contactStream + string(told.ID), kind, told}
}

// contactEvents are what changes tell of contacts; none tells of what stayed as it was.
func contactEvents(all []*changing) (list []contactEvent) {
	for _, c := range all {
		if c.Kind != directory.Contact {
			continue
		}
		told := contact.Told{ID: id.Contact(c.Name), Version: c.after.Version}
		switch c.action {
		case "create":
			list = append(list, eventOf(contact.WasCreated, told))
		case "restore":
			list = append(list, eventOf(contact.WasRestored, told))
		case "delete":
			told.Version = c.before.Version
			list = append(list, eventOf(contact.WasDeleted, told))
		case "merge":
			if c.absorbed.Version == 0 {
				continue // it was done before
			}
			other := id.Contact(c.absorbed.Name)
			list = append(list, eventOf(contact.WasDeleted, contact.Told{ID: other, Version: c.absorbed.Version, MergedInto: told.ID}))
			told.Changed, told.Merged = changedFields(c.before.Body, c.after.Body), other
			list = append(list, eventOf(contact.WasMerged, told))
		case "update":
			if told.Changed = changedFields(c.before.Body, c.after.Body); c.after.Version != c.before.Version {
				list = append(list, eventOf(contact.WasUpdated, told))
			}
		}
	}
	return list
}

// changedFields are the names of the fields that differ, in order.
func changedFields(before, after json.RawMessage) (names []string) {
	var was, is map[string]json.RawMessage
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil {
		return nil // they are objects: the database made them
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if !bytes.Equal(was[name], is[name]) { // both are written in one form, by jsonb
			names = append(names, name)
		}
	}
	return names
}

func tellOfContacts(ctx context.Context, tx bun.Tx, t id.Tenant, events []contactEvent) error {
	if len(events) == 0 {
		return nil
	}
	data, err := json.Marshal(events)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlUnfollowed); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, sqlContactEvents, t, string(data))
	return err
}

// nudgeOf says that events were committed, if those of a kind write some.
func (d *DB) nudgeOf(k directory.Kind) {
	if k == directory.Contact {
		d.nudge()
	}
}

// withContacts puts into events of contacts how these are now, or how they went.
func withContacts(ctx context.Context, tx bun.Tx, t id.Tenant, rows []deliveryRow) error {
	var names []string
	for _, r := range rows {
		if name, is := strings.CutPrefix(string(r.Subject), contactStream); is {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	var found []thingRow
	if err := tx.NewRaw(contactKind.selected()+` AND x.id = ANY (?::text[])`, t, pgdialect.Array(names)).Scan(ctx, &found); err != nil {
		return err
	}
	now := map[string]*contact.Now{}
	for _, f := range found {
		now[f.Name] = &contact.Now{Body: f.Body, Version: f.Version, Created: f.Created, Updated: f.Updated}
	}
	var laid []string
	if err := tx.NewRaw(`SELECT name FROM removed WHERE tenant_id = ? AND kind = ? AND name = ANY (?::text[])`, t, directory.Contact, pgdialect.Array(names)).Scan(ctx, &laid); err != nil {
		return err
	}
	for i, r := range rows {
		name, is := strings.CutPrefix(string(r.Subject), contactStream)
		if !is {
			continue
		}
		view, err := shownContact(r, now[name], slices.Contains(laid, name))
		if err != nil {
			return err
		}
		rows[i].View = view
	}
	return nil
}

// shownContact is the view of a contact's event with what is now: of one that went, and of
// the event that it goes, how it went. laid: it can be restored.
func shownContact(r deliveryRow, now *contact.Now, laid bool) (json.RawMessage, error) {
	if len(r.View) == 0 {
		return nil, nil // the event is kept no longer
	}
	var told contact.Told
	if err := json.Unmarshal(r.View, &told); err != nil {
		return nil, err
	}
	going := r.Kind == contact.WasDeleted || r.Kind == contact.WasErased
	switch {
	case now != nil && !going:
		told.Now = now
	case r.Kind == contact.WasErased || now == nil && !laid:
		told.Gone = contact.GoneErased
	case told.MergedInto != "":
		told.Gone = contact.GoneMerged
	default:
		told.Gone = contact.GoneDeleted
	}
	return json.Marshal(told)
}

// shownInStreams is the condition for the events that event streams show. Contacts are not
// among them: an import would push everything else aside.
const shownInStreams = `stream NOT LIKE '` + contactStream + `%'`
