package db_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/webhook"
	"holdfast/fence"
	"holdfast/postbox"
)

var crm = webhook.Ref{Tenant: acme, Name: "crm"}

// hook makes a webhook of acme.
func (w *world) hook(name string, set map[string]any) directory.Thing {
	w.Helper()
	full := map[string]any{"url": "https://crm.example.com/", "secret": webhook.NewSecret()}
	for k, v := range set {
		full[k] = v
	}
	return w.make(directory.Webhook, name, full)
}

// tell writes an event.
func (w *world) tell(stream event.Stream, version int, kind, view string) {
	w.Helper()
	conn := connectAsApp(w.TB, w.url)
	require.NoError(w, pgx.BeginFunc(w.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.Context(), `SELECT set_config('holdfast.tenant', $1, true)`, string(w.tenant)); err != nil {
			return err
		}
		_, err := tx.Exec(w.Context(), `INSERT INTO events (tenant_id, stream, version, kind, at, view) VALUES ($1, $2, $3, $4, now(), $5)`,
			string(w.tenant), string(stream), version, kind, view)
		return err
	}))
	require.NoError(w, conn.Close(w.Context()))
}

// take takes what is due, as "subject type".
func (w *world) take(free int) (work webhook.Work, words []string) {
	w.Helper()
	work, err := w.TakeWork(w.Context(), crm, free)
	require.NoError(w, err)
	for _, m := range work.Messages {
		words = append(words, string(m.Event.Stream)+" "+string(m.Type))
	}
	return work, words
}

func (w *world) settle(m webhook.Message, v webhook.Verdict, status int) {
	w.Helper()
	require.NoError(w, w.Settle(w.Context(), crm, webhook.Result{Message: m, Verdict: v, Status: status, Response: []byte("said"), Took: 20 * time.Millisecond}))
}

var (
	accepted = webhook.Verdict{State: webhook.Delivered}
	givenUp  = webhook.Verdict{State: webhook.Failed}
)

func later(d time.Duration) webhook.Verdict { return webhook.Verdict{State: webhook.Pending, Wait: d} }

// What the database calls an event is what the domain calls it.
func TestWebhooks_TypesAreTheDomains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for stream, kinds := range map[event.Stream][]string{
		"call:c":     {"Initiated", "Queued", "Offered", "Established", "Held", "Retrieved", "CallCleared", "Abandoned", "Diverted"},
		"agent:1001": {"LoggedOff", "NotReady", "Ready", "Reserved", "Busy", "WorkingAfterCall"}, "contact:7": {"Created", "contact.updated", "merged"}, "webhook:crm": {"Disabled"},
		"device:1001": {"Registered", "Moved", "Unregistered"},
	} {
		for _, kind := range kinds {
			var have webhook.Type
			w.one(&have, `SELECT holdfast_event_type($1, $2)`, string(stream), kind)
			require.Equal(t, webhook.TypeOf(stream, kind), have)
			require.True(t, webhook.Selects(string(have)), "%s is in the catalogue", have)
		}
	}
}

// An event is put in line by its own transaction, for the webhooks that want it and no
// others; where nobody wants it nothing is written.
func TestWebhooks_AnEventIsPutInLineForWhoWantsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support", "sales")
	w.tell("call:a", 1, "Queued", `{"queue":"support"}`)
	w.hook("all", nil)
	w.hook("calls", map[string]any{"events": []string{"call.*"}, "queue": "sales"})
	w.hook("ready", map[string]any{"events": []string{"agent.ready", "call.cleared"}, "queue": "support"})
	w.hook("off", map[string]any{"enabled": false})
	w.tell("call:b", 1, "Queued", `{"queue":"support"}`)
	w.tell("call:c", 1, "Queued", `{"queue":"sales"}`)
	w.tell("agent:1001", 1, "Ready", `{"memberships":[{"queue":"support"}]}`)
	w.tell("agent:1002", 1, "Ready", `{"memberships":[{"queue":"sales"}]}`)
	w.tell("call:b", 2, "CallCleared", `{"queue":"support"}`)
	rows, err := w.super.Query(t.Context(), `SELECT h.name || ' ' || d.subject || ' ' || d.type FROM deliveries d JOIN webhooks h USING (hook) ORDER BY h.name, d.delivery`)
	require.NoError(t, err)
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{
		"all call:b call.queued", "all call:c call.queued", "all agent:1001 agent.ready", "all agent:1002 agent.ready", "all call:b call.cleared",
		"calls call:c call.queued", "ready agent:1001 agent.ready", "ready call:b call.cleared",
	}, have)
	refs, err := w.Unhanded(t.Context())
	require.NoError(t, err)
	require.Len(t, refs, 3)
}

