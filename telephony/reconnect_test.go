package telephony

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// stream is a phone that speaks SIP over TCP, message by message.
type stream struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (s *stage) stream() *stream {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.tcp)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return &stream{t: s.t, conn: conn, in: bufio.NewReader(conn)}
}

func (p *stream) read() sip.Message {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var head strings.Builder
	length := 0
	for {
		line, err := p.in.ReadString('\n')
		require.NoError(p.t, err)
		head.WriteString(line)
		if v, ok := strings.CutPrefix(line, "Content-Length:"); ok {
			length, err = strconv.Atoi(strings.TrimSpace(v))
			require.NoError(p.t, err)
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(p.in, body)
	require.NoError(p.t, err)
	m, err := sip.ParseMessage([]byte(head.String() + string(body)))
	require.NoError(p.t, err)
	return m
}

func (p *stream) write(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.conn, text)
	require.NoError(p.t, err)
}

// register registers device 1001 as one and the same phone.
func (p *stream) register(cseq int) {
	p.t.Helper()
	text := func(cseq int, more string) string {
		return fmt.Sprintf("REGISTER sip:demo.localhost SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKreg%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:1001@demo.localhost>;tag=s\r\nTo: <sip:1001@demo.localhost>\r\nCall-ID: stream\r\nCSeq: %d REGISTER\r\n"+
			"Contact: <sip:1001@phone.invalid;transport=tcp>\r\nExpires: 3600\r\n%sContent-Length: 0\r\n\r\n", p.conn.LocalAddr(), cseq, cseq, more)
	}
	p.write(text(cseq, ""))
	res := p.read().(*sip.Response)
	require.Equal(p.t, 401, res.StatusCode)
	p.write(text(cseq+1, (&raw{t: p.t}).authorization(res, "REGISTER", "sip:demo.localhost", "1001", password, 1)+"\r\n"))
	require.Equal(p.t, 200, p.read().(*sip.Response).StatusCode)
}

// answer responds to a request.
func (p *stream) answer(req *sip.Request, code int, body string) {
	p.t.Helper()
	to, kind := req.To().Value(), ""
	if !strings.Contains(to, "tag=") {
		to += ";tag=stream"
	}
	if body != "" {
		kind = "Content-Type: application/sdp\r\n"
	}
	var way strings.Builder
	for _, name := range []string{"Via", "Record-Route"} {
		for _, h := range req.GetHeaders(name) {
			way.WriteString(name + ": " + h.Value() + "\r\n")
		}
	}
	p.write(fmt.Sprintf("SIP/2.0 %d X\r\n%sFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:1001@phone.invalid;transport=tcp>\r\n%sContent-Length: %d\r\n\r\n%s",
		code, way.String(), req.From().Value(), to, *req.CallID(), req.CSeq().Value(), kind, len(body), body))
}

// talks lets a customer of s call agent 1001, who answers on the stream, and returns the
// customer, who is up, and the INVITE that rang.
func (p *stream) talks(s *stage) (customer *softphone.Call, invite *sip.Request) {
	p.t.Helper()
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	invite = p.read().(*sip.Request)
	p.answer(invite, 200, offerPCMU)
	require.Equal(p.t, call.RingAnswered, s.wait(done).Outcome)
	require.Equal(p.t, sip.ACK, p.read().(*sip.Request).Method)
	require.NoError(p.t, customer.Wait(s.soon(), softphone.Up))
	return customer, invite
}

// hearsTheEnd answers the BYE that must come next, and returns it. The node may have asked before whether the phone is there.
func (p *stream) hearsTheEnd() *sip.Request {
	p.t.Helper()
	bye := p.read().(*sip.Request)
	for bye.Method == sip.OPTIONS {
		p.answer(bye, 200, "")
		bye = p.read().(*sip.Request)
	}
	require.Equal(p.t, sip.BYE, bye.Method)
	p.answer(bye, 200, "")
	return bye
}

func TestPhone_BackOnAnotherConnection_StillLearnsOfTheEnd(t *testing.T) { // RFC 5626 §5.3
	t.Parallel()
	s := play(t)
	first := s.stream()
	first.register(1)
	customer, invite := first.talks(s)
	require.Equal(t, "phone.invalid", invite.Recipient.Host, "whatever the Contact says, requests go to the flow")
	require.NoError(t, first.conn.Close())
	s.waitPhone("lost", "1001", went)

	second := s.stream()
	second.register(3)
	require.NoError(t, customer.HangUp())
	second.hearsTheEnd()
	s.empty()
}

func TestInbound_ACallersConnectionIsGone_TheAgentIsNotLeftAlone(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	caller := s.stream()
	caller.write(fmt.Sprintf("INVITE sip:8000@demo.localhost SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKgone\r\nMax-Forwards: 70\r\nFrom: <sip:4930123@x>;tag=gone\r\n"+
		"To: <sip:8000@x>\r\nCall-ID: gone\r\nCSeq: 1 INVITE\r\nContact: <sip:x@x.invalid;transport=tcp>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		caller.conn.LocalAddr(), len(offerPCMU), offerPCMU))
	in := s.w.waitCall(t, 0)
	done := s.ring(in, order(in, 1, "1001"))
	agent := s.rings(p)
	require.NoError(t, caller.conn.Close())
	require.Eventually(t, func() bool { return s.layer.Stats().ConnsAlive == 0 }, 20*time.Second, time.Millisecond)
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Unreachable})
	s.empty()
}
