package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
	"holdfast/domain/webhook"
)

const (
	// leaseSlack is how much longer than its timeout a try may take, its end's record
	// included, before somebody else may take the message.
	leaseSlack = 10 * time.Second
	// lookedAt is how many due messages one look sorts.
	lookedAt = 500
	// clearedAtOnce is how many old deliveries one statement removes.
	clearedAtOnce = 5000
)

// Unhanded lists the webhooks with messages that no workflow knows of.
func (d *DB) Unhanded(ctx context.Context) ([]webhook.Ref, error) {
	return d.webhooksWhere(ctx, `EXISTS (SELECT FROM deliveries d WHERE d.hook = w.hook AND NOT d.handed)`)
}

// WithPending lists the webhooks of a tenant, or of all ("") that have something to send
// and may.
func (d *DB) WithPending(ctx context.Context, t id.Tenant) ([]webhook.Ref, error) {
	return d.webhooksWhere(ctx, `(?0 = '' OR w.tenant_id = ?0) AND EXISTS (SELECT FROM deliveries d WHERE d.hook = w.hook AND d.state = 'pending' AND (w.enabled OR d.cause = 'test'))`, t)
}

func (d *DB) webhooksWhere(ctx context.Context, condition string, args ...any) ([]webhook.Ref, error) {
	var rows []struct {
		Tenant id.Tenant `bun:"tenant_id"`
		Name   string    `bun:"name"`
	}
	err := d.asSystem(ctx, "find webhooks with something to send", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT w.tenant_id, w.name FROM webhooks w WHERE `+condition+` ORDER BY 1, 2`, args...).Scan(ctx, &rows)
	})
	var refs []webhook.Ref
	for _, r := range rows {
		refs = append(refs, webhook.Ref{Tenant: r.Tenant, Name: r.Name})
	}
	return refs, err
}

// hookRow is a webhook as whoever sends needs it.
type hookRow struct {
	Hook    int64             `bun:"hook"`
	URL     string            `bun:"url"`
	Headers map[string]string `bun:"headers,type:jsonb"`
	Timeout int64             `bun:"timeout_ms"`
	Secret  string            `bun:"secret"`
	Former  string            `bun:"former"`
	Enabled bool              `bun:"enabled"`
	Failing bool              `bun:"failing"`
	Paused  int64             `bun:"paused_ms"`
}

const sqlHook = `
SELECT w.hook, w.url, w.headers, w.timeout_ms, w.secret, CASE WHEN w.former_until > now() THEN w.former_secret ELSE '' END AS former, w.enabled,
       h.failing_since IS NOT NULL AS failing, greatest(0, (extract(epoch FROM h.paused_until - now()) * 1000)::bigint) AS paused_ms
  FROM webhooks w LEFT JOIN webhook_health h ON h.hook = w.hook
 WHERE w.tenant_id = ? AND w.name = ?`

// sqlDue are the subjects of messages that are due, the most urgent first, each with the
// first pending one of its line; only is a further condition.
const sqlDue = `
SELECT DISTINCT h.delivery, h.due_at, d.subject
  FROM (SELECT subject FROM deliveries WHERE tenant_id = ?0 AND hook = ?1 AND state = 'pending' AND due_at <= now() AND (?2 OR cause = 'test')
         ORDER BY due_at LIMIT ?3) d
 CROSS JOIN LATERAL (SELECT e.delivery, e.due_at FROM deliveries e
                      WHERE e.tenant_id = ?0 AND e.hook = ?1 AND e.subject = d.subject AND e.state = 'pending' ORDER BY e.delivery LIMIT 1) h`

// sqlTakeWork takes the first of each due line for a try. due_at is compared again, under the
// row's lock, so that no two take the same.
const sqlTakeWork = `
WITH due AS (SELECT delivery FROM (` + sqlDue + `) x WHERE due_at <= now() ORDER BY due_at, delivery LIMIT ?4),
taken AS (
  UPDATE deliveries x SET due_at = now() + make_interval(secs => ?5), claim = x.claim + 1, attempts = x.attempts + 1, tried_at = now()
    FROM due WHERE x.delivery = due.delivery AND x.state = 'pending' AND x.due_at <= now() RETURNING x.*)
SELECT ` + deliveryColumns + ` FROM taken d LEFT JOIN events e ON e.seq = d.seq ORDER BY d.delivery`

// sqlPush moves messages behind the first of their line, so that nobody looks at them before.
const sqlPush = `
WITH late AS (SELECT delivery, due_at, subject FROM (` + sqlDue + `) x WHERE due_at > now())
UPDATE deliveries x SET due_at = late.due_at FROM late
 WHERE x.tenant_id = ?0 AND x.hook = ?1 AND x.subject = late.subject AND x.state = 'pending' AND x.delivery <> late.delivery AND x.due_at < late.due_at`

// TakeWork takes at most free messages of a webhook for a try each, the first of their
// lines, and says when there is more. Whoever takes one must tell how it ended by Settle
// in time, else it is taken again. What it takes it knows of: nobody need be woken for it.
func (d *DB) TakeWork(ctx context.Context, of webhook.Ref, free int) (w webhook.Work, err error) {
	err = d.inTenant(ctx, "take messages of a webhook", of.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := awaitDisk(ctx, tx, "off"); err != nil {
			return err
		}
		var hooks []hookRow
		if err := tx.NewRaw(sqlHook, of.Tenant, of.Name).Scan(ctx, &hooks); err != nil || len(hooks) == 0 {
			w = webhook.Work{Idle: true, Next: -1}
			return err
		}
		h := hooks[0]
		w = webhook.Work{Target: h.target()}
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET handed = true WHERE tenant_id = ? AND hook = ? AND NOT handed`, of.Tenant, h.Hook); err != nil {
			return err
		}
		if free > 0 && h.Paused == 0 {
			var rows []deliveryRow
			lease := (w.Target.Timeout + leaseSlack).Seconds()
			if err := tx.NewRaw(sqlTakeWork, of.Tenant, h.Hook, h.Enabled, lookedAt, free, lease).Scan(ctx, &rows); err != nil {
				return err
			}
			if err := withContacts(ctx, tx, of.Tenant, rows); err != nil {
				return err
			}
			for _, r := range rows {
				w.Messages = append(w.Messages, r.message(of.Tenant))
			}
			if _, err := tx.ExecContext(ctx, sqlPush, of.Tenant, h.Hook, h.Enabled, lookedAt); err != nil {
				return err
			}
		}
		return d.nextWork(ctx, tx, of.Tenant, h, &w)
	})
	return w, err
}

