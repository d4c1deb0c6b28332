package httpapi

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/seal"
	"holdfast/fence"
	"holdfast/httpapi/idptest"
)

const oidcPath = "/v1/auth/oidc/" + string(tenant)

// loopback lets providers and receivers of tests be called.
var loopback = fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// visit is a browser on its way through a sign-in.
type visit struct {
	*house
	idp *idptest.Provider
	log *bytes.Buffer
	now time.Time
	mu  sync.Mutex
}

func newVisit(t *testing.T) *visit {
	t.Helper()
	v := &visit{idp: idptest.New(t), log: &bytes.Buffer{}, now: time.Now()}
	v.house = newHouse(t, func(c *Config) {
		c.PublicURL, c.Providers, c.Log = "https://calls.example", loopback, slog.New(slog.NewTextHandler(v.log, nil))
		c.Now = func() time.Time {
			v.mu.Lock()
			defer v.mu.Unlock()
			return v.now
		}
	})
	v.logins.provider = &account.Provider{Tenant: tenant, Issuer: v.idp.URL, ClientID: idptest.ClientID, Scopes: []string{"openid", "profile"}, Claim: "preferred_username", Vouched: account.ITAdmin.Permissions(),
		Secret: v.api.seals.Close(idptest.ClientSecret, secretUse(tenant, v.idp.URL))}
	return v
}

