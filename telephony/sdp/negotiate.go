package sdp

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Local is our side of one leg's media and the memory that the rules of RFC 3264 §8 need; every field survives JSON. Set
// the exported wishes, then Offer, Answer or Accept. One goroutine owns it.
type Local struct {
	// Address and Port are where we receive. Address is an IP address.
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Codecs are the formats that we take, best first; telephone-event among them, one per clock.
	Codecs []Codec `json:"codecs"`
	// Want is the direction that we wish, from our side: SendRecv when empty, SendOnly while we hold with music.
	Want Direction `json:"want,omitempty"`
	// PTime is the packet length that we ask for, in ms; 20 when 0.
	PTime int `json:"ptime_ms,omitempty"`
	// RTCPMux allows RTCP on the RTP port when the peer wants it.
	RTCPMux bool `json:"rtcp_mux,omitempty"`
	// Extra are attributes for the audio stream of each description that we write.
	Extra []Attribute `json:"extra,omitempty"`

	// SessionID is fixed for the dialog, Version grows by one when the description changes (RFC 3264 §8). Last is the
	// latest description.
	SessionID uint64 `json:"session_id"`
	Version   uint64 `json:"version"`
	Last      []byte `json:"last,omitempty"`
	// Lines are the streams agreed so far: a stream is never taken away, only refused.
	Lines []Line `json:"lines,omitempty"`
	// Numbers are the payload types in use: one means the same format for the whole session.
	Numbers map[uint8]string `json:"numbers,omitempty"`
}

// New is our side with a random session id: Address, Port, and Codecs, best first.
func New(address string, port int, codecs ...Codec) *Local {
	return &Local{Address: address, Port: port, Codecs: codecs, SessionID: 1 + uint64(rand.Uint32()>>1)}
}

// Line is the place of a stream in the descriptions.
type Line struct {
	Kind    string   `json:"kind"`
	Proto   string   `json:"proto"`
	Formats []string `json:"formats,omitempty"`
	// Audio marks our stream; others are refused.
	Audio bool   `json:"audio,omitempty"`
	Mid   string `json:"mid,omitempty"`
}

// Agreed is the outcome of an exchange.
type Agreed struct {
	// Address and Port are where the peer receives RTP; Address may be a name, or 0.0.0.0 for an old hold.
	Address string `json:"address"`
	Port    int    `json:"port"`
	// RTCPPort is where it receives RTCP: Port with mux, else a=rtcp or Port+1.
	RTCPPort int `json:"rtcp_port"`
	// Codec is what to send, Codecs all that may come, both with the numbers below.
	Codec  Format   `json:"codec"`
	Codecs []Format `json:"codecs"`
	// Event is the telephone-event of Codec's clock; nil if the peer has none.
	Event *Format `json:"event,omitempty"`
	// Direction is from our side: whether to send, whether to expect.
	Direction Direction `json:"direction"`
	// Held says that the peer put us on hold: it does not listen.
	Held bool `json:"held,omitempty"`
	// PTime is the packet length that the peer wants, in ms; 20 if it does not say.
	PTime   int  `json:"ptime_ms"`
	RTCPMux bool `json:"rtcp_mux,omitempty"`
}

// Format is a codec with the numbers of both ways.
type Format struct {
	Codec
	// SendPT is the number that the peer expects, RecvPT the one that it uses towards us.
	SendPT uint8 `json:"send_pt"`
	RecvPT uint8 `json:"recv_pt"`
}

// Remote is the RTP address if it is an IP address that can be sent to.
func (a *Agreed) Remote() (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(a.Address)
	if err != nil || ip.IsUnspecified() || a.Port == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), true
}

// Offer writes an offer with all our codecs: the first one, a re-INVITE's, or the one in a 2xx to an INVITE without any.
// The same wishes give the same bytes and version.
func (l *Local) Offer() []byte {
	if len(l.Lines) == 0 {
		l.Lines = []Line{{Kind: "audio", Proto: "RTP/AVP", Audio: true}}
	}
	return l.write(l.numbered(), l.want(), l.RTCPMux)
}

