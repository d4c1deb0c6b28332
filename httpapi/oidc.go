package httpapi

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// oidcName is the name of the one provider that a tenant has.
const oidcName = "oidc"

var provider = resource{kind: directory.OIDC, path: "/v1/oidc", plural: "oidc", consult: readProvider, secrets: []string{"client_secret"}}

type oidcView struct {
	Issuer      string   `json:"issuer" example:"https://id.example"`
	ClientID    string   `json:"client_id"`
	SecretSet   bool     `json:"client_secret_set" doc:"Whether there is a client secret. It is never shown."`
	Scopes      []string `json:"scopes"`
	Claim       string   `json:"claim" doc:"Of the ID token: names the user at the first sign-in."`
	CreateUsers bool     `json:"create_users" doc:"Who is not known yet becomes a user."`
	Role        string   `json:"role" doc:"Of users who are created."`
	Passwords   bool     `json:"passwords" doc:"Whether passwords sign in as well."`
	RedirectURI string   `json:"redirect_uri" doc:"What to register at the provider; empty: HOLDFAST_PUBLIC_URL is not set."`
	Stamp
}

// OIDCFields are the settings of a tenant's OpenID Connect provider.
type OIDCFields struct {
	Issuer       line    `json:"issuer" minLength:"1" maxLength:"255" doc:"Its address, exactly as it names itself; https." example:"https://id.example"`
	ClientID     line    `json:"client_id" minLength:"1" maxLength:"255"`
	ClientSecret *string `json:"client_secret,omitempty" maxLength:"512" doc:"Left out: stays, unless the issuer changes. Empty: a client without one (PKCE is always used)."`
	Scopes       *[]line `json:"scopes,omitempty" maxItems:"20" doc:"Besides openid. Default: profile and email."`
	Claim        *line   `json:"claim,omitempty" minLength:"1" maxLength:"64" doc:"Default preferred_username. email needs email_verified."`
	CreateUsers  *bool   `json:"create_users,omitempty" column:"new_users" doc:"Default false."`
	Role         *line   `json:"role,omitempty" maxLength:"64" doc:"Needed for create_users; you can give only what you hold."`
	Passwords    *bool   `json:"passwords,omitempty" doc:"Default true. false: passwords sign in only those who hold sign_in:write."`
}

type setOIDCInput struct {
	Keyed
	Matched
	Body OIDCFields
}

type oidcChangeInput struct {
	Keyed
	Matched
}

func (a *API) registerOIDC() {
	register(a, "get-oidc", func(ctx context.Context, _ *struct{}) (*thingOutput[oidcView], error) {
		return a.shownOIDC(ctx)(a.config.Directory.Thing(ctx, a.author(ctx, "get-oidc", nil), directory.OIDC, oidcName))
	})
	register(a, "set-oidc", func(ctx context.Context, in *setOIDCInput) (*thingOutput[oidcView], error) {
		_, fields := given(reflect.ValueOf(in.Body))
		return a.shownOIDC(ctx)(change(ctx, a, provider, asked{"set-oidc", oidcName, fields, in.version()}, a.config.Identities.SetOIDC))
	})
	register(a, "delete-oidc", func(ctx context.Context, in *oidcChangeInput) (*struct{}, error) {
		_, err := change(ctx, a, provider, asked{"delete-oidc", oidcName, nil, in.version()},
			func(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
				return directory.Thing{}, a.config.Directory.Delete(ctx, by, c)
			})
		return &struct{}{}, withView[oidcView](err)
	})
	register(a, "begin-oidc", a.beginOIDC)
	register(a, "end-oidc", a.endOIDC)
}

func (a *API) shownOIDC(ctx context.Context) func(directory.Thing, error) (*thingOutput[oidcView], error) {
	return func(t directory.Thing, err error) (*thingOutput[oidcView], error) {
		out, err := shown[oidcView](t, err)
		if err == nil {
			out.Body.RedirectURI = a.redirectURI(personOf(ctx).Tenant)
		}
		return out, err
	}
}

// redirectURI is where a provider sends people back to; empty: nobody said where we are.
func (a *API) redirectURI(t id.Tenant) string {
	if a.config.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(a.config.PublicURL, "/") + "/v1/auth/oidc/" + url.PathEscape(string(t)) + "/callback"
}

// readProvider checks the settings of a provider and seals its secret, for that issuer:
// who changes the issuer must know the secret, and can't have it sent elsewhere.
func readProvider(ctx context.Context, a *API, _ string, set map[string]any) error {
	issuer, given := set["issuer"].(string)
	if !given {
		return nil // it is deleted
	}
	if err := a.checkIssuer(issuer); err != nil {
		return err
	}
	if secret, given := set["client_secret"].(string); given && secret != "" {
		set["client_secret"] = a.seals.Close(secret, secretUse(personOf(ctx).Tenant, issuer))
	}
	if scopes, given := set["scopes"].([]string); given {
		set["scopes"] = append([]string{"openid"}, slices.DeleteFunc(scopes, func(s string) bool { return s == "openid" || strings.ContainsAny(s, " \"\\") })...)
	}
	return nil
}

func secretUse(t id.Tenant, issuer string) string { return account.ClientSecretUse(t, issuer) }

// checkIssuer refuses what can be no issuer (OpenID Connect Discovery 1.0 §3).
func (a *API) checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.ForceQuery {
		return invalidField("issuer", "is not an https address without query, such as https://id.example")
	}
	if err := a.config.Providers.CheckURL(issuer); err != nil {
		return invalidField("issuer", "%s", err)
	}
	return nil
}

// Identities knows by which provider a tenant's users sign in, and who is who there; *db.DB
// satisfies it.
type Identities interface {
	// Provider reads how a tenant's users sign in; fault.NotFound: by passwords only, or
	// there is no such tenant.
	Provider(ctx context.Context, t id.Tenant) (account.Provider, error)
	// SetOIDC makes or changes the provider of the author's tenant.
	SetOIDC(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error)
	// Linked is the user that a subject is; fault.NotFound: it never signed in.
	Linked(ctx context.Context, s account.Subject) (id.User, error)
	// Link binds a subject to a user; fault.Conflict: the user is another subject's.
	Link(ctx context.Context, s account.Subject, to id.User) (id.User, error)
	// Once reports whether this is the first use of something, over all processes.
	Once(ctx context.Context, t id.Tenant, what string, expires time.Time) (bool, error)
}

// providerAway is the answer while a provider can't be asked.
func providerAway(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "sign in by OpenID Connect", Code: "oidc_away", Err: err,
		Sentence: "The sign-in provider of this tenant does not answer, or not as it should; try again in a moment, or tell your administrator."}
}

// refusedByOIDC is a refusal of a sign-in by OpenID Connect.
func refusedByOIDC(code, sentence string, args ...any) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: code, Sentence: fmt.Sprintf(sentence, args...)}
}
