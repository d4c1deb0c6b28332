package dialog

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/headers"
)

// FuzzFromInvite makes dialogs of hostile INVITEs: what the peer wrote must not break the requests that we build, and the
// stored dialog must build the same ones.
func FuzzFromInvite(f *testing.F) {
	f.Add("<sip:a@b:5060;transport=udp>", "<sip:p1;lr>, <sip:p2>", `"A" <sip:a@b>;tag=1`)
	f.Add("<sip:a@b?X=%0D%0A>", "<sip:strict>", "sip:a@b")
	f.Add(`"x\"" <sips:[::1]:1>;q=1`, "<sip:a@b;x=\"1;2\">", `"\" <sip:evil@h>" <sip:a@b>;tag=`)
	f.Fuzz(func(t *testing.T, contact, route, from string) {
		m, err := sip.ParseMessage([]byte("INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nTo: <sip:x@y>\r\nCall-ID: c\r\n" +
			"CSeq: 1 INVITE\r\nFrom: " + from + "\r\nContact: " + contact + "\r\nRecord-Route: " + route + "\r\n\r\n"))
		req, ok := m.(*sip.Request)
		if err != nil || !ok || req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil {
			return
		}
		d, err := FromInvite(req, flow, "us", "sip:hf@127.0.0.1")
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		require.NoError(t, err)
		var again Dialog
		require.NoError(t, json.Unmarshal(text, &again))
		bye := d.Bye(headers.AnsweredElsewhere).String()
		head, _, _ := strings.Cut(bye, "\r\n\r\n")
		require.LessOrEqual(t, strings.Count(head, "\r\n"), 8+len(d.RouteSet), bye)
		require.False(t, strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\n"), bye)
		if utf8.ValidString(d.RemoteTag) {
			require.Equal(t, bye, again.Bye(headers.AnsweredElsewhere).String())
		}
	})
}
