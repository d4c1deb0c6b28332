// Package idptest is an OpenID Connect provider for tests: it discovers, authorizes,
// checks PKCE and gives tokens that are really signed, over HTTP on loopback. Discovery,
// keys and signatures are go-oidc's own; a test can make it lie in each way.
package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/stretchr/testify/require"
)

// The client that the provider knows.
const (
	ClientID     = "holdfast"
	ClientSecret = "the client's secret"
)

// Provider is one OpenID Connect provider.
type Provider struct {
	URL string

	t      testing.TB
	server *httptest.Server
	mu     sync.Mutex
	docs   *oidctest.Server
	keys   map[string]*ecdsa.PrivateKey
	kid    string
	codes  map[string]grant
	change func(claims map[string]any)
	fail   int
	asked  int
}

// grant is what a code stands for.
type grant struct {
	claims    map[string]any
	challenge string
	redirect  string
}

// New starts a provider; it ends with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{t: t, docs: &oidctest.Server{Algorithms: []string{oidc.ES256}}, keys: map[string]*ecdsa.PrivateKey{}, codes: map[string]grant{}}
	p.Rotate("one")
	p.server = httptest.NewServer(p)
	p.URL = p.server.URL
	p.docs.SetIssuer(p.URL)
	t.Cleanup(p.server.Close)
	return p
}

// Rotate signs with a new key from now on, and forgets the ones before.
func (p *Provider) Rotate(kid string) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kid, p.keys[kid] = kid, key
	p.docs.PublicKeys = []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: kid, Algorithm: oidc.ES256}}
}

// Sign signs with the key of that name, whatever is published.
func (p *Provider) Sign(kid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kid = kid
}

// Lie changes the claims of the tokens that follow; nil: the truth.
func (p *Provider) Lie(change func(claims map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// Fail answers everything with a status; 0: as it should.
func (p *Provider) Fail(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = status
}

// Asked is how many codes were redeemed, or tried to be.
func (p *Provider) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Login is what somebody does at the provider: it takes the address to which they were
// sent, and returns the one to which they are sent back.
func (p *Provider) Login(location string, claims map[string]any) string {
	p.t.Helper()
	u, err := url.Parse(location)
	require.NoError(p.t, err)
	q := u.Query()
	require.Equal(p.t, p.URL+"/auth", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(p.t, "code", q.Get("response_type"))
	require.Equal(p.t, ClientID, q.Get("client_id"))
	require.Equal(p.t, "S256", q.Get("code_challenge_method"))
	require.Contains(p.t, q.Get("scope"), "openid")
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		require.GreaterOrEqual(p.t, len(q.Get(name)), 26, name)
	}
	now := time.Now()
	all := map[string]any{"iss": p.URL, "aud": ClientID, "nonce": q.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(all, claims)
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = grant{all, q.Get("code_challenge"), q.Get("redirect_uri")}
	back, err := url.Parse(q.Get("redirect_uri"))
	require.NoError(p.t, err)
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}, "session_state": {"the provider's own"}}.Encode()
	return back.String()
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.fail != 0:
		http.Error(w, "away", p.fail)
	case r.URL.Path == "/token":
		p.token(w, r)
	default:
		p.docs.ServeHTTP(w, r)
	}
}

// token redeems a code, once (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.asked++
	user, password, _ := r.BasicAuth()
	user, _ = url.QueryUnescape(user)
	password, _ = url.QueryUnescape(password)
	g, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	w.Header().Set("Content-Type", "application/json")
	if user != ClientID || password != ClientSecret || !known || g.redirect != r.PostFormValue("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`)) // a test that left
		return
	}
	claims := maps.Clone(g.claims)
	if p.change != nil {
		p.change(claims)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // a test that left
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": oidctest.SignIDToken(p.keys[p.kid], p.kid, oidc.ES256, string(body)),
	})
}
