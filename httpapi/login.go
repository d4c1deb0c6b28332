package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"

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

// Origin is where a request came from: the client's address, whether the connection is
// encrypted, and the access token that came along, if any.
type Origin struct {
	address string
	secure  bool
	bearer  string
}

// Resolve implements huma.Resolver.
func (o *Origin) Resolve(ctx huma.Context) []error {
	o.address = humagin.Unwrap(ctx).ClientIP()
	o.secure = ctx.TLS() != nil
	o.bearer, _ = bearer(ctx.Header("Authorization"))
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
	Tenant      id.Tenant            `json:"tenant" example:"demo.localhost"`
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
	register(a, "switch-tenant", a.switchTenant)
	register(a, "me", a.me)
}

// login verifies a password. Whatever is wrong, the answer and the work are the
// same; who guesses is slowed down (SEED-56, SEED-65, SEED-66).
func (a *API) login(ctx context.Context, in *loginInput) (*tokenOutput, error) {
	tenant, name := id.Tenant(in.Body.Tenant.clean()), id.User(in.Body.Username.clean())
	who := attempt{tenant, name, sourceOf(in.address)}
	if err := a.slowed(ctx, who); err != nil { // before it waits for its turn
		return nil, err
	}
	leave, err := a.passwords.turn(ctx, who.address)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := a.slowed(ctx, who); err != nil { // those who came at once have had theirs
		return nil, err
	}
	u, err := a.config.Reader.User(ctx, tenant, name)
	found := err == nil
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("login", err)
	}
	hash := u.PasswordHash
	if !found || u.Disabled {
		hash = "" // the dummy: the same work as for a known user
	}
	right, err := a.passwords.matches(in.Body.Password, hash)
	if err != nil {
		return nil, err
	}
	if !right {
		a.metrics.logins.WithLabelValues("wrong").Inc()
		if found {
			a.audit.add(person{User: u, address: in.address}, "login", "user:"+string(name), wrongLogin())
		}
		if err := a.throttle.failed(ctx, who); err != nil {
			return nil, err
		}
		return nil, wrongLogin()
	}
	if err := a.throttle.succeeded(ctx, who); err != nil {
		return nil, err
	}
	a.metrics.logins.WithLabelValues("ok").Inc()
	a.audit.add(person{User: u, address: in.address}, "login", "user:"+string(name), nil)
	return a.grant(u, rand.Text(), in.Origin)
}

// slowed refuses an attempt that must wait.
func (a *API) slowed(ctx context.Context, who attempt) error {
	wait, err := a.throttle.wait(ctx, who)
	if err != nil || wait == 0 {
		return err
	}
	a.metrics.logins.WithLabelValues("slowed").Inc()
	return slowDown(wait, "too_many_logins", "Too many wrong passwords; try again in %d seconds.", int(wait.Seconds())+1)
}

// signedOut is the answer to a token that was given up, or is none.
func signedOut(op string) error {
	return &fault.Error{Kind: fault.Unauthenticated, Op: op, Code: "signed_out", Sentence: "You are signed out; sign in again."}
}

// refresh gives a new access token and a new refresh token. The old one stays good
// until it expires: two tabs may refresh at once.
func (a *API) refresh(ctx context.Context, in *refreshInput) (*tokenOutput, error) {
	c, err := a.tokens.verify(in.Token, forRefresh)
	if err != nil {
		return nil, signedOut("refresh")
	}
	revoked, err := a.config.Vault.RevokedNow(ctx, c.person().origin(), c.login())
	if err != nil {
		return nil, unavailable("refresh", err)
	}
	u, err := a.persons.read(ctx, c.person())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("refresh", err)
	}
	if err != nil || revoked || u.Disabled || fingerprint(u) != c.Password {
		return nil, signedOut("refresh")
	}
	return a.grant(u, c.login(), in.Origin)
}

// logout ends the sign-in that the refresh cookie or the access token goes back to, with
// all its tokens, in all processes. Without either it succeeds as well.
func (a *API) logout(ctx context.Context, in *refreshInput) (*logoutOutput, error) {
	ended := map[string]bool{}
	for p, token := range map[purpose]string{forRefresh: in.Token, forAccess: in.bearer} {
		c, err := a.tokens.verify(token, p)
		if err != nil || ended[c.login()] {
			continue
		}
		// No token of it that another process gives out at this moment lives longer.
		until := a.now().Add(refreshLife + 2*clockSkew)
		if err := a.config.Vault.Revoke(ctx, c.person().origin(), c.login(), until); err != nil {
			return nil, unavailable("logout", err)
		}
		ended[c.login()] = true
		u := account.User{Tenant: c.Tenant, Name: id.User(c.Subject), Home: c.Home}
		a.audit.add(person{User: u, address: in.address}, "logout", "user:"+c.Subject, nil)
	}
	return &logoutOutput{Cookie: a.cookie("", -1, in.secure)}, nil
}

// grant issues the pair of tokens of a sign-in.
func (a *API) grant(u account.User, login string, from Origin) (*tokenOutput, error) {
	access, err := a.tokens.issue(u, login, forAccess, accessLife)
	if err != nil {
		return nil, err
	}
	refresh, err := a.tokens.issue(u, login, forRefresh, refreshLife)
	if err != nil {
		return nil, err
	}
	return &tokenOutput{
		Cookie: a.cookie(refresh, int(refreshLife.Seconds()), from.secure),
		Body: tokenView{
			AccessToken: access, ExpiresIn: int(accessLife.Seconds()), Tenant: u.Tenant, User: u.Name, Agent: u.Agent,
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
