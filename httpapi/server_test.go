package httpapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"holdfast/domain/fault"
)

func TestReadyz_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) {
		c.Checks = []Check{
			{"database", func(context.Context) error { return nil }},
			{"temporal", func(context.Context) error { return fmt.Errorf("dial 10.0.0.1") }},
			{"events", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, // hangs
		}
	})
	a := newAnswer(h, "GET", "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, a.Code)
	require.JSONEq(t, `{"status":"not_ready","missing":["temporal","events"]}`, a.Body.String())
	require.Equal(t, "2", a.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, h.ask("", "GET", "/healthz", "").Code, "the process lives all the same")
	require.JSONEq(t, `{"status":"ready","missing":[]}`, newAnswer(newHouse(t), "GET", "/readyz").Body.String())
}

// newAnswer asks where a 503 is no problem document.
func newAnswer(h *house, method, path string) answer {
	w := answer{}
	rec := recorder()
	r, _ := http.NewRequestWithContext(h.t.Context(), method, path, nil)
	h.api.Handler().ServeHTTP(rec, r)
	w.ResponseRecorder = rec
	return w
}

func TestServer_UnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, http.StatusNotFound, h.ask("", "GET", "/v1/nothing", "").Code)
	require.Equal(t, http.StatusNotFound, h.ask("", "GET", "/v1/agent-session/", "").Code)
	require.Equal(t, http.StatusMethodNotAllowed, h.ask("", "PUT", "/v1/agent-session", "").Code)
}

func TestServer_AnswersCarryTheSafeHeadersAndTheRequestID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("1001", "GET", "/v1/me", "", "X-Request-Id", "trace-1", "Origin", "https://elsewhere.example")
	require.Equal(t, "trace-1", a.Header().Get("X-Request-Id"))
	require.Equal(t, "nosniff", a.Header().Get("X-Content-Type-Options"))
	require.Contains(t, a.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	require.Empty(t, a.Header().Get("Access-Control-Allow-Origin"), "CORS is off")
	a = h.ask("1001", "GET", "/v1/me", "", "X-Request-Id", "evil\nline")
	require.NotContains(t, a.Header().Get("X-Request-Id"), "evil")
	a = h.ask("1001", "POST", "/v1/agent-session/ready", "", "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "cross_origin", a.body["code"])
	require.Empty(t, h.commands.asked)
}

func TestServer_APanicIsA500AndALineInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHouse(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	h.api.gin.GET("/boom", func(*gin.Context) { panic("impossible state: 7") })
	a := h.ask("", "GET", "/boom", "")
	require.Equal(t, http.StatusInternalServerError, a.Code)
	require.NotContains(t, a.Body.String(), "impossible")
	require.Contains(t, log.String(), "impossible state: 7")
}

func TestServer_LogsEachRequestWithoutSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHouse(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	h.ask("", "POST", "/v1/auth/login", `{"tenant":"demo.localhost","username":"1001","password":5,"x":"hunter2"}`)
	h.ask("1001", "GET", "/v1/me?access_token=s3cret", "")
	h.ask("", "GET", "/healthz", "")
	require.Contains(t, log.String(), "user=1001")
	require.Contains(t, log.String(), "path=/v1/auth/login status=200")
	for _, secret := range []string{"holdfast-demo", "Bearer", "hunter2", "s3cret", "healthz"} {
		require.NotContains(t, log.String(), secret)
	}
}

func TestServer_MetricsCountByRouteNotByPath(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("1001", "GET", "/v1/calls/abc", "")
	h.ask("1001", "GET", "/v1/whatever-42", "")
	m := h.ask("", "GET", "/metrics", "").Body.String()
	require.Contains(t, m, `route="/v1/calls/:id"`)
	require.Contains(t, m, `route="none"`)
	require.NotContains(t, m, "whatever-42")
}

func TestServe_StopsInOrder_StreamsEndAndTheAuditTrailIsComplete(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- h.api.Serve(ctx, l) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/v1/events", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+h.token("1001"))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	h.ask("1001", "POST", "/v1/agent-session/ready", "")
	cancel()
	select {
	case err := <-served:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("did not stop")
	}
	defer h.reader.lock()()
	require.Len(t, h.reader.audited, 1)
}

func TestConfig_WhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := h.api.config
	require.NoError(t, good.Validate())
	for _, change := range []func(*Config){
		func(c *Config) { c.Commands = nil },
		func(c *Config) { c.Keys = nil },
		func(c *Config) { c.Keys = []ed25519.PrivateKey{{1, 2}} },
		func(c *Config) { c.TrustedProxies = []string{"proxy"} },
		func(c *Config) { c.TemporalUI = "javascript:alert(1)" },
		func(c *Config) { c.MaxStreams = -1 },
	} {
		c := good
		c.Metrics = nil
		change(&c)
		_, err := New(c)
		require.Equal(t, fault.Invalid, fault.KindOf(err), err)
	}
}

// A rotated key: tokens of the old one are still good, new ones carry the new one.
func TestToken_KeysCanBeRotated(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old := h.token("1001")
	_, fresh, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	h.api.tokens, err = newTokens([]ed25519.PrivateKey{fresh, h.api.tokens.key}, time.Now)
	require.NoError(t, err)
	_, err = h.api.tokens.verify(old, forAccess)
	require.NoError(t, err)
	without, err := newTokens([]ed25519.PrivateKey{fresh}, time.Now)
	require.NoError(t, err)
	_, err = without.verify(h.token("1001"), forAccess)
	require.NoError(t, err)
	_, err = without.verify(old, forAccess)
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
}

// deadlines is a connection that counts the read deadlines set on it.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.set++
	return nil
}

// A deadline on the connection that nobody takes back would cancel a request that takes
// longer than it, and all that follow on its connection; none at all would let a client
// send its body for ever.
func TestServer_TheReadDeadlineOfTheConnectionIsTheServersAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/agent-session/not-ready", strings.NewReader(`{"reason":"BREAK"}`))
	r.Header.Set("Authorization", "Bearer "+h.token("1001"))
	h.api.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Zero(t, w.set)
	require.Greater(t, readTimeout, requestTimeout, "the server's own deadline never passes while a request is answered")
}
