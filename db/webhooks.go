package db

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/webhook"
)

const (
	// mostWebhooks is how many webhooks a tenant has at most: each event is compared with
	// all of them.
	mostWebhooks = 50
	// mostReplayed is how many events one replay puts in line at most.
	mostReplayed = 10_000
	// system is whose name the trail shows for what nobody asked for.
	system id.User = "system"
)

var webhookKind = kind{
	table: "webhooks", key: "name",
	body: `jsonb_build_object('name', x.name, 'url', x.url, 'events', x.events, 'queue', x.queue, 'enabled', x.enabled, 'disabled_because', x.disabled_because,
	  'header_names', coalesce((SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(x.headers) k), '[]'), 'timeout_ms', x.timeout_ms,
	  'retention_days', x.retention_days, 'disable_after_days', x.disable_after_days,
	  'former_secret_until', CASE WHEN x.former_until > now() THEN x.former_until END,
	  'failing_since', (SELECT h.failing_since FROM webhook_health h WHERE h.hook = x.hook),
	  'delivered_at', (SELECT h.delivered_at FROM webhook_health h WHERE h.hook = x.hook))`,
	columns: []string{"url", "events", "queue", "enabled", "headers", "timeout_ms", "retention_days", "disable_after_days", "secret", "overlap_ms"},
	search:  []string{"x.name", "x.url"},
	filters: map[string]string{"enabled": `x.enabled = ?::boolean`, "queue": `x.queue = ?`},
	sorts:   map[string]string{"updated_at": "x.updated_at"},
	write: func(ctx context.Context, tx bun.Tx, c *changing) error {
		// Whoever sends for webhooks looks whether this one may send again.
		_, err := tx.ExecContext(ctx, `SELECT pg_notify(?, ?)`, channelDirectory, string(c.by.Tenant))
		return err
	},
}

// webhookRules refuses a webhook of a queue that is none, and more than there may be.
func webhookRules(ctx context.Context, tx bun.Tx, c *changing) error {
	if q, _ := part[string](c, "queue"); q != "" {
		if err := c.refer(ctx, tx, "queue", `SELECT FROM queues WHERE tenant_id = ? AND name = ?`, q); err != nil {
			return err
		}
	}
	if err := c.maySendContacts(ctx, tx); err != nil {
		return err
	}
	if !c.begins() {
		return c.sameReceiver()
	}
	var n int
	if err := tx.NewRaw(`SELECT count(*) FROM webhooks WHERE tenant_id = ?`, c.by.Tenant).Scan(ctx, &n); err != nil {
		return err
	}
	if n > mostWebhooks {
		return refusal("too_many_webhooks", nil, "A tenant has %d webhooks at most; delete one, or let one take more events.", mostWebhooks)
	}
	return nil
}

