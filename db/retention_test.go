package db_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/webhook"
)

// aged fills acme and another tenant with n calls that ended so many days ago, with legs,
// segments, decisions and bookings, two events each, and one of their agent's.
func (w *world) aged(n, days int) {
	w.Helper()
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main') ON CONFLICT DO NOTHING`)
	at := time.Now().Add(-time.Duration(days) * 24 * time.Hour)
	for _, sql := range []string{
		`INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, from_number, to_number, view, version, open, workflow_started, arrived_at, ended_at)
		 SELECT t, 'd' || $2 || '-' || n, 'n', 'b', 'inbound_queue', 'inbound', 'Ended', '1', '2', '{"id":"x"}', 9, false, true, $3::timestamptz - interval '1 minute', $3::timestamptz FROM every`,
		`INSERT INTO legs (tenant_id, call, leg, place, role, party, node, started_at) SELECT t, 'd' || $2 || '-' || n, 'a', 1, 'customer', '1', 'n', $3::timestamptz FROM every`,
		`INSERT INTO segments (tenant_id, call, place, kind, from_at) SELECT t, 'd' || $2 || '-' || n, 1, 'waiting', $3::timestamptz FROM every`,
		`INSERT INTO decisions (tenant_id, call, queue, at, decision) SELECT t, 'd' || $2 || '-' || n, 'support', $3::timestamptz, '{"reason":"Nobody is there."}' FROM every`,
		`INSERT INTO bookings (tenant_id, call, leg, kind, account, device, trunk, number, answered_at, ended_at) SELECT t, 'd' || $2 || '-' || n, 'b', 'dialled', 'anna', '1001', 'carrier', '030', $3::timestamptz, $3::timestamptz FROM every`,
		`INSERT INTO events (tenant_id, stream, version, kind, at, view) SELECT t, 'call:d' || $2 || '-' || n, v, 'Queued', $3::timestamptz, '{"queue":"support"}' FROM every, generate_series(1, 2) v`,
		`INSERT INTO events (tenant_id, stream, version, kind, at, view) SELECT t, 'agent:1001', $2::int * -1000000 + n, 'Ready', $3::timestamptz, '{"agent":"1001"}' FROM every`,
		`INSERT INTO customer_agents (tenant_id, agent, number, at) SELECT t, '1001', 'd' || $2 || '-' || n, $3::timestamptz FROM every`,
		`INSERT INTO client_logs (tenant_id, id, user_name, at, address, user_agent, program, media, entries, size, body) SELECT t, 'd' || $2 || '-' || n, 'anna', $3::timestamptz, '', '', '', 'text/plain', 1, 1, 'x' FROM every`,
	} {
		w.exec(`WITH every AS (SELECT t, n FROM unnest(ARRAY['acme.example', 'other.example']) t, generate_series(1, $1::int) n) `+sql, n, fmt.Sprint(days), at)
	}
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var e *fault.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Sentence)
}

// keep sets a tenant's policies.
func (w *world) keep(t, policies string) {
	w.Helper()
	w.exec(`UPDATE tenants SET policies = $2 WHERE tenant_id = $1`, t, policies)
}

// sweep deletes everything of a tenant that is older than it is kept, and counts it.
func (w *world) sweep(d *db.DB, t id.Tenant) map[record.Kept]int {
	w.Helper()
	of, rows := record.KeptOfTenants, map[record.Kept]int{}
	if t == "" {
		of = record.KeptOfNobody
	}
	for _, k := range of {
		for r := (record.Removal{Tenant: t, Of: k, More: true}); r.More; {
			var err error
			r, err = d.RemoveOld(w.Context(), r)
			require.NoError(w, err, k)
			if r.Rows > 0 {
				rows[k] += r.Rows
			}
		}
	}
	return rows
}

func (w *world) count(table string, t id.Tenant) (n int) {
	w.Helper()
	w.one(&n, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, string(t))
	return n
}

