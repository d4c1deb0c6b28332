// Package headers reads and writes SIP header values that carry meaning for a contact center: who calls, why a leg
// ended, the data attached to a call. It also keeps what users and the API supply from breaking out of a header:
// every such value goes through New or Clean.
package headers

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// ErrUnsafe says that a name or value would change the structure of a message.
var ErrUnsafe = errors.New("not allowed in a SIP header")

// MaxValue bounds a supplied header value, in bytes: a UDP request must stay below 1,300.
const MaxValue = 1024

// Clean returns ErrUnsafe for a value with CR, LF, NUL or another control character (tab excepted), with broken
// UTF-8, or longer than MaxValue.
func Clean(value string) error {
	if len(value) > MaxValue {
		return fmt.Errorf("value of %d bytes, at most %d: %w", len(value), MaxValue, ErrUnsafe)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("broken UTF-8: %w", ErrUnsafe)
	}
	for _, r := range value {
		if r < ' ' && r != '\t' || r == 0x7f {
			return fmt.Errorf("control character %U: %w", r, ErrUnsafe)
		}
	}
	return nil
}

// New makes a header of a supplied name and value. ErrUnsafe if the name is no token (RFC 3261 §25.1), is one that
// steers routing or transactions, or if Clean refuses the value.
func New(name, value string) (sip.Header, error) {
	if !isToken(name) || structural[strings.ToLower(name)] {
		return nil, fmt.Errorf("header %q: %w", name, ErrUnsafe)
	}
	if err := Clean(value); err != nil {
		return nil, fmt.Errorf("header %s: %w", name, err)
	}
	return sip.NewHeader(name, value), nil
}

// structural are the headers that only the stack may set.
var structural = map[string]bool{
	"via": true, "v": true, "from": true, "f": true, "to": true, "t": true, "call-id": true, "i": true,
	"cseq": true, "max-forwards": true, "contact": true, "m": true, "route": true, "record-route": true,
	"content-length": true, "l": true, "content-type": true, "c": true, "require": true, "proxy-require": true,
	"authorization": true, "proxy-authorization": true, "www-authenticate": true, "proxy-authenticate": true,
	"supported": true, "k": true, "allow": true, "session-expires": true, "x": true, "min-se": true,
	"replaces": true, "refer-to": true, "r": true, "rack": true, "rseq": true, "event": true, "o": true,
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-.!%*_+`'~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// DisplayName makes a supplied name fit for the quotes of a display name: control characters are dropped, quote and
// backslash escaped, the rest cut at 128 bytes.
func DisplayName(name string) string {
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(name, "") {
		switch {
		case r < ' ' || r == 0x7f:
		case out.Len() > 124:
			return out.String()
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return strings.TrimSpace(out.String())
}

// EchoName makes the display name of a parsed header, escaped or not, fit to be written again.
func EchoName(parsed string) string { return DisplayName(unescape(parsed)) }

// Value is the first value of a header, empty if there is none. Names are compared without case.
func Value(m sip.Message, name string) string {
	for _, h := range m.GetHeaders(name) {
		return strings.TrimSpace(h.Value())
	}
	return ""
}

// List is every element of a comma-separated header, over all its lines, without quotes taken apart.
func List(m sip.Message, name string) []string {
	var out []string
	for _, h := range m.GetHeaders(name) {
		for _, v := range split(h.Value(), ',') {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}

// Has reports whether a list header (Supported, Require, Allow …) names token, without case.
func Has(m sip.Message, name, token string) bool {
	for _, v := range List(m, name) {
		if strings.EqualFold(v, token) {
			return true
		}
	}
	return false
}

// Editable is a request or response whose headers can be removed.
type Editable interface {
	sip.Message
	Headers() []sip.Header
	RemoveHeader(name string) bool
}

// Remove takes out every header of that name, in any case.
func Remove(m Editable, name string) {
	for {
		found := ""
		for _, h := range m.Headers() {
			if strings.EqualFold(h.Name(), name) {
				found = h.Name()
			}
		}
		if found == "" {
			return
		}
		m.RemoveHeader(found)
	}
}

// split cuts s at sep outside of quotes and angle brackets.
func split(s string, sep byte) []string {
	var out []string
	quoted, angle, begin := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == sep && !angle:
			out = append(out, s[begin:i])
			begin = i + 1
		}
	}
	return append(out, s[begin:])
}

// unquote takes the quotes and escapes off a quoted string.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return unescape(s[1 : len(s)-1])
}

func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// params reads ;name=value parameters; names are in lower case, quotes are taken off.
func params(parts []string) map[string]string {
	out := map[string]string{}
	for _, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			out[name] = unquote(value)
		}
	}
	return out
}
