package telephony

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

// raw is a peer that says exactly what a test tells it to, over one UDP socket.
type raw struct {
	t    *testing.T
	conn *net.UDPConn
	me   string
	node string
	id   string // Call-ID
	from string
	cseq int
	tag  string // the node's tag, once known
	n    int    // branches

	challenge *sip.Response   // the latest 401
	seen      map[string]bool // messages that were returned: repetitions are not
}

func (s *stage) raw() *raw {
	s.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s.udp)))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetReadBuffer(4<<20)) // a burst's answers wait here until the test reads them
	me := conn.LocalAddr().String()
	return &raw{t: s.t, conn: conn, me: me, node: s.udp, id: "raw-" + me, from: "sip:raw@" + me, cseq: 1, seen: map[string]bool{}}
}

const offerPCMU = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// lines are further headers of a message; a body follows an empty line.
func (r *raw) text(method, branch, to string, cseq int, lines ...string) string {
	extra, body := "", ""
	for _, l := range lines {
		if strings.HasPrefix(l, "v=0") {
			extra += "Content-Type: application/sdp\r\n"
			body = l
			continue
		}
		extra += l + "\r\n"
	}
	return fmt.Sprintf("%s sip:8000@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <%s>;tag=raw\r\nTo: %s\r\n"+
		"Call-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:raw@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, r.node, r.me, branch, r.from, to, r.id, cseq, method, r.me, extra, len(body), body)
}

func (r *raw) send(text string) {
	r.t.Helper()
	_, err := r.conn.Write([]byte(text))
	require.NoError(r.t, err)
}

// request sends a request outside of a dialog, or in it once the node's tag is known, and returns its branch.
func (r *raw) request(method string, lines ...string) string {
	r.t.Helper()
	r.n++
	branch := fmt.Sprintf("%s.%d", strings.ReplaceAll(r.me, ":", "."), r.n)
	to := "<sip:8000@" + r.node + ">"
	if r.tag != "" {
		to += ";tag=" + r.tag
	}
	r.send(r.text(method, branch, to, r.cseq, lines...))
	r.cseq++
	return branch
}

// cancel sends the CANCEL of an INVITE.
func (r *raw) cancel(branch string, cseq int) {
	r.t.Helper()
	r.send(r.text("CANCEL", branch, "<sip:8000@"+r.node+">", cseq))
}

// ack acknowledges a final response to the INVITE with that number.
func (r *raw) ack(branch string, cseq int, lines ...string) {
	r.t.Helper()
	r.send(r.text("ACK", branch, "<sip:8000@"+r.node+">;tag="+r.tag, cseq, lines...))
}

// read returns the next message, or nil after the patience.
func (r *raw) read(patience time.Duration) sip.Message {
	r.t.Helper()
	require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 65535)
	n, err := r.conn.Read(buf)
	if err != nil {
		return nil
	}
	m, err := sip.ParseMessage(buf[:n])
	require.NoError(r.t, err, "%s", buf[:n])
	return m
}

// expect waits for a response to the method, skipping others and those that came before, and remembers the node's tag.
func (r *raw) expect(code int, method string) *sip.Response {
	r.t.Helper()
	var seen []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		m := r.read(time.Until(end))
		if m == nil {
			break
		}
		res, ok := m.(*sip.Response)
		if !ok {
			seen = append(seen, string(m.(*sip.Request).Method))
			continue
		}
		if text := res.String(); res.StatusCode == code && string(res.CSeq().MethodName) == method && !r.seen[text] {
			r.seen[text] = true
			if tag, ok := res.To().Params.Get("tag"); ok {
				r.tag = tag
			}
			if code == 401 {
				r.challenge = res
			}
			return res
		}
		seen = append(seen, fmt.Sprintf("%d %s", res.StatusCode, res.CSeq().MethodName))
	}
	require.FailNow(r.t, "no such response", "want %d to %s, saw %v", code, method, seen)
	return nil
}

// expectRequest waits for a new request of the node, skipping other messages.
func (r *raw) expectRequest(method string) *sip.Request {
	r.t.Helper()
	req, seen := r.requestWithin(10*time.Second, method)
	require.NotNil(r.t, req, "no such request: want %s, saw %v", method, seen)
	return req
}

// requestWithin is the next new request of the method, or nil; and what else came.
func (r *raw) requestWithin(patience time.Duration, method string) (req *sip.Request, seen []string) {
	r.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		switch m := r.read(time.Until(end)).(type) {
		case *sip.Request:
			id := m.Via().Params.GetOr("branch", "") + method
			if string(m.Method) == method && (method == "ACK" || !r.seen[id]) {
				r.seen[id] = true
				return m, seen
			}
			seen = append(seen, string(m.Method))
		case *sip.Response:
			seen = append(seen, fmt.Sprintf("%d %s", m.StatusCode, m.CSeq().MethodName))
		}
	}
	return nil, seen
}

// answer responds to a request of the node.
func (r *raw) answer(req *sip.Request, code int, tag string, lines ...string) {
	r.t.Helper()
	body := ""
	var extra strings.Builder
	for _, l := range lines {
		if strings.HasPrefix(l, "v=0") {
			extra.WriteString("Content-Type: application/sdp\r\n")
			body = l
			continue
		}
		extra.WriteString(l + "\r\n")
	}
	to := req.To().Value()
	if _, ok := req.To().Params.Get("tag"); !ok {
		to += ";tag=" + tag
	}
	r.send(fmt.Sprintf("SIP/2.0 %d Whatever\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:raw@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		code, req.Via().Value(), req.From().Value(), to, *req.CallID(), req.CSeq().Value(), r.me, extra.String(), len(body), body))
}

// authorization answers the first challenge of a 401.
func (r *raw) authorization(res *sip.Response, method, uri, user, secret string, count int) string {
	r.t.Helper()
	challenge, err := digest.ParseChallenge(res.GetHeader("WWW-Authenticate").Value())
	require.NoError(r.t, err)
	cred, err := digest.Digest(challenge, digest.Options{Method: method, URI: uri, Count: count, Username: user, Password: secret})
	require.NoError(r.t, err)
	return "Authorization: " + cred.String()
}

// registration is a row of the directory for a raw phone.
func registration(d id.Device, addr string) device.Registration {
	return device.Registration{
		Tenant: demo, Device: d, Contact: "sip:" + string(d) + "@" + addr, Instance: addr, Transport: "udp", Flow: addr, Node: "node-1",
		Expires: time.Now().Add(time.Hour),
	}
}
