package db_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
)

func TestMigrate_TwoProcessesAtOnce_BothSucceedAndNothingRunsTwice(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		d := dbtest.Open(t, db.Config{URL: url})
		all.Go(func() { errs[i] = d.Migrate(t.Context()) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	var files, applied int
	super := dbtest.Super(t, url)
	require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT name) FROM schema_migrations`).Scan(&files, &applied))
	require.Positive(t, files)
	require.Equal(t, files, applied)
}
