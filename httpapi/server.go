package httpapi

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/domain/fault"
	"holdfast/domain/seal"
	"holdfast/fence"
)

// The times of the server. They bound what a client can hold by being slow.
const (
	headerTimeout  = 5 * time.Second  // to send the request's head
	readTimeout    = 15 * time.Second // to send the whole request
	requestTimeout = 10 * time.Second // to answer; streams excepted
	writeTimeout   = 30 * time.Second // until the whole answer is taken; streams excepted
	idleTimeout    = 2 * time.Minute  // between requests of a connection
	stopTimeout    = 10 * time.Second // for requests in hand when we stop
	maxHeader      = 16 << 10
)

// Config is what the API is made of. Zero values of optional fields are named.
type Config struct {
	Commands   Commands
	Reader     Reader
	Directory  Directory
	Clerk      Clerk
	Customers  Customers
	Logs       ClientLogs
	Sounds     Sounds
	Documents  Documents
	Vault      Vault
	Logins     Logins
	APIKeys    Keys
	Identities Identities
	Feed       Feed
	Webhooks   Webhooks
	Keys       []ed25519.PrivateKey // the first signs tokens, all verify them
	Checks     []Check              // what /readyz asks; none: always ready
	Metrics    *prometheus.Registry // nil: an own one
	Log        *slog.Logger         // nil: silence
	Now        func() time.Time     // nil: time.Now

	// TemporalUI is the address of the Temporal Web UI; empty hides the links.
	TemporalUI string
	// Namespace is the Temporal namespace that links point to.
	Namespace string
	// Version is the build, as the reference shows it.
	Version string
	// TrustedProxies are the networks whose X-Forwarded-For is believed; none: nobody's.
	TrustedProxies []string
	// SecureCookies marks cookies as for https only, even where a proxy speaks http with us.
	SecureCookies bool
	// PublicURL is where people reach us: OpenID Connect providers send them back there.
	// Empty: nobody signs in by OpenID Connect.
	PublicURL string
	// Providers says at which addresses OpenID Connect providers may stand; zero: public
	// ones, by https.
	Providers fence.Fence
	// MaxStreams bounds the open event streams of the process; 0: 10,000.
	MaxStreams int
	// Heartbeat is how often a quiet event stream shows that it lives; 0: 15 s.
	Heartbeat time.Duration
	// Fence says which addresses webhooks may call; zero: public ones by https.
	Fence fence.Fence
	// Lookup resolves the names of receivers when a webhook is saved; nil: as the system does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Validate reports what is wrong with the configuration, as fault.Invalid.
func (c Config) Validate() error {
	switch {
	case c.Documents == nil:
		return fault.E(fault.Invalid, "start the API", errors.New("nobody reads tenants' documents"))
	case c.Logs == nil:
		return fault.E(fault.Invalid, "start the API", errors.New("nobody keeps client logs"))
	case c.Commands == nil || c.Reader == nil || c.Directory == nil || c.Clerk == nil || c.Customers == nil || c.Vault == nil || c.Logins == nil || c.APIKeys == nil || c.Identities == nil || c.Feed == nil || c.Webhooks == nil:
		return fault.E(fault.Invalid, "start the API", errors.New("commands, reader, directory, clerk, customers, vault, logins, feed or webhooks is missing"))
	case c.MaxStreams < 0 || c.Heartbeat < 0:
		return fault.E(fault.Invalid, "start the API", errors.New("streams and heartbeat can't be negative"))
	}
	for _, p := range c.TrustedProxies {
		_, prefix := netip.ParsePrefix(p)
		_, addr := netip.ParseAddr(p)
		if prefix != nil && addr != nil {
			return fault.E(fault.Invalid, "start the API", fmt.Errorf("trusted proxy %q is neither an address nor a network", p))
		}
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
			return fault.E(fault.Invalid, "start the API", fmt.Errorf("public address %q is not an http address", c.PublicURL))
		}
	}
	if c.TemporalUI != "" {
		u, err := url.Parse(c.TemporalUI)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fault.E(fault.Invalid, "start the API", fmt.Errorf("address of the Temporal Web UI %q is not an http address", c.TemporalUI))
		}
	}
	return nil
}

// API serves the HTTP API, its reference and the pages. It is made by New.
type API struct {
	config    Config
	log       *slog.Logger
	now       func() time.Time
	gin       *gin.Engine
	huma      huma.API
	byName    map[string]route
	tokens    *tokens
	persons   *persons
	passwords *passwords
	throttle  *throttle
	seals     seal.Keys
	providers *providers
	answers   *answers
	audit     *auditor
	streams   *streams
	boards    *boards
	rendered  *renderings
	metrics   *metrics

	stopping chan struct{} // closed when streams must end
	stopOnce sync.Once
}

