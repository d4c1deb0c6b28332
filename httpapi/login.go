package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// refreshCookie holds the refresh token; only the sign-in routes ever see it.
const (
	refreshCookie     = "holdfast_refresh"
	refreshCookiePath = "/v1/auth"
)

// wrongLogin is the one answer to a wrong tenant, user or password and to a
// disabled account: it tells nobody which it was (SEED-66).
func wrongLogin() error {
	return &fault.Error{Kind: fault.Unauthenticated, Op: "login", Code: "wrong_login", Sentence: "Tenant, user name or password is wrong."}
}

// Origin is where a request came from: the client's address, and whether the
// connection is encrypted.
type Origin struct {
	address string
	secure  bool
}

// Resolve implements huma.Resolver.
func (o *Origin) Resolve(ctx huma.Context) []error {
	o.address = humagin.Unwrap(ctx).ClientIP()
	o.secure = ctx.TLS() != nil
	return nil
}

type loginInput struct {
	Origin
	Body struct {
		Tenant   line   `json:"tenant" minLength:"1" maxLength:"253" doc:"The tenant's domain." example:"demo.localhost"`
		Username line   `json:"username" minLength:"1" maxLength:"128" example:"1001"`
		Password string `json:"password" minLength:"1" maxLength:"256"`
	}
}

type refreshInput struct {
	Origin
	Token string `cookie:"holdfast_refresh" maxLength:"2048"`
}

type tokenView struct {
	AccessToken string               `json:"access_token" doc:"Send it as Authorization: Bearer."`
	ExpiresIn   int                  `json:"expires_in" doc:"Seconds until the access token ends; get the next by /v1/auth/refresh." example:"900"`
	User        id.User              `json:"user" example:"1001"`
	Agent       id.Agent             `json:"agent,omitempty" doc:"The agent's number, if the user is one." example:"1001"`
	Permissions []account.Permission `json:"permissions"`
}

type tokenOutput struct {
	Cookie string `header:"Set-Cookie"`
	Body   tokenView
}

type logoutOutput struct {
	Cookie string `header:"Set-Cookie"`
}

func (a *API) registerSignIn() {
	register(a, "login", a.login)
	register(a, "refresh", a.refresh)
	register(a, "logout", a.logout)
	register(a, "me", a.me)
}

// login verifies a password. Whatever is wrong, the answer and the work are the
// same; who guesses is slowed down (SEED-56, SEED-65, SEED-66).
func (a *API) login(ctx context.Context, in *loginInput) (*tokenOutput, error) {
	tenant, name := id.Tenant(in.Body.Tenant.clean()), id.User(in.Body.Username.clean())
	who := attempt{tenant, name, sourceOf(in.address)}
	if wait := a.throttle.wait(who); wait > 0 {
		a.metrics.logins.WithLabelValues("slowed").Inc()
		return nil, slowDown(wait, "too_many_logins", "Too many wrong passwords; try again in %d seconds.", int(wait.Seconds())+1)
	}
	u, err := a.config.Reader.User(ctx, tenant, name)
	known := err == nil
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("login", err)
	}
	hash := u.PasswordHash
	if !known || u.Disabled {
		hash = "" // the dummy: the same work as for a known user
	}
	right, err := a.passwords.verify(ctx, who.address, in.Body.Password, hash)
	if err != nil {
		return nil, err
	}
	if !right {
		a.throttle.failed(who)
		a.metrics.logins.WithLabelValues("wrong").Inc()
		if known {
			a.audit.add(person{User: u, address: in.address}, "login", "user:"+string(name), wrongLogin())
		}
		return nil, wrongLogin()
	}
	a.throttle.succeeded(who)
	a.metrics.logins.WithLabelValues("ok").Inc()
	a.audit.add(person{User: u, address: in.address}, "login", "user:"+string(name), nil)
	return a.grant(u, in.Origin)
}

// refresh gives a new access token and a new refresh token. The old one stays good
// until it expires: two tabs may refresh at once.
func (a *API) refresh(ctx context.Context, in *refreshInput) (*tokenOutput, error) {
	expired := &fault.Error{Kind: fault.Unauthenticated, Op: "refresh", Code: "signed_out", Sentence: "You are signed out; sign in again."}
	c, err := a.tokens.verify(in.Token, forRefresh)
	if err != nil || a.revoked.has(c.ID) {
		return nil, expired
	}
	u, err := a.config.Reader.User(ctx, c.Tenant, id.User(c.Subject))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("refresh", err)
	}
	if err != nil || u.Disabled || fingerprint(u) != c.Password {
		return nil, expired
	}
	return a.grant(u, in.Origin)
}

// logout takes the refresh token back. Without one it succeeds as well.
func (a *API) logout(ctx context.Context, in *refreshInput) (*logoutOutput, error) {
	if c, err := a.tokens.verify(in.Token, forRefresh); err == nil {
		a.revoked.add(c.ID, c.ExpiresAt.Time)
		u := account.User{Tenant: c.Tenant, Name: id.User(c.Subject)}
		a.audit.add(person{User: u, address: in.address}, "logout", "user:"+c.Subject, nil)
	}
	return &logoutOutput{Cookie: a.cookie("", -1, in.secure)}, nil
}

// grant issues the pair of tokens.
func (a *API) grant(u account.User, from Origin) (*tokenOutput, error) {
	access, err := a.tokens.issue(u, forAccess, accessLife)
	if err != nil {
		return nil, err
	}
	refresh, err := a.tokens.issue(u, forRefresh, refreshLife)
	if err != nil {
		return nil, err
	}
	return &tokenOutput{
		Cookie: a.cookie(refresh, int(refreshLife.Seconds()), from.secure),
		Body: tokenView{
			AccessToken: access, ExpiresIn: int(accessLife.Seconds()), User: u.Name, Agent: u.Agent,
			Permissions: list(u.Permissions),
		},
	}, nil
}

func (a *API) cookie(value string, maxAge int, secure bool) string {
	c := http.Cookie{
		Name: refreshCookie, Value: value, Path: refreshCookiePath, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: secure || a.config.SecureCookies,
	}
	return c.String()
}

// revoked remembers the refresh tokens that were given up in this process until
// they expire by themselves.
type revoked struct {
	now func() time.Time
	mu  sync.Mutex
	ids map[string]time.Time
}

func newRevoked(now func() time.Time) *revoked {
	return &revoked{now: now, ids: map[string]time.Time{}}
}

func (r *revoked) add(token string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, end := range r.ids {
		if r.now().After(end) {
			delete(r.ids, t)
		}
	}
	r.ids[token] = until
}

func (r *revoked) has(token string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.ids[token]
	return ok
}
