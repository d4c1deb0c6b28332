package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// oidcCookie keeps what begins at us and comes back from the provider, sealed.
	oidcCookie     = "holdfast_oidc"
	oidcCookiePath = "/v1/auth/oidc"
	// oidcPatience is how long somebody may take at the provider.
	oidcPatience = 10 * time.Minute
	// newcomer makes the users that a provider brings.
	newcomer id.User = "sign-in:oidc"
)

// errand is one sign-in on its way to the provider and back. It is in the cookie of the
// browser that began it, and nowhere else: whoever comes back without it is not the one
// who left (RFC 9700 §4.7).
type errand struct {
	Tenant   id.Tenant `json:"t"`
	Issuer   string    `json:"i"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	ReturnTo string    `json:"r"`
	Until    time.Time `json:"u"`
}

const errandUse = "OpenID Connect errand"

type beginOIDCInput struct {
	Origin
	Tenant   line `path:"tenant" minLength:"1" maxLength:"253"`
	ReturnTo line `query:"return_to" maxLength:"200" doc:"The page to come back to, on this site: a path. Default /."`
}

type endOIDCInput struct {
	Origin
	Tenant line   `path:"tenant" minLength:"1" maxLength:"253"`
	Code   line   `query:"code" doc:"From the provider."`
	State  line   `query:"state" doc:"From the provider."`
	Error  line   `query:"error" doc:"From the provider."`
	Issuer line   `query:"iss" doc:"From the provider (RFC 9207)."`
	Token  string `cookie:"holdfast_oidc"`
}

type redirectOutput struct {
	Status   int
	Location string   `header:"Location"`
	Cookies  []string `header:"Set-Cookie"`
}

// local reports whether a path leads to a page of this site, however a browser reads it.
func local(path string) bool {
	u, err := url.Parse(path)
	return err == nil && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "\\\r\n\t") && u.Host == "" && u.Scheme == ""
}

// beginOIDC sends a browser to the provider of its tenant: authorization code with PKCE,
// state and nonce.
func (a *API) beginOIDC(ctx context.Context, in *beginOIDCInput) (*redirectOutput, error) {
	t := id.Tenant(in.Tenant.clean())
	back := in.ReturnTo.clean()
	if back == "" {
		back = "/"
	}
	if !local(back) {
		return nil, inQuery(invalidField("return_to", "is no path of this site, such as /"))
	}
	settings, config, err := a.client(ctx, t)
	if err != nil {
		return nil, err
	}
	e := errand{Tenant: t, Issuer: settings.Issuer, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), ReturnTo: back, Until: a.now().Add(oidcPatience)}
	carried, err := json.Marshal(e)
	if err != nil {
		return nil, fault.E(fault.Internal, "begin a sign-in", err)
	}
	return &redirectOutput{
		Status:   http.StatusFound,
		Location: config.AuthCodeURL(e.State, oauth2.S256ChallengeOption(e.Verifier), oidc.Nonce(e.Nonce)),
		Cookies:  []string{a.errandCookie(a.seals.Close(string(carried), errandUse), int(oidcPatience.Seconds()), in.secure)},
	}, nil
}

// errandCookie goes along when the provider sends the browser back: Lax, not Strict.
func (a *API) errandCookie(value string, maxAge int, secure bool) string {
	c := http.Cookie{Name: oidcCookie, Value: value, Path: oidcCookiePath, MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure || a.config.SecureCookies}
	return c.String()
}

// client is the tenant's provider, and we as its client.
func (a *API) client(ctx context.Context, t id.Tenant) (account.Provider, *oauth2.Config, error) {
	settings, err := a.config.Identities.Provider(ctx, t)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return settings, nil, notFound("no_oidc", "There is no tenant %s whose users sign in by OpenID Connect.", t)
	}
	if err != nil {
		return settings, nil, unavailable("read the sign-in of a tenant", err)
	}
	back := a.redirectURI(t)
	if back == "" {
		return settings, nil, &fault.Error{Kind: fault.Unavailable, Code: "oidc_not_set_up", Sentence: "Sign-in by OpenID Connect needs HOLDFAST_PUBLIC_URL, which the operator has not set."}
	}
	found, err := a.providers.of(ctx, settings.Issuer)
	if err != nil {
		return settings, nil, providerAway(err)
	}
	config := &oauth2.Config{ClientID: settings.ClientID, Endpoint: found.Endpoint(), RedirectURL: back, Scopes: settings.Scopes}
	if settings.Secret != "" {
		config.ClientSecret, err = a.seals.Open(settings.Secret, secretUse(t, settings.Issuer))
		if err != nil {
			return settings, nil, &fault.Error{Kind: fault.Unavailable, Code: "oidc_secret", Err: err,
				Sentence: "The client secret of this tenant's provider can't be read any more: the issuer or the token key changed. Set it again."}
		}
	}
	return settings, config, nil
}

// endOIDC takes somebody in whom the provider sends back.
func (a *API) endOIDC(ctx context.Context, in *endOIDCInput) (*redirectOutput, error) {
	source := sourceOf(in.address)
	if err := a.throttle.shut(ctx, "oidc", source); err != nil {
		return nil, err
	}
	u, back, err := a.returned(ctx, in)
	if err != nil {
		a.metrics.logins.WithLabelValues("refused").Inc()
		if fault.KindOf(err) == fault.Unauthenticated {
			if slow := a.throttle.knock(ctx, "oidc", source); slow != nil {
				return nil, slow
			}
		}
		return nil, err
	}
	begun, err := a.begin(ctx, u, account.ByOIDC, in.Origin)
	if err != nil {
		return nil, err
	}
	a.metrics.logins.WithLabelValues("ok").Inc()
	a.audit.note(person{User: u, address: in.address}, "login", "user:"+string(u.Name), json.RawMessage(`{"method":"oidc"}`), nil)
	return &redirectOutput{Status: http.StatusFound, Location: back, Cookies: []string{begun.Cookie, a.errandCookie("", -1, in.secure)}}, nil
}

// returned is who came back from the provider, and the page to go on to.
func (a *API) returned(ctx context.Context, in *endOIDCInput) (u account.User, back string, err error) {
	e, err := a.errandOf(ctx, in)
	if err != nil {
		return u, "", err
	}
	if refusal := in.Error.clean(); refusal != "" {
		return u, "", refusedByOIDC("oidc_denied", "The sign-in provider of this tenant did not let you in.")
	}
	token, settings, err := a.redeem(ctx, e, in.Code.clean())
	if err != nil {
		return u, "", err
	}
	u, err = a.userOf(ctx, settings, token, in.address)
	return u, e.ReturnTo, err
}

// errandOf is the errand on which this browser left. It ends with it: a code that comes
// a second time is somebody's copy.
func (a *API) errandOf(ctx context.Context, in *endOIDCInput) (errand, error) {
	var e errand
	stale := refusedByOIDC("oidc_state", "This sign-in was not begun in this browser, took too long, or was finished already; begin again.")
	carried, err := a.seals.Open(in.Token, errandUse)
	if err != nil || json.Unmarshal([]byte(carried), &e) != nil {
		return e, stale
	}
	same := subtle.ConstantTimeCompare([]byte(e.State), []byte(in.State.clean())) == 1
	if !same || e.Tenant != id.Tenant(in.Tenant.clean()) || a.now().After(e.Until) || in.Issuer != "" && in.Issuer.clean() != e.Issuer {
		return e, stale
	}
	first, err := a.config.Identities.Once(ctx, e.Tenant, "oidc:"+e.State, e.Until.Add(clockSkew))
	if err != nil {
		return e, unavailable("finish a sign-in", err)
	}
	if !first {
		return e, stale
	}
	return e, nil
}

// redeem turns the code into an ID token and verifies it (OpenID Connect Core 1.0 §3.1.3.7).
func (a *API) redeem(ctx context.Context, e errand, code string) (*oidc.IDToken, account.Provider, error) {
	settings, config, err := a.client(ctx, e.Tenant)
	if err != nil {
		return nil, settings, err
	}
	wrong := refusedByOIDC("oidc_token", "What the sign-in provider of this tenant said of you can't be believed; begin again, or tell your administrator.")
	if settings.Issuer != e.Issuer {
		return nil, settings, wrong // it was changed meanwhile
	}
	ctx = oidc.ClientContext(ctx, a.providers.client)
	tokens, err := config.Exchange(ctx, code, oauth2.VerifierOption(e.Verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
		a.log.Warn("A sign-in provider refused a code.", "tenant", e.Tenant, "status", refused.Response.StatusCode, "code", oneLine(refused.ErrorCode, 64))
		return nil, settings, wrong
	}
	if err != nil {
		return nil, settings, providerAway(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	found, err := a.providers.of(ctx, e.Issuer)
	if err != nil {
		return nil, settings, providerAway(err)
	}
	token, err := found.VerifierContext(ctx, &oidc.Config{ClientID: settings.ClientID, Now: a.now}).Verify(ctx, raw)
	if err == nil {
		err = bound(token, e, settings)
	}
	if err != nil {
		a.log.Warn("A sign-in provider's token was refused.", "tenant", e.Tenant, "err", err)
		return nil, settings, wrong
	}
	return token, settings, nil
}

// bound refuses a token of another errand, or that was given to another client.
func bound(token *oidc.IDToken, e errand, settings account.Provider) error {
	var more struct {
		Party string `json:"azp"`
	}
	switch err := token.Claims(&more); {
	case err != nil:
		return err
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(e.Nonce)) != 1:
		return errors.New("the nonce is of another sign-in")
	case more.Party != "" && more.Party != settings.ClientID, more.Party == "" && len(token.Audience) > 1:
		return errors.New("the token was given to another client")
	case token.Subject == "":
		return errors.New("the token names nobody")
	}
	return nil
}

// userForm is what a user's name can be.
var userForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

// userOf is the user that a provider's subject is. At the first sign-in the claim names
// the user, and both are bound; from then on the subject alone says who it is.
func (a *API) userOf(ctx context.Context, settings account.Provider, token *oidc.IDToken, address string) (account.User, error) {
	subject := account.Subject{Tenant: settings.Tenant, Issuer: token.Issuer, Name: token.Subject}
	name, err := a.config.Identities.Linked(ctx, subject)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		name, err = a.introduce(ctx, settings, subject, token)
	}
	if err != nil {
		a.audit.add(person{User: account.User{Tenant: settings.Tenant, Name: newcomer}, address: address}, "login", "user:"+string(name), err)
		return account.User{}, unavailable("find the user of a subject", err)
	}
	u, err := a.config.Reader.User(ctx, settings.Tenant, name)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return u, unavailable("read account", err)
	}
	if err != nil || u.Disabled {
		err := refusedByOIDC("account_disabled", "This account is no longer in use.")
		a.audit.add(person{User: account.User{Tenant: settings.Tenant, Name: name}, address: address}, "login", "user:"+string(name), err)
		return u, err
	}
	if err := vouched(settings, u); err != nil { // it may more than when it was introduced
		a.audit.add(person{User: account.User{Tenant: settings.Tenant, Name: name}, address: address}, "login", "user:"+string(name), err)
		return u, err
	}
	return u, nil
}

// vouched refuses who may more than those who set the provider.
func vouched(settings account.Provider, u account.User) error {
	if settings.Vouches(u.Permissions) {
		return nil
	}
	return refusedByOIDC("oidc_not_vouched",
		"User %s may do what those who set this sign-in up may not: sign in by your password, and confirm the settings by PUT /v1/oidc, or ask somebody who may as much to.", u.Name)
}

// introduce finds or makes the user that a subject's claim names, and binds them.
func (a *API) introduce(ctx context.Context, settings account.Provider, subject account.Subject, token *oidc.IDToken) (id.User, error) {
	name, display, err := claimed(token, settings.Claim)
	if err != nil {
		return name, err
	}
	u, err := a.config.Reader.User(ctx, settings.Tenant, name)
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil && !settings.NewUsers:
		return name, refusedByOIDC("oidc_unknown_user", "Your provider knows you as %s, but there is no such user here; tell your administrator.", name)
	case fault.KindOf(err) == fault.NotFound && err != nil:
		by := directory.Author{User: account.User{Tenant: settings.Tenant, Name: newcomer, Permissions: account.SystemAdmin.Permissions()}, Source: "OpenID Connect"}
		_, err = a.config.Directory.Create(ctx, by, directory.Change{Kind: directory.User, Name: string(name), Set: map[string]any{"display_name": display, "roles": []string{string(settings.Role)}}})
		if err != nil && fault.KindOf(err) != fault.Conflict { // made by another tab at this moment
			return name, err
		}
	case err != nil:
		return name, err
	default:
		if err := vouched(settings, u); err != nil {
			return name, err
		}
	}
	is, err := a.config.Identities.Link(ctx, subject, name)
	if fault.KindOf(err) == fault.Conflict && err != nil {
		return name, refusedByOIDC("oidc_other_subject", "User %s signed in here as somebody else of your provider before; tell your administrator.", name)
	}
	return is, err
}

// claimed is the user's name by the claim, and the name to show.
func claimed(token *oidc.IDToken, claim string) (name id.User, display string, err error) {
	all := map[string]any{}
	if err := token.Claims(&all); err != nil {
		return "", "", fault.E(fault.Internal, "read an ID token", err)
	}
	text, _ := all[claim].(string)
	shown, _ := all["name"].(string)
	if verified, _ := all["email_verified"].(bool); claim == "email" && !verified {
		return "", "", refusedByOIDC("oidc_claim", "Your provider has not verified your e-mail address, by which you are known here.")
	}
	if !userForm.MatchString(text) {
		return "", "", refusedByOIDC("oidc_claim", "Your provider gives you no name (%s) that a user can have here; tell your administrator.", claim)
	}
	return id.User(text), oneLine(shown, 200), nil
}
