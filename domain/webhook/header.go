package webhook

import (
	"fmt"
	"strings"
)

// forbiddenHeaders are those that a webhook's own headers must not override: what is
// ours, and what belongs to HTTP.
var forbiddenHeaders = map[string]bool{
	"host": true, "content-type": true, "content-length": true, "content-encoding": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"upgrade": true, "te": true, "trailer": true, "expect": true, "user-agent": true, "accept-encoding": true, "proxy-authorization": true, "proxy-connection": true,
}

// CheckHeader refuses, in words, a header that a webhook may not send.
func CheckHeader(name, value string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) // RFC 9110 §5.6.2
	}):
		return fmt.Errorf("%q is no name of a header", name)
	case forbiddenHeaders[lower] || strings.HasPrefix(lower, "webhook-") || strings.HasPrefix(lower, "holdfast-"):
		return fmt.Errorf("header %s is set by us", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }):
		return fmt.Errorf("the value of header %s must be printable ASCII", name)
	}
	return nil
}