// awaitDisk says whether a transaction's end waits for the disk. What was taken, and that
// it was accepted, need not: should it be lost with the server, the message is sent again.
func awaitDisk(ctx context.Context, tx bun.Tx, wait string) error {
	_, err := tx.ExecContext(ctx, `SELECT set_config('synchronous_commit', ?, true)`, wait)
	return err
}

// nextWork says when something of the webhook is due.
func (d *DB) nextWork(ctx context.Context, tx bun.Tx, t id.Tenant, h hookRow, w *webhook.Work) error {
	var next *int64
	err := tx.NewRaw(`SELECT ceil(extract(epoch FROM min(due_at) - now()) * 1000)::bigint FROM deliveries
		WHERE tenant_id = ? AND hook = ? AND state = 'pending' AND (? OR cause = 'test')`, t, h.Hook, h.Enabled).Scan(ctx, &next)
	if err != nil {
		return err
	}
	if next == nil {
		w.Next, w.Idle = -1, !h.Enabled
		return nil
	}
	w.Next = time.Duration(max(*next, h.Paused, 0)) * time.Millisecond
	return nil
}

func (h hookRow) target() webhook.Target {
	t := webhook.Target{URL: h.URL, Headers: h.Headers, Timeout: time.Duration(h.Timeout) * time.Millisecond, Secrets: []string{h.Secret}, Failing: h.Failing}
	if h.Former != "" {
		t.Secrets = append(t.Secrets, h.Former)
	}
	return t
}

func (r deliveryRow) message(t id.Tenant) webhook.Message {
	return webhook.Message{Delivery: r.Delivery, Claim: r.Claim, ID: r.Message, Event: r.event(t), Type: r.Type, Cause: r.Cause, Age: time.Duration(r.AgeMS) * time.Millisecond}
}

const (
	sqlSettle = `
UPDATE deliveries SET state = ?2, status = nullif(?3, 0), error = nullif(?4, ''), took_ms = ?5, response = ?6,
       due_at = now() + make_interval(secs => ?7), done_at = CASE WHEN ?2 <> 'pending' THEN now() END
 WHERE tenant_id = ?8 AND delivery = ?0 AND claim = ?1 AND state = 'pending' RETURNING hook, subject, due_at`

	// sqlFollow moves the rest of a line: to now when its first is done, else behind it.
	sqlFollow = `
UPDATE deliveries SET due_at = CASE WHEN ?3 THEN now() ELSE ?4::timestamptz END
 WHERE tenant_id = ?0 AND hook = ?1 AND subject = ?2 AND state = 'pending' AND delivery <> ?5
   AND CASE WHEN ?3 THEN due_at > now() ELSE due_at < ?4::timestamptz END`

	sqlHealth = `
INSERT INTO webhook_health (tenant_id, hook, failing_since, paused_until, delivered_at)
VALUES (?0, ?1, CASE WHEN NOT ?2 THEN now() END, CASE WHEN ?3 > 0 THEN now() + make_interval(secs => ?3) END, CASE WHEN ?2 THEN now() END)
ON CONFLICT (tenant_id, hook) DO UPDATE SET
  failing_since = CASE WHEN NOT ?2 THEN coalesce(webhook_health.failing_since, now()) END,
  paused_until = CASE WHEN ?3 > 0 THEN excluded.paused_until ELSE webhook_health.paused_until END,
  delivered_at = coalesce(excluded.delivered_at, webhook_health.delivered_at)
RETURNING failing_since`
)

