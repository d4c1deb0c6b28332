// Package digest is SIP digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): a Server that challenges phones and
// checks them, and a Client that answers the challenges of trunks. Only qop=auth is used between the two.
package digest

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Algorithm is a hash by its name in the headers.
type Algorithm string

// The two algorithms that phones know. MD5 is there for the many that know nothing better.
const (
	MD5    Algorithm = "MD5"
	SHA256 Algorithm = "SHA-256"
)

// Valid reports an algorithm of this package.
func (a Algorithm) Valid() bool { return a == MD5 || a == SHA256 }

// algorithm reads a header's value; none means MD5.
func algorithm(s string) (Algorithm, bool) {
	switch {
	case s == "" || strings.EqualFold(s, string(MD5)):
		return MD5, true
	case strings.EqualFold(s, string(SHA256)):
		return SHA256, true
	}
	return "", false
}

func (a Algorithm) hash(s string) string {
	if a == SHA256 {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// HA1 is the hash of user, realm and password that a server stores instead of the password.
func HA1(a Algorithm, user, realm, password string) string {
	return a.hash(user + ":" + realm + ":" + password)
}

// response is the digest of RFC 7616 §3.4.1; without qop that of RFC 2069.
func response(a Algorithm, ha1, method string, c credentials) string {
	ha2 := a.hash(method + ":" + c.uri)
	if c.qop == "" {
		return a.hash(ha1 + ":" + c.nonce + ":" + ha2)
	}
	return a.hash(strings.Join([]string{ha1, c.nonce, c.nc, c.cnonce, c.qop, ha2}, ":"))
}

// credentials are an Authorization header.
type credentials struct {
	user, realm, nonce, uri, response, algorithm, cnonce, opaque, qop, nc string
}

// String is the header's value.
func (c credentials) String() string {
	s := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s`,
		quoted(c.user), quoted(c.realm), quoted(c.nonce), c.uri, c.response, c.algorithm)
	if c.opaque != "" {
		s += fmt.Sprintf(`, opaque="%s"`, quoted(c.opaque))
	}
	if c.qop != "" {
		s += fmt.Sprintf(`, qop=%s, cnonce="%s", nc=%s`, c.qop, c.cnonce, c.nc)
	}
	return s
}

func parseCredentials(s string) (credentials, bool) {
	p, ok := parse(s)
	return credentials{
		user: p["username"], realm: p["realm"], nonce: p["nonce"], uri: p["uri"], response: strings.ToLower(p["response"]),
		algorithm: p["algorithm"], cnonce: p["cnonce"], opaque: p["opaque"], qop: p["qop"], nc: p["nc"],
	}, ok && p["username"] != "" && p["nonce"] != "" && p["response"] != ""
}

// maxHeader bounds a header that we parse, in bytes.
const maxHeader = 4096

// parse reads "Digest k=v, k="v"": names in lower case, quotes and escapes taken off; the first of a name counts.
func parse(s string) (map[string]string, bool) {
	s = strings.TrimSpace(s)
	const scheme = "digest "
	if len(s) > maxHeader || len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return nil, false
	}
	s = s[len(scheme):]
	out := map[string]string{}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, false
		}
		value, rest, ok := parseValue(strings.TrimLeft(rest, " \t"))
		if !ok {
			return nil, false
		}
		name = strings.ToLower(strings.Trim(name, " \t,"))
		if _, seen := out[name]; !seen {
			out[name] = value
		}
		s = strings.TrimLeft(rest, " \t,")
	}
	return out, true
}

// parseValue reads a token or a quoted string, and returns what follows it.
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return strings.TrimSpace(s[:end]), s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// quoted escapes a value for a quoted string; line ends are dropped.
func quoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s)
}

func newCnonce() string { return rand.Text()[:16] }