// New builds the API; nothing runs before Serve. fault.Invalid: the configuration is wrong.
func New(c Config) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = withDefaults(c)
	t, err := newTokens(c.Keys, c.Now)
	if err != nil {
		return nil, err
	}
	p, err := newPasswords()
	if err != nil {
		return nil, err
	}
	sealed, err := seal.New(c.Keys)
	if err != nil {
		return nil, fault.E(fault.Internal, "start the API", err)
	}
	a := &API{
		seals: sealed, providers: newProviders(c.Providers, c.Now),
		config: c, log: c.Log, now: c.Now, byName: map[string]route{}, tokens: t, passwords: p,
		persons: newPersons(c, t), throttle: &throttle{vault: c.Vault, now: c.Now}, answers: newAnswers(c, sealed),
		audit: newAuditor(c.Reader, c.Log, c.Now), streams: newStreams(c.MaxStreams), boards: newBoards(c.Reader),
		rendered: newRenderings(), metrics: newMetrics(c.Metrics), stopping: make(chan struct{}),
	}
	a.rendered.customer = a.customerOf
	for _, group := range routes {
		for _, r := range group {
			a.byName[r.name] = r
		}
	}
	if err := a.build(); err != nil {
		return nil, err
	}
	return a, nil
}

func withDefaults(c Config) Config {
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 10_000
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.Lookup == nil {
		c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	c.SecureCookies = c.SecureCookies || strings.HasPrefix(c.PublicURL, "https://")
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return c
}

// build puts routes and middleware together.
func (a *API) build() error {
	gin.SetMode(gin.ReleaseMode)
	a.gin = gin.New()
	a.gin.HandleMethodNotAllowed = true
	a.gin.RedirectTrailingSlash = false
	a.gin.RedirectFixedPath = false
	if err := a.gin.SetTrustedProxies(a.config.TrustedProxies); err != nil {
		return fault.E(fault.Invalid, "start the API", err)
	}
	a.gin.Use(a.observe, a.recoverPanic, secure, a.sameOrigin, a.bound)
	a.gin.NoRoute(func(c *gin.Context) {
		writeProblem(c.Writer, problemOf(notFound("not_found", "There is nothing at this address; see /docs.")))
	})
	a.gin.NoMethod(func(c *gin.Context) {
		writeProblem(c.Writer, validationProblem(http.StatusMethodNotAllowed, "this address does not take "+c.Request.Method, nil))
	})
	a.huma = humagin.New(a.gin, description(a.config.Version))
	a.huma.UseMiddleware(a.authorize)
	a.registerSignIn()
	a.registerLogins()
	a.registerKeys()
	a.registerOIDC()
	a.registerSession()
	a.registerForced()
	a.registerCalls()
	a.registerWatch()
	a.registerPeople()
	a.registerService()
	a.registerMusic()
	a.registerLines()
	a.registerCatalogues()
	a.registerBookings()
	a.registerTariffs()
	a.registerContacts()
	a.registerWebhooks()
	a.registerClientLogs()
	a.registerLevels()
	a.registerTenants()
	a.registerDocuments()
	a.registerEvents()
	a.registerOperator()
	describe(a.huma.OpenAPI())
	return nil
}

// description is the frame of the OpenAPI document; the routes fill it.
func description(version string) huma.Config {
	c := huma.DefaultConfig("Holdfast", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // served by ourselves
	c.CreateHooks = nil                                   // no $schema fields in answers
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "A durable contact center: agent sessions, calls, queues. Refusals are RFC 9457 problems with a `code` for programs and a `detail` for people. " +
		"Every mutation takes `Idempotency-Key`: a repeat has no second effect. Times are RFC 3339, durations end in `_ms`."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access_token of /v1/auth/login, or an API key (hf_…)."},
	}
	return c
}

func init() {
	// Lists are never null here; huma's default says that they may be.
	huma.DefaultArrayNullable = false
	// A name in other letters is another name, and unknown.
	huma.ValidateStrictCasing = true
}

// Handler returns the API as an http.Handler, without the limits of connections that Serve adds.
func (a *API) Handler() http.Handler { return a.gin }

// OpenAPI returns the description of the API (OpenAPI 3.1, JSON).
func (a *API) OpenAPI() ([]byte, error) {
	doc, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fault.E(fault.Internal, "describe the API", err)
	}
	return append(doc, '\n'), nil
}

// Serve answers on l until ctx ends, then ends the streams, finishes the requests
// in hand (at most 10 s) and writes the rest of the audit trail. It returns nil
// when stopped by ctx. It is called once.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: a.gin, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	auditing := make(chan struct{})
	go func() {
		defer close(auditing)
		a.audit.run()
	}()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.stopOnce.Do(func() { close(a.stopping) })
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if e := server.Shutdown(late); e != nil {
		a.log.Warn("Requests were cut off at the stop.", "err", e)
		_ = server.Close() // the listener is closed already; only connections remain
	}
	a.audit.stop()
	<-auditing
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return fault.E(fault.Internal, "serve HTTP", err)
}
