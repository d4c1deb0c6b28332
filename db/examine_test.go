package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/fault"
)

func TestExamine_NamesWhatIsNotMigratedAndHowFarTheClocksAreApart(t *testing.T) {
	t.Parallel()
	ahead := func() time.Time { return time.Now().Add(-time.Hour) }
	d := dbtest.Open(t, db.Config{URL: dbtest.Empty(t), Now: ahead})
	before, err := d.Examine(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, before.Server)
	require.Contains(t, before.Pending, "0001_accounts.sql")
	require.InDelta(t, time.Hour, before.Skew, float64(time.Minute))
	require.NoError(t, d.Migrate(t.Context()))
	after, err := d.Examine(t.Context())
	require.NoError(t, err)
	require.Empty(t, after.Pending)

	away := dbtest.Open(t, db.Config{URL: "postgres://nobody@127.0.0.1:1/none"})
	_, err = away.Examine(t.Context())
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
}
