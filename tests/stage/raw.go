package stage

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"github.com/stretchr/testify/require"
)

// Raw is a SIP peer that says exactly what a test tells it to.
type Raw struct {
	Me   string // ip:port
	t    testing.TB
	node string
	udp  bool
	conn net.Conn
	in   *bufio.Reader
	n    int // requests so far: Call-ID, branch and CSeq
}

// Raw opens a peer of the node at an address, over UDP or TCP.
func (s *Stage) Raw(t testing.TB, transport string, from netip.Addr) *Raw {
	t.Helper()
	network := strings.ToLower(transport)
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: Patience}
	if network == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(t.Context(), network, s.sip)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &Raw{Me: conn.LocalAddr().String(), t: t, node: s.sip, udp: network == "udp", conn: conn, in: bufio.NewReader(conn)}
}

// Request is what a raw peer asks.
type Request struct {
	Method string
	URI    string
	From   string   // sip: URI
	To     string   // default From
	More   []string // further header lines
	Body   string   // SDP
}

// Offer is a description of sound with the payload types, at an address of nobody.
func Offer(types string) string {
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP " + types + "\r\n"
}

// Text is the request on the wire, in a dialog and transaction of its own.
func (r *Raw) Text(q Request) string {
	r.n++
	if q.To == "" {
		q.To = q.From
	}
	q.To = "<" + q.To + ">"
	return r.write(q)
}

// write is the request with the peer's present number, To as it stands.
func (r *Raw) write(q Request) string {
	if q.Body != "" {
		q.More = append(q.More, "Content-Type: application/sdp")
	}
	name := fmt.Sprintf("%s-%d", strings.NewReplacer(":", "-", ".", "-").Replace(r.Me), r.n)
	lines := append([]string{
		q.Method + " " + q.URI + " SIP/2.0",
		"Via: SIP/2.0/" + map[bool]string{true: "UDP", false: "TCP"}[r.udp] + " " + r.Me + ";branch=z9hG4bK" + name + ";rport",
		"Max-Forwards: 70", "From: <" + q.From + ">;tag=" + name, "To: " + q.To, "Call-ID: " + name,
		fmt.Sprintf("CSeq: %d %s", r.n, q.Method), "Contact: <sip:raw@" + r.Me + ">",
	}, q.More...)
	return strings.Join(append(lines, fmt.Sprintf("Content-Length: %d", len(q.Body))), "\r\n") + "\r\n\r\n" + q.Body
}

// Ask sends a request and returns its final response; a failed INVITE is acknowledged.
func (r *Raw) Ask(q Request) *sip.Response {
	r.t.Helper()
	text := r.Text(q)
	r.Send(text)
	id := header(text, "Call-ID")
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		res, ok := r.Read(time.Until(end)).(*sip.Response)
		if !ok || string(*res.CallID()) != id || res.StatusCode < 200 {
			continue
		}
		if q.Method == "INVITE" && res.StatusCode >= 300 {
			r.Send(r.write(Request{Method: "ACK", URI: q.URI, From: q.From, To: res.To().Value()}))
		}
		return res
	}
	require.FailNow(r.t, "no response", "to %s", text)
	return nil
}

// header is the value of a message's first header of that name.
func header(text, name string) string {
	_, rest, _ := strings.Cut(text, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// Send sends bytes as they are.
func (r *Raw) Send(text string) {
	r.t.Helper()
	_, err := io.WriteString(r.conn, text)
	require.NoError(r.t, err)
}

// Read returns the next message, or nil if none comes in time or the node closed the
// connection.
func (r *Raw) Read(patience time.Duration) sip.Message {
	r.t.Helper()
	require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	text, err := r.message()
	if err != nil {
		return nil
	}
	m, err := sip.ParseMessage(text)
	require.NoError(r.t, err, "%s", text)
	return m
}

// message reads one datagram, or one message of the stream.
func (r *Raw) message() ([]byte, error) {
	if r.udp {
		buf := make([]byte, 65535)
		n, err := r.conn.Read(buf)
		return buf[:n], err
	}
	var text strings.Builder
	length := 0
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if text.Len() == 0 && strings.TrimSpace(line) == "" {
			continue // an answer to a ping (RFC 5626 §3.5.1)
		}
		text.WriteString(line)
		if v, ok := strings.CutPrefix(line, "Content-Length:"); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v)) // what the node writes is a number
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r.in, body)
	return append([]byte(text.String()), body...), err
}

// Alive proves that the node still answers this peer, and returns the codes of the
// responses that came before. False: the node has closed this stream, or waits for the
// rest of what it was sent before. What is wrong in a request stands in its response too: responses are not parsed.
func (r *Raw) Alive() (codes []int, open bool) {
	r.t.Helper()
	probe := r.Text(Request{Method: "OPTIONS", URI: "sip:" + r.node, From: "sip:probe@" + r.Me})
	if _, err := io.WriteString(r.conn, probe); err != nil {
		return nil, false
	}
	patience := Patience
	if !r.udp {
		patience = time.Second
	}
	require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		text, err := r.message()
		if err != nil {
			require.False(r.t, r.udp, "the node does not answer any more: %v", err)
			return codes, false
		}
		words := strings.Fields(string(text))
		if words[0] != "SIP/2.0" {
			continue // the end of a call of nobody
		}
		if header(string(text), "Call-ID") == header(probe, "Call-ID") {
			return codes, true
		}
		code, err := strconv.Atoi(words[1])
		require.NoError(r.t, err, "%s", text)
		codes = append(codes, code)
	}
}

// Login is how somebody answers a challenge.
type Login struct {
	User, Password string
	Count          int // of the nonce; default 1
}

// Authorization answers the first challenge of a response to q.
func (r *Raw) Authorization(res *sip.Response, q Request, as Login) string {
	r.t.Helper()
	require.NotEmpty(r.t, res.GetHeaders("WWW-Authenticate"), "%s", res)
	challenge, err := digest.ParseChallenge(res.GetHeader("WWW-Authenticate").Value())
	require.NoError(r.t, err)
	cred, err := digest.Digest(challenge, digest.Options{Method: q.Method, URI: q.URI, Count: max(as.Count, 1), Username: as.User, Password: as.Password})
	require.NoError(r.t, err)
	return "Authorization: " + cred.String()
}

// Cancel is the CANCEL of an INVITE that this peer sent (RFC 3261 §9.1), whether it was
// answered or not.
func (r *Raw) Cancel(invite string) string {
	head, _, _ := strings.Cut(invite, "\r\n\r\n")
	var lines []string
	for i, line := range strings.Split(head, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch {
		case i == 0, name == "CSeq":
			lines = append(lines, strings.Replace(line, "INVITE", "CANCEL", 1))
		case slices.Contains([]string{"Via", "Max-Forwards", "From", "To", "Call-ID"}, name):
			lines = append(lines, line)
		}
	}
	return strings.Join(append(lines, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
}

// Final waits for the final response to an INVITE that this peer sent, and acknowledges
// it if it is a refusal.
func (r *Raw) Final(q Request, invite string) *sip.Response {
	r.t.Helper()
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		res, ok := r.Read(time.Until(end)).(*sip.Response)
		if !ok || string(*res.CallID()) != header(invite, "Call-ID") || res.CSeq().MethodName != sip.INVITE || res.StatusCode < 200 {
			continue
		}
		if res.StatusCode >= 300 {
			r.Send(r.write(Request{Method: "ACK", URI: q.URI, From: q.From, To: res.To().Value()}))
		}
		return res
	}
	require.FailNow(r.t, "no final response", "to %s", invite)
	return nil
}
