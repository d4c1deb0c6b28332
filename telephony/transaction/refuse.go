package transaction

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// maxEcho bounds the headers that a refusal repeats, so that garbage is not amplified.
const maxEcho = 4096

// answerRaw refuses a request that could not be parsed (RFC 3261 §8.1.3, RFC 4475 §3.1.2) with the header lines that
// a client needs to find its transaction. Silence when it is no request, is an ACK, has no Via, or when too many
// such messages come.
func (l *Layer) answerRaw(data []byte, r *refusal, k link) {
	res, ok := rawRefusal(data, r)
	if !ok || !l.refuse.take(time.Now()) {
		return
	}
	if err := k.send(res); err != nil {
		l.stats.writeErrors.Add(1)
	}
}

// rawRefusal writes the response without parsing any header value.
func rawRefusal(data []byte, r *refusal) ([]byte, bool) {
	start, lines := headerLines(data)
	word := strings.Fields(start)
	if len(word) < 2 || !strings.HasPrefix(strings.ToUpper(word[len(word)-1]), "SIP/") || !isToken(word[0]) ||
		strings.EqualFold(word[0], "ACK") {
		return nil, false
	}
	code, reason := r.code, r.reason
	if scheme, _, ok := strings.Cut(word[1], ":"); ok && reason == "" && isToken(scheme) && !spoken[strings.ToLower(scheme)] {
		code = 416 // the parser takes no scheme with a dot
	}
	if reason == "" {
		reason = Phrase(code)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "SIP/2.0 %d %s\r\n", code, reason)
	seen := map[string]bool{}
	for _, h := range lines {
		name := echoName(h.name)
		if name == "" || name != "Via" && seen[name] || out.Len()+len(h.value) > maxEcho {
			continue
		}
		seen[name] = true
		value := h.value
		if name == "To" && !strings.Contains(strings.ToLower(squeeze(value)), ";tag=") {
			value += ";tag=" + hashTag(value)
		}
		fmt.Fprintf(&out, "%s: %s\r\n", name, value)
	}
	out.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(out.String()), seen["Via"]
}

func echoName(name string) string {
	switch strings.ToLower(name) {
	case "via", "v":
		return "Via"
	case "from", "f":
		return "From"
	case "to", "t":
		return "To"
	case "call-id", "i":
		return "Call-ID"
	case "cseq":
		return "CSeq"
	}
	return ""
}

type rawHeader struct{ name, value string }

// headerLines splits a message's head into its start line and unfolded headers; it takes LF for CRLF.
func headerLines(data []byte) (start string, headers []rawHeader) {
	head := bytes.TrimLeft(data, "\r\n")
	if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
		head = head[:i]
	}
	for i, line := range strings.Split(string(head), "\n") {
		line = strings.Map(printable, line)
		switch {
		case i == 0:
			start = strings.TrimSpace(line)
		case line == "":
			return start, headers
		case (line[0] == ' ' || line[0] == '\t') && len(headers) > 0:
			headers[len(headers)-1].value += " " + strings.TrimSpace(line)
		default:
			if name, value, ok := strings.Cut(line, ":"); ok {
				headers = append(headers, rawHeader{strings.TrimSpace(name), strings.TrimSpace(value)})
			}
		}
	}
	return start, headers
}

// printable drops control characters but tab.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return -1
	}
	return r
}

// statelessTag is the same for each repetition of a request, as RFC 3261 §8.2.7 asks of a stateless answer.
func statelessTag(req *sip.Request) string {
	return hashTag(serverKey(req, req.Method) + string(*req.CallID()))
}

func hashTag(s string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// bucket is a token bucket.
type bucket struct {
	rate, burst float64 // tokens per second, capacity

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
