// Package hop passes SIP messages between a node that has a call and a phone whose connection another node holds. The
// node with the call sends its INVITE to the other one with a Route that names the phone's connection; the other node
// passes it on, and all that follows, in both directions, as a stateless proxy does (RFC 3261 §16.11, RFC 5626 §5.3).
// The names are signed with a secret that only the nodes have, so that nobody else can send by them.
package hop

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/transaction"
)

// Key is the nodes' secret, 32 bytes or so.
type Key []byte

// Way is a hop: the connection of a phone, and the node with the call.
type Way struct {
	// Phone is the phone's connection at the node that holds it, without the local address.
	Phone transaction.Flow
	// Call is ip:port of the node that has the call.
	Call netip.AddrPort
}

// node is the way to the node with the call.
func (w Way) node() transaction.Flow {
	return transaction.Flow{Transport: Between(w.Phone.Transport), Remote: w.Call.String()}
}

// direction says to whom a Route leads.
type direction byte

const (
	toPhone direction = 'p'
	toCall  direction = 'c'
)

// prefix tells our user parts and branches from all others.
const prefix = "hop-"

// macSize is how much of the signature is sent: 80 bits, as RFC 2104 §5 allows.
const macSize = 10

// transports are those of a phone; a token has the index.
var transports = []string{"UDP", "TCP", "TLS", "WS", "WSS"}

// Between is the transport between two nodes for a phone's: UDP for UDP, so that repetitions go through from end to end,
// a connection for connections, on which nothing is repeated.
func Between(phone string) string {
	if phone == "UDP" {
		return "UDP"
	}
	return "TCP"
}

// Route is the URI for Route by which requests reach the phone through the node at holder (ip:port or name:port). Empty
// if the phone's address is none.
func (k Key) Route(holder string, w Way) string {
	t, ok := k.token(toPhone, w)
	if !ok {
		return ""
	}
	uri := "sip:" + t + "@" + holder + ";lr"
	if Between(w.Phone.Transport) != "UDP" {
		uri += ";transport=tcp"
	}
	return uri
}

// token is the signed name of a hop in one direction.
func (k Key) token(d direction, w Way) (string, bool) {
	phone, err := netip.ParseAddrPort(w.Phone.Remote)
	i := slices.Index(transports, w.Phone.Transport)
	if err != nil || i < 0 || !w.Call.IsValid() || len(k) == 0 {
		return "", false
	}
	text := []byte{byte(d), byte(i)}
	for _, a := range []netip.AddrPort{phone, w.Call} {
		b, _ := a.MarshalBinary() // never fails
		text = append(append(text, byte(len(b))), b...)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(append(text, k.sign("way", text)...)), true
}

// tokenFor is token for a way that was read from one.
func (k Key) tokenFor(d direction, w Way) string {
	t, _ := k.token(d, w)
	return t
}

// read is what token has written; false for anything else.
func (k Key) read(token string) (d direction, w Way, ok bool) {
	coded, ours := strings.CutPrefix(token, prefix)
	if !ours || len(k) == 0 {
		return 0, w, false
	}
	b, err := base64.RawURLEncoding.DecodeString(coded)
	if err != nil || len(b) < macSize+2 {
		return 0, w, false
	}
	text, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if subtle.ConstantTimeCompare(mac, k.sign("way", text)) != 1 || int(text[1]) >= len(transports) {
		return 0, w, false
	}
	d, w.Phone.Transport = direction(text[0]), transports[text[1]]
	var addrs [2]netip.AddrPort
	rest := text[2:]
	for i := range addrs {
		if len(rest) == 0 || len(rest) <= int(rest[0]) || addrs[i].UnmarshalBinary(rest[1:1+rest[0]]) != nil {
			return 0, w, false
		}
		rest = rest[1+rest[0]:]
	}
	w.Phone.Remote, w.Call = addrs[0].String(), addrs[1]
	return d, w, true
}

// branch is our Via's branch on top of the Via given, of a request that came over a transport, whatever its Via says. It
// is the same each time the request comes, and for its CANCEL and ACK (RFC 3261 §16.11), and it proves to us that a
// response which has both passed here before.
func (k Key) branch(via *sip.ViaHeader, transport string) string {
	came := strconv.Itoa(slices.Index(transports, transport))
	text := strings.Join([]string{
		came, strings.ToUpper(via.Transport), via.Host, strconv.Itoa(via.Port), via.Params.GetOr("branch", ""),
		via.Params.GetOr("received", ""), via.Params.GetOr("rport", ""),
	}, "|")
	return sip.RFC3261BranchMagicCookie + prefix + came + base64.RawURLEncoding.EncodeToString(k.sign("via", []byte(text)))
}

// cameOver is the transport that a branch of ours was made for.
func cameOver(branch string) (transport string, ours bool) {
	rest, ours := strings.CutPrefix(branch, sip.RFC3261BranchMagicCookie+prefix)
	if !ours || rest == "" || rest[0] < '0' || int(rest[0]-'0') >= len(transports) {
		return "", false
	}
	return transports[rest[0]-'0'], true
}

func (k Key) sign(purpose string, text []byte) []byte {
	h := hmac.New(sha256.New, k)
	_, _ = h.Write(append([]byte(purpose+"\x00"), text...)) // never fails
	return h.Sum(nil)[:macSize]
}
