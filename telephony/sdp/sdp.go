// Package sdp reads and writes session descriptions (RFC 8866) and does the offer/answer exchange (RFC 3264) for one
// audio stream per leg. Parsing takes what phones really send (LF line ends, a missing last line end, missing s= and t=)
// and bounds what strangers may send; nothing here panics on input.
package sdp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

var (
	// ErrMalformed says that a body is no session description: 400.
	ErrMalformed = errors.New("malformed session description")
	// ErrNoCommonCodec says that no offered audio codec is ours: 488.
	ErrNoCommonCodec = errors.New("no common audio codec")
	// ErrNoAudio says that there is no audio stream we can take (none, refused, or only over SRTP): 488.
	ErrNoAudio = errors.New("no acceptable audio stream")
)

// Status is the SIP status for an error of this package: 400 for ErrMalformed, else 488.
func Status(err error) int {
	if errors.Is(err, ErrMalformed) {
		return sip.StatusBadRequest
	}
	return sip.StatusNotAcceptableHere
}

// Session is a parsed session description.
type Session struct {
	Origin Origin
	// Connection is the address of the session's c= line, without /ttl; empty if there is none.
	Connection string
	Attributes Attributes
	Media      []Media
}

// Origin is the o= line.
type Origin struct {
	Username           string
	SessionID, Version string
	Address            string
}

// Media is an m= line and what follows it.
type Media struct {
	// Kind is audio, video, image, application …
	Kind string
	// Port is 0 for a refused stream.
	Port int
	// Proto is RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF …
	Proto   string
	Formats []string
	// Connection is the c= line's address here or, if none, the session's.
	Connection string
	Attributes Attributes
	session    Attributes
}

// Attribute is an a= line, key:value or key alone.
type Attribute struct{ Key, Value string }

// Attributes are a= lines in order.
type Attributes []Attribute

// Get is the first value of key.
func (a Attributes) Get(key string) (string, bool) {
	for _, x := range a {
		if x.Key == key {
			return x.Value, true
		}
	}
	return "", false
}

// Bounds of what is read; real descriptions stay far below.
const (
	maxBytes = 32 << 10
	maxLines = 1000
	maxMedia = 32
)

// Parse reads a session description. Every error is an ErrMalformed.
func Parse(body []byte) (*Session, error) {
	if len(body) > maxBytes {
		return nil, fmt.Errorf("%d bytes: %w", len(body), ErrMalformed)
	}
	lines := strings.Split(strings.TrimRight(string(body), "\r\n\x00 "), "\n")
	if len(lines) > maxLines {
		return nil, fmt.Errorf("%d lines: %w", len(lines), ErrMalformed)
	}
	if strings.TrimRight(lines[0], "\r ") != "v=0" {
		return nil, fmt.Errorf("it does not begin with v=0: %w", ErrMalformed)
	}
	s := &Session{}
	for i, line := range lines[1:] {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return nil, fmt.Errorf("line %d: %w", i+2, ErrMalformed)
		}
		if err := s.line(line[0], line[2:]); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	if s.Origin.SessionID == "" {
		return nil, fmt.Errorf("no o= line: %w", ErrMalformed)
	}
	for i := range s.Media {
		m := &s.Media[i]
		m.session = s.Attributes
		if m.Connection == "" {
			m.Connection = s.Connection
		}
		if m.Connection == "" && m.Port != 0 {
			return nil, fmt.Errorf("no c= line for %s: %w", m.Kind, ErrMalformed)
		}
	}
	return s, nil
}

func (s *Session) line(kind byte, value string) (err error) {
	switch kind {
	case 'o':
		s.Origin, err = parseOrigin(value)
	case 'c':
		address, err := parseConnection(value)
		if err != nil {
			return err
		}
		if n := len(s.Media); n > 0 {
			s.Media[n-1].Connection = address
		} else {
			s.Connection = address
		}
	case 'm':
		if len(s.Media) == maxMedia {
			return fmt.Errorf("more than %d streams: %w", maxMedia, ErrMalformed)
		}
		m, err := parseMedia(value)
		if err != nil {
			return err
		}
		s.Media = append(s.Media, m)
	case 'a':
		key, v, _ := strings.Cut(value, ":")
		a := Attribute{strings.TrimSpace(key), strings.TrimSpace(v)}
		if n := len(s.Media); n > 0 {
			s.Media[n-1].Attributes = append(s.Media[n-1].Attributes, a)
		} else {
			s.Attributes = append(s.Attributes, a)
		}
	}
	return err
}

