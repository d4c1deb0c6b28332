package described

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/tests/stage"
)

// asker is who asks: people of a tenant, who are made anew when they can't sign in any
// more, for much of what is asked is done.
type asker struct {
	t      *testing.T
	sql    *pgx.Conn
	tables string // the query of rows
	people map[string]*stage.Client
}

// alive are tables that change by themselves, or with a refusal on purpose.
var alive = []string{
	"nodes", "registrations", "presence", "candidates", "waiting", "decisions", "calls", "legs", "segments", "events", "bindings", "terminals", // by phones and workflows
	"audit", "login_tallies", "answers", // a refusal is noted, and remembered for its repeat
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	a := &asker{t: t, sql: hall.SQL(t)}
	rows, err := a.sql.Query(t.Context(), `
SELECT format('SELECT %L AS name, md5(string_agg(x::text, E''\n'' ORDER BY x::text)) AS rows FROM %I x', c.relname, c.relname)
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1) ORDER BY c.relname`, alive)
	require.NoError(t, err)
	each, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(each), 15)
	a.tables = strings.Join(each, " UNION ALL ")
	return a
}

// rows is a fingerprint of every table that only the API changes.
func (a *asker) rows() map[string]string {
	a.t.Helper()
	rows, err := a.sql.Query(a.t.Context(), a.tables)
	require.NoError(a.t, err)
	prints := map[string]string{}
	var name string
	var print *string
	_, err = pgx.ForEachRow(rows, []any{&name, &print}, func() error {
		if print != nil {
			prints[name] = *print
		}
		return nil
	})
	require.NoError(a.t, err)
	return prints
}

// as is a person of the tenant who may still ask.
func (a *asker) as(name string) *stage.Client {
	a.t.Helper()
	if c := a.people[name]; c != nil {
		if got, err := c.Do(a.t.Context(), http.MethodGet, "/v1/me", nil); err == nil && got.Status == http.StatusOK {
			return c
		}
	}
	ten := hall.Tenant(a.t, stage.Plan{Agents: 2})
	a.people = map[string]*stage.Client{"admin": ten.Login("admin"), "1001": ten.Login("1001"), "supervisor": ten.Login("supervisor")}
	return a.people[name]
}

// Any request of the served description is answered as the description says: with a
// status that it names, never by our own failure, a refusal as problem+json; and what is
// refused has changed nothing.
func TestAnyRequest_IsAnsweredAsDescribed_AndARefusedOneChangesNothing(t *testing.T) {
	doc, a := served(t), newAsker(t)
	for _, op := range doc.operations() {
		t.Run(op.ID, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				who := rapid.SampledFrom([]string{"admin", "admin", "admin", "admin", "supervisor", "1001"}).Draw(rt, "who")
				client := a.as(who)
				req := doc.draw(rt, op)
				before := a.rows()
				got := ask(rt, client, req)
				described(rt, op, req, got)
				if got.Status < 400 {
					return
				}
				explained(rt, req, got)
				if after := a.rows(); !same(before, after) {
					rt.Fatalf("%s: refused with %d, and yet changed %v", req, got.Status, differ(before, after))
				}
			})
		})
	}
}

func (r request) String() string {
	body := fmt.Sprintf("%.600s", plain(r.body))
	return fmt.Sprintf("%s %s %q %s", r.method, r.path, r.headers, body)
}

// ask sends a request.
func ask(rt *rapid.T, c *stage.Client, r request) stage.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), stage.Patience)
	defer cancel()
	got, err := c.Do(ctx, r.method, r.path, r.body, r.headers...)
	if err != nil {
		rt.Fatalf("%s: %v", r, err)
	}
	return got
}

// described checks that the document names the status.
func described(rt *rapid.T, op operation, r request, got stage.Answer) {
	if got.Status >= 500 {
		rt.Fatalf("%s: %d %s", r, got.Status, got.Body)
	}
	if _, ok := op.Responses[strconv.Itoa(got.Status)]; !ok {
		rt.Fatalf("%s: %d is not described: %.500s", r, got.Status, got.Body)
	}
}

// explained checks that a refusal says what and why (RFC 9457), and nothing of our inside.
func explained(rt *rapid.T, r request, got stage.Answer) {
	media, _, _ := mime.ParseMediaType(got.Header.Get("Content-Type"))
	var problem struct {
		Title, Detail, Code string
		Status              int
	}
	if err := json.Unmarshal(got.Body, &problem); err != nil || media != "application/problem+json" {
		rt.Fatalf("%s: %d is no problem+json: %s %.300s", r, got.Status, media, got.Body)
	}
	if problem.Status != got.Status || problem.Title == "" || problem.Detail == "" {
		rt.Fatalf("%s: %d says too little: %.300s", r, got.Status, got.Body)
	}
	for _, inside := range []string{"SQLSTATE", "goroutine", "panic", "pgx", "runtime error", ".go:"} {
		if strings.Contains(string(got.Body), inside) && !strings.Contains(plain(r.body), inside) {
			rt.Fatalf("%s: tells of our inside: %.300s", r, got.Body)
		}
	}
}

func same(before, after map[string]string) bool { return len(differ(before, after)) == 0 }

// differ names the tables that are not as they were.
func differ(before, after map[string]string) (tables []string) {
	for name := range after {
		if before[name] != after[name] {
			tables = append(tables, name)
		}
	}
	return tables
}