// A subject's messages are sent one after the other; subjects don't wait for each other.
func TestOutbox_TheNextOfASubjectWaits_OtherSubjectsDont(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", nil)
	for v := 1; v <= 3; v++ {
		w.tell("call:a", v, "Held", `{}`)
		w.tell("call:b", v, "Held", `{}`)
	}
	work, words := w.take(1)
	require.Equal(t, []string{"call:a call.held"}, words)
	require.Equal(t, "https://crm.example.com/", work.Target.URL)
	require.Equal(t, 10*time.Second, work.Target.Timeout)
	refs, err := w.Unhanded(t.Context())
	require.NoError(t, err)
	require.Empty(t, refs, "whoever takes knows of all")
	first := work.Messages[0]
	work, words = w.take(8)
	require.Equal(t, []string{"call:b call.held"}, words)
	require.Positive(t, work.Next)
	b := work.Messages[0]
	_, words = w.take(8)
	require.Empty(t, words, "both are under way")

	w.settle(first, later(time.Hour), 500)
	w.settle(b, accepted, 200)
	work, words = w.take(8)
	require.Equal(t, []string{"call:b call.held"}, words)
	require.EqualValues(t, 2, work.Messages[0].Event.Version)
	require.True(t, work.Target.Failing == false, "the last try was accepted")
	w.settle(work.Messages[0], givenUp, 500)
	work, words = w.take(8)
	require.Equal(t, []string{"call:b call.held"}, words, "after one that was given up its subject goes on")
	require.EqualValues(t, 3, work.Messages[0].Event.Version)
	require.True(t, work.Target.Failing)
	w.settle(work.Messages[0], accepted, 200)
	w.tell("call:a", 4, "CallCleared", `{}`)
	_, words = w.take(8)
	require.Empty(t, words, "what comes later waits behind the first as well")
	work, _ = w.take(8)
	require.InDelta(t, time.Hour.Seconds(), work.Next.Seconds(), 60)
}

// What was taken and never settled is taken again; who was late can't write how it ended.
func TestOutbox_WhoTookItDied_ItIsTakenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", nil)
	w.tell("call:a", 1, "Queued", `{"phase":"Queued"}`)
	work, _ := w.take(8)
	dead := work.Messages[0]
	require.JSONEq(t, `{"phase":"Queued"}`, string(dead.Event.View))
	_, words := w.take(8)
	require.Empty(t, words)
	w.exec(`UPDATE deliveries SET due_at = now()`)
	work, _ = w.take(8)
	require.Len(t, work.Messages, 1)
	require.Equal(t, 2, work.Messages[0].Claim)
	require.Equal(t, dead.ID, work.Messages[0].ID)
	w.settle(dead, givenUp, 500)
	w.settle(work.Messages[0], accepted, 204)
	one, err := w.Delivery(t.Context(), crm, dead.Delivery)
	require.NoError(t, err)
	require.Equal(t, webhook.Delivered, one.State)
	require.Equal(t, 2, one.Attempts)
	require.Equal(t, 204, one.Status)
	require.Equal(t, "said", string(one.Response))
	work, _ = w.take(8)
	require.Negative(t, work.Next)
	require.False(t, work.Idle)
}