// maySendContacts refuses to say where contacts are sent to who may not see them.
func (c *changing) maySendContacts(ctx context.Context, tx bun.Tx) error {
	directs := c.begins() || slices.ContainsFunc([]string{"url", "events", "queue"}, func(f string) bool { _, given := c.Set[f]; return given })
	if !directs || c.by.May(account.ContactsRead.At(account.Tenant)) {
		return nil
	}
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err
	}
	var is struct {
		Events []string `json:"events"`
		Queue  string   `json:"queue"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	if !takesContacts(is.Events, is.Queue) {
		return nil
	}
	return contactsForbidden()
}

// takesContacts reports whether a webhook with these events is sent contacts; one of a
// queue is not.
func takesContacts(events []string, queue string) bool {
	return queue == "" && slices.ContainsFunc(events, func(e string) bool { return e == "*" || strings.HasPrefix(e, "contact.") })
}

func contactsForbidden() error {
	return &fault.Error{Kind: fault.Forbidden, Code: "contacts_forbidden", Sentence: "This webhook would be sent contacts, which you may not see: name its events without contact.* and *, such as call.* and agent.*."}
}

// sameReceiver refuses another receiver that would be sent the headers of the one before:
// they are not shown, and are not to be had this way either.
func (c *changing) sameReceiver() error {
	address, given := part[string](c, "url")
	if _, anew := c.Set["headers"]; anew || !given {
		return nil
	}
	var was struct {
		URL     string   `json:"url"`
		Headers []string `json:"header_names"`
	}
	if err := json.Unmarshal(c.before.Body, &was); err != nil {
		return err
	}
	if len(was.Headers) > 0 && receiverOf(was.URL) != receiverOf(address) {
		return wrongField("headers", "must be given anew with another receiver: else the values of %s would be sent there", strings.Join(was.Headers, ", "))
	}
	return nil
}

// receiverOf is who is called at an address: scheme, host and port (RFC 6454 §4).
func receiverOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	port := cmp.Or(u.Port(), map[string]string{"https": "443", "http": "80"}[u.Scheme])
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// hookOf is the identity of a webhook.
func hookOf(ctx context.Context, tx bun.Tx, t id.Tenant, name string) (int64, error) {
	var found []int64
	if err := tx.NewRaw(`SELECT hook FROM webhooks WHERE tenant_id = ? AND name = ?`, t, name).Scan(ctx, &found); err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, &fault.Error{Kind: fault.NotFound, Code: "no_such_webhook", Sentence: fmt.Sprintf("There is no webhook %s.", name)}
	}
	return found[0], nil
}

// deliveryRow is a row of deliveries with its event.
type deliveryRow struct {
	Delivery int64           `bun:"delivery"`
	Claim    int             `bun:"claim"`
	Message  string          `bun:"message"`
	Type     webhook.Type    `bun:"type"`
	Subject  event.Stream    `bun:"subject"`
	Cause    webhook.Cause   `bun:"cause"`
	State    webhook.State   `bun:"state"`
	Created  time.Time       `bun:"created_at"`
	Due      time.Time       `bun:"due_at"`
	Attempts int             `bun:"attempts"`
	Tried    time.Time       `bun:"tried_at"`
	Status   int             `bun:"status"`
	Error    string          `bun:"error"`
	TookMS   int64           `bun:"took_ms"`
	Response []byte          `bun:"response"`
	Done     time.Time       `bun:"done_at"`
	AgeMS    int64           `bun:"age_ms"`
	Seq      int64           `bun:"seq"`
	Version  int64           `bun:"version"`
	Kind     string          `bun:"kind"`
	At       time.Time       `bun:"at"`
	View     json.RawMessage `bun:"view"`
}

// deliveryColumns are what deliveryRow reads of a delivery d and its event e, if any.
const deliveryColumns = `d.delivery, d.claim, d.message, d.type, d.subject, d.cause, d.state, d.created_at, d.due_at, d.attempts, d.tried_at,
       coalesce(d.status, 0) AS status, coalesce(d.error, '') AS error, coalesce(d.took_ms, 0) AS took_ms, d.response, d.done_at,
       (extract(epoch FROM now() - d.created_at) * 1000)::bigint AS age_ms,
       coalesce(d.seq, 0) AS seq, coalesce(e.version, 0) AS version, coalesce(e.kind, d.type) AS kind, coalesce(e.at, d.created_at) AS at, coalesce(e.view, d.data) AS view`

func (r deliveryRow) event(t id.Tenant) event.Event {
	return event.Event{Seq: r.Seq, Tenant: t, Stream: r.Subject, Version: r.Version, Kind: r.Kind, At: r.At, View: r.View}
}

func (r deliveryRow) delivery(t id.Tenant) webhook.Delivery {
	d := webhook.Delivery{
		Number: r.Delivery, Message: r.Message, Type: r.Type, Subject: r.Subject, Cause: r.Cause, State: r.State, Attempts: r.Attempts, Status: r.Status,
		Error: r.Error, Took: time.Duration(r.TookMS) * time.Millisecond, Created: r.Created, Tried: r.Tried, Done: r.Done, Response: r.Response, Event: r.event(t),
	}
	if r.State == webhook.Pending {
		d.Next = r.Due
	}
	return d
}

// Deliveries lists what was, and is to be, sent to a webhook, newest first, at most
// q.Limit (50 when 0). fault.NotFound: there is no such webhook.
func (d *DB) Deliveries(ctx context.Context, of webhook.Ref, q webhook.DeliveryQuery) ([]webhook.Delivery, error) {
	if q.Limit <= 0 || q.Limit > mostThings+1 {
		q.Limit = defaultThings
	}
	var rows []deliveryRow
	err := d.inTenant(ctx, "list deliveries", of.Tenant, func(ctx context.Context, tx bun.Tx) error {
		hook, err := hookOf(ctx, tx, of.Tenant, of.Name)
		if err != nil {
			return err
		}
		sql, args := `SELECT `+deliveryColumns+` FROM deliveries d LEFT JOIN events e ON e.seq = d.seq WHERE d.tenant_id = ? AND d.hook = ?`, []any{of.Tenant, hook}
		for _, c := range []struct {
			given     bool
			condition string
			value     any
		}{
			{q.State != "", `d.state = ?`, q.State}, {q.Subject != "", `d.subject = ?`, q.Subject}, {!q.Since.IsZero(), `d.created_at >= ?`, q.Since},
			{!q.Until.IsZero(), `d.created_at < ?`, q.Until}, {q.Before > 0, `d.delivery < ?`, q.Before},
		} {
			if c.given {
				sql, args = sql+` AND `+c.condition, append(args, c.value)
			}
		}
		return tx.NewRaw(sql+` ORDER BY d.delivery DESC LIMIT ?`, append(args, q.Limit)...).Scan(ctx, &rows)
	})
	var list []webhook.Delivery
	for _, r := range rows {
		list = append(list, r.delivery(of.Tenant))
	}
	return list, err
}

// Delivery reads one delivery of a webhook with its event and the last answer.
// fault.NotFound: there is none.
func (d *DB) Delivery(ctx context.Context, of webhook.Ref, number int64) (found webhook.Delivery, err error) {
	err = d.inTenant(ctx, "read a delivery", of.Tenant, func(ctx context.Context, tx bun.Tx) error {
		hook, err := hookOf(ctx, tx, of.Tenant, of.Name)
		if err != nil {
			return err
		}
		found, err = deliveryOf(ctx, tx, of.Tenant, hook, number)
		return err
	})
	return found, err
}

func deliveryOf(ctx context.Context, tx bun.Tx, t id.Tenant, hook, number int64) (webhook.Delivery, error) {
	var rows []deliveryRow
	err := tx.NewRaw(`SELECT `+deliveryColumns+` FROM deliveries d LEFT JOIN events e ON e.seq = d.seq WHERE d.tenant_id = ? AND d.hook = ? AND d.delivery = ?`,
		t, hook, number).Scan(ctx, &rows)
	if err == nil && len(rows) == 0 {
		err = &fault.Error{Kind: fault.NotFound, Code: "no_such_delivery", Sentence: fmt.Sprintf("There is no delivery %d of this webhook.", number)}
	}
	if err != nil {
		return webhook.Delivery{}, err
	}
	if err := withContacts(ctx, tx, t, rows); err != nil {
		return webhook.Delivery{}, err
	}
	return rows[0].delivery(t), nil
}

// Redeliver puts the message of a delivery in line once more, with its own id.
// fault.Conflict: its event was deleted, for its time is over.
func (d *DB) Redeliver(ctx context.Context, by directory.Author, name string, number int64) (webhook.Delivery, error) {
	return d.post(ctx, by, name, "redeliver", func(ctx context.Context, tx bun.Tx, hook int64) (int64, error) {
		before, err := deliveryOf(ctx, tx, by.Tenant, hook, number)
		if err != nil {
			return 0, err
		}
		if before.Event.Seq != 0 && len(before.Event.View) == 0 {
			return 0, refusal("event_gone", nil, "The event of this delivery is kept no longer (event_days): it can't be sent again.")
		}
		var made int64
		err = tx.NewRaw(`INSERT INTO deliveries (tenant_id, hook, seq, message, type, subject, cause, data)
			SELECT tenant_id, hook, seq, message, type, subject, CASE cause WHEN 'test' THEN 'test' ELSE 'redelivery' END, data
			  FROM deliveries WHERE tenant_id = ? AND hook = ? AND delivery = ? RETURNING delivery`,
			by.Tenant, hook, number).Scan(ctx, &made)
		return made, err
	})
}

// PingWebhook puts a test message in line, which is sent even while the webhook is disabled.
func (d *DB) PingWebhook(ctx context.Context, by directory.Author, name string) (webhook.Delivery, error) {
	return d.post(ctx, by, name, "test", func(ctx context.Context, tx bun.Tx, hook int64) (made int64, err error) {
		err = tx.NewRaw(`INSERT INTO deliveries (tenant_id, hook, message, type, subject, cause, data)
			VALUES (?0, ?1, 'ping_' || replace(gen_random_uuid()::text, '-', ''), ?2, 'webhook:' || ?3, 'test', jsonb_build_object('webhook', ?3, 'by', ?4)) RETURNING delivery`,
			by.Tenant, hook, webhook.Ping, name, by.Name).Scan(ctx, &made)
		return made, err
	})
}

// post puts one message in line and writes its line of the audit trail.
func (d *DB) post(ctx context.Context, by directory.Author, name, verb string, put func(context.Context, bun.Tx, int64) (int64, error)) (made webhook.Delivery, err error) {
	err = d.inTenant(ctx, verb+" a webhook", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		hook, err := hookOf(ctx, tx, by.Tenant, name)
		if err != nil {
			return err
		}
		number, err := put(ctx, tx, hook)
		if err != nil {
			return err
		}
		if made, err = deliveryOf(ctx, tx, by.Tenant, hook, number); err != nil {
			return err
		}
		return appendAudit(ctx, tx, askedOf(by, name, verb, map[string]any{"message": made.Message, "delivery": number}))
	})
	if err == nil {
		d.nudge()
	}
	return made, err
}

// askedOf is the line of the trail of what somebody asked of a webhook.
func askedOf(by directory.Author, name, verb string, detail map[string]any) record.AuditEntry {
	data, _ := json.Marshal(detail) // words, numbers and times always marshal
	return record.AuditEntry{Tenant: by.Tenant, User: by.Name, Home: by.Home, Action: "webhook." + verb, Object: "webhook:" + name,
		Detail: data, Source: by.Source, Result: "ok"}
}

// sqlReplay puts past events in line again.
const sqlReplay = `
WITH past AS (
  SELECT e.seq, e.stream, t.type
    FROM webhooks w, events e, LATERAL (SELECT holdfast_event_type(e.stream, e.kind)) AS t (type)
   WHERE w.hook = ?0 AND e.tenant_id = ?1 AND e.at >= ?2 AND e.at < ?3 AND e.seq > ?4 AND holdfast_wants(w, t.type, e.view)
     AND (?5::text[] = '{}' OR '*' = ANY (?5::text[]) OR t.type = ANY (?5::text[]) OR split_part(t.type, '.', 1) || '.*' = ANY (?5::text[]))
   ORDER BY e.seq LIMIT ?6
), queued AS (
  INSERT INTO deliveries (tenant_id, hook, seq, message, type, subject, cause)
  SELECT ?1, ?0, seq, 'evt_' || seq, type, stream, 'replay' FROM past ORDER BY seq RETURNING seq)
SELECT count(*) AS queued, coalesce(max(seq), ?4) AS last FROM queued`

// Replay puts the events of a stretch of time in line again, with their own ids, in their
// order, at most 10,000 at a time.
func (d *DB) Replay(ctx context.Context, by directory.Author, name string, r webhook.Replay) (done webhook.Replayed, err error) {
	err = d.inTenant(ctx, "replay events", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		hook, err := hookOf(ctx, tx, by.Tenant, name)
		if err != nil {
			return err
		}
		var row struct {
			Queued int   `bun:"queued"`
			Last   int64 `bun:"last"`
		}
		if err := tx.NewRaw(sqlReplay, hook, by.Tenant, r.From, r.To, r.After, pgdialect.Array(append([]string{}, r.Events...)), mostReplayed).Scan(ctx, &row); err != nil {
			return err
		}
		done = webhook.Replayed{Queued: row.Queued, Last: row.Last, More: row.Queued == mostReplayed}
		since, err := keptUntil(ctx, tx, record.Removal{Tenant: by.Tenant, Of: record.KeptEvents}, d.now())
		if err != nil {
			return err
		}
		if r.From.Before(since) {
			done.KeptSince = since
		}
		return appendAudit(ctx, tx, askedOf(by, name, "replay", map[string]any{"from": r.From, "to": r.To, "events": r.Events, "after": r.After, "queued": row.Queued}))
	})
	if err == nil {
		d.nudge()
	}
	return done, err
}
