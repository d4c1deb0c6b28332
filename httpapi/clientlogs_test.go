package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/contact"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

func gzipped(t *testing.T, size int) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(make([]byte, size))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// SEED-129: a report is entries, text or a compressed file; anything else is refused, and
// nothing of it can become a page.
func TestClientLogs_WhatIsTaken_AndHowItIsGivenBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const page = `<script>alert(1)</script>`
	for media, body := range map[string]string{
		"text/plain; charset=utf-8": page, "application/gzip": gzipped(t, 1000),
		"application/json": `{"entries":[{"time":"2026-11-21T09:00:00Z","level":"error","message":"` + page + `","context":{"a":1}}]}`,
	} {
		got := h.ask("1001", http.MethodPost, "/v1/client-logs?version=1.2&sent_at=2026-11-21T09:00:00Z", body, "Content-Type", media, "User-Agent", "Browser/1")
		require.Equal(t, http.StatusCreated, got.Code, "%s: %s", media, got.Body)
		require.Equal(t, []any{"1001", "1001", "Browser/1", "1.2", "127.0.0.9"}, []any{got.body["user"], got.body["agent"], got.body["user_agent"], got.body["version"], got.body["address"]})
		require.Contains(t, got.body, "clock_ahead_ms")
		file := h.ask("admin", http.MethodGet, "/v1/client-logs/"+got.body["id"].(string), "")
		require.Equal(t, http.StatusOK, file.Code)
		require.Contains(t, file.Header().Get("Content-Disposition"), "attachment")
		require.Equal(t, "nosniff", file.Header().Get("X-Content-Type-Options"))
		require.Contains(t, file.Header().Get("Content-Security-Policy"), "sandbox")
		require.NotContains(t, file.Header().Get("Content-Type"), "html")
		if media == "application/json" {
			require.NotContains(t, file.Body.String(), "<script>")
			require.EqualValues(t, 1, got.body["entries"])
		} else {
			require.Equal(t, body, file.Body.String())
		}
	}
	kept := len(h.things.logs)
	for _, c := range []struct {
		media, body string
		status      int
	}{
		{"text/html", page, http.StatusUnsupportedMediaType}, {"text/plain", "\xff\xfe", 422}, {"text/plain", "", 422},
		{"application/gzip", "no", 422}, {"application/gzip", gzipped(t, maxLogExpanded+1), 422},
		{"text/plain", strings.Repeat("x", record.MaxClientLog+1), http.StatusRequestEntityTooLarge},
		{"application/json", `{}`, 422}, {"application/json", `[]`, 422}, {"application/json", `{"entries":[]}`, 422}, {"application/json", `{"entries":[{"level":"info","message":"x"}]}`, 422},
		{"application/json", `{"entries":[{"time":"2026-11-21T09:00:00Z","level":"shout","message":"x"}]}`, 422},
		{"application/json", `{"entries":[{"time":"2026-11-21T09:00:00Z","level":"info","message":"x","context":[1]}]}`, 422},
		{"application/json", `{"entries":[{"time":"2026-11-21T09:00:00Z","level":"info","message":"x","colour":1}]}`, 422},
	} {
		require.Equal(t, c.status, h.ask("1001", http.MethodPost, "/v1/client-logs", c.body, "Content-Type", c.media).Code, "%s %.80s", c.media, c.body)
	}
	require.Len(t, h.things.logs, kept)
	require.Equal(t, 422, h.ask("1001", http.MethodPost, "/v1/client-logs?sent_at=now", "x", "Content-Type", "text/plain").Code)
	list := h.ask("admin", http.MethodGet, "/v1/client-logs?limit=2&user=1001&from=2026-11-21T00:00:00Z", "")
	require.Len(t, list.body["items"], 2)
	require.NotEmpty(t, list.body["next_cursor"])
	require.Equal(t, http.StatusForbidden, h.ask("1001", http.MethodGet, "/v1/client-logs", "").Code)
}

// The agent's own offer shows who calls; without an answer from the database, and for who
// may not see customers, it is shown without.
func TestSession_OfferShowsTheCustomer_ToWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ref := h.reader.users["1001"]
	v := sessionFixture("1001", "first")
	v.Offer = &agent.Offer{ID: "abc/1", Call: "abc", Queue: "support", From: "+4930123456", At: noon, Deadline: noon.Add(time.Minute)}
	h.commands.views[agent.Ref{Tenant: tenant, Agent: "1001"}] = v
	show := func() any {
		got := h.ask("1001", http.MethodGet, "/v1/agent-session", "")
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		return got.body["offer"].(map[string]any)["customer"]
	}
	require.Nil(t, show(), "nobody is known")
	h.things.customer = &contact.Customer{ID: "c1", Name: "Erika", Number: "+4930123456", Fields: []byte(`{"rank":3}`), Last: &contact.Call{ID: "k"}}
	who := show().(map[string]any)
	require.Equal(t, []any{"c1", "Erika", map[string]any{"rank": 3.0}}, []any{who["contact_id"], who["name"], who["fields"]})
	require.Equal(t, "k", who["last_call"].(map[string]any)["call_id"])
	h.things.refuse = fault.E(fault.Unavailable, "query", errors.New("away"))
	require.Nil(t, show(), "the call goes on")
	h.things.refuse = nil
	ref.Permissions = []account.Permission{account.SessionUse.At(account.Own)}
	h.reader.users["1001"] = ref
	h.api.persons.forget()
	require.Nil(t, show())
}