// Retry-After holds the whole webhook; a disabled one holds what is pending, and sends
// nothing but a test.
func TestOutbox_APausedOrDisabledWebhookHoldsWhatIsPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", nil)
	w.tell("call:a", 1, "Queued", `{}`)
	w.tell("call:b", 1, "Queued", `{}`)
	work, _ := w.take(1)
	w.settle(work.Messages[0], webhook.Verdict{State: webhook.Pending, Wait: time.Minute, Pause: time.Minute}, 429)
	work, words := w.take(8)
	require.Empty(t, words)
	require.InDelta(t, 60, work.Next.Seconds(), 10)
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "crm", Set: map[string]any{"enabled": false}})
	require.NoError(t, err)
	w.exec(`UPDATE webhook_health SET paused_until = NULL`)
	work, _ = w.take(8)
	require.True(t, work.Idle)
	require.Negative(t, work.Next)
	pending, err := w.WithPending(t.Context(), acme)
	require.NoError(t, err)
	require.Empty(t, pending)
	ping, err := w.PingWebhook(t.Context(), w.ada(), "crm")
	require.NoError(t, err)
	work, _ = w.take(8)
	require.Len(t, work.Messages, 1)
	require.Equal(t, webhook.Ping, work.Messages[0].Type)
	require.Equal(t, ping.Message, work.Messages[0].ID)
	require.JSONEq(t, `{"webhook":"crm","by":"ada"}`, string(work.Messages[0].Event.View))
	w.settle(work.Messages[0], accepted, 200)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "crm", Set: map[string]any{"enabled": true}})
	require.NoError(t, err)
	pending, err = w.WithPending(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []webhook.Ref{crm}, pending)
	_, words = w.take(8)
	require.Equal(t, []string{"call:b call.queued"}, words)
}

// 410 disables at once, and so does failing for as many days as the webhook allows, with
// a line of the trail and an event that another webhook gets.
func TestOutbox_WhatFailsForTooLongIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", map[string]any{"disable_after_days": 2})
	w.hook("watch", map[string]any{"events": []string{"webhook.disabled"}})
	w.tell("call:a", 1, "Queued", `{}`)
	work, _ := w.take(8)
	w.settle(work.Messages[0], webhook.Verdict{State: webhook.Failed, Disable: webhook.Gone}, 410)
	disabled := func() (because string) {
		w.one(&because, `SELECT disabled_because FROM webhooks WHERE name = 'crm' AND NOT enabled`)
		return because
	}
	require.Equal(t, "gone", disabled())
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Object: "webhook:crm"})
	require.NoError(t, err)
	require.Equal(t, "webhook.disable", lines[0].Action)
	var told string
	w.one(&told, `SELECT d.type || ' ' || (e.view ->> 'reason') FROM deliveries d JOIN webhooks h USING (hook) JOIN events e USING (seq) WHERE h.name = 'watch'`)
	require.Equal(t, "webhook.disabled gone", told)

	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "crm", Set: map[string]any{"enabled": true}})
	require.NoError(t, err)
	w.tell("call:b", 1, "Queued", `{}`)
	for _, days := range []int{1, 3} {
		w.exec(`UPDATE deliveries SET due_at = now() WHERE state = 'pending'`)
		w.exec(`UPDATE webhook_health SET failing_since = now() - make_interval(days => $1) WHERE failing_since IS NOT NULL`, days)
		work, _ = w.take(8)
		w.settle(work.Messages[0], later(time.Hour), 500)
		if days == 1 {
			var on bool
			w.one(&on, `SELECT enabled FROM webhooks WHERE name = 'crm'`)
			require.True(t, on)
		}
	}
	require.Equal(t, "failing", disabled())
}

// A secret that is rotated stays valid beside the new one for as long as was said; none
// is shown to anybody.
func TestWebhooks_ARotatedSecretStaysValidForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.hook("crm", map[string]any{"headers": map[string]string{"Authorization": "Bearer hidden"}})
	rotate := func(overlap time.Duration) (secret string) {
		secret = webhook.NewSecret()
		changed, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "crm",
			Set: map[string]any{"secret": secret, "overlap_ms": overlap.Milliseconds()}, Secrets: []string{"secret"}})
		require.NoError(t, err)
		require.NotContains(t, string(changed.Body), "whsec_")
		return secret
	}
	require.NotContains(t, string(made.Body), "hidden")
	first, _ := w.take(1)
	second := rotate(time.Hour)
	work, _ := w.take(1)
	require.Equal(t, []string{second, first.Target.Secrets[0]}, work.Target.Secrets)
	require.Equal(t, map[string]string{"Authorization": "Bearer hidden"}, work.Target.Headers)
	third := rotate(0)
	work, _ = w.take(1)
	require.Equal(t, []string{third}, work.Target.Secrets)
	var leaks int
	w.one(&leaks, `SELECT count(*) FROM audit a WHERE to_jsonb(a)::text LIKE '%whsec%' OR to_jsonb(a)::text LIKE '%hidden%'`)
	require.Zero(t, leaks)
}