// Answer answers an offer: the peer's order of preference and its numbers, its first codec that we have and the
// telephone-event of the same clock; every other stream refused. Errors: ErrNoAudio, ErrNoCommonCodec; nothing changes
// then.
func (l *Local) Answer(offer *Session) ([]byte, *Agreed, error) {
	i := offer.Audio()
	if i < 0 {
		return nil, nil, ErrNoAudio
	}
	m := &offer.Media[i]
	formats := common(m.Codecs(), l.Codecs)
	for k := range formats {
		formats[k].RecvPT = formats[k].SendPT // an answer keeps the offerer's numbers
	}
	a, err := l.agree(m, formats)
	if err != nil {
		return nil, nil, err
	}
	l.Lines = linesOf(offer, i)
	chosen := []Codec{l.answerCodec(a.Codec)}
	if a.Event != nil {
		chosen = append(chosen, l.answerCodec(*a.Event))
	}
	a.Codecs = slices.DeleteFunc(a.Codecs, func(f Format) bool { return !f.Same(a.Codec.Codec) && (a.Event == nil || !f.Same(a.Event.Codec)) })
	return l.write(chosen, a.Direction, a.RTCPMux), a, nil
}

// Accept takes the answer to our latest Offer. Errors: ErrMalformed if it has fewer streams than the offer, ErrNoAudio if
// it refuses the audio, ErrNoCommonCodec.
func (l *Local) Accept(answer *Session) (*Agreed, error) {
	i := slices.IndexFunc(l.Lines, func(x Line) bool { return x.Audio })
	if i < 0 || i >= len(answer.Media) {
		return nil, fmt.Errorf("answer with %d streams: %w", len(answer.Media), ErrMalformed)
	}
	m := &answer.Media[i]
	if m.Kind != "audio" || m.Port == 0 || !m.plainRTP() {
		return nil, ErrNoAudio
	}
	return l.agree(m, common(m.Codecs(), l.numbered()))
}

// agree draws the conclusion from the peer's stream and the formats in common.
func (l *Local) agree(m *Media, formats []Format) (*Agreed, error) {
	best := slices.IndexFunc(formats, func(f Format) bool { return f.isAudio() })
	if best < 0 {
		return nil, ErrNoCommonCodec
	}
	a := &Agreed{
		Address: m.Connection, Port: m.Port, Codec: formats[best], Codecs: formats, Held: m.Held(),
		Direction: m.Direction().Mirror().And(l.want()), PTime: ptime(m),
	}
	if _, mux := m.Attributes.Get("rtcp-mux"); mux && l.RTCPMux {
		a.RTCPMux = true
	}
	a.RTCPPort = rtcpPort(m, a.RTCPMux)
	for _, f := range formats {
		if f.IsEvent() && f.Rate == a.Codec.Rate && a.Event == nil {
			a.Event = &f
		}
		l.note(f.SendPT, f.Codec)
		l.note(f.RecvPT, f.Codec)
	}
	return a, nil
}

// common are the peer's formats that are ours too, in the peer's order.
func common(theirs, ours []Codec) []Format {
	var out []Format
	for _, t := range theirs {
		k := slices.IndexFunc(ours, func(o Codec) bool { return o.Same(t) })
		if k >= 0 && !slices.ContainsFunc(out, func(f Format) bool { return f.Same(t) }) {
			out = append(out, Format{Codec: t, SendPT: t.PT, RecvPT: ours[k].PT})
		}
	}
	return out
}

// answerCodec is a format as our answer lists it: the peer's number and spelling, our parameters.
func (l *Local) answerCodec(f Format) Codec {
	c := f.Codec
	if k := slices.IndexFunc(l.Codecs, func(o Codec) bool { return o.Same(c) }); k >= 0 {
		c.Fmtp = l.Codecs[k].Fmtp
	}
	return c
}

func linesOf(offer *Session, audio int) []Line {
	var out []Line
	for i, m := range offer.Media {
		line := Line{Kind: m.Kind, Proto: m.Proto, Formats: m.Formats, Audio: i == audio}
		line.Mid, _ = m.Attributes.Get("mid")
		out = append(out, line)
	}
	return out
}

// numbered are our codecs with numbers that keep their meaning for the whole session.
func (l *Local) numbered() []Codec {
	taken := map[uint8]bool{}
	out := slices.Clone(l.Codecs)
	for i, c := range out {
		if pt, ok := l.known(c, taken); ok {
			c.PT = pt
		} else if _, used := l.Numbers[c.PT]; c.PT == AutoPT || taken[c.PT] || used {
			c.PT = l.free(taken)
		}
		taken[c.PT] = true
		l.note(c.PT, c)
		out[i] = c
	}
	return out
}

