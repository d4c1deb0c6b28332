package softphone

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// digitsType is the payload type that we offer for telephone-event (RFC 4733).
const digitsType = 101

// session is what we agreed, or are about to agree, on the sound of a call. The
// phone writes its SDP by hand, so that it can also say what it should not.
type session struct {
	id      int64
	version int64
	held    bool // we hold
	mute    bool // we name no telephone-event
}

func newSession(mute bool) session {
	now := time.Now().Unix()
	return session{id: now, version: now, mute: mute}
}

// body is our SDP, as offer or answer: both laws and telephone-event, or just codec.
func (s *session) body(ip netip.Addr, port int, codecs []uint8) []byte {
	s.version++
	family := "IP4"
	if ip.Is6() {
		family = "IP6"
	}
	direction := "sendrecv"
	if s.held {
		direction = "sendonly"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n", s.id, s.version, family, ip, family, ip)
	fmt.Fprintf(&b, "m=audio %d RTP/AVP", port)
	for _, c := range codecs {
		fmt.Fprintf(&b, " %d", c)
	}
	if !s.mute {
		fmt.Fprintf(&b, " %d", digitsType)
	}
	b.WriteString("\r\n")
	for _, c := range codecs {
		fmt.Fprintf(&b, "a=rtpmap:%d %s/8000\r\n", c, names[c])
	}
	if !s.mute {
		fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", digitsType, digitsType)
	}
	fmt.Fprintf(&b, "a=ptime:20\r\na=%s\r\n", direction)
	return []byte(b.String())
}

// names are the payload types that a phone can be told to offer. All but the laws of G.711 carry µ-law under their
// number: enough to hear whether they are passed on as they are.
var names = map[uint8]string{0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 18: "G729"}

// agreed is what the other side's SDP says of its sound.
type agreed struct {
	remote    netip.AddrPort
	codec     payload
	digits    uint8
	direction string
}

// parse reads the other side's SDP: the first audio description and its first codec
// that we speak.
func parse(body []byte, ours []uint8) (agreed, error) {
	a := agreed{direction: "sendrecv"}
	var ip netip.Addr
	var port int
	found := false
	for line := range strings.Lines(string(body)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case key == "c":
			if f := strings.Fields(value); len(f) == 3 {
				ip, _ = netip.ParseAddr(f[2]) // an unparsable address stays invalid and is reported below
			}
		case key == "m" && !found:
			f := strings.Fields(value)
			if len(f) < 4 || f[0] != "audio" {
				continue
			}
			found = true
			port, _ = strconv.Atoi(f[1])
			codec, ok := firstCodec(f[3:], ours)
			if !ok {
				return a, fmt.Errorf("no codec in common: %s", value)
			}
			a.codec = codec
		case key == "a" && strings.HasPrefix(value, "rtpmap:") && strings.Contains(value, "telephone-event/8000"):
			n, _, _ := strings.Cut(strings.TrimPrefix(value, "rtpmap:"), " ")
			pt, _ := strconv.Atoi(n)
			a.digits = uint8(pt)
		case key == "a" && (value == "sendonly" || value == "recvonly" || value == "inactive" || value == "sendrecv"):
			a.direction = value
		}
	}
	if !found || !ip.IsValid() || port == 0 {
		return a, fmt.Errorf("the SDP has no usable audio: %q", body)
	}
	a.remote = netip.AddrPortFrom(ip, uint16(port))
	return a, nil
}

func firstCodec(types []string, ours []uint8) (payload, bool) {
	for _, t := range types {
		n, err := strconv.ParseUint(t, 10, 7)
		if _, known := names[uint8(n)]; err != nil || !known || n != 0 && n != 8 && !slices.Contains(ours, uint8(n)) {
			continue
		}
		return payload{number: uint8(n), alaw: n == 8}, true
	}
	return payload{}, false
}

// mayHear reports whether the other side wants to receive.
func (a agreed) mayHear() bool { return a.direction == "sendrecv" || a.direction == "recvonly" }