func (v *visit) wait(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// leave begins a sign-in: the address of the provider, and the cookie.
func (v *visit) leave() (location, cookie string) {
	v.t.Helper()
	a := v.ask("", "GET", oidcPath+"?return_to=/desk?tab=1", "")
	require.Equal(v.t, http.StatusFound, a.Code, a.Body)
	c := a.Result().Cookies()[0]
	require.True(v.t, c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/v1/auth/oidc" && c.MaxAge == 600, c)
	return a.Header().Get("Location"), c.Name + "=" + c.Value
}

// back comes back from the provider.
func (v *visit) back(location, cookie string) answer {
	v.t.Helper()
	u, err := url.Parse(location)
	require.NoError(v.t, err)
	require.Equal(v.t, "calls.example", u.Host)
	return v.ask("", "GET", u.RequestURI(), "", "Cookie", cookie)
}

// signIn goes all the way.
func (v *visit) signIn(subject, name string) answer {
	v.t.Helper()
	location, cookie := v.leave()
	return v.back(v.idp.Login(location, map[string]any{"sub": subject, "preferred_username": name, "name": "Anna\x1b Alt"}), cookie)
}

func (v *visit) refused(a answer, code string) {
	v.t.Helper()
	require.Equal(v.t, code, a.body["code"], a.Body)
	require.Empty(v.t, a.Result().Cookies())
}

// OpenID Connect Core 1.0 §3.1 with PKCE: who comes back from the tenant's provider is
// signed in, and goes on by the refresh cookie.
func TestOIDC_SignsInWhoComesBack(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	a := v.signIn("s-1", "1001")
	require.Equal(t, http.StatusFound, a.Code, a.Body)
	require.Equal(t, "/desk?tab=1", a.Header().Get("Location"))
	cookies := a.Result().Cookies()
	require.Len(t, cookies, 2)
	require.Equal(t, refreshCookie, cookies[0].Name)
	require.Equal(t, http.SameSiteStrictMode, cookies[0].SameSite)
	require.Negative(t, cookies[1].MaxAge, "the errand is over")
	tokens := v.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookies[0].Name+"="+cookies[0].Value)
	require.Equal(t, http.StatusOK, tokens.Code, tokens.Body)
	require.Equal(t, "1001", tokens.body["user"])
	for _, l := range v.logins.known {
		require.Equal(t, account.ByOIDC, l.Method)
	}
	v.signIn("s-1", "another name")
	require.Len(t, v.logins.links, 1, "from then on the subject says who it is")
	v.refused(v.signIn("s-2", "1001"), "oidc_other_subject")
	v.refused(v.signIn("s-3", "nobody"), "oidc_unknown_user")
	v.refused(v.signIn("s-4", "a b"), "oidc_claim")
	v.refused(v.signIn("s-5", "gone"), "account_disabled")
	for _, secret := range []string{idptest.ClientSecret, "id_token", "eyJ", "code="} {
		require.NotContains(t, v.log.String(), secret)
	}
	require.Empty(t, v.things.changes)
}

// Unknown users become users with the role of the settings, if these say so.
func TestOIDC_CreatesUsers_IfTheTenantSaysSo(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.logins.provider.NewUsers, v.logins.provider.Role = true, account.Regular
	v.signIn("s-1", "anna")
	require.Len(t, v.things.changes, 1)
	require.Equal(t, "anna", v.things.changes[0].Name)
	require.Equal(t, map[string]any{"display_name": "Anna Alt", "roles": []string{"regular_agent"}}, v.things.changes[0].Set)
	require.Equal(t, newcomer, v.things.authors[0].Name)
}

// Whoever sets a provider could name themselves anybody by it: it lets in nobody who may
// more than they, neither at the first sign-in nor when somebody became more powerful.
func TestOIDC_LetsInNobodyWhoMayMoreThanThoseWhoSetIt(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.refused(v.signIn("s-1", "admin"), "oidc_not_vouched")
	require.Empty(t, v.logins.links, "and is not bound")
	v.refused(v.signIn("s-1", "supervisor"), "oidc_not_vouched")
	v.logins.provider.Vouched = append(v.logins.provider.Vouched, account.BusinessAdmin.Permissions()...)
	require.Equal(t, http.StatusFound, v.signIn("s-1", "admin").Code)
	v.logins.provider.Vouched = nil
	v.refused(v.signIn("s-1", "admin"), "oidc_not_vouched")
	require.Equal(t, http.StatusFound, v.signIn("s-2", "1001").Code, "who may act for itself only is let in by any")
}

// Each way in which a token, a code or a browser can be another's is refused.
func TestOIDC_RefusesWhatIsNotOfThisSignIn(t *testing.T) {
	t.Parallel()
	good := map[string]any{"sub": "s-1", "preferred_username": "1001"}
	lie := func(name string, value any) func(*visit) {
		return func(v *visit) { v.idp.Lie(func(c map[string]any) { c[name] = value }) }
	}
	for name, c := range map[string]struct {
		before func(v *visit)
		code   string
	}{
		"wrong nonce":            {lie("nonce", "another"), "oidc_token"},
		"no nonce":               {lie("nonce", ""), "oidc_token"},
		"wrong audience":         {lie("aud", "another"), "oidc_token"},
		"several audiences":      {lie("aud", []string{idptest.ClientID, "another"}), "oidc_token"},
		"another party's":        {lie("azp", "another"), "oidc_token"},
		"expired":                {lie("exp", time.Now().Add(-time.Minute).Unix()), "oidc_token"},
		"wrong issuer":           {lie("iss", "https://evil.example"), "oidc_token"},
		"no subject":             {lie("sub", ""), "oidc_token"},
		"withdrawn key":          {func(v *visit) { v.idp.Rotate("two"); v.idp.Sign("one") }, "oidc_token"},
		"e-mail not verified":    {func(v *visit) { v.logins.provider.Claim = "email"; lie("email", "1001@x.example")(v) }, "oidc_claim"},
		"claim is no text":       {lie("preferred_username", 1001), "oidc_claim"},
		"issuer changed":         {func(v *visit) { v.logins.provider.Issuer = v.idp.URL + "/" }, "oidc_away"},
		"provider does not know": {func(v *visit) { v.idp.Fail(http.StatusBadRequest) }, "oidc_token"},
		"provider is away":       {func(v *visit) { v.idp.Fail(http.StatusBadGateway) }, "oidc_away"},
		"too slow":               {func(v *visit) { v.wait(oidcPatience + time.Second) }, "oidc_state"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisit(t)
			location, cookie := v.leave()
			back := v.idp.Login(location, good)
			c.before(v)
			v.refused(v.back(back, cookie), c.code)
			require.Empty(t, v.logins.known, "nobody is in")
		})
	}
}

// State: only the browser that left comes back, once; another's code and errand are of no
// use (RFC 9700 §4.7).
func TestOIDC_TheErrandIsTheBrowsersAndEndsWithIt(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	mine, cookie := v.leave()
	other, _ := v.leave()
	good := map[string]any{"sub": "s-1", "preferred_username": "1001"}
	theirs := v.idp.Login(other, good)
	v.refused(v.back(theirs, ""), "oidc_state")
	v.refused(v.back(theirs, cookie), "oidc_state")
	v.refused(v.back(theirs, "holdfast_oidc=forged"), "oidc_state")
	v.refused(v.back(v.idp.Login(mine, good)+"&iss=https%3A%2F%2Fevil.example", cookie), "oidc_state")
	require.Zero(t, v.idp.Asked(), "no code was shown to the provider")
	back := v.idp.Login(mine, good)
	require.Equal(t, http.StatusFound, v.back(back, cookie).Code)
	v.refused(v.back(back, cookie), "oidc_state")
	require.Equal(t, 1, v.idp.Asked(), "a state that comes again is no use")
	third, cookie := v.leave()
	v.refused(v.back(strings.Replace(v.idp.Login(third, good), "code=", "error=access_denied&code=", 1), cookie), "oidc_denied")
	for range knockPace.free {
		v.back(theirs, "")
	}
	a := v.back(theirs, "")
	require.Equal(t, http.StatusTooManyRequests, a.Code)
	require.NotEmpty(t, a.Header().Get("Retry-After"))
}

