package transaction

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/torture"
)

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
	n := start(t, Config{User: j, Shards: 1, Timers: Timers{T1: time.Minute}}) // no refusal is repeated among later answers
	c, err := new(net.Dialer).DialContext(t.Context(), "udp", n.udp.String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	for i, m := range torture.Messages() {
		write(t, c, string(m.Data))
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
		require.Equal(t, m.Want, verdict(responses, seen), "%s (RFC 4475 §%s): %q", m.Name, m.Section, responses)
		for _, r := range responses {
			require.True(t, strings.HasPrefix(r, "SIP/2.0 "), r)
			require.Contains(t, r, "\r\nVia: SIP", r)
			if m.Want != "passed" {
				require.NotContains(t, r, "\x00")
			}
		}
		if m.Want == "passed" && seen[0] == "request" {
			require.NotEmpty(t, responses, m.Name)
		}
	}
}

func TestTorture_EachMessageOverTCP_IsHandledRefusedOrDisconnected(t *testing.T) {
	t.Parallel()
	j := &judge{seen: make(chan string, 100)}
	n := start(t, Config{User: j, Shards: 1, MessageTimeout: 2 * time.Second})
	for i, m := range torture.Messages() {
		c := dialRaw(t, n)
		write(t, c, string(m.Data)+fmt.Sprintf(probe, i, i+1))
		var all strings.Builder
		buf := make([]byte, 65536)
		var err error
		for !strings.Contains(all.String(), "Call-ID: probe\r\n") && err == nil {
			var k int
			k, err = c.Read(buf)
			all.Write(buf[:k])
		}
		lost := errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "reset")
		require.True(t, err == nil || lost, "%s: %v", m.Name, err)
		switch m.Name {
		case "clerr", "ncl", "mcl01", "inv2543": // the end of the message cannot be known
			require.True(t, lost, m.Name)
		default:
			require.False(t, lost, "%s (RFC 4475 §%s) cost the connection: %q", m.Name, m.Section, all.String())
		}
		if _, err := strconv.Atoi(m.Want); err == nil && m.Name != "clerr" {
			require.Contains(t, all.String(), "SIP/2.0 "+m.Want, m.Name)
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
