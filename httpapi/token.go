package httpapi

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// The lives of tokens. An access token is short; a refresh token spans a working day.
const (
	accessLife  = 15 * time.Minute
	refreshLife = 12 * time.Hour
	clockSkew   = 5 * time.Second // between the processes that issue and verify
	issuer      = "holdfast"
	// loginLife is how long a login lives at most, however often it is refreshed: then its
	// user shows again who they are (NIST SP 800-63B §2.1.3).
	loginLife = 30 * 24 * time.Hour
	// refreshGrace is how long a refresh token that was used up is forgiven while the next
	// one was not used: two tabs of one browser refresh at once, or the answer was lost and
	// the client tries again (our own answers take at most requestTimeout).
	refreshGrace = 30 * time.Second
)

// purpose keeps the two kinds of token apart: it is the token's audience (RFC 7519 §4.1.3).
type purpose string

const (
	forAccess  purpose = "access"
	forRefresh purpose = "refresh"
)

// claims is what a token says.
type claims struct {
	jwt.RegisteredClaims
	Tenant id.Tenant `json:"tenant"`
	// Turn is the number of a refresh token among those of its login: one is good at a time.
	Turn int64 `json:"turn,omitempty"`
	// Home is the tenant whose user it is, if it works in another one (SEED-40).
	Home id.Tenant `json:"home,omitempty"`
	// Login names the sign-in that all these tokens go back to (OpenID Connect's sid):
	// logging out ends them all.
	Login string `json:"sid,omitempty"`
}

// login names the sign-in of the token; one from before tokens told it stands alone.
func (c claims) login() string {
	if c.Login == "" {
		return c.ID
	}
	return c.Login
}

// person is whom the token speaks for.
func (c claims) person() personID { return personID{c.Tenant, id.User(c.Subject), c.Home} }

// tokens issues and verifies tokens: JWT signed with Ed25519 (RFC 8037 EdDSA).
type tokens struct {
	key  ed25519.PrivateKey
	kid  string
	keys map[string]ed25519.PublicKey // by kid
	now  func() time.Time
}

// newTokens signs with the first key; the others still verify, so that keys can be rotated.
func newTokens(keys []ed25519.PrivateKey, now func() time.Time) (*tokens, error) {
	if len(keys) == 0 {
		return nil, fault.E(fault.Invalid, "start the API", fmt.Errorf("no key to sign access tokens with"))
	}
	t := &tokens{key: keys[0], keys: map[string]ed25519.PublicKey{}, now: now}
	for i, k := range keys {
		if len(k) != ed25519.PrivateKeySize {
			return nil, fault.E(fault.Invalid, "start the API", fmt.Errorf("token key %d has %d bytes, want %d", i+1, len(k), ed25519.PrivateKeySize))
		}
		public := k.Public().(ed25519.PublicKey)
		t.keys[keyID(public)] = public
	}
	t.kid = keyID(t.key.Public().(ed25519.PublicKey))
	return t, nil
}

func keyID(k ed25519.PublicKey) string {
	sum := sha256.Sum256(k)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// issue signs an access token for u's login.
func (t *tokens) issue(u account.User, login string, life time.Duration) (string, error) {
	return t.sign(u, forAccess, ticket{login: login, expires: t.now().Add(life)})
}

// ticket is what a token says besides whose it is.
type ticket struct {
	login   string
	turn    int64     // of a refresh token: its number; 0: whichever is good
	origin  id.Tenant // whose login it is, where that is not told by the user
	expires time.Time
}

// sign signs a token of purpose p for u.
func (t *tokens) sign(u account.User, p purpose, k ticket) (string, error) {
	now := t.now()
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: string(u.Name), Audience: jwt.ClaimStrings{string(p)}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(k.expires),
		},
		Tenant: u.Tenant,
		Home:   u.Home,
		Login:  k.login,
		Turn:   k.turn,
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["kid"] = t.kid
	signed, err := token.SignedString(t.key)
	return signed, fault.E(fault.Internal, "sign token", err)
}

// verify reads a token of purpose p; fault.Unauthenticated for anything else.
func (t *tokens) verify(token string, p purpose) (claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, t.keyOf,
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(string(p)),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(t.now))
	if err != nil {
		return claims{}, fault.E(fault.Unauthenticated, "verify token", err)
	}
	if c.Subject == "" || c.Tenant == "" {
		return claims{}, fault.E(fault.Unauthenticated, "verify token", fmt.Errorf("token names nobody"))
	}
	return c, nil
}

func (t *tokens) keyOf(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	key, ok := t.keys[kid]
	if !ok {
		return nil, fmt.Errorf("unknown key %q", kid)
	}
	return key, nil
}
