package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
)

// What was there before is told as it would be now, whoever owns the schema: the owner is
// under row-level security, too.
func TestMigrate_CallsOfBefore_HaveTheirSumsAndAgents_AndNoQueueHasMusicThatIsNotThere(t *testing.T) {
	t.Parallel()
	owner, super := ordinary(t)
	before(t, owner, func(file string) bool { return file[:4] <= "0021" })
	conn := dbtest.Super(t, super)
	_, err := conn.Exec(t.Context(), `
INSERT INTO organizations (name) VALUES ('o');
INSERT INTO divisions (organization, name) VALUES ('o', 'd');
INSERT INTO tenants (tenant_id, organization, division) VALUES ('t.example', 'o', 'd');
INSERT INTO queues (tenant_id, name, ring_ms, music) VALUES ('t.example', 'support', 15000, 'nowhere');
INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, from_number, to_number, view, version, open, workflow_started, arrived_at, answered_at, ended_at)
VALUES ('t.example', 'c1', 'n', 'b', 'inbound_queue', 'inbound', 'Ended', '+49301', '100', '{}', 1, false, true, '2026-11-01 10:00:00Z', '2026-11-01 10:00:20Z', '2026-11-01 10:01:20Z');
INSERT INTO segments (tenant_id, call, place, kind, agent, from_at, to_at) VALUES
 ('t.example', 'c1', 0, 'waiting', NULL, '2026-11-01 10:00:00Z', '2026-11-01 10:00:20Z'),
 ('t.example', 'c1', 1, 'offer', '1001', '2026-11-01 10:00:15Z', '2026-11-01 10:00:20Z'),
 ('t.example', 'c1', 2, 'hold', '1001', '2026-11-01 10:00:30Z', '2026-11-01 10:00:40Z');`)
	require.NoError(t, err)
	require.NoError(t, dbtest.Open(t, db.Config{URL: owner}).Migrate(t.Context()))
	require.Equal(t, []string{"20000 5000 50000 10000"}, texts(t, conn, `SELECT concat_ws(' ', waited_ms, rang_ms, talked_ms, held_ms) FROM calls`))
	require.Equal(t, []string{"1001 c1"}, texts(t, conn, `SELECT agent || ' ' || call FROM call_agents`))
	require.Equal(t, []string{""}, texts(t, conn, `SELECT music FROM queues`))
}
