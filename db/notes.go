package db

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// noteRow is a row of contact_notes.
type noteRow struct {
	contact.Note
	Edited *time.Time `bun:"edited_at"`
}

func (r noteRow) note() contact.Note {
	if r.Edited != nil {
		r.Note.Edited = *r.Edited
	}
	return r.Note
}

const noteColumns = `id, contact, author, home, at, edited_at, text, version`

// Notes lists the notes of a contact that come before one (empty: all), newest first.
// fault.NotFound: no contact that the author may see.
func (d *DB) Notes(ctx context.Context, by directory.Author, c id.Contact, before string, limit int) ([]contact.Note, error) {
	var rows []noteRow
	err := d.inTenant(ctx, "list notes", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := read(ctx, tx, by, directory.Ref{Kind: directory.Contact, Name: string(c)}, ""); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT `+noteColumns+` FROM contact_notes WHERE tenant_id = ?0 AND contact = ?1 AND (?2 = '' OR id < ?2) ORDER BY id DESC LIMIT ?3`,
			by.Tenant, c, before, limit).Scan(ctx, &rows)
	})
	notes := make([]contact.Note, len(rows))
	for i, r := range rows {
		notes[i] = r.note()
	}
	return notes, err
}

// WriteNote adds a note to a contact, or changes the text of one's own; an empty text
// deletes it. The trail tells of it without the text. fault.NotFound: no contact that the
// author may see, or no such note; fault.Forbidden: somebody else's note; fault.Conflict,
// with the note as it is: it has another version than n by now.
func (d *DB) WriteNote(ctx context.Context, by directory.Author, n contact.Note) (contact.Note, error) {
	var written noteRow
	err := d.inTenant(ctx, "write a note", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := read(ctx, tx, by, directory.Ref{Kind: directory.Contact, Name: string(n.Contact)}, ""); err != nil {
			return err
		}
		verb := "create"
		if n.ID == "" {
			at := d.now().UTC()
			n.ID = fmt.Sprintf("%013x%s", at.UnixMicro(), id.NewContact()[:6]) // in the order of time
			if err := tx.NewRaw(`INSERT INTO contact_notes (tenant_id, contact, id, author, home, at, text) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING `+noteColumns,
				by.Tenant, n.Contact, n.ID, by.Name, by.Home, at, n.Text).Scan(ctx, &written); err != nil {
				return err
			}
			return auditNote(ctx, tx, by, n, verb)
		}
		now, err := ownNote(ctx, tx, by, n)
		if err != nil {
			written = now
			return err
		}
		if n.Text == "" {
			if _, err := tx.ExecContext(ctx, `DELETE FROM contact_notes WHERE tenant_id = ? AND contact = ? AND id = ?`, by.Tenant, n.Contact, n.ID); err != nil {
				return err
			}
			return auditNote(ctx, tx, by, n, "delete")
		}
		if err := tx.NewRaw(`UPDATE contact_notes SET text = ?, edited_at = ?, version = version + 1 WHERE tenant_id = ? AND contact = ? AND id = ? RETURNING `+noteColumns,
			n.Text, d.now().UTC(), by.Tenant, n.Contact, n.ID).Scan(ctx, &written); err != nil {
			return err
		}
		return auditNote(ctx, tx, by, n, "update")
	})
	return written.note(), err
}

// ownNote refuses to change what somebody else wrote; who may delete contacts may delete
// their notes as well.
func ownNote(ctx context.Context, tx bun.Tx, by directory.Author, n contact.Note) (now noteRow, err error) {
	var old []noteRow
	if err := tx.NewRaw(`SELECT `+noteColumns+` FROM contact_notes WHERE tenant_id = ? AND contact = ? AND id = ? FOR UPDATE`, by.Tenant, n.Contact, n.ID).Scan(ctx, &old); err != nil {
		return now, err
	}
	own := len(old) > 0 && old[0].Author == by.Name && old[0].Home == by.Home
	switch {
	case len(old) == 0:
		return now, &fault.Error{Kind: fault.NotFound, Code: "no_such_note", Sentence: "There is no such note."}
	case !own && (n.Text != "" || !by.May(account.ContactsDelete)):
		return now, &fault.Error{Kind: fault.Forbidden, Code: "not_the_author", Sentence: "Only its author may change a note; add one of your own."}
	case n.Version != 0 && n.Version != old[0].Version:
		return old[0], fault.Refuse("version_changed", "The note was changed meanwhile: it has version %d.", old[0].Version)
	}
	return old[0], nil
}

func auditNote(ctx context.Context, tx bun.Tx, by directory.Author, n contact.Note, verb string) error {
	detail, _ := json.Marshal(map[string]string{"note": n.ID}) // texts always marshal
	return appendAudit(ctx, tx, record.AuditEntry{Tenant: by.Tenant, User: by.Name, Home: by.Home, Action: "contact.note-" + verb,
		Object: string(directory.Contact) + ":" + string(n.Contact), Detail: detail, Source: by.Source, Result: "ok"})
}
