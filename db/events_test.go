package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/domain/agent"
	"holdfast/domain/event"
)

// writeEvent begins a transaction that has written one event and is not committed.
func (w *world) writeEvent(conn *pgx.Conn, version int) pgx.Tx {
	tx, err := conn.Begin(context.Background())
	if err != nil {
		w.Errorf("begin: %v", err)
		return nil
	}
	for _, sql := range []string{
		`SELECT set_config('holdfast.tenant', 'acme.example', true)`,
		fmt.Sprintf(`INSERT INTO events (tenant_id, stream, version, kind, at, view) VALUES ('acme.example', 'test', %d, 'Test', now(), '{}')`, version),
	} {
		if _, err := tx.Exec(context.Background(), sql); err != nil {
			w.Errorf("write: %v", err)
		}
	}
	return tx
}

// follow reads the tail until it has seen n events, and checks the order.
func (w *world) follow(after int64, n int) []event.Event {
	w.Helper()
	var all []event.Event
	require.Eventually(w, func() bool {
		events, next, err := w.Tail(w.Context(), after, 7)
		require.NoError(w, err)
		require.GreaterOrEqual(w, next, after)
		for _, e := range events {
			require.Greater(w, e.Seq, after, "an event appeared behind the reader")
			after = e.Seq
		}
		after = next
		all = append(all, events...)
		return len(all) >= n
	}, 20*time.Second, time.Millisecond)
	return all
}

// Writers commit out of order, some are rolled back; a reader of the tail misses
// nothing and never has to look back.
func TestTail_WritersCommitOutOfOrder_NothingIsMissedAndNothingAppearsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	after, err := w.End(t.Context())
	require.NoError(t, err)
	const writers, each = 8, 40
	var committed sync.Map
	var all sync.WaitGroup
	for i := range writers {
		conn := connectAsApp(t, w.url)
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		all.Go(func() {
			for n := range each {
				version := i*each + n + 1
				tx := w.writeEvent(conn, version)
				if tx == nil {
					return
				}
				if _, err := tx.Exec(context.Background(), `SELECT pg_sleep($1)`, float64(rng.IntN(5))/1000); err != nil {
					t.Errorf("linger: %v", err)
				}
				if rng.IntN(4) == 0 {
					_ = tx.Rollback(context.Background()) // its seq never appears
					continue
				}
				if err := tx.Commit(context.Background()); err != nil {
					t.Errorf("commit: %v", err)
				}
				committed.Store(int64(version), true)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	seen := map[int64]bool{}
	read := func() {
		events, next, err := w.Tail(t.Context(), after, 50)
		require.NoError(t, err)
		for _, e := range events {
			require.Greater(t, e.Seq, after, "an event appeared behind the reader")
			require.False(t, seen[e.Version], "twice")
			after, seen[e.Version] = e.Seq, true
		}
		require.GreaterOrEqual(t, next, after)
		after = next
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		read()
	}
	for range 20 {
		read()
	}
	missed := 0
	committed.Range(func(version, _ any) bool {
		if !seen[version.(int64)] {
			missed++
		}
		return true
	})
	require.Zero(t, missed)
	require.Greater(t, len(seen), writers*each/2)
}

func TestTail_AWriterTakesLong_WhatIsAboveItWaits_AndComesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`SELECT setval(pg_get_serial_sequence('events', 'seq'), 5000)`) // what was below has been removed
	after, err := w.End(t.Context())
	require.NoError(t, err)
	slow, fast := connectAsApp(t, w.url), connectAsApp(t, w.url)
	require.NoError(t, w.writeEvent(fast, 1).Commit(t.Context()))
	stuck := w.writeEvent(slow, 2)
	require.NoError(t, w.writeEvent(fast, 3).Commit(t.Context()))

	first := w.follow(after, 1)
	require.Len(t, first, 1)
	require.EqualValues(t, 1, first[0].Version)
	events, err := w.Events(t.Context(), acme, after, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)

	require.NoError(t, stuck.Commit(t.Context()))
	rest := w.follow(first[0].Seq, 2)
	require.EqualValues(t, 2, rest[0].Version)
	require.EqualValues(t, 3, rest[1].Version)
}

func TestTail_ALongTransactionElsewhere_HoldsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	after, err := w.End(t.Context())
	require.NoError(t, err)
	other := connectAsApp(t, w.url)
	tx, err := other.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }() // it did nothing
	_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
	require.NoError(t, err)

	w.session("1001", "support").ready(t0)
	events, _, err := w.Tail(t.Context(), after, 10)
	require.NoError(t, err)
	require.Len(t, events, 1, "at once")
	require.Equal(t, event.AgentStream("1001"), events[0].Stream)
	require.Equal(t, "Ready", events[0].Kind)
}

// A large import of contacts, and whoever deletes old events, write nothing that streams
// show: other events are seen while they are at work, however long that takes.
func TestTail_WhoWritesNothingThatStreamsShow_HoldsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	after, err := w.End(t.Context())
	require.NoError(t, err)
	long := connectAsApp(t, w.url)
	tx, err := long.Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		`SELECT set_config('holdfast.tenant', 'acme.example', true)`, `SELECT holdfast_unfollowed()`,
		`INSERT INTO events (tenant_id, stream, version, kind, at, view) VALUES ('acme.example', 'contact:7', 1, 'created', now(), '{}')`,
	} {
		_, err := tx.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for n := range 3 {
		w.tell("call:a", n+1, "Queued", `{}`)
		events, next, err := w.Tail(t.Context(), after, 10)
		require.NoError(t, err)
		require.Len(t, events, 1, "at the first look")
		after = next
	}
	ordinary := w.writeEvent(connectAsApp(t, w.url), 1)
	w.tell("call:a", 9, "Queued", `{}`)
	events, next, err := w.Tail(t.Context(), after, 10)
	require.NoError(t, err)
	require.Empty(t, events, "who writes what is shown is waited for")
	require.NoError(t, ordinary.Commit(t.Context()))
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, w.follow(next, 2), 2)
}

// One event per accepted change, with whole views and rising versions; none for
// what was written before.
func TestEvents_OfASession_GoOnFromOneSessionToTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	save := anna.state(agent.Ready, t0)
	for range 2 {
		_, err := w.SaveAgent(t.Context(), save)
		require.NoError(t, err)
	}
	anna.save(agent.LoggedOff, t0.Add(time.Minute))
	w.session("1001", "support").ready(t0.Add(time.Hour))
	events, err := w.Events(t.Context(), acme, 0, 10)
	require.NoError(t, err)
	var kinds []string
	for i, e := range events {
		kinds = append(kinds, e.Kind)
		require.EqualValues(t, i+1, e.Version)
		require.Contains(t, string(e.View), `"agent": "1001"`)
	}
	require.Equal(t, []string{"Ready", "LoggedOff", "Ready"}, kinds)
	page, err := w.Events(t.Context(), acme, events[0].Seq, 1)
	require.NoError(t, err)
	require.Equal(t, events[1:2], page)
}

// A follower in another process is nudged long before it would poll.
func TestNudges_ReachOtherProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	other := newOther(w)
	nudges := other.Nudges(t.Context())
	select {
	case <-nudges: // it listens
	case <-time.After(10 * time.Second):
		t.Fatal("the listener did not start")
	}
	w.session("1001", "support").ready(t0)
	select {
	case <-nudges:
	case <-time.After(10 * time.Second):
		t.Fatal("no nudge came")
	}
}

func newOther(w *world) *db.DB { return openAnother(w.TB, w.url) }