// Settle writes how a try ended and lets the line go on. A result of a message that was
// taken by somebody else meanwhile is dropped. A webhook whose receiver is gone, or has
// accepted nothing for as long as it allows, is disabled, with a line of the audit trail
// and an event.
func (d *DB) Settle(ctx context.Context, of webhook.Ref, r webhook.Result) error {
	disabled := false
	err := d.inTenant(ctx, "settle a message of a webhook", of.Tenant, func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			Hook    int64        `bun:"hook"`
			Subject event.Stream `bun:"subject"`
			Due     time.Time    `bun:"due_at"`
		}
		if err := awaitDisk(ctx, tx, "off"); err != nil {
			return err
		}
		response := r.Response
		if response == nil {
			response = []byte{}
		}
		if err := tx.NewRaw(sqlSettle, r.Message.Delivery, r.Message.Claim, r.Verdict.State, r.Status, r.Error, r.Took.Milliseconds(), response,
			r.Verdict.Wait.Seconds(), of.Tenant).Scan(ctx, &rows); err != nil || len(rows) == 0 {
			return err
		}
		line := rows[0]
		if _, err := tx.ExecContext(ctx, sqlFollow, of.Tenant, line.Hook, line.Subject, r.Verdict.State != webhook.Pending, line.Due, r.Message.Delivery); err != nil {
			return err
		}
		var failing []*time.Time
		if err := tx.NewRaw(sqlHealth, of.Tenant, line.Hook, r.Verdict.State == webhook.Delivered, r.Verdict.Pause.Seconds()).Scan(ctx, &failing); err != nil {
			return err
		}
		if r.Verdict.State == webhook.Delivered || len(failing) == 0 || failing[0] == nil {
			return nil
		}
		var err error
		disabled, err = disable(ctx, tx, of, webhook.Disabled{Webhook: of.Name, Reason: r.Verdict.Disable, FailingSince: *failing[0]})
		return err
	})
	if err == nil && disabled {
		d.log.Warn("A webhook was disabled.", "tenant", of.Tenant, "webhook", of.Name)
		d.nudge()
	}
	return err
}

// disable disables a webhook for a reason, or because it has failed for too long.
func disable(ctx context.Context, tx bun.Tx, of webhook.Ref, v webhook.Disabled) (bool, error) {
	var changed []webhook.Reason
	if err := tx.NewRaw(`
UPDATE webhooks SET enabled = false, disabled_because = CASE WHEN ?2 <> '' THEN ?2 ELSE 'failing' END
 WHERE tenant_id = ?0 AND name = ?1 AND enabled
   AND (?2 <> '' OR disable_after_days > 0 AND ?3::timestamptz < now() - make_interval(days => disable_after_days))
RETURNING disabled_because`, of.Tenant, of.Name, string(v.Reason), v.FailingSince).Scan(ctx, &changed); err != nil || len(changed) == 0 {
		return false, err
	}
	if err := awaitDisk(ctx, tx, "on"); err != nil {
		return false, err
	}
	v.Reason = changed[0]
	view, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `
INSERT INTO events (tenant_id, stream, version, kind, at, view)
SELECT ?0, ?1, 1 + holdfast_last_version(?0, ?1), 'Disabled', now(), ?2`,
		of.Tenant, "webhook:"+of.Name, string(view)); err != nil {
		return false, err
	}
	return true, appendAudit(ctx, tx, record.AuditEntry{Tenant: of.Tenant, User: system, Action: "webhook.disable", Object: "webhook:" + of.Name,
		Detail: view, Source: "worker", Result: "ok"})
}

// ClearDeliveries removes deliveries that are older than their webhooks keep them, or than
// their tenants keep events, and those of webhooks that are gone. It reports whether there may be more.
func (d *DB) ClearDeliveries(ctx context.Context) (more bool, err error) {
	err = d.asSystem(ctx, "clear old deliveries", func(ctx context.Context, tx bun.Tx) error {
		r, err := tx.ExecContext(ctx, `
DELETE FROM deliveries WHERE delivery IN (
  SELECT d.delivery FROM webhooks w JOIN (
    SELECT tenant_id, least(coalesce((policies ->> 'event_days')::int, ?1), nullif((policies ->> 'call_days')::int, 0)) AS events FROM tenants) k USING (tenant_id) CROSS JOIN LATERAL (
    SELECT delivery FROM deliveries d WHERE d.hook = w.hook AND d.state <> 'pending' AND d.done_at < now() - make_interval(days => least(w.retention_days, k.events)) LIMIT ?0) d
  UNION ALL (
  SELECT d.delivery FROM deliveries d WHERE NOT EXISTS (SELECT FROM webhooks w WHERE w.hook = d.hook)
     LIMIT ?0)
  LIMIT ?0)`, clearedAtOnce, tenancy.DefaultEventDays)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		more = n == clearedAtOnce
		return err
	})
	return more, err
}
