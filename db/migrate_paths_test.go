package db_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/account"
	"holdfast/domain/id"
)

// schemaOf is everything that migrations make, in words, whatever the order of columns.
const schemaOf = `
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
UNION ALL SELECT 'table ' || relname || ' ' || relrowsecurity || relforcerowsecurity || array_to_string(array(SELECT split_part(x::text, '/', 1) FROM unnest(relacl) x WHERE x::text LIKE 'holdfast%' ORDER BY 1), ' ')
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'policy ' || tablename || ' ' || policyname || coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies WHERE schemaname = 'public'
UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
ORDER BY 1`

// ordinary makes a database of an owner who is no superuser, as operators have it.
func ordinary(t *testing.T) (owner, super string) {
	t.Helper()
	super = dbtest.Empty(t)
	u, err := url.Parse(super)
	require.NoError(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	conn := dbtest.Super(t, super)
	for _, sql := range []string{
		`CREATE ROLE owner_of_` + name + ` LOGIN CREATEROLE PASSWORD 'test'`,
		`ALTER DATABASE ` + name + ` OWNER TO owner_of_` + name,
		`GRANT holdfast_app, holdfast_system TO owner_of_` + name + ` WITH ADMIN OPTION`, // the first database of the cluster made them
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	u.User = url.UserPassword("owner_of_"+name, "test")
	return u.String(), super
}

// before applies the migrations that were there in an earlier state, as that one did.
func before(t *testing.T, owner string, was func(file string) bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), owner)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `CREATE TABLE schema_migrations (name text PRIMARY KEY, sum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`)
	require.NoError(t, err)
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	slices.Sort(files)
	for _, f := range files {
		if !was(filepath.Base(f)) {
			continue
		}
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), string(text), pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, f)
		sum := sha256.Sum256(text)
		_, err = conn.Exec(t.Context(), `INSERT INTO schema_migrations (name, sum) VALUES ($1, $2)`, f, hex.EncodeToString(sum[:]))
		require.NoError(t, err)
	}
}

func texts(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// Whichever migrations a database has, and in whichever order they came to main, all lead
// to the same schema, keep what there is, and may be repeated.
func TestMigrate_EveryEarlierState_LeadsToTheSameSchema(t *testing.T) {
	t.Parallel()
	until := func(last string, but ...string) func(string) bool {
		return func(file string) bool { return file[:4] <= last && !slices.Contains(but, file) }
	}
	owner, super := ordinary(t)
	require.NoError(t, dbtest.Open(t, db.Config{URL: owner}).Migrate(t.Context()))
	want := texts(t, dbtest.Super(t, super), schemaOf)
	require.Greater(t, len(want), 500)
	for name, was := range map[string]func(string) bool{
		"0011":                        until("0011"),
		"0012":                        until("0012"),
		"0013 without 0012":           until("0013", "0012_sign_in.sql", "0013_versions.sql"),
		"0016 without 0013_versions":  until("0016", "0013_versions.sql"),
		"0016, whatever comes behind": until("0016"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner, super := ordinary(t)
			before(t, owner, was)
			conn := dbtest.Super(t, super)
			_, err := conn.Exec(t.Context(), `
INSERT INTO organizations (name) VALUES ('o');
INSERT INTO divisions (organization, name) VALUES ('o', 'd');
INSERT INTO tenants (tenant_id, organization, division, policies) VALUES ('t.example', 'o', 'd', '{"not_ready_reasons": [{"code": "lunch", "limit": "1h30m", "then": "ready"}]}');
INSERT INTO users (tenant_id, name, roles, password_hash) VALUES ('t.example', 'anna', '{business_administrator}', 'hash');
INSERT INTO revocations (tenant_id, login, expires) VALUES ('t.example', 'of before', now() + interval '1 hour');`)
			require.NoError(t, err)
			d := dbtest.Open(t, db.Config{URL: owner})
			for range 2 {
				require.NoError(t, d.Migrate(t.Context()))
				require.Equal(t, want, texts(t, dbtest.Super(t, super), schemaOf))
			}
			if was("0011") && !was("0013") {
				require.Equal(t, []string{"lunch 5400000 ready"}, texts(t, conn, `SELECT code || ' ' || limit_ms || ' ' || then_do FROM reasons`))
			}
			u, err := d.User(t.Context(), "t.example", "anna")
			require.NoError(t, err)
			require.Equal(t, []account.Role{account.BusinessAdmin}, u.Roles)
			known, err := d.Passwords(t.Context(), "t.example", id.User("anna"))
			require.NoError(t, err)
			require.False(t, known.Set.IsZero(), "passwords age from now on")
			require.Equal(t, []string{"1"}, texts(t, conn, `SELECT version::text FROM users`))
			gone, err := d.Revoked(t.Context(), "t.example", "of before")
			require.NoError(t, err)
			require.True(t, gone)
		})
	}
}