// A provider's new key is read as soon as a token names it.
func TestOIDC_TheProvidersKeysRotate(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	require.Equal(t, http.StatusFound, v.signIn("s-1", "1001").Code)
	v.idp.Rotate("two")
	require.Equal(t, http.StatusFound, v.signIn("s-1", "1001").Code)
}

// A provider that is away is not asked by each who comes, and is asked again soon.
func TestOIDC_ProviderAway_IsSaidClearly_AndTriedAgain(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.idp.Fail(http.StatusServiceUnavailable)
	a := v.ask("", "GET", oidcPath, "")
	require.Equal(t, http.StatusServiceUnavailable, a.Code)
	require.Equal(t, "oidc_away", a.body["code"])
	require.NotContains(t, a.Body.String(), "127.0.0.1")
	v.idp.Fail(0)
	require.Equal(t, "oidc_away", v.ask("", "GET", oidcPath, "").body["code"])
	v.wait(discoveryPause + time.Second)
	require.Equal(t, http.StatusFound, v.ask("", "GET", oidcPath, "").Code)
}

// One comes back to pages of this site only.
func TestOIDC_NoOpenRedirect(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	for _, bad := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "evil", "javascript:alert(1)", "/\tx", `\\evil.example`, "/%0d%0aSet-Cookie:x=y\r\n"} {
		a := v.ask("", "GET", oidcPath+"?return_to="+url.QueryEscape(bad), "")
		require.Equal(t, http.StatusUnprocessableEntity, a.Code, bad)
		require.Contains(t, a.fields(), "query:return_to", bad)
	}
	require.Equal(t, http.StatusNotFound, v.ask("", "GET", "/v1/auth/oidc/other.example", "").Code)
	v.logins.provider = nil
	require.Equal(t, "no_oidc", v.ask("", "GET", oidcPath, "").body["code"])
}

// A provider at a private address is not asked unless the operator allows it.
func TestOIDC_PrivateAddressesAreNotAsked(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.api.providers = newProviders(fence.Fence{}, v.api.now)
	require.Equal(t, "oidc_away", v.ask("", "GET", oidcPath, "").body["code"])
	require.Contains(t, v.log.String(), "no public address", "the operator is told why")
	h := newHouse(t)
	for _, bad := range []string{"http://id.example", "https://u:p@id.example", "https://id.example?x=1", "https://id.example?", "https://id.example#x", "id.example", "https://", "https://127.0.0.1", "https://169.254.169.254", "https://[64:ff9b::7f00:1]", "https://localhost:8080"} {
		require.Contains(t, h.ask("admin", "PUT", "/v1/oidc", `{"issuer":"`+bad+`","client_id":"x"}`).fields(), "body:issuer", bad)
	}
}

// The client secret is sealed for its issuer, and never shown.
func TestOIDC_TheSecretIsSealedForItsIssuer(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	a := v.ask("admin", "PUT", "/v1/oidc", `{"issuer":"https://id.example","client_id":"x","client_secret":"hunter2","scopes":["email","openid"]}`)
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Equal(t, "https://calls.example/v1/auth/oidc/demo.localhost/callback", a.body["redirect_uri"])
	set := v.logins.settings[0].Set
	require.Equal(t, []string{"openid", "email"}, set["scopes"])
	sealed := set["client_secret"].(string)
	require.NotContains(t, a.Body.String()+v.log.String()+sealed, "hunter2")
	secret, err := v.api.seals.Open(sealed, secretUse(tenant, "https://id.example"))
	require.NoError(t, err)
	require.Equal(t, "hunter2", secret)
	for _, use := range []string{secretUse(tenant, "https://evil.example"), secretUse("other.example", "https://id.example"), errandUse} {
		_, err = v.api.seals.Open(sealed, use)
		require.ErrorIs(t, err, seal.ErrSealed, use)
	}
	v.logins.provider.Secret = "broken"
	require.Equal(t, "oidc_secret", v.ask("", "GET", oidcPath, "").body["code"])
	v.api.config.PublicURL = ""
	require.Equal(t, "oidc_not_set_up", v.ask("", "GET", oidcPath, "").body["code"])
}
