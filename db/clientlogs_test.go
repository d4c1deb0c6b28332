package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

// SEED-129: what is past the tenant's time is shown to nobody, and deleted with the next
// report; nobody reports more than it may within a day.
func TestClientLogs_AreDeletedInTime_AndBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := t0
	d := dbtest.Open(t, db.Config{URL: w.url, Now: func() time.Time { return now }})
	keep := func(user string, size int) (record.ClientLog, error) {
		now = now.Add(time.Second)
		return d.KeepClientLog(t.Context(), acme, record.ClientLog{User: "anna", Media: "text/plain", Body: make([]byte, size), Skew: -time.Second, Told: true, UserAgent: user})
	}
	first, err := keep("first", 10)
	require.NoError(t, err)
	require.Equal(t, now.AddDate(0, 0, 14), first.Expires)
	second, err := keep("second", 20)
	require.NoError(t, err)
	list, err := d.ClientLogs(t.Context(), acme, record.ClientLogQuery{User: "anna", From: t0, To: now.Add(time.Second), Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, second.ID, list[0].ID)
	require.Equal(t, -time.Second, list[0].Skew)
	require.Empty(t, list[0].Body)
	list, err = d.ClientLogs(t.Context(), acme, record.ClientLogQuery{After: second.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = d.ClientLogs(t.Context(), acme, record.ClientLogQuery{User: "bob", Limit: 10})
	require.NoError(t, err)
	require.Empty(t, list)
	read, err := d.ClientLog(t.Context(), acme, first.ID)
	require.NoError(t, err)
	require.Len(t, read.Body, 10)

	w.exec(`UPDATE tenants SET policies = '{"client_log_days": 3}'`)
	now = now.AddDate(0, 0, 3)
	_, err = d.ClientLog(t.Context(), acme, first.ID)
	requireNotFound(t, err)
	list, err = d.ClientLogs(t.Context(), acme, record.ClientLogQuery{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = keep("third", 30)
	require.NoError(t, err)
	var left int
	w.one(&left, `SELECT count(*) FROM client_logs`)
	require.Equal(t, 1, left)
	for range 9 {
		_, err = keep("many", record.MaxClientLog)
		require.NoError(t, err)
	}
	_, err = keep("one more", record.MaxClientLog)
	requireRefused(t, err, fault.TooMany, "client_log_quota")
	now = now.AddDate(0, 0, 1)
	_, err = keep("tomorrow", record.MaxClientLog)
	require.NoError(t, err)
}
