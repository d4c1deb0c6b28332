package db_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// pastCalls is how many calls a tenant has in this test. The lists' costs are measured in
// pages that a list touches, which tell the same of a million.
const pastCalls = 40_000

// A list of calls touches few pages, however many calls there are: by each filter, in each
// order. Looking for a number by its last digits is not among them: it goes through the
// calls, the newest first.
func TestCalls_ListsTouchFewPages_AmongManyCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.exec(`INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, queue, agent, from_number, to_number, view, version, open, workflow_started,
		       arrived_at, answered_at, ended_at, cause, ended_by, outcome, waited_ms, rang_ms, talked_ms, held_ms)
		SELECT $1, 'c' || n, 'n', 'b', CASE WHEN n % 5000 = 0 THEN 'consult' ELSE 'inbound_queue' END, 'inbound', 'Ended', CASE WHEN n % 4000 = 0 THEN 'rare' ELSE 'support' END,
		       (1000 + n % 200)::text, '+41' || (700000000 + n), '8000', jsonb_build_object('id', 'c' || n, 'phase', 'Ended'), 1, false, true,
		       $2::timestamptz + n * interval '1 s', NULL, $2::timestamptz + n * interval '1 s', CASE WHEN n % 8000 = 0 THEN 'node_lost' ELSE 'hangup' END, 'customer',
		       CASE WHEN n % 8000 = 0 THEN 'failed' ELSE 'answered' END, 1, 1, n % 977, 0
		  FROM generate_series(1, $3::int) n`, string(w.tenant), t0, pastCalls)
	w.exec(`INSERT INTO call_agents (tenant_id, agent, arrived_at, call) SELECT tenant_id, agent, arrived_at, call FROM calls WHERE NOT open`)
	w.exec(`ANALYZE calls`)
	w.exec(`ANALYZE call_agents`)
	middle := t0.Add(pastCalls / 2 * time.Second)
	past := false
	for name, q := range map[string]record.CallQuery{
		"newest": {}, "oldest": {Sort: record.OldestFirst}, "longest talk": {Sort: record.LongestTalk}, "past": {Live: &past},
		"a stretch of time": {Since: middle, Until: middle.Add(time.Hour)}, "queue": {Queue: "rare"}, "class": {Class: leg.Consult},
		"outcome": {Outcome: call.OutcomeFailed}, "cause": {Cause: leg.NodeLost}, "from": {From: "+41700000777"},
		"agent": {Agent: "1007"}, "agents of a team": {Of: []id.Agent{"1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010"}},
	} {
		calls, _, err := w.Calls(t.Context(), acme, q)
		require.NoError(t, err, name)
		require.NotEmpty(t, calls, name)
		touched := w.touched(t, q)
		t.Logf("%s: %d pages", name, touched)
		most := 1500
		if q.Of != nil {
			most = 8000 // each call is looked at until a page is full: that depends on the team's part of all calls, not on how many there are
		}
		require.Less(t, touched, most, "%s", name)
	}
}

// touched is how many pages of calls and of what belongs to them a list touches.
func (w *world) touched(t *testing.T, q record.CallQuery) int {
	t.Helper()
	config, err := pgx.ParseConfig(w.url)
	require.NoError(t, err)
	db.LiveSettings(config)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }() // it only looked
	blocks := 0
	for _, sql := range w.DB.CallListSQL(acme, q) {
		blocks += explain(t, conn, sql).blocks
	}
	return blocks
}
