package transaction

import (
	"errors"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// refusal is a reason to answer a request statelessly.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return r.reason }

// refusalOf is the response for an error of parse or check.
func refusalOf(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, sip.ErrMessageTooLarge):
		return &refusal{sip.StatusMessageTooLarge, ""}
	case errors.Is(err, sip.ErrParseReadBodyIncomplete):
		return &refusal{sip.StatusBadRequest, "Bad Content-Length"}
	}
	return &refusal{sip.StatusBadRequest, ""}
}

func bad(reason string) *refusal { return &refusal{sip.StatusBadRequest, reason} }

// compact maps the one-letter names that sipgo leaves as they are to the full ones (IANA SIP parameters).
var compact = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "d": "Request-Disposition", "e": "Content-Encoding",
	"j": "Reject-Contact", "k": "Supported", "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject",
	"u": "Allow-Events", "x": "Session-Expires", "y": "Identity",
}

// expandCompact gives generic headers with a compact name their full name, so that users look for one name only.
func expandCompact(m sip.Message) {
	var list []sip.Header
	switch m := m.(type) {
	case *sip.Request:
		list = m.Headers()
	case *sip.Response:
		list = m.Headers()
	}
	for i, h := range list {
		if len(h.Name()) != 1 {
			continue
		}
		if full, ok := compact[strings.ToLower(h.Name())]; ok {
			list[i] = sip.NewHeader(full, h.Value())
		}
	}
}

// single are the headers that may stand only once (RFC 3261 §7.3.1 and table 2).
var single = []string{"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"}

// check refuses a message that the layers above could misread. It returns a *refusal.
func check(m sip.Message) error {
	for _, name := range single {
		if len(m.GetHeaders(name)) > 1 {
			return bad("Repeated " + name)
		}
	}
	switch {
	case m.Via() == nil || m.Via().Host == "" || m.Via().Transport == "":
		return bad("Missing or Bad Via")
	case m.CallID() == nil:
		return bad("Missing Call-ID")
	case m.CSeq() == nil:
		return bad("Missing CSeq")
	case m.From() == nil:
		return bad("Missing From")
	case m.To() == nil:
		return bad("Missing To")
	}
	if !isPlain(string(*m.CallID())) || !isPlain(m.From().Params.GetOr("tag", "")) || !isPlain(m.To().Params.GetOr("tag", "")) {
		return bad("Bad Call-ID or Tag")
	}
	if err := checkAddress(m.From().DisplayName, &m.From().Address); err != nil {
		return err
	}
	if err := checkAddress(m.To().DisplayName, &m.To().Address); err != nil {
		return err
	}
	m.CSeq().MethodName = sip.RequestMethod(strings.TrimSpace(string(m.CSeq().MethodName)))
	switch m := m.(type) {
	case *sip.Request:
		return checkRequest(m)
	case *sip.Response:
		if m.StatusCode < 100 || m.StatusCode > 699 {
			return bad("Bad Status Code")
		}
	}
	return nil
}

// spoken are the URI schemes that a request may be for (RFC 3261 §8.2.2.1).
var spoken = map[string]bool{"sip": true, "sips": true, "tel": true}

func checkRequest(req *sip.Request) error {
	switch {
	case !strings.EqualFold(req.SipVersion, "SIP/2.0"):
		return &refusal{sip.StatusVersionNotSupported, ""}
	case !strings.EqualFold(string(req.CSeq().MethodName), string(req.Method)):
		return bad("CSeq Method Mismatch")
	case !isToken(string(req.Method)):
		return bad("Bad Method")
	}
	uri := &req.Recipient
	if !spoken[uri.Scheme] {
		return &refusal{416, ""}
	}
	if (uri.Scheme == "sip" || uri.Scheme == "sips") && (!isHost(uri.Host) || len(uri.Headers) > 0) {
		return bad("Bad Request-URI")
	}
	return nil
}

// checkAddress refuses what the parser lets pass: unbalanced quotes, and spaces or brackets in a URI.
func checkAddress(display string, uri *sip.Uri) error {
	if strings.Count(display, `"`)%2 != strings.Count(display, `\"`)%2 {
		return bad("Unbalanced Quotes")
	}
	if (uri.Scheme == "sip" || uri.Scheme == "sips") && !isHost(uri.Host) {
		return bad("Bad Address")
	}
	return nil
}

// isHost accepts a name or an address; the underscore that some networks have in names passes.
func isHost(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`<>"\^{}|,;?@()`, c) >= 0 {
			return false
		}
	}
	return true
}

// isPlain accepts printable ASCII: what names a dialog is stored and compared byte by byte.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isToken checks RFC 3261's token.
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
