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

// Origin is where a request came from: the client's address and what it says it is,
// whether the connection is encrypted, and the access token that came along, if any.
type Origin struct {
	address   string
	userAgent string
	secure    bool
	bearer    string
}

// Resolve implements huma.Resolver.
func (o *Origin) Resolve(ctx huma.Context) []error {
	o.address = humagin.Unwrap(ctx).ClientIP()
	o.secure = ctx.TLS() != nil
	o.bearer, _ = bearer(ctx.Header("Authorization"))
	o.userAgent = oneLine(ctx.Header("User-Agent"), maxLine)
	return nil
}

type loginInput struct {
	Origin
	Body struct {
		Tenant   line   `json:"tenant" minLength:"1" maxLength:"253" doc:"The tenant's domain." example:"demo.localhost"`
		Username line   `json:"username" minLength:"1" maxLength:"128" example:"1001"`
		Password string `json:"password" minLength:"1" maxLength:"256"`

		AgentSession *SignInBody `json:"agent_session,omitempty" doc:"Begin the session of the user's agent at once, as POST /v1/agent-session does, or attach a terminal to it. If that is refused, so is the login."`
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

	AgentSession *sessionView `json:"agent_session,omitempty" doc:"The agent's session, if the login was to begin it."`
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
	register(a, "change-password", a.changePassword)
	register(a, "me", a.me)
}

// login verifies a password. Whatever is wrong, the answer and the work are the
// same; who guesses is slowed down (SEED-56, SEED-65, SEED-66). With agent_session
// it activates the user's agent in the same request (SEED-29).
func (a *API) login(ctx context.Context, in *loginInput) (out *tokenOutput, err error) {
	p := proof{id.Tenant(in.Body.Tenant.clean()), id.User(in.Body.Username.clean()), in.Body.Password, in.address}
	var who person
	err = a.proven(ctx, p, "login", func(u account.User) error {
		known, err := a.admitted(ctx, u)
		if err != nil {
			return err
		}
		if known.Expired(a.now()) {
			return forbidden("password_expired", "Your password is too old; set a new one by POST /v1/auth/password.")
		}
		who = person{User: u, address: in.address}
		if in.Body.AgentSession != nil {
			if err := mayActivate(who); err != nil {
				return err
			}
		}
		a.renew(ctx, u, in.Body.Password)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// No longer in the turn of the password: others wait for it.
	out, err = a.enter(withPerson(ctx, who), in.Origin, in.Body.AgentSession)
	a.audit.add(who, "login", "user:"+string(who.Name), err)
	return out, err
}

// mayActivate refuses the agent's session to whom has no agent, or may not use it.
func mayActivate(p person) error {
	if !p.May(account.SessionUse) {
		return forbidden("action_forbidden", "You need the permission %s for agent_session: log in without it.", account.SessionUse)
	}
	_, err := p.ref()
	return err
}

// enter begins the login of whom a password proved, after the session of its agent, if
// that is asked for: if it is refused, nothing was begun. A login that fails behind a
// session that began is tried again, and attaches to it.
func (a *API) enter(ctx context.Context, from Origin, how *SignInBody) (*tokenOutput, error) {
	var session *sessionView
	if how != nil {
		begun, err := a.activate(ctx, Keyed{}.key("sign-in"), *how, "agent_session.")
		if err != nil {
			return nil, err
		}
		session = &begun.Body
	}
	out, err := a.begin(ctx, personOf(ctx).User, account.ByPassword, from)
	if err != nil {
		return nil, err
	}
	out.Body.AgentSession = session
	return out, nil
}

// proof is a password that somebody shows for an account.
type proof struct {
	tenant   id.Tenant
	user     id.User
	password string
	address  string
}

// proven runs then for whom a password proves to be a user, in the turn that the
// verification took; a refusal is told to the trail as one of action.
func (a *API) proven(ctx context.Context, p proof, action string, then func(account.User) error) error {
	who := attempt{p.tenant, p.user, sourceOf(p.address)}
	if err := a.slowed(ctx, who); err != nil { // before it waits for its turn
		return err
	}
	leave, err := a.passwords.turn(ctx, who.address)
	if err != nil {
		return err
	}
	defer leave()
	if err := a.slowed(ctx, who); err != nil { // those who came at once have had theirs
		return err
	}
	u, err := a.config.Reader.User(ctx, p.tenant, p.user)
	found := err == nil
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return unavailable("login", err)
	}
	hash := u.PasswordHash
	if !found || u.Disabled {
		hash = "" // the dummy: the same work as for a known user
	}
	right, err := a.passwords.matches(p.password, hash)
	if err != nil {
		return err
	}
	if !right {
		a.metrics.logins.WithLabelValues("wrong").Inc()
		if found {
			a.audit.add(person{User: u, address: p.address}, action, "user:"+string(p.user), wrongLogin())
		}
		if err := a.throttle.failed(ctx, who); err != nil {
			return err
		}
		return wrongLogin()
	}
	if err := a.throttle.succeeded(ctx, who); err != nil {
		return err
	}
	if err = then(u); err != nil {
		a.audit.add(person{User: u, address: p.address}, action, "user:"+string(p.user), err)
	}
	a.metrics.logins.WithLabelValues(map[bool]string{true: "ok", false: "refused"}[err == nil]).Inc()
	return err
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

// refresh gives a new access token and the next refresh token; the old one is used up. One
// that is used twice ends the login: see account.Refresh.
func (a *API) refresh(ctx context.Context, in *refreshInput) (*tokenOutput, error) {
	c, err := a.tokens.verify(in.Token, forRefresh)
	if err != nil || c.Turn == 0 {
		return nil, signedOut("refresh")
	}
	u, err := a.persons.read(ctx, c.person())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("refresh", err)
	}
	if err != nil {
		u.Disabled = true // the login says why, if it knows
	}
	return a.turn(ctx, u, ticket{login: c.login(), turn: c.Turn, origin: c.person().origin()}, in.Origin)
}

// turn uses a refresh token up and gives the next pair of tokens.
func (a *API) turn(ctx context.Context, u account.User, k ticket, from Origin) (*tokenOutput, error) {
	next, err := a.config.Logins.Refresh(ctx, account.Refresh{
		Tenant: k.origin, Login: k.login, Turn: k.turn, UserAgent: from.userAgent, Address: from.address,
		Grace: refreshGrace, Life: refreshLife, Longest: loginLife,
	})
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil:
		return nil, signedOut("refresh")
	case err != nil:
		return nil, unavailable("refresh", err)
	case next.Ended != "":
		if next.Ended == account.EndedReuse {
			a.metrics.logins.WithLabelValues("reused").Inc()
		}
		return nil, over(next.Ended)
	case u.Disabled:
		return nil, signedOut("refresh")
	}
	return a.grant(u, ticket{login: k.login, turn: next.Turn, expires: next.Expires}, from)
}

// over is the answer to a refresh token of a login that was ended: it says by what.
func over(why account.Ended) error {
	e := &fault.Error{Kind: fault.Unauthenticated, Op: "refresh", Code: "signed_out", Sentence: "You are signed out; sign in again."}
	switch why {
	case account.EndedReuse:
		e.Code = "refresh_token_reused"
		e.Sentence = "This sign-in was ended because one of its refresh tokens was used twice: somebody may have copied it. Sign in again; if that can't have been you, change your password."
	case account.EndedRevoked, account.EndedByOther:
		e.Code, e.Sentence = "login_ended", "This sign-in was ended from elsewhere; sign in again."
	case account.EndedPassword:
		e.Code, e.Sentence = "password_changed", "The password of this account was changed; sign in with the new one."
	case account.EndedDisabled, account.EndedDeleted:
		e.Code, e.Sentence = "account_disabled", "This account is no longer in use."
	}
	return e
}

// logout ends the login that the refresh cookie or the access token goes back to, with
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
		if err := a.config.Logins.Revoke(ctx, c.person().origin(), c.login(), until); err != nil {
			return nil, unavailable("logout", err)
		}
		ended[c.login()] = true
		u := account.User{Tenant: c.Tenant, Name: id.User(c.Subject), Home: c.Home}
		a.audit.add(person{User: u, address: in.address}, "logout", "user:"+c.Subject, nil)
	}
	return &logoutOutput{Cookie: a.cookie("", -1, in.secure)}, nil
}

// begin begins a login of u, and gives its first pair of tokens.
func (a *API) begin(ctx context.Context, u account.User, by account.Method, from Origin) (*tokenOutput, error) {
	now := a.now()
	k := ticket{login: rand.Text(), turn: 1, expires: now.Add(refreshLife)}
	err := a.config.Logins.BeginLogin(ctx, account.Login{
		Tenant: u.Tenant, ID: k.login, User: u.Name, Method: by, UserAgent: from.userAgent, Address: from.address, Begun: now, Expires: k.expires,
	})
	if err != nil {
		return nil, unavailable("begin a login", err)
	}
	return a.grant(u, k, from)
}

// grant issues the pair of tokens of a login.
func (a *API) grant(u account.User, k ticket, from Origin) (*tokenOutput, error) {
	access, err := a.tokens.issue(u, k.login, accessLife)
	if err != nil {
		return nil, err
	}
	refresh, err := a.tokens.sign(u, forRefresh, k)
	if err != nil {
		return nil, err
	}
	return &tokenOutput{
		Cookie: a.cookie(refresh, max(1, int(k.expires.Sub(a.now()).Seconds())), from.secure),
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