// Past events are sent again with their own ids and in their order; one message too.
func TestWebhooks_ReplayAndRedelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("call:a", 1, "Queued", `{}`)
	w.tell("call:a", 2, "Established", `{}`)
	w.tell("agent:1001", 1, "Ready", `{}`)
	w.hook("crm", nil)
	ago, now := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	done, err := w.Replay(t.Context(), w.ada(), "crm", webhook.Replay{From: ago, To: now, Events: []string{"call.*"}})
	require.NoError(t, err)
	require.Equal(t, 2, done.Queued)
	require.False(t, done.More)
	work, words := w.take(8)
	require.Equal(t, []string{"call:a call.queued"}, words)
	m := work.Messages[0]
	require.Equal(t, webhook.ByReplay, m.Cause)
	require.Equal(t, fmt.Sprint("evt_", m.Event.Seq), m.ID)
	w.settle(m, givenUp, 500)
	again, err := w.Redeliver(t.Context(), w.ada(), "crm", m.Delivery)
	require.NoError(t, err)
	require.Equal(t, m.ID, again.Message)
	require.Equal(t, webhook.ByRedelivery, again.Cause)
	work, words = w.take(8)
	require.Equal(t, []string{"call:a call.established"}, words, "the redelivery is behind it in the line")
	w.settle(work.Messages[0], accepted, 200)
	_, words = w.take(8)
	require.Equal(t, []string{"call:a call.queued"}, words)
	done, err = w.Replay(t.Context(), w.ada(), "crm", webhook.Replay{From: ago, To: now, After: m.Event.Seq + 1})
	require.NoError(t, err)
	require.Equal(t, 1, done.Queued)
	list, err := w.Deliveries(t.Context(), crm, webhook.DeliveryQuery{State: webhook.Pending, Subject: "agent:1001"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = w.Deliveries(t.Context(), crm, webhook.DeliveryQuery{Limit: 2})
	require.NoError(t, err)
	require.Len(t, list, 2)
	rest, err := w.Deliveries(t.Context(), crm, webhook.DeliveryQuery{Before: list[1].Number})
	require.NoError(t, err)
	require.Len(t, rest, 2)
	require.Nil(t, list[0].Response)
	_, err = w.Redeliver(t.Context(), w.ada(), "crm", 999_999)
	requireRefused(t, err, fault.NotFound, "no_such_delivery")
	_, err = w.Replay(t.Context(), w.ada(), "none", webhook.Replay{From: ago, To: now})
	requireRefused(t, err, fault.NotFound, "no_such_webhook")
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main')`)
	_, err = w.Deliveries(t.Context(), webhook.Ref{Tenant: "other.example", Name: "crm"}, webhook.DeliveryQuery{})
	requireRefused(t, err, fault.NotFound, "no_such_webhook")
}

// Old deliveries go, and those of webhooks that are gone; what is pending stays.
func TestOutbox_OldDeliveriesAreCleared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", map[string]any{"retention_days": 2})
	w.hook("gone", nil)
	for v := 1; v <= 3; v++ {
		w.tell("call:a", v, "Held", `{}`)
	}
	w.exec(`UPDATE deliveries SET state = 'delivered', done_at = now() - make_interval(days => (delivery % 3)::int * 2) WHERE hook = (SELECT hook FROM webhooks WHERE name = 'crm')`)
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "gone"}))
	more, err := w.ClearDeliveries(t.Context())
	require.NoError(t, err)
	require.False(t, more)
	var left int
	w.one(&left, `SELECT count(*) FROM deliveries`)
	require.Less(t, left, 3)
	require.Positive(t, left)
	w.one(&left, `SELECT count(*) FROM deliveries d WHERE NOT EXISTS (SELECT FROM webhooks h WHERE h.hook = d.hook)`)
	require.Zero(t, left)
	back, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "gone"})
	require.NoError(t, err)
	require.Contains(t, string(back.Body), "crm.example.com")
}