// Each tenant's things go when they are older than that tenant keeps them; calls, bookings
// and decisions stay unless it says otherwise, and nobody else's are touched.
func TestRetention_EachTenantKeepsWhatItSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aged(3, 200)
	w.aged(2, 40)
	require.Equal(t, map[record.Kept]int{record.KeptEvents: 9, record.KeptClientLogs: 5}, w.sweep(w.DB, acme), "90 days of events, 14 of client logs")
	require.Empty(t, w.sweep(w.DB, acme))
	require.Equal(t, 6, w.count("events", acme))
	require.Equal(t, 15, w.count("events", "other.example"))
	for _, kept := range []string{"calls", "legs", "segments", "decisions", "bookings", "customer_agents"} {
		require.Equal(t, 5, w.count(kept, acme), kept)
	}
	w.keep("acme.example", `{"decision_days":30,"call_days":100,"booking_days":3650}`)
	require.Equal(t, map[record.Kept]int{record.KeptCalls: 3, record.KeptDecisions: 2}, w.sweep(w.DB, acme))
	for kept, n := range map[string]int{"calls": 2, "legs": 2, "segments": 2, "decisions": 0, "bookings": 5, "customer_agents": 2} {
		require.Equal(t, n, w.count(kept, acme), kept)
		require.Equal(t, 5, w.count(kept, "other.example"), kept)
	}
	w.keep("acme.example", `{"call_days":7,"booking_days":7,"event_days":3650}`)
	require.Equal(t, map[record.Kept]int{record.KeptCalls: 2, record.KeptBookings: 5, record.KeptEvents: 5}, w.sweep(w.DB, acme), "events go with the calls that they are about")
	var left string
	w.one(&left, `SELECT string_agg(stream, ' ') FROM events WHERE tenant_id = 'acme.example'`)
	require.Equal(t, "agent:1001", left, "by which the agent's versions go on")
}

// A call that goes on stays, and the trail stays whatever anybody sets.
func TestRetention_OpenCallsAndTheTrailStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aged(1, 50)
	w.exec(`UPDATE calls SET open = true, ended_at = NULL WHERE tenant_id = 'acme.example'`)
	require.NoError(t, w.Audit(t.Context(), record.AuditEntry{Tenant: acme, User: "anna", Action: "login", At: time.Now().AddDate(-30, 0, 0)}))
	w.keep("acme.example", `{"call_days":1,"decision_days":1,"booking_days":1,"removed_days":1,"event_days":1}`)
	w.sweep(w.DB, acme)
	require.Equal(t, 1, w.count("calls", acme))
	require.Equal(t, 1, w.count("legs", acme))
	require.Equal(t, 1, w.count("audit", acme))
}

// Whoever comes back with the number of an event behind which some were deleted is told so,
// by each process; whoever missed nothing goes on.
func TestRetention_WhoComesBackTooLate_IsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aged(1, 200)
	w.tell("call:new", 1, "Queued", `{"queue":"support"}`)
	var first, new int64
	w.one(&first, `SELECT min(seq) FROM events WHERE tenant_id = 'acme.example'`)
	w.one(&new, `SELECT max(seq) FROM events WHERE tenant_id = 'acme.example'`)
	events, err := w.Events(t.Context(), acme, first, 100)
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.Equal(t, 3, w.sweep(w.DB, acme)[record.KeptEvents]+1, "the agent's last event stays")
	for _, d := range []*db.DB{w.DB, newOther(w)} {
		_, err := d.Events(t.Context(), acme, first, 100)
		requireCode(t, "events_gone", err)
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		events, err := d.Events(t.Context(), acme, new-1, 100)
		require.NoError(t, err)
		require.Len(t, events, 1)
		_, err = d.Events(t.Context(), "other.example", 0, 100)
		require.NoError(t, err, "nothing of it was deleted")
	}
}

// What a webhook still has to be sent stays until it was sent.
func TestRetention_WhatIsStillToBeSent_Stays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", map[string]any{"events": []string{"call.*"}})
	w.aged(1, 200)
	require.Equal(t, 2, w.count("deliveries", acme))
	require.Empty(t, w.sweep(w.DB, acme)[record.KeptEvents], "two to be sent, and the agent's last")
	work, _ := w.take(1)
	require.Equal(t, event.Stream("call:d200-1"), work.Messages[0].Event.Stream)
	require.NotEmpty(t, work.Messages[0].Event.View)
	w.settle(work.Messages[0], accepted, 200)
	require.Equal(t, 1, w.sweep(w.DB, acme)[record.KeptEvents])
	_, err := w.Redeliver(t.Context(), w.ada(), "crm", work.Messages[0].Delivery)
	requireCode(t, "event_gone", err) // what is gone can't be sent again
	list, err := w.Deliveries(t.Context(), crm, webhook.DeliveryQuery{})
	require.NoError(t, err)
	require.Len(t, list, 2, "that it was sent is still known")
}

