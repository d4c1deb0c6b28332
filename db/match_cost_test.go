package db_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/queue"
)

// fill puts ready agents, or waiting calls, into a queue, in one statement. Nothing
// is analyzed: the plans must be right on the day the crowd comes.
func (w *world) fill(q id.Queue, agents, waiting int) {
	w.Helper()
	w.exec(`INSERT INTO presence (tenant_id, agent, state, since, available, ready_at, queues, addresses, ring_method, version, view)
		SELECT $1, (20000 + n)::text, 'Ready', now(), true, now(), ARRAY[$2::text], '[{"device":"x","kind":"sip"}]', 'all', 1, '{"state":"Ready"}'
		  FROM generate_series(1, $3::int) n`, string(w.tenant), string(q), agents)
	w.exec(`INSERT INTO candidates (tenant_id, queue, agent, version, penalty, rank, tie, position, calls, ready_at)
		SELECT $1, $2, (20000 + n)::text, 1, 0,
		       holdfast_rank(s.strategy, $4::timestamptz + n * interval '1 s', n, n, (20000 + n)::text), holdfast_tie(s.strategy, now(), (20000 + n)::text), n, n, $4::timestamptz + n * interval '1 s'
		  FROM generate_series(1, $3::int) n, queues s WHERE s.name = $2`, string(w.tenant), string(q), agents, t0)
	w.exec(`INSERT INTO waiting (tenant_id, queue, call, priority, queued_at, offer, offer_n, from_number, class, ring_ms)
		SELECT $1, $2, 'w' || n, 0, $4::timestamptz + n * interval '1 s', 'w' || n || '/1', 1, '1', 'inbound_queue', 15000
		  FROM generate_series(1, $3::int) n`, string(w.tenant), string(q), waiting, t0)
	w.exec(`INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, from_number, to_number, view, version, open, workflow_started, arrived_at)
		SELECT $1, 'w' || n, 'n', 'b', 'inbound_queue', 'inbound', 'Queued', '1', '2', '{}', 1, true, true, $3::timestamptz
		  FROM generate_series(1, $2::int) n`, string(w.tenant), waiting, t0)
}

// The statements of a match and of the writes around it, with arguments that leave
// the rows as they are or concern one of them.
var costs = map[string]struct{ sql, types, args string }{
	"candidates":      {db.SQLCandidates, "text, text, text[], bigint, int", `'acme.example', 'support', '{20001,20003}', 1073741824, 16`},
	"callers":         {db.SQLCallers, "text, text[], int", `'acme.example', '{support}', 16`},
	"agent's row":     {db.SQLPresenceForUpdate, "text, text", `'acme.example', '20002'`},
	"reserve":         {db.SQLReserve, "text, text, bigint, text, jsonb", `'acme.example', '20002', 1, 'w1/1', '{}'`},
	"take":            {db.SQLTake, "text, text, int, text, timestamptz, jsonb, text", `'acme.example', 'w2', 1, '20001', now(), '[]', 'all'`},
	"leave the stand": {db.SQLLeaveStand, "text, text", `'acme.example', '20004'`},
	"leave the line":  {db.SQLLeaveLine, "text, text", `'acme.example', 'w3'`},
	"call to place":   {db.SQLCallForPlace, "text, text", `'acme.example', 'w4'`},
	"place in line":   {db.SQLPosition, "text, text, text, int, timestamptz, int", `'acme.example', 'support', 'w5', 0, '2026-11-21 09:00:05Z', 1000`},
	"stored call":     {db.SQLOpenedCall, "text, text", `'acme.example', 'w6'`},
	"started":         {db.SQLStarted, "text, text", `'acme.example', 'w7'`},
	"why not":         {db.SQLExcluded, "text, text, int", `'acme.example', 'support', 16`},
}

// A match touches as many pages among ten thousand agents and two thousand waiting
// calls as among fifty and twenty, with plans that were made when all was empty.
func TestMatch_TouchesNoMorePages_AmongThousands(t *testing.T) {
	t.Parallel()
	for _, strategy := range []queue.Strategy{queue.LongestIdle, queue.FewestCalls, queue.Linear, queue.Random} {
		few, many := pages(t, strategy, 50, 20), pages(t, strategy, 10_000, 2000)
		for what := range costs {
			require.NotZero(t, few[what].blocks, what)
			// Larger indexes are deeper by a page, and rows lie further apart.
			require.LessOrEqual(t, many[what].blocks, 2*few[what].blocks+40, "%s, %s:\n%s", strategy, what, many[what].plan)
		}
	}
}

// cost is how many pages a statement touched, and its plan.
type cost struct {
	blocks int
	plan   string
}

// pages prepares the statements in an empty world, fills it, and executes them.
func pages(t *testing.T, s queue.Strategy, agents, waiting int) map[string]cost {
	t.Helper()
	w := newWorld(t)
	w.addQueue("support", s)
	config, err := pgx.ParseConfig(w.url)
	require.NoError(t, err)
	db.LiveSettings(config)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }() // it only looked
	name := func(what string) string { return pgx.Identifier{what}.Sanitize() }
	for what, c := range costs {
		_, err := conn.Exec(t.Context(), `PREPARE `+name(what)+` (`+c.types+`) AS `+c.sql)
		require.NoError(t, err, what)
	}
	look := func() map[string]cost {
		found := map[string]cost{}
		for what, c := range costs {
			found[what] = explain(t, conn, `EXECUTE `+name(what)+` (`+c.args+`)`)
		}
		return found
	}
	look() // plans are made, and kept
	w.fill("support", agents, waiting)
	return look()
}