// A real call and session are told in the order in which they happened.
func TestOutbox_ACallIsToldInItsOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.hook("crm", nil)
	anna := w.session("1001", "support")
	w.end(w.talk(anna, t0), leg.Hangup)
	var words []string
	for {
		work, got := w.take(8)
		if len(got) == 0 {
			break
		}
		words = append(words, got...)
		for _, m := range work.Messages {
			require.True(t, json.Valid(m.Event.View))
			w.settle(m, accepted, 200)
		}
	}
	var ofCall []string
	for _, word := range words {
		if word[:4] == "call" {
			ofCall = append(ofCall, word[len("call:")+21:])
		}
	}
	require.Equal(t, []string{"call.offered", "call.established", "call.cleared"}, ofCall, "%v", words)
}

// A webhook of a queue that there is none of is refused, and a queue is not deleted
// beside its webhook.
func TestWebhooks_RulesOfTheDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "x", Set: map[string]any{"url": "https://x.example/", "secret": "s", "queue": "none"}})
	requireRefused(t, err, fault.Invalid, "invalid")
	w.hook("crm", map[string]any{"queue": "support"})
	err = w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "support"})
	requireRefused(t, err, fault.Conflict, "in_use")
}

// What a tenant without a webhook pays for each event, and one with: a thousand events by
// one statement, which is undone, so that the disk has no part in it.
func BenchmarkEvents_WithoutAndWithAWebhook(b *testing.B) {
	url := dbtest.URL(b)
	super := dbtest.Super(b, url)
	exec := func(sql string) {
		_, err := super.Exec(b.Context(), sql)
		require.NoError(b, err, sql)
	}
	exec(`INSERT INTO organizations VALUES ('acme')`)
	exec(`INSERT INTO divisions VALUES ('acme', 'main')`)
	exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('acme.example', 'acme', 'main')`)
	const events = 1000
	write := func(b *testing.B) {
		for b.Loop() {
			exec(`BEGIN`)
			exec(`SET LOCAL ROLE holdfast_app`)
			exec(`SELECT set_config('holdfast.tenant', 'acme.example', true)`)
			exec(`INSERT INTO events (tenant_id, stream, version, kind, at, view) SELECT 'acme.example', 'call:c', n, 'Held', now(), '{"queue":"support"}' FROM generate_series(1, 1000) n`)
			exec(`ROLLBACK`)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*events), "µs/event")
	}
	exec(`ALTER TABLE events DISABLE TRIGGER tell_webhooks`)
	b.Run("no trigger", write)
	exec(`ALTER TABLE events ENABLE TRIGGER tell_webhooks`)
	b.Run("no webhook", write)
	exec(`INSERT INTO webhooks (tenant_id, name, url, secret) VALUES ('acme.example', 'crm', 'https://crm.example.com', 's')`)
	b.Run("one webhook", write)
}

// How many messages of one webhook are sent per second, by one worker, to a receiver that
// answers at once.
func BenchmarkDrain_OneWebhook(b *testing.B) {
	url := dbtest.URL(b)
	super, d := dbtest.Super(b, url), dbtest.Open(b, db.Config{URL: url})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	b.Cleanup(server.Close)
	for _, sql := range []string{
		`INSERT INTO organizations VALUES ('acme')`, `INSERT INTO divisions VALUES ('acme', 'main')`,
		`INSERT INTO tenants (tenant_id, organization, division) VALUES ('acme.example', 'acme', 'main')`,
		`INSERT INTO webhooks (tenant_id, name, url, secret) VALUES ('acme.example', 'crm', '` + server.URL + `', '` + webhook.NewSecret() + `')`,
	} {
		_, err := super.Exec(b.Context(), sql)
		require.NoError(b, err, sql)
	}
	box, err := postbox.New(postbox.Config{Outbox: d, Fence: fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Linger: -1})
	require.NoError(b, err)
	const each = 500
	first := 0
	for b.Loop() {
		b.StopTimer()
		_, err := super.Exec(b.Context(), `INSERT INTO events (tenant_id, stream, version, kind, at, view)
			SELECT 'acme.example', 'call:' || n % 100, $1 + n, 'Held', now(), '{"queue":"support"}' FROM generate_series(1, 500) n`, first)
		require.NoError(b, err)
		first += each
		b.StartTimer()
		done, err := box.Drain(b.Context(), crm, nil)
		require.NoError(b, err)
		require.Equal(b, each, done.Delivered)
	}
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "messages/s")
}