func parseOrigin(v string) (Origin, error) {
	f := strings.Fields(v)
	if len(f) != 6 {
		return Origin{}, fmt.Errorf("o= with %d fields: %w", len(f), ErrMalformed)
	}
	return Origin{Username: f[0], SessionID: f[1], Version: f[2], Address: f[5]}, nil
}

func parseConnection(v string) (string, error) {
	f := strings.Fields(v)
	if len(f) != 3 || f[0] != "IN" || f[1] != "IP4" && f[1] != "IP6" {
		return "", fmt.Errorf("c=%.40q: %w", v, ErrMalformed)
	}
	address, _, _ := strings.Cut(f[2], "/")
	if address == "" || len(address) > 255 {
		return "", fmt.Errorf("c=%.40q: %w", v, ErrMalformed)
	}
	return address, nil
}

func parseMedia(v string) (Media, error) {
	f := strings.Fields(v)
	if len(f) < 4 || len(f) > 3+128 {
		return Media{}, fmt.Errorf("m= with %d fields: %w", len(f), ErrMalformed)
	}
	if !plain(strings.Join(f, "")) {
		return Media{}, fmt.Errorf("m= with control characters: %w", ErrMalformed)
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Media{}, fmt.Errorf("port %.20q: %w", f[1], ErrMalformed)
	}
	return Media{Kind: strings.ToLower(f[0]), Port: int(port), Proto: strings.ToUpper(f[2]), Formats: f[3:]}, nil
}

// Secure reports a stream over SRTP.
func (m *Media) Secure() bool { return strings.Contains(m.Proto, "SAVP") }

// plainRTP reports a stream that the relay can take.
func (m *Media) plainRTP() bool { return m.Proto == "RTP/AVP" || m.Proto == "RTP/AVPF" }

// Direction is the stream's a=sendrecv, sendonly, recvonly or inactive, the session's if it has none, sendrecv by
// default. An address 0.0.0.0 (or ::), the hold of RFC 2543, takes the receiving away: its sender hears nothing.
func (m *Media) Direction() Direction {
	d := SendRecv
	for _, attributes := range []Attributes{m.session, m.Attributes} {
		for _, a := range attributes {
			if x := Direction(a.Key); x.Valid() {
				d = x
			}
		}
	}
	if ip, err := netip.ParseAddr(m.Connection); err == nil && ip.IsUnspecified() {
		d = d.And(SendOnly)
	}
	return d
}

// Held reports that the sender of the description hears nothing from us: hold, whether by direction or by address.
func (m *Media) Held() bool { return !m.Direction().Recv() }

// Audio is the index of the first audio stream over plain RTP with a port, -1 if there is none.
func (s *Session) Audio() int {
	for i := range s.Media {
		if m := &s.Media[i]; m.Kind == "audio" && m.Port != 0 && m.plainRTP() {
			return i
		}
	}
	return -1
}

// Read parses the session description of a message; nil if it has none (a late offer).
func Read(m sip.Message) (*Session, error) {
	contentType := ""
	for _, h := range m.GetHeaders("Content-Type") {
		contentType = h.Value()
	}
	body, err := Extract(contentType, m.Body())
	if err != nil || body == nil {
		return nil, err
	}
	return Parse(body)
}

// Extract finds the session description in a message body: all of application/sdp (also if the type is missing), or the
// first such part of a multipart body (RFC 5621). Nil if there is none; ErrMalformed for a broken multipart.
func Extract(contentType string, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "" || kind == "application/sdp":
		return body, nil
	case err != nil:
		return nil, fmt.Errorf("content type: %w", ErrMalformed)
	case !strings.HasPrefix(kind, "multipart/"):
		return nil, nil
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range 16 {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("multipart: %w", ErrMalformed)
		}
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind != "application/sdp" {
			continue
		}
		part, err := io.ReadAll(io.LimitReader(p, maxBytes+1))
		if err != nil {
			return nil, fmt.Errorf("multipart: %w", ErrMalformed)
		}
		return part, nil
	}
	return nil, nil
}
