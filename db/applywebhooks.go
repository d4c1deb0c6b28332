package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/domain/webhook"
)

func exportWebhooks(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name      string   `bun:"name"`
		URL       string   `bun:"url"`
		Events    []string `bun:"events,array"`
		Queue     id.Queue `bun:"queue"`
		Disabled  bool     `bun:"disabled"`
		TimeoutMS int64    `bun:"timeout_ms"`
		Retention int      `bun:"retention_days"`
		Failing   int      `bun:"disable_after_days"`
	}
	// A queue that is gone sends nothing: without it the document would not be valid.
	err := tx.NewRaw(`
SELECT w.name, w.url, w.events, coalesce(q.name, '') AS queue, NOT w.enabled OR w.queue <> '' AND q.name IS NULL AS disabled, w.timeout_ms, w.retention_days, w.disable_after_days
  FROM webhooks w LEFT JOIN queues q ON q.tenant_id = w.tenant_id AND q.name = w.queue WHERE w.tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Webhooks = append(doc.Webhooks, tenancy.Webhook{Name: r.Name, URL: r.URL, Events: r.Events, Queue: r.Queue, Disabled: r.Disabled,
			Timeout: tenancy.Duration(time.Duration(r.TimeoutMS) * time.Millisecond), RetentionDays: r.Retention, DisableAfterDays: &r.Failing})
	}
	return err
}

// webhookRows leave secrets and headers of those that are there alone. The secret of a new
// one is known to nobody, until a new one is asked for by the API and shown.
func webhookRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	if doc.Webhooks != nil { // else the document does not speak of webhooks
		rows = append(rows, statement{`DELETE FROM webhooks WHERE tenant_id = ? AND NOT name = ANY (?)`,
			[]any{t, keys(doc.Webhooks, func(w tenancy.Webhook) string { return w.Name })}})
	}
	for _, w := range doc.Webhooks {
		rows = append(rows, statement{`
INSERT INTO webhooks (tenant_id, name, url, events, queue, enabled, timeout_ms, retention_days, disable_after_days, secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET url = excluded.url, events = excluded.events, queue = excluded.queue, enabled = excluded.enabled,
  timeout_ms = excluded.timeout_ms, retention_days = excluded.retention_days, disable_after_days = excluded.disable_after_days`,
			[]any{t, w.Name, w.URL, pgdialect.Array(w.Events), w.Queue, !w.Disabled, ms(w.Timeout), w.RetentionDays, *w.DisableAfterDays, webhook.NewSecret()}})
	}
	return rows
}
