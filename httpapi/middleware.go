package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/domain/fault"
)

// logUser is the key under which a request keeps who sent it, for the access log.
const logUser = "holdfast.user"

// requestID names a request in the answer (X-Request-Id) and in the log.
const requestID = "X-Request-Id"

// observe gives the request its id, and writes the access log and the metrics.
func (a *API) observe(c *gin.Context) {
	rid := c.GetHeader(requestID)
	if !plain(rid) {
		rid = rand.Text()
	}
	c.Header(requestID, rid)
	start := a.now()
	c.Next()
	took := a.now().Sub(start)
	path := c.FullPath()
	if path == "" {
		path = "none" // what is not a route must not make a time series of its own
	}
	status := c.Writer.Status()
	a.metrics.requests.WithLabelValues(c.Request.Method, path, fmt.Sprint(status)).Observe(took.Seconds())
	if path == "/healthz" || path == "/readyz" || path == "/metrics" {
		return
	}
	a.log.Info("A request was answered.", "method", c.Request.Method, "path", c.Request.URL.Path, "status", status,
		"took_ms", took.Milliseconds(), "bytes", c.Writer.Size(), "user", c.GetString(logUser), "address", c.ClientIP(), "request", rid)
}

// plain reports whether a request id of a client can be repeated in answer and log.
func plain(s string) bool {
	ok := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0
}

// recoverPanic turns a defect into a 500 and a line in the log; the process goes on.
func (a *API) recoverPanic(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares this panic value itself
			panic(p)
		}
		a.log.Error("A request panicked.", "path", c.FullPath(), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			writeProblem(c.Writer, problemOf(fault.E(fault.Internal, "serve", fmt.Errorf("panic: %v", p))))
		}
		c.Abort()
	}()
	c.Next()
}

// secure sets the headers that keep browsers from doing harm with our answers.
func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; "+
		"media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Permissions-Policy", "microphone=(self), speaker-selection=(self)")
	if strings.HasPrefix(c.Request.URL.Path, "/v1/") {
		h.Set("Cache-Control", "no-store")
	}
	c.Next()
}

// crossOrigin refuses mutations that a browser sends for another site's page; what
// is not a browser sends neither Origin nor Sec-Fetch-Site and passes.
var crossOrigin = http.NewCrossOriginProtection()

func (a *API) sameOrigin(c *gin.Context) {
	if err := crossOrigin.Check(c.Request); err != nil {
		writeProblem(c.Writer, problemOf(forbidden("cross_origin", "Pages of other sites may not use this API.")))
		c.Abort()
		return
	}
	c.Next()
}

// bound ends a request that takes too long; streams have their own bounds.
func (a *API) bound(c *gin.Context) {
	if c.FullPath() == "/v1/events" {
		c.Next()
		return
	}
	within := requestTimeout
	if strings.HasSuffix(c.FullPath(), "/import") {
		within = importTimeout
		// The server's own deadline is meant for answers that come at once; not every writer of a test has one.
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(importTimeout + writeTimeout))
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), within)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Writer = steadyWriter{c.Writer}
	c.Next()
}

// steadyWriter keeps the read deadline of the connection as the server set it (the
// request must be read within readTimeout). huma sets its own, or takes the server's
// away; and one that passes while a request is answered, net/http takes for the end
// of the connection.
type steadyWriter struct{ gin.ResponseWriter }

// SetReadDeadline does nothing.
func (steadyWriter) SetReadDeadline(time.Time) error { return nil }

// writeProblem answers with p outside of a registered handler.
func writeProblem(w http.ResponseWriter, p *problem) {
	for k, values := range p.GetHeaders() {
		w.Header()[k] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client left: nobody to tell
}
