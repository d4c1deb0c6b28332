package hop

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/transaction"
)

var (
	key    = Key("a secret of the nodes, of a good length")
	atCall = netip.MustParseAddrPort("10.0.0.2:5060")
	phone  = transaction.Flow{Transport: "TCP", Remote: "10.1.1.1:3345"}
	node   = transaction.Flow{Transport: "TCP", Remote: "10.0.0.2:41000"}
)

// wire is a layer that keeps what is sent, and where to.
type wire struct {
	sent    []string
	to      []transaction.Flow
	codes   []int
	gone    map[string]bool // remotes without connection
	dialled []string
}

func (w *wire) put(text string, to transaction.Flow) error {
	if w.gone[to.Remote] {
		return transaction.ErrFlowGone
	}
	w.sent, w.to = append(w.sent, text), append(w.to, to)
	return nil
}

func (w *wire) Forward(req *sip.Request, to transaction.Flow, branch string) error {
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: to.Transport, Host: "10.0.0.1", Port: 5060}
	via.Params.Add("branch", branch)
	req.PrependHeader(via)
	return w.put(req.String(), to)
}
func (w *wire) PassOn(res *sip.Response, to transaction.Flow) error { return w.put(res.String(), to) }
func (w *wire) Answer(_ *sip.Request, code int, _ transaction.Flow) { w.codes = append(w.codes, code) }
func (w *wire) SentBy(transport string) string {
	if transport == "WS" {
		return ""
	}
	return "10.0.0.1:5060"
}
func (w *wire) Connect(_ context.Context, _, addr string) (transaction.Flow, error) {
	w.dialled = append(w.dialled, addr)
	delete(w.gone, addr)
	return transaction.Flow{}, nil
}

func relay() (*Relay, *wire) {
	w := &wire{gone: map[string]bool{}}
	r := New(w, func(f func()) bool { f(); return true }, slog.New(slog.DiscardHandler))
	r.SetKey(key)
	return r, w
}