// The versions of a stream go on when all its events are gone.
func TestRetention_VersionsGoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.customer("known", "+493012345600")
	w.changed("known", map[string]any{"company": "Acme"})
	w.exec(`UPDATE events SET at = at - interval '1 year'`)
	require.Equal(t, 2, w.sweep(w.DB, acme)[record.KeptEvents])
	w.changed("known", map[string]any{"company": "Acme & Sons"})
	var version int
	w.one(&version, `SELECT version FROM events`)
	require.Greater(t, version, 2)
	s := w.session("1001", "support")
	s.ready(t0)
	s.save(agent.LoggedOff, t0.Add(time.Minute))
	w.exec(`UPDATE events SET at = at - interval '1 year'`)
	require.Equal(t, 2, w.sweep(w.DB, acme)[record.KeptEvents], "the contact's, and the agent's first")
	w.session("1001", "support").ready(t0.Add(time.Hour)) // another session, which counts from the beginning
	w.one(&version, `SELECT max(version) FROM events WHERE stream = 'agent:1001'`)
	require.Equal(t, 3, version)
}

// What was deleted is not restored, and not shown, once its time is over; whether it was
// swept away by then or not.
func TestRetention_WhatWasDeletedLongAgo_CantBeRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"old", "young"} {
		w.make(directory.Team, name, nil)
		require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: name}))
	}
	w.exec(`UPDATE removed SET removed_at = now() - interval '31 days' WHERE name = 'old'`)
	_, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "old"})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	list, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Team, Deleted: true})
	require.NoError(t, err)
	require.Len(t, list, 1)
	w.keep("acme.example", `{"removed_days":60}`)
	list, _, err = w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Team, Deleted: true})
	require.NoError(t, err)
	require.Len(t, list, 2)
	w.keep("acme.example", `{}`)
	require.Equal(t, map[record.Kept]int{record.KeptRemoved: 1}, w.sweep(w.DB, acme))
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "young"})
	require.NoError(t, err)
}

// What expires by itself goes when it has.
func TestRetention_WhatExpired_Goes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.furnish()
	later := dbtest.Open(t, db.Config{URL: w.url, Now: func() time.Time { return time.Now().AddDate(0, 2, 0) }})
	rows := w.sweep(later, acme)
	for _, of := range []record.Kept{record.KeptLogins, record.KeptAnswers, record.KeptRemoved, record.KeptClientLogs} {
		require.Positive(t, rows[of], of)
	}
	rows = w.sweep(later, "")
	require.Positive(t, rows[record.KeptLevels])
	require.Positive(t, rows[record.KeptTallies])
	for _, gone := range []string{"logins", "revocations", "answers", "removed", "client_logs"} {
		require.Zero(t, w.count(gone, acme), gone)
	}
	require.Positive(t, w.count("audit", acme))
	require.Positive(t, w.count("calls", acme))
}

// Two hundred thousand old rows go while calls are opened and agents become ready; the
// match is hardly slower for it, and nobody's lock is held for long.
func TestRetention_WhileAMultitudeGoes_TheMatchGoesOn(t *testing.T) {
	w := newWorld(t, "support")
	w.aged(20_000, 200)
	w.keep("acme.example", `{"call_days":30,"booking_days":30}`)
	w.fill("support", 10, 0)
	next := w.openings()
	measure := func(n int) []time.Duration {
		var took []time.Duration
		for range n {
			took = append(took, next())
		}
		slices.Sort(took)
		return took
	}
	measure(100) // connections open, plans are made
	before := measure(300)
	var during []time.Duration
	var batches, rows int
	var longest time.Duration
	var sweeping sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	sweeping.Go(func() {
		defer end()
		for _, k := range record.KeptOfTenants {
			for r := (record.Removal{Tenant: acme, Of: k, More: true}); r.More; {
				began := time.Now()
				var err error
				if r, err = w.RemoveOld(t.Context(), r); err != nil {
					t.Errorf("%s: %v", k, err)
					return
				}
				batches, rows, longest = batches+1, rows+r.Rows, max(longest, time.Since(began))
			}
		}
	})
	for ctx.Err() == nil {
		during = append(during, next())
	}
	sweeping.Wait()
	slices.Sort(during)
	require.GreaterOrEqual(t, rows, 99_000)
	t.Logf("%d rows with their legs, segments and decisions in %d transactions, the longest of %s", rows, batches, longest)
	t.Logf("openings: p50 %s before, %s meanwhile; p95 %s, %s (%d of them)", before[150], during[len(during)/2], before[285], during[len(during)*95/100], len(during))
	require.Less(t, longest, 10*time.Second, "a transaction of a batch, a hundred times what it takes")
	// Whoever waited for a batch would wait some 100 ms; what a busy machine adds is less.
	require.Less(t, during[len(during)/2], 5*before[150]+20*time.Millisecond, "the match while old rows go, with no rest between the batches")
}
