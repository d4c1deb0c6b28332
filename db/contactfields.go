package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/contact"
	"holdfast/domain/tenancy"
)

func exportContactFields(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Key      string       `bun:"key"`
		Label    string       `bun:"label"`
		Type     contact.Type `bun:"type"`
		Required bool         `bun:"required"`
		Choices  []string     `bun:"choices,array"`
		Position int          `bun:"position"`
	}
	err := tx.NewRaw(`SELECT key, label, type, required, choices, position FROM contact_fields WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.ContactFields = append(doc.ContactFields, tenancy.ContactField(r))
	}
	return err
}

func contactFieldRows(doc tenancy.Document) (rows []statement) {
	for _, f := range doc.ContactFields {
		rows = append(rows, statement{`
INSERT INTO contact_fields (tenant_id, key, label, type, required, choices, position) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, key) DO UPDATE SET label = excluded.label, type = excluded.type, required = excluded.required, choices = excluded.choices, position = excluded.position`,
			[]any{doc.Tenant.Domain, f.Key, f.Label, f.Type, f.Required, labels(f.Choices), f.Position}})
	}
	return rows
}