func message(t *testing.T, lines ...string) sip.Message {
	t.Helper()
	m, err := sip.ParseMessage([]byte(strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"))
	require.NoError(t, err)
	return m
}

func request(t *testing.T, method, route, to string, more ...string) *sip.Request {
	t.Helper()
	return message(t, append([]string{method + " sip:1001@phone.invalid SIP/2.0", "Via: SIP/2.0/TCP 10.0.0.2:5060;branch=z9hG4bKb;rport",
		"Route: <" + route + ">", "Max-Forwards: 70", "From: <sip:8000@d>;tag=f", "To: " + to, "Call-ID: c", "CSeq: 1 " + method}, more...)...).(*sip.Request)
}

func TestToken_IsReadBack_AndNothingElseIs(t *testing.T) {
	t.Parallel()
	for _, w := range []Way{{phone, atCall}, {transaction.Flow{Transport: "UDP", Remote: "[2001:db8::1]:5060"}, netip.MustParseAddrPort("[2001:db8::2]:5060")}} {
		token, ok := key.token(toPhone, w)
		require.True(t, ok)
		d, got, ok := key.read(token)
		require.True(t, ok)
		require.Equal(t, toPhone, d)
		require.Equal(t, w, got)
		for i := len(prefix); i < len(token); i++ { // each character counts
			spoiled := token[:i] + string(token[i]^1) + token[i+1:]
			_, got, ok := key.read(spoiled)
			require.False(t, ok && got != w, "%d %s", i, spoiled)
		}
		_, _, ok = Key("another secret").read(token)
		require.False(t, ok)
	}
	for _, bad := range []string{"", "1001", "hop-", "hop-AAAA", "hop-!!", "hop-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		_, _, ok := key.read(bad)
		require.False(t, ok, bad)
	}
	_, ok := key.token(toPhone, Way{transaction.Flow{Transport: "TCP", Remote: "nowhere"}, atCall})
	require.False(t, ok)
	require.Empty(t, Key(nil).Route("x", Way{phone, atCall}), "no secret, no way")
}

func TestRelay_AnInvite_GoesToThePhoneWithARouteBack(t *testing.T) {
	t.Parallel()
	r, w := relay()
	route := key.Route("10.0.0.1:5060", Way{phone, atCall})
	require.True(t, r.Take(request(t, "INVITE", route, "<sip:1001@d>"), node))
	require.Equal(t, []transaction.Flow{phone}, w.to)
	out, err := sip.ParseMessage([]byte(w.sent[0]))
	require.NoError(t, err)
	invite := out.(*sip.Request)
	require.Empty(t, invite.GetHeaders("Route"))
	require.Equal(t, "69", invite.MaxForwards().Value())
	require.Len(t, invite.GetHeaders("Via"), 2)
	require.Len(t, invite.GetHeaders("Record-Route"), 2, "one for each side (RFC 5658)")

	// The CANCEL takes the same branch, and so does a repetition.
	require.True(t, r.Take(request(t, "CANCEL", route, "<sip:1001@d>"), node))
	require.True(t, r.Take(request(t, "INVITE", route, "<sip:1001@d>"), node))
	for _, text := range w.sent {
		m, err := sip.ParseMessage([]byte(text))
		require.NoError(t, err)
		require.Equal(t, invite.Via().Params.GetOr("branch", ""), m.(*sip.Request).Via().Params.GetOr("branch", ""))
	}

	// The phone's answer goes back by the same connection.
	lines := []string{"SIP/2.0 180 Ringing"}
	for _, h := range invite.GetHeaders("Via") {
		lines = append(lines, "Via: "+h.Value())
	}
	lines = append(lines, "From: <sip:8000@d>;tag=f", "To: <sip:1001@d>;tag=t", "Call-ID: c", "CSeq: 1 INVITE")
	require.True(t, r.Take(message(t, lines...), phone))
	require.Equal(t, node, w.to[len(w.to)-1])
	require.Equal(t, 1, strings.Count(w.sent[len(w.sent)-1], "Via:"))
	lines[2] = strings.Replace(lines[2], "10.0.0.2", "10.6.6.6", 1)
	require.False(t, r.Take(message(t, lines...), phone), "one that never passed here is not passed back")

	// And its BYE, by the Routes that it was given, to the node with the call.
	bye := []string{"BYE sip:holdfast@10.0.0.2:5060 SIP/2.0", "Via: SIP/2.0/TCP 192.168.0.9:5060;branch=z9hG4bKp"}
	for _, h := range invite.GetHeaders("Record-Route") {
		bye = append(bye, "Route: "+h.Value())
	}
	bye = append(bye, "Max-Forwards: 70", "From: <sip:1001@d>;tag=t", "To: <sip:8000@d>;tag=f", "Call-ID: c", "CSeq: 1 BYE")
	w.gone[atCall.String()] = true
	require.True(t, r.Take(message(t, bye...), transaction.Flow{Transport: "TCP", Remote: "10.1.1.1:7777"}))
	require.Equal(t, transaction.Flow{Transport: "TCP", Remote: atCall.String()}, w.to[len(w.to)-1])
	require.Equal(t, []string{atCall.String()}, w.dialled, "the connection to the node is made when it is needed")
	require.Contains(t, w.sent[len(w.sent)-1], "rport=7777", "the phone's answer finds its way though it asked for no rport")
	require.NotContains(t, w.sent[len(w.sent)-1], "Route:")
}

func TestRelay_WhatCannotBePassedOn_IsAnswered(t *testing.T) {
	t.Parallel()
	r, w := relay()
	route := key.Route("10.0.0.1:5060", Way{phone, atCall})
	w.gone[phone.Remote] = true
	require.True(t, r.Take(request(t, "INVITE", route, "<sip:1001@d>"), node))
	require.True(t, r.Take(request(t, "ACK", route, "<sip:1001@d>;tag=t"), node), "nobody answers an ACK")
	require.Equal(t, []int{430}, w.codes)
	last := request(t, "BYE", route, "<sip:1001@d>;tag=t")
	*last.MaxForwards() = 0
	require.True(t, r.Take(last, node))
	require.Equal(t, []int{430, 483}, w.codes)
	token, _ := key.token(toCall, Way{phone, atCall})
	require.True(t, r.Take(request(t, "INVITE", "sip:"+token+"@10.0.0.1;lr", "<sip:8000@d>"), phone), "a phone begins no dialog through us")
	require.True(t, r.Take(request(t, "REGISTER", "sip:"+token+"@10.0.0.1;lr", "<sip:1001@d>;tag=t"), phone))
	require.Equal(t, []int{430, 483, 403, 403}, w.codes)
	require.Empty(t, w.sent)
}

func TestRelay_WhatIsForThisNode_IsLeftAlone(t *testing.T) {
	t.Parallel()
	r, w := relay()
	require.False(t, r.Take(request(t, "INVITE", "sip:proxy.example;lr", "<sip:1001@d>"), node))
	require.False(t, r.Take(message(t, "SIP/2.0 200 OK", "Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bKown", "From: <sip:a@d>;tag=f", "To: <sip:b@d>;tag=t", "Call-ID: c", "CSeq: 1 INVITE"), phone))
	blank := New(w, nil, slog.New(slog.DiscardHandler))
	require.False(t, blank.Take(request(t, "INVITE", key.Route("10.0.0.1:5060", Way{phone, atCall}), "<sip:1001@d>"), node), "the secret is not known yet")
	require.Empty(t, w.sent)
	require.Empty(t, w.codes)
}

func FuzzRead(f *testing.F) {
	token, _ := key.token(toCall, Way{phone, atCall})
	f.Add(token)
	f.Add("hop-")
	f.Fuzz(func(t *testing.T, s string) {
		if d, w, ok := key.read(s); ok {
			again, ok := key.token(d, w)
			require.True(t, ok)
			_, same, _ := key.read(again)
			require.Equal(t, w, same)
		}
	})
}
