package digest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

var (
	// ErrRejected says that the peer refused the credentials: to try again is no use.
	ErrRejected = errors.New("the credentials were refused")
	// ErrUnsupported says that no challenge is of a kind that we can answer.
	ErrUnsupported = errors.New("no digest challenge that can be answered")
)

// Client answers challenges for one account. It keeps the nonce, so that requests after the first go without another
// round trip. Safe for concurrent use.
type Client struct {
	user string
	ha1  func(a Algorithm, realm string) string // empty: not known

	mu   sync.Mutex
	last *challenge // WWW- or Proxy-Authenticate as learned last
	nc   uint32
}

type challenge struct {
	realm, nonce, opaque string
	algorithm            Algorithm
	qop                  bool
	stale                bool
	proxy                bool
}

// NewClient is a client for an account.
func NewClient(user, password string) *Client {
	return &Client{user: user, ha1: func(a Algorithm, realm string) string { return HA1(a, user, realm, password) }}
}

// NewHashed is a client for an account of which only the hashes for one realm are known (see HA1); one that is empty is
// not used.
func NewHashed(user, realm, md5Hex, sha256Hex string) *Client {
	return &Client{user: user, ha1: func(a Algorithm, r string) string {
		switch {
		case r != realm:
			return ""
		case a == SHA256:
			return sha256Hex
		}
		return md5Hex
	}}
}

// Learn takes the challenge of a 401 or 407 to req. After it, Sign makes a new attempt. ErrRejected if req carried
// credentials for that realm already and the nonce was not merely stale; ErrUnsupported if none of the challenges is
// Digest with MD5 or SHA-256 and without or with qop=auth, for a realm of the account. Of several the topmost is taken
// (RFC 8760 §2.6).
func (c *Client) Learn(req *sip.Request, res *sip.Response) error {
	ch, err := c.firstChallenge(res)
	if err != nil {
		return err
	}
	if !ch.stale && answered(req, ch) {
		return fmt.Errorf("%s for realm %q: %w", c.user, ch.realm, ErrRejected)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.nc = &ch, 0
	return nil
}

// Sign puts credentials on a request for the challenge learned last, in place of older ones. False if none was learned:
// the request then goes without.
func (c *Client) Sign(req *sip.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return false
	}
	ch := c.last
	cred := credentials{
		user: c.user, realm: ch.realm, nonce: ch.nonce, uri: req.Recipient.String(), algorithm: string(ch.algorithm),
		opaque: ch.opaque,
	}
	if ch.qop {
		c.nc++
		cred.qop, cred.cnonce, cred.nc = "auth", newCnonce(), fmt.Sprintf("%08x", c.nc)
	}
	cred.response = response(ch.algorithm, c.ha1(ch.algorithm, ch.realm), string(req.Method), cred)
	for req.RemoveHeader(ch.answerName()) {
		continue
	}
	req.AppendHeader(sip.NewHeader(ch.answerName(), cred.String()))
	return true
}

// Forget drops the nonce, for a new connection or account.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = nil
}

func (ch *challenge) answerName() string {
	if ch.proxy {
		return "Proxy-Authorization"
	}
	return "Authorization"
}

func (c *Client) firstChallenge(res *sip.Response) (challenge, error) {
	name := "WWW-Authenticate"
	if res.StatusCode == sip.StatusProxyAuthRequired {
		name = "Proxy-Authenticate"
	}
	var realms []string
	for _, h := range res.GetHeaders(name) {
		p, ok := parse(h.Value())
		alg, known := algorithm(p["algorithm"])
		if !ok || !known || p["nonce"] == "" {
			continue
		}
		ch := challenge{
			realm: p["realm"], nonce: p["nonce"], opaque: p["opaque"], algorithm: alg,
			stale: strings.EqualFold(p["stale"], "true"), proxy: name == "Proxy-Authenticate",
		}
		offered := strings.FieldsFunc(strings.ToLower(p["qop"]), func(r rune) bool { return r == ',' || r == ' ' })
		ch.qop = slices.Contains(offered, "auth")
		if len(offered) > 0 && !ch.qop {
			continue // auth-int only
		}
		if c.ha1(ch.algorithm, ch.realm) == "" {
			realms = append(realms, fmt.Sprintf("%s of realm %q", ch.algorithm, ch.realm))
			continue
		}
		return ch, nil
	}
	if len(realms) > 0 {
		return challenge{}, fmt.Errorf("%s is asked for: %w", strings.Join(realms, ", "), ErrUnsupported)
	}
	return challenge{}, ErrUnsupported
}

// answered reports that the request carried credentials for the challenge's realm.
func answered(req *sip.Request, ch challenge) bool {
	for _, h := range req.GetHeaders(ch.answerName()) {
		if cred, ok := parseCredentials(h.Value()); ok && cred.realm == ch.realm {
			return true
		}
	}
	return false
}
