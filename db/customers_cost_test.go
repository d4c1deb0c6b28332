package db_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
)

// crowd makes n contacts with a name, a company and a number each, as the product would.
func (w *world) crowd(n int) {
	w.Helper()
	w.exec(`INSERT INTO contacts (tenant_id, id, display_name, company, numbers, words)
		SELECT $1, 'c' || lpad(i::text, 8, '0'), 'Anna' || (i % 1000) || ' Meyer' || i, 'Company ' || (i % 5000), ARRAY['+4930' || (10000000 + i)],
		       ARRAY['anna' || (i % 1000), 'meyer' || i, 'company', (i % 5000)::text, '4930' || (10000000 + i), '030' || (10000000 + i)]
		  FROM generate_series(1, $2::int) i`, string(acme), n)
	w.exec(`ANALYZE contacts, contact_words, contact_numbers`)
}

// crowdSize is how many contacts there are: enough for an index to be worth it, or as
// many as HOLDFAST_CONTACTS says, to measure.
func crowdSize(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("HOLDFAST_CONTACTS"))
	if err != nil {
		return 5000
	}
	return n
}

// A search among very many contacts goes by index, under row-level security as well, and
// so does the look-up of a caller.
func TestContacts_SearchGoesByIndex_AmongMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	n := crowdSize(t)
	w.crowd(n)
	for _, search := range []string{"meyer17", "+49 30 10000017", "anna5 meyer1005", "company", "a", "nobody"} {
		for _, by := range []directory.Author{w.ada(account.ContactsRead), w.agent1001(account.ContactsRead)} {
			began := time.Now()
			_, _, err := w.Things(t.Context(), by, directory.Query{Kind: directory.Contact, Search: search, Sort: "display_name"})
			require.NoError(t, err)
			t.Logf("%d contacts, %q, reach %s: %s", n, search, by.Reach(account.ContactsRead), time.Since(began).Round(100*time.Microsecond))
		}
	}
	tx, err := w.super.Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{`SET LOCAL ROLE holdfast_app`, `SELECT set_config('holdfast.tenant', 'acme.example', true)`} {
		_, err = tx.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	rows, _ := tx.Query(t.Context(), `EXPLAIN SELECT w.contact FROM contact_words w WHERE w.tenant_id = 'acme.example' AND w.word >= 'meyer17' AND w.word < 'meyer18'`)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Condition(t, func() bool {
		for _, line := range plan {
			if strings.Contains(line, "Index Cond") && strings.Contains(line, "word >=") {
				return true
			}
		}
		return false
	}, "%v", plan)
}
