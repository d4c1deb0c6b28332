package transaction

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// torture is one case of testdata/torture.
type torture struct {
	name, section, want string
	data                []byte
}

var (
	repeat  = regexp.MustCompile(`\$\{(\d+)\*([^}]*)\}`)
	escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// sdpLines is the body of the cases, 54 bytes on the wire.
const sdpLines = "v=0\no=- 1 1 IN IP4 x\nc=IN IP4 x\nm=audio 9 RTP/AVP 0"

func tortures(t testing.TB) []torture {
	t.Helper()
	text, err := os.ReadFile("testdata/torture/messages.txt")
	require.NoError(t, err)
	var out []torture
	for _, part := range strings.Split(string(text), "\n=== ")[1:] {
		head, message, _ := strings.Cut(part, "\n")
		f := strings.Fields(head)
		require.Len(t, f, 3, head)
		message = strings.ReplaceAll(message, "@sdp", sdpLines)
		message = repeat.ReplaceAllStringFunc(message, func(s string) string {
			m := repeat.FindStringSubmatch(s)
			n, _ := strconv.Atoi(m[1]) // digits only
			return strings.Repeat(m[2], n)
		})
		message = strings.ReplaceAll(message, "\n", "\r\n")
		message = escaped.ReplaceAllStringFunc(message, func(s string) string {
			n, _ := strconv.ParseUint(s[2:], 16, 8) // hex digits only
			return string([]byte{byte(n)})
		})
		if !strings.Contains(message, "\r\n\r\n") {
			message += "\r\n"
		}
		out = append(out, torture{f[0], f[1], f[2], []byte(message)})
	}
	require.Len(t, out, 49)
	return out
}

// judge is a User that answers what it sees and counts strays.
type judge struct {
	Unhandled
	seen chan string
}

func (j *judge) Request(tx *Server) {
	j.seen <- "request"
	code := 200
	if tx.Request().IsInvite() {
		code = 486
	}
	_ = tx.Reject(code) // its client sees it
}
func (j *judge) Stray(*sip.Response, Flow) { j.seen <- "stray" }

const probe = "OPTIONS sip:probe@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKprobe%d\r\nFrom: <sip:p@x>;tag=p\r\n" +
	"To: <sip:p@x>\r\nCall-ID: probe\r\nCSeq: %d OPTIONS\r\nContent-Length: 0\r\n\r\n"

// verdict is what happened to a message: the status of its answer or silence, and whether the user saw it.
func verdict(responses []string, seen []string) string {
	if len(seen) > 0 {
		return "passed"
	}
	for _, r := range responses {
		return strings.Fields(r)[1]
	}
	return "silence"
}

// drain empties the channel after the probe was answered: everything before it has been handled, with one shard.
func drain(seen chan string) (out []string) {
	for {
		select {
		case s := <-seen:
			out = append(out, s)
		default:
			return out[:max(0, len(out)-1)] // the last is the probe
		}
	}
}

func TestTorture_EachMessageOverUDP_IsHandledOrRefused(t *testing.T) {
	t.Parallel()
	j := &judge{seen: make(chan string, 100)}
	n := start(t, Config{User: j, Shards: 1})
	c, err := new(net.Dialer).DialContext(t.Context(), "udp", n.udp.String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	for i, m := range tortures(t) {
		write(t, c, string(m.data))
		write(t, c, fmt.Sprintf(probe, i, i+1))
		var responses []string
		for {
			r := read(t, c)
			if strings.Contains(r, "Call-ID: probe\r\n") {
				break
			}
			responses = append(responses, r)
		}
		seen := drain(j.seen)
		require.Equal(t, m.want, verdict(responses, seen), "%s (RFC 4475 §%s): %q", m.name, m.section, responses)
		for _, r := range responses {
			require.True(t, strings.HasPrefix(r, "SIP/2.0 "), r)
			require.Contains(t, r, "\r\nVia: SIP", r)
			if m.want != "passed" {
				require.NotContains(t, r, "\x00")
			}
		}
		if m.want == "passed" && seen[0] == "request" {
			require.NotEmpty(t, responses, m.name)
		}
	}
}

func TestTorture_EachMessageOverTCP_IsHandledRefusedOrDisconnected(t *testing.T) {
	t.Parallel()
	j := &judge{seen: make(chan string, 100)}
	n := start(t, Config{User: j, Shards: 1, MessageTimeout: 300 * time.Millisecond})
	for i, m := range tortures(t) {
		c := dialRaw(t, n)
		write(t, c, string(m.data)+fmt.Sprintf(probe, i, i+1))
		var all strings.Builder
		buf := make([]byte, 65536)
		var err error
		for !strings.Contains(all.String(), "Call-ID: probe\r\n") && err == nil {
			var k int
			k, err = c.Read(buf)
			all.Write(buf[:k])
		}
		lost := errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "reset")
		require.True(t, err == nil || lost, "%s: %v", m.name, err)
		switch m.name {
		case "clerr", "ncl", "mcl01", "inv2543": // the end of the message cannot be known
			require.True(t, lost, m.name)
		default:
			require.False(t, lost, "%s (RFC 4475 §%s) cost the connection: %q", m.name, m.section, all.String())
		}
		if _, err := strconv.Atoi(m.want); err == nil && m.name != "clerr" {
			require.Contains(t, all.String(), "SIP/2.0 "+m.want, m.name)
		}
		drain(j.seen)
	}
	require.Contains(t, probeOnce(t, n), "SIP/2.0 200 OK", "still alive after all")
}

func probeOnce(t *testing.T, n *node) string {
	t.Helper()
	c := dialRaw(t, n)
	write(t, c, fmt.Sprintf(probe, 1000, 1000))
	return read(t, c)
}
