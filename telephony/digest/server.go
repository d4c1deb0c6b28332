package digest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Credentials finds the stored hashes of a user; ok is false for one that does not exist. A hash may be empty if only
// the other is stored. It may block.
type Credentials interface {
	Credentials(ctx context.Context, user, realm string) (ha1MD5, ha1SHA256 string, ok bool, err error)
}

// Config configures a Server.
type Config struct {
	// Store finds users. Required.
	Store Credentials
	// Key signs nonces, 16 bytes at least; the same on all nodes that one phone may talk to. Required.
	Key []byte
	// Algorithms are offered in this order, one challenge each. Default SHA-256, MD5 (RFC 8760); a tenant with
	// phones that choke on two challenges takes MD5 alone.
	Algorithms []Algorithm
	// NonceLife is how long a nonce is accepted before stale=true. Default 5 min.
	NonceLife time.Duration
	// Nonces bounds the nonces whose counters are remembered. Default 100,000.
	Nonces int
	// Bans says when failures lead to a ban.
	Bans BanPolicy
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Server challenges and checks. Safe for concurrent use.
type Server struct {
	conf   Config
	nonces nonceTable
	bans   banTable
}

// NewServer checks the configuration.
func NewServer(c Config) (*Server, error) {
	if c.Store == nil || len(c.Key) < 16 {
		return nil, errors.New("new digest server: want a Store and a Key of 16 bytes at least")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []Algorithm{SHA256, MD5}
	}
	for _, a := range c.Algorithms {
		if !a.Valid() {
			return nil, fmt.Errorf("new digest server: unknown algorithm %q", a)
		}
	}
	if c.NonceLife <= 0 {
		c.NonceLife = 5 * time.Minute
	}
	if c.Nonces <= 0 {
		c.Nonces = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{conf: c}
	s.nonces = nonceTable{life: c.NonceLife, limit: c.Nonces}
	s.bans = banTable{policy: c.Bans.orDefault()}
	return s, nil
}

// Result is what a check found.
type Result struct {
	// OK says that the request is from User.
	OK   bool
	User string
	// Banned says that this address (with this user) failed too often: do not answer, or 403. Until is the ban's end.
	Banned bool
	Until  time.Time
	// Challenge are the WWW-Authenticate headers for the 401, when neither OK nor Banned. They are alike for wrong
	// passwords and unknown users.
	Challenge []sip.Header
	// Tried says that credentials were given: a failure worth a line in the log.
	Tried bool
	// Wrong says that the password was wrong, or the user unknown; not that a nonce was old.
	Wrong bool
}

// Check authenticates a request for a realm. The work and the outcome are the same for unknown users. It returns an error
// only if the store fails; the answer then is 500, and no failure is counted.
//
// Failures count only with a nonce that was given to this very address, so that nobody can have another one banned by
// forged packets.
func (s *Server) Check(ctx context.Context, req *sip.Request, realm string, source netip.Addr) (Result, error) {
	now := s.conf.Now()
	cred, given := find(req, realm)
	if !given {
		if until, banned := s.bans.banned(source, "", now); banned {
			return Result{Banned: true, Until: until}, nil
		}
		return Result{Challenge: s.challenge(realm, source, false, now)}, nil
	}
	who := cred.user + "@" + strings.ToLower(realm)
	if until, banned := s.bans.banned(source, who, now); banned {
		return Result{Banned: true, Until: until, Tried: true, User: cred.user}, nil
	}
	refused := Result{Tried: true, User: cred.user}
	ours, fresh := s.checkNonce(cred.nonce, realm, source, now)
	if !ours { // not looked at: whether the password was right must not show
		refused.Challenge = s.challenge(realm, source, true, now)
		return refused, nil
	}
	right, err := s.verify(ctx, req, cred, realm)
	if err != nil {
		return Result{}, fmt.Errorf("check credentials: %w", err)
	}
	switch {
	case !right:
		s.bans.failed(source, who, now)
		refused.Wrong = true
		refused.Challenge = s.challenge(realm, source, false, now)
	case !fresh || !s.nonces.use(cred, now):
		refused.Challenge = s.challenge(realm, source, true, now)
	default:
		s.bans.succeeded(source, who)
		return Result{OK: true, User: cred.user, Tried: true}, nil
	}
	return refused, nil
}

// Challenge are the headers of a 401 without a check, e.g. for a request that is not worth one.
func (s *Server) Challenge(realm string, source netip.Addr) []sip.Header {
	return s.challenge(realm, source, false, s.conf.Now())
}

func (s *Server) challenge(realm string, source netip.Addr, stale bool, now time.Time) []sip.Header {
	nonce := s.nonce(realm, source, now)
	var out []sip.Header
	for _, a := range s.conf.Algorithms {
		v := fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=%s, qop="auth"`, quoted(realm), nonce, a)
		if stale {
			v += ", stale=true"
		}
		out = append(out, sip.NewHeader("WWW-Authenticate", v))
	}
	return out
}

// find picks the credentials for the realm.
func find(req *sip.Request, realm string) (credentials, bool) {
	for _, h := range req.GetHeaders("Authorization") {
		if c, ok := parseCredentials(h.Value()); ok && strings.EqualFold(c.realm, realm) {
			return c, true
		}
	}
	return credentials{}, false
}

// verify reports whether the response is right; it does all the work in any case.
func (s *Server) verify(ctx context.Context, req *sip.Request, c credentials, realm string) (bool, error) {
	ha1MD5, ha1SHA256, exists, err := s.conf.Store.Credentials(ctx, c.user, realm)
	if err != nil {
		return false, err
	}
	alg, known := algorithm(c.algorithm)
	known = known && slices.Contains(s.conf.Algorithms, alg)
	ha1 := ha1MD5
	if alg == SHA256 {
		ha1 = ha1SHA256
	}
	if !exists || ha1 == "" {
		ha1, exists = s.fakeHA1(alg, c.user, realm), false
	}
	want := response(alg, strings.ToLower(ha1), string(req.Method), c)
	equal := subtle.ConstantTimeCompare([]byte(want), []byte(c.response)) == 1
	return equal && exists && known && c.qop == "auth" && sameTarget(c.uri, req), nil
}

// fakeHA1 stands for users that do not exist.
func (s *Server) fakeHA1(a Algorithm, user, realm string) string {
	return a.hash(string(s.conf.Key) + user + realm)
}

// sameTarget compares the digest's URI with the Request-URI, loosely: proxies and phones rewrite all but the user, and some
// (sipp) name the server alone.
func sameTarget(uri string, req *sip.Request) bool {
	var u sip.Uri
	if sip.ParseUri(uri, &u) != nil {
		return false
	}
	return u.User == req.Recipient.User || u.User == ""
}

// A nonce is base64url(seconds, 8 bytes big endian · 8 random bytes · HMAC-SHA256 over them, realm and address, 16 bytes).
const nonceBytes = 8 + 8 + 16

func (s *Server) nonce(realm string, source netip.Addr, now time.Time) string {
	b := make([]byte, 16, nonceBytes)
	binary.BigEndian.PutUint64(b, uint64(now.Unix()))
	_, _ = rand.Read(b[8:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(b, s.sign(b, realm, source)...))
}

func (s *Server) sign(b []byte, realm string, source netip.Addr) []byte {
	m := hmac.New(sha256.New, s.conf.Key)
	m.Write(b)
	m.Write([]byte(strings.ToLower(realm) + "|" + source.Unmap().String()))
	return m.Sum(nil)[:16]
}

// checkNonce reports whether we gave this nonce to this address, and whether it is still young.
func (s *Server) checkNonce(nonce, realm string, source netip.Addr, now time.Time) (ours, fresh bool) {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != nonceBytes || !hmac.Equal(b[16:], s.sign(b[:16], realm, source)) {
		return false, false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return true, age >= -time.Minute && age <= s.conf.NonceLife // the clocks of nodes differ a little
}

// parseNC reads the nonce count, hexadecimal; 0 is invalid.
func parseNC(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 16, 32)
	return n, err == nil && n > 0
}
