package db_test

import (
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/tenancy"
)

// To hash the passwords of a large file takes longer than Postgres lets a transaction be
// silent: none is open meanwhile.
func TestApply_WhilePasswordsAreHashed_NoTransactionIsOpen(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	d, super := dbtest.Open(t, db.Config{URL: url}), dbtest.Super(t, url)
	hashed := 0
	d.OnHash(func() {
		hashed++
		var open int
		require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'holdfast records' AND xact_start IS NOT NULL`).Scan(&open))
		require.Zero(t, open)
	})
	apply(t, d)
	require.Positive(t, hashed)
	hashed = 0
	apply(t, d)
	require.Zero(t, hashed, "the hashes that fit are kept")
}

// A password that somebody changes while the file's are hashed: the file has the last word.
func TestApply_APasswordIsChangedWhileTheFilesAreHashed_TheFilesIsKept(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	d, super := dbtest.Open(t, db.Config{URL: url}), dbtest.Super(t, url)
	apply(t, d)
	hashed := 0
	d.OnHash(func() {
		if hashed++; hashed > 1 {
			return
		}
		other, err := argon2id.CreateHash("somebody else's", argon2id.DefaultParams)
		require.NoError(t, err)
		_, err = super.Exec(t.Context(), `UPDATE users SET password_hash = $1 WHERE name = 'admin'`, other)
		require.NoError(t, err)
	})
	const password = "what the file says 1"
	apply(t, d, func(doc *tenancy.Document) {
		for i := range doc.Users {
			if doc.Users[i].Name == "admin" {
				doc.Users[i].Password = password
			}
		}
	})
	require.Equal(t, 2, hashed)
	u, err := d.User(t.Context(), demoTenant, "admin")
	require.NoError(t, err)
	same, err := argon2id.ComparePasswordAndHash(password, u.PasswordHash)
	require.NoError(t, err)
	require.True(t, same)
}