// explain executes a statement in a transaction that is undone.
func explain(t *testing.T, conn *pgx.Conn, sql string) (c cost) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT set_config('holdfast.tenant', $1, true)`, string(acme))
	require.NoError(t, err)
	rows, _ := tx.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) `+sql, pgx.QueryExecModeSimpleProtocol)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string]) // with the error of the query, if there was one
	if err != nil {
		require.ErrorContains(t, err, "HF001") // before there are rows to reserve
	}
	require.NoError(t, tx.Rollback(t.Context()))
	c.plan = strings.Join(lines, "\n")
	for _, n := range regexp.MustCompile(`(?m)^\s*Buffers: shared hit=(\d+)`).FindStringSubmatch(c.plan) {
		if blocks, err := strconv.Atoi(n); err == nil {
			c.blocks = blocks // of the topmost node: it counts all below
		}
	}
	return c
}

// The same by the clock: matches among thousands take about as long. They are timed
// in turns, so that whatever else the machine does disturbs both alike. Set
// HOLDFAST_TEST_FSYNC=1 to measure with commits on disk.
func TestMatch_TakesAboutAsLong_AmongThousands(t *testing.T) {
	small, large := newWorld(t, "support"), newWorld(t, "support")
	small.fill("support", 10, 0)
	large.fill("support", 10_000, 0)
	few, many := inTurns(80, small.openings(), large.openings())
	t.Logf("a call arrives: %s with 10 agents, %s with 10,000", few, many)
	require.Less(t, many.p50, 3*few.p50+2*time.Millisecond)

	small, large = newWorld(t, "support"), newWorld(t, "support")
	large.fill("support", 0, 2000)
	few, many = inTurns(80, small.readies(true), large.readies(false))
	t.Logf("an agent becomes ready: %s with 1 waiting, %s with 2,000", few, many)
	require.Less(t, many.p50, 3*few.p50+2*time.Millisecond)
}

// inTurns times two things n times each, after some that don't count.
func inTurns(n int, a, b func() time.Duration) (quantiles, quantiles) {
	var as, bs []time.Duration
	for i := range n + 10 {
		x, y := a(), b()
		if i >= 10 {
			as, bs = append(as, x), append(bs, y)
		}
	}
	return quantilesOf(as), quantilesOf(bs)
}

// quantiles of a series of durations.
type quantiles struct{ p50, p99 time.Duration }

func (q quantiles) String() string {
	return fmt.Sprintf("p50 %s, p99 %s", q.p50.Round(10*time.Microsecond), q.p99.Round(10*time.Microsecond))
}

func quantilesOf(took []time.Duration) quantiles {
	slices.Sort(took)
	return quantiles{took[len(took)/2], took[len(took)*99/100]}
}

// openings times an opening that finds an agent, again and again.
func (w *world) openings() func() time.Duration {
	w.Helper()
	require.NoError(w, w.Warm(w.Context(), 2))
	version := int64(1)
	return func() time.Duration {
		s := w.arriving("support", t0)
		begin := time.Now()
		s = w.open(s)
		took := time.Since(begin)
		require.NotNil(w, s.Offer)
		w.end(s, "abandoned")
		version++
		w.session(s.Offer.Agent, "support").returnTo(s.Offer.ID, version)
		return took
	}
}

// returnTo makes the agent a candidate again after an offer.
func (s *session) returnTo(o id.Offer, version int64) {
	s.Helper()
	s.p.Version = version
	s.over(o).ready(t0.Add(time.Duration(version) * time.Hour))
}

// readies times a save that finds a waiting call, again and again; alone puts one
// there each time.
func (w *world) readies(alone bool) func() time.Duration {
	w.Helper()
	require.NoError(w, w.Warm(w.Context(), 2))
	anna := w.session("1001", "support")
	return func() time.Duration {
		if alone {
			w.open(w.arriving("support", t0))
		}
		save := anna.state(agent.Ready, t0)
		begin := time.Now()
		saved, err := w.SaveAgent(w.Context(), save)
		took := time.Since(begin)
		require.NoError(w, err)
		require.NotNil(w, saved.Matched)
		anna.over(saved.Matched.Offer)
		anna.p.Release = anna.p.Release[max(0, len(anna.p.Release)-16):]
		w.exec(`DELETE FROM waiting WHERE call = $1`, string(saved.Matched.Offer.Call()))
		anna.save(agent.NotReady, t0)
		return took
	}
}

// BenchmarkMatch is what the opening's transaction costs without load from elsewhere on the
// machine; with HOLDFAST_TEST_FSYNC=1, with commits on disk.
func BenchmarkMatch(b *testing.B) {
	w, busy := newWorld(b, "support"), newWorld(b, "support")
	w.fill("support", 50, 0)
	opens, readies := w.openings(), busy.readies(true)
	var opening, ready time.Duration
	for b.Loop() {
		opening, ready = opening+opens(), ready+readies()
	}
	b.ReportMetric(float64(opening.Microseconds())/float64(b.N), "µs/arrival")
	b.ReportMetric(float64(ready.Microseconds())/float64(b.N), "µs/ready")
}
