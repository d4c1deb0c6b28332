package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// tariffKind: amounts are kept in millionths, and shown as decimals.
var tariffKind = kind{
	table: "tariffs", key: "prefix",
	body: `jsonb_build_object('prefix', x.prefix, 'display_name', x.display_name, 'per_minute', trim_scale(x.per_minute * 0.000001)::text,
	  'per_call', trim_scale(x.per_call * 0.000001)::text, 'first_ms', x.first_ms, 'step_ms', x.step_ms)`,
	columns: []string{"display_name", "per_minute", "per_call", "first_ms", "step_ms"},
	search:  []string{"x.prefix", "x.display_name"},
	// That by which a number would be charged.
	filters: map[string]string{"number": `x.prefix = (SELECT p.prefix FROM tariffs p WHERE p.tenant_id = holdfast_tenant()
	  AND p.prefix = ANY (holdfast_prefixes('+' || ltrim(?, '+'))) ORDER BY length(p.prefix) DESC LIMIT 1)`},
	sorts: map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
}

// completeTariff turns amounts as people write them into what is kept.
func completeTariff(c *changing) error {
	for _, field := range []string{"per_minute", "per_call"} {
		text, given := part[string](c, field)
		if !given {
			continue
		}
		amount, err := tariff.ParseAmount(text)
		if err != nil {
			return wrongField(field, "%s", err)
		}
		c.Set[field] = int64(amount)
	}
	return nil
}

func exportTariffs(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Prefix      string        `bun:"prefix"`
		DisplayName string        `bun:"display_name"`
		PerMinute   tariff.Amount `bun:"per_minute"`
		PerCall     tariff.Amount `bun:"per_call"`
		FirstMS     int64         `bun:"first_ms"`
		StepMS      int64         `bun:"step_ms"`
	}
	err := tx.NewRaw(`SELECT prefix, display_name, per_minute, per_call, first_ms, step_ms FROM tariffs WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Tariffs = append(doc.Tariffs, tenancy.Tariff{Prefix: r.Prefix, DisplayName: r.DisplayName, PerMinute: r.PerMinute, PerCall: r.PerCall,
			First: spanOf(r.FirstMS), Step: span(r.StepMS)})
	}
	return err
}

// tariffRows make the tariffs those of the document, if it speaks of them.
func tariffRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	if doc.Tariffs != nil {
		rows = append(rows, statement{`DELETE FROM tariffs WHERE tenant_id = ? AND NOT prefix = ANY (?)`,
			[]any{t, keys(doc.Tariffs, func(f tenancy.Tariff) string { return f.Prefix })}})
	}
	for _, f := range doc.Tariffs {
		rows = append(rows, statement{`
INSERT INTO tariffs (tenant_id, prefix, display_name, per_minute, per_call, first_ms, step_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, prefix) DO UPDATE SET display_name = excluded.display_name, per_minute = excluded.per_minute, per_call = excluded.per_call,
  first_ms = excluded.first_ms, step_ms = excluded.step_ms`,
			[]any{t, f.Prefix, f.DisplayName, int64(f.PerMinute), int64(f.PerCall), ms(*f.First), ms(f.Step)}})
	}
	return rows
}
