// Package torture holds the messages of RFC 4475 for tests: SIP as it may be written,
// and as it must not be. No product code uses it.
package torture

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"
)

// Message is one case.
type Message struct {
	Name    string
	Section string // of RFC 4475
	// Want is what the transaction layer must do with it: "passed", a status code, or
	// "silence".
	Want string
	Data []byte
}

//go:embed messages.txt
var cases string // its head says how they are written

var (
	repeat  = regexp.MustCompile(`\$\{(\d+)\*([^}]*)\}`)
	escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// sdp is the body of the cases, 54 bytes on the wire.
const sdp = "v=0\no=- 1 1 IN IP4 x\nc=IN IP4 x\nm=audio 9 RTP/AVP 0"

// Messages are all cases, in the order of the RFC.
func Messages() []Message {
	var all []Message
	for _, part := range strings.Split(cases, "\n=== ")[1:] {
		head, text, _ := strings.Cut(part, "\n")
		f := strings.Fields(head)
		all = append(all, Message{Name: f[0], Section: f[1], Want: f[2], Data: onTheWire(text)})
	}
	return all
}

func onTheWire(text string) []byte {
	text = strings.ReplaceAll(text, "@sdp", sdp)
	text = repeat.ReplaceAllStringFunc(text, func(s string) string {
		m := repeat.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[1]) // digits only
		return strings.Repeat(m[2], n)
	})
	text = strings.ReplaceAll(text, "\n", "\r\n")
	text = escaped.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 16, 8) // hex digits only
		return string([]byte{byte(n)})
	})
	if !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n"
	}
	return []byte(text)
}
