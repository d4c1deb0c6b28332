package worker_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/activities"
	"holdfast/dispatch"
	"holdfast/domain/record"
	"holdfast/worker"
	"holdfast/workflows"
)

// removed is what the shared worker has deleted for being old, and what it said of it.
var removed struct {
	mu   sync.Mutex
	rows map[record.Kept]int
	said bytes.Buffer
}

type removedLog struct{}

func (removedLog) Write(b []byte) (int, error) {
	removed.mu.Lock()
	defer removed.mu.Unlock()
	return removed.said.Write(b)
}

// sharedWorker is a worker of the shared task queue.
func sharedWorker() *worker.Worker {
	return worker.Shared(ground.client, ground.journal, quiet(), &activities.Retention{
		Attic: ground.db, Log: slog.New(slog.NewTextHandler(removedLog{}, nil)), Every: 24 * time.Hour,
		Removed: func(of record.Kept, rows int) {
			removed.mu.Lock()
			defer removed.mu.Unlock()
			if removed.rows == nil {
				removed.rows = map[record.Kept]int{}
			}
			removed.rows[of] += rows
		},
	})
}

// A worker that starts sees to it that what is old is deleted, by a workflow of which there
// is one however many workers start it; the operator reads how much of what it was.
func TestRetention_AWorkerStarts_WhatIsOldIsDeleted_AndSaid(t *testing.T) {
	r := newRig(t)
	conn, err := pgx.Connect(t.Context(), ground.postgres.DSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO events (tenant_id, stream, version, kind, at, view)
		SELECT $1, 'call:old' || n, 1, 'Queued', now() - interval '91 days', '{}' FROM generate_series(1, 2500) n`, string(r.tenant))
	require.NoError(t, err)
	for range 2 {
		s := dispatch.NewStanding(ground.client, quiet())
		s.Start()
		s.Start()
		t.Cleanup(s.Stop)
	}
	require.Eventually(t, func() bool {
		var left int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE tenant_id = $1`, string(r.tenant)).Scan(&left))
		return left == 0
	}, patience, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		removed.mu.Lock()
		defer removed.mu.Unlock()
		return removed.rows[record.KeptEvents] >= 2500 && bytes.Contains(removed.said.Bytes(), []byte("tenant="+string(r.tenant)+" events=2500 took_ms="))
	}, patience, 50*time.Millisecond)
	about, err := ground.client.DescribeWorkflowExecution(t.Context(), workflows.StartRetention().ID, "")
	require.NoError(t, err)
	require.Equal(t, "Running", about.GetWorkflowExecutionInfo().GetStatus().String())
}

func TestStanding_StopTwiceAndBeforeStart_IsSafe(t *testing.T) {
	t.Parallel()
	s := dispatch.NewStanding(nowhere(t), quiet())
	s.Stop()
	s.Stop()
	s.Start() // after Stop: stays stopped
	away := dispatch.NewStanding(nowhere(t), quiet())
	away.Start() // Temporal is away: it tries again, until it is stopped
	away.Stop()
}
