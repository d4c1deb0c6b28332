package sdp

import (
	"strconv"
	"strings"
)

// Codec is a payload format by name; its number is only valid within one description.
type Codec struct {
	// Name is the encoding name, e.g. PCMU. Compared without case.
	Name string `json:"name"`
	// Rate is the RTP clock, in Hz (8000 for G722, though it is 16 kHz audio: RFC 3551 §4.5.2).
	Rate int `json:"rate"`
	// Channels is 1, or 2 as in opus/48000/2; 0 counts as 1.
	Channels int `json:"channels,omitempty"`
	// PT is the payload type number. In our own list AutoPT takes a free dynamic one.
	PT uint8 `json:"pt"`
	// Fmtp are the format parameters, without the number.
	Fmtp string `json:"fmtp,omitempty"`
}

// AutoPT asks for a number from the dynamic range.
const AutoPT = 255

// The codecs that the product itself handles or passes on.
var (
	PCMU = Codec{Name: "PCMU", Rate: 8000, PT: 0}
	PCMA = Codec{Name: "PCMA", Rate: 8000, PT: 8}
	G722 = Codec{Name: "G722", Rate: 8000, PT: 9}
	GSM  = Codec{Name: "GSM", Rate: 8000, PT: 3}
	G729 = Codec{Name: "G729", Rate: 8000, PT: 18}
	Opus = Codec{Name: "opus", Rate: 48000, Channels: 2, PT: AutoPT}
	// DTMF is telephone-event with the 8 kHz clock (RFC 4733), DTMF48 with Opus's.
	DTMF   = Codec{Name: "telephone-event", Rate: 8000, PT: 101, Fmtp: "0-16"}
	DTMF48 = Codec{Name: "telephone-event", Rate: 48000, PT: AutoPT, Fmtp: "0-16"}
)

// static are the payload types that need no rtpmap (RFC 3551 table 4).
var static = map[uint8]Codec{
	0: {Name: "PCMU", Rate: 8000}, 3: {Name: "GSM", Rate: 8000}, 4: {Name: "G723", Rate: 8000},
	5: {Name: "DVI4", Rate: 8000}, 6: {Name: "DVI4", Rate: 16000}, 7: {Name: "LPC", Rate: 8000},
	8: {Name: "PCMA", Rate: 8000}, 9: {Name: "G722", Rate: 8000}, 10: {Name: "L16", Rate: 44100, Channels: 2},
	11: {Name: "L16", Rate: 44100}, 12: {Name: "QCELP", Rate: 8000}, 13: {Name: "CN", Rate: 8000},
	15: {Name: "G728", Rate: 8000}, 18: {Name: "G729", Rate: 8000},
}

// Same reports the same format, whatever the number.
func (c Codec) Same(o Codec) bool {
	return strings.EqualFold(c.Name, o.Name) && c.Rate == o.Rate && max(c.Channels, 1) == max(o.Channels, 1)
}

// IsEvent reports telephone-event, IsNoise comfort noise: they accompany a codec and are none.
func (c Codec) IsEvent() bool { return strings.EqualFold(c.Name, "telephone-event") }

// IsNoise reports comfort noise (RFC 3389).
func (c Codec) IsNoise() bool { return strings.EqualFold(c.Name, "CN") }

// isAudio reports a format that carries speech by itself; red (RFC 2198) wraps others.
func (c Codec) isAudio() bool {
	return !c.IsEvent() && !c.IsNoise() && !strings.EqualFold(c.Name, "red")
}

// String is the rtpmap form: PCMU/8000, opus/48000/2.
func (c Codec) String() string {
	s := c.Name + "/" + strconv.Itoa(c.Rate)
	if c.Channels > 1 {
		s += "/" + strconv.Itoa(c.Channels)
	}
	return s
}

// Codecs are the formats of a stream in its order of preference, unknown names included. Numbers without a usable
// rtpmap are left out.
func (m *Media) Codecs() []Codec {
	maps, fmtps := map[string]string{}, map[string]string{}
	for _, a := range m.Attributes {
		number, value, ok := strings.Cut(a.Value, " ")
		if !ok {
			continue
		}
		switch a.Key {
		case "rtpmap":
			maps[number] = strings.TrimSpace(value)
		case "fmtp":
			fmtps[number] = strings.TrimSpace(value)
		}
	}
	var out []Codec
	seen := map[string]bool{}
	for _, f := range m.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil || seen[f] {
			continue
		}
		seen[f] = true
		c, ok := parseMap(maps[f])
		if !ok {
			c, ok = static[uint8(pt)]
		}
		if ok {
			c.PT, c.Fmtp = uint8(pt), fmtps[f]
			out = append(out, c)
		}
	}
	return out
}

func parseMap(v string) (Codec, bool) {
	p := strings.Split(v, "/")
	if len(p) < 2 || len(p) > 3 || p[0] == "" || len(p[0]) > 64 || !plain(p[0]) {
		return Codec{}, false
	}
	rate, err := strconv.Atoi(p[1])
	if err != nil || rate < 1000 || rate > 1_000_000 {
		return Codec{}, false
	}
	c := Codec{Name: p[0], Rate: rate}
	if len(p) == 3 {
		n, err := strconv.Atoi(p[2])
		if err != nil || n < 1 || n > 255 {
			return Codec{}, false
		}
		if n > 1 {
			c.Channels = n
		}
	}
	return c, true
}

// plain reports printable ASCII without spaces: names are written into our own descriptions.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// cleanFmtp drops parameters that would break a line.
func cleanFmtp(s string) string {
	if len(s) > 512 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return ""
	}
	return s
}