// known is the number that the session has for c already: its own if that means c, else the lowest that does.
func (l *Local) known(c Codec, taken map[uint8]bool) (uint8, bool) {
	name := strings.ToLower(c.String())
	if l.Numbers[c.PT] == name && !taken[c.PT] {
		return c.PT, true
	}
	for _, pt := range slices.Sorted(maps.Keys(l.Numbers)) {
		if l.Numbers[pt] == name && !taken[pt] {
			return pt, true
		}
	}
	return 0, false
}

// free is a dynamic number that nobody uses (RFC 3551 §3), 127 when all are.
func (l *Local) free(taken map[uint8]bool) uint8 {
	for pt := uint8(96); pt < 127; pt++ {
		_, used := l.Numbers[pt]
		ours := slices.ContainsFunc(l.Codecs, func(c Codec) bool { return c.PT == pt })
		if !used && !ours && !taken[pt] {
			return pt
		}
	}
	return 127
}

func (l *Local) note(pt uint8, c Codec) {
	if l.Numbers == nil {
		l.Numbers = map[uint8]string{}
	}
	l.Numbers[pt] = strings.ToLower(c.String())
}

func (l *Local) want() Direction {
	if l.Want.Valid() {
		return l.Want
	}
	return SendRecv
}

// ptime is the peer's wish between 10 and 60 ms, cut by its maxptime.
func ptime(m *Media) int {
	n := 20
	if v, ok := m.Attributes.Get("ptime"); ok {
		if x, err := strconv.Atoi(v); err == nil && x >= 10 && x <= 60 {
			n = x
		}
	}
	if v, ok := m.Attributes.Get("maxptime"); ok {
		if x, err := strconv.Atoi(v); err == nil && x >= 10 {
			n = min(n, x)
		}
	}
	return n
}

func rtcpPort(m *Media, mux bool) int {
	if mux {
		return m.Port
	}
	if v, ok := m.Attributes.Get("rtcp"); ok {
		number, _, _ := strings.Cut(v, " ")
		if x, err := strconv.ParseUint(number, 10, 16); err == nil && x > 0 {
			return int(x)
		}
	}
	return min(m.Port+1, 65535)
}

// write renders a description and gives it a version.
func (l *Local) write(codecs []Codec, d Direction, mux bool) []byte {
	if l.Last != nil && bytes.Equal(l.render(codecs, d, mux), l.Last) {
		return bytes.Clone(l.Last)
	}
	l.Version++
	l.Last = l.render(codecs, d, mux)
	return bytes.Clone(l.Last)
}

func (l *Local) render(codecs []Codec, d Direction, mux bool) []byte {
	net := "IN IP4 "
	if ip, err := netip.ParseAddr(l.Address); err == nil && ip.Unmap().Is6() {
		net = "IN IP6 "
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "v=0\r\no=- %d %d %s%s\r\ns=-\r\nc=%s%s\r\nt=0 0\r\n", l.SessionID, l.Version, net, l.Address, net, l.Address)
	for _, line := range l.Lines {
		if line.Audio {
			fmt.Fprintf(&b, "m=audio %d %s", l.Port, line.Proto)
			l.renderAudio(&b, codecs, d, mux)
		} else {
			fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", line.Kind, line.Proto, strings.Join(line.Formats, " "))
		}
		if line.Mid != "" && plain(line.Mid) {
			fmt.Fprintf(&b, "a=mid:%s\r\n", line.Mid)
		}
	}
	return b.Bytes()
}

// renderAudio writes the formats and attributes of our stream.
func (l *Local) renderAudio(b *bytes.Buffer, codecs []Codec, d Direction, mux bool) {
	for _, c := range codecs {
		fmt.Fprintf(b, " %d", c.PT)
	}
	b.WriteString("\r\n")
	for _, c := range codecs {
		fmt.Fprintf(b, "a=rtpmap:%d %s\r\n", c.PT, c)
		if f := cleanFmtp(c.Fmtp); f != "" {
			fmt.Fprintf(b, "a=fmtp:%d %s\r\n", c.PT, f)
		}
	}
	packet := l.PTime
	if packet <= 0 {
		packet = 20
	}
	fmt.Fprintf(b, "a=ptime:%d\r\na=%s\r\n", packet, d)
	if mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	for _, a := range l.Extra {
		if a.Value == "" {
			fmt.Fprintf(b, "a=%s\r\n", a.Key)
		} else {
			fmt.Fprintf(b, "a=%s:%s\r\n", a.Key, a.Value)
		}
	}
}
