package device

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"holdfast/domain/fault"
	"holdfast/domain/leg"
)

var (
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	callerIDForm = regexp.MustCompile(`^\+?[0-9*#]{1,32}$`)
)

// CallerID reports whether a number can be shown as that of a caller.
func CallerID(number string) bool { return callerIDForm.MatchString(number) }

// mostGroups bounds the groups of one device.
const mostGroups = 16

// Complete fills in the defaults of a device of that kind, and puts what has no order
// into one.
func (s Settings) Complete(k leg.Kind) Settings {
	s.CallGroups, s.PickupGroups = ordered(s.CallGroups), ordered(s.PickupGroups)
	s.Recording = cmp.Or(s.Recording, RecordingOff)
	monitored := s.Monitored()
	s.Monitoring = &monitored
	if k == leg.PSTN {
		return s
	}
	s.Host, s.NAT, s.Type = cmp.Or(s.Host, Dynamic), cmp.Or(s.NAT, NATYes), cmp.Or(s.Type, Friend)
	s.Context = cmp.Or(s.Context, DefaultContext)
	if s.Fixed() {
		if at, err := fixedHost(s.Host); err == nil {
			s.Host = at
		}
	}
	return s
}

func ordered(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return slices.Compact(list)
}

// checks collects what is wrong.
type checks []fault.Field

func (c *checks) that(field string, ok bool, sentence string, args ...any) {
	if !ok {
		*c = append(*c, fault.Field{Name: field, Sentence: fmt.Sprintf(sentence, args...)})
	}
}

// Validate says everything that is wrong with the settings of a device of that kind,
// each with its field's name and what is allowed; nil when nothing is.
func (s Settings) Validate(k leg.Kind) []fault.Field {
	var c checks
	if k == leg.PSTN {
		s.external(&c)
	} else {
		s.signalled(&c, k)
	}
	c.that("caller_id", s.CallerID == "" || callerIDForm.MatchString(s.CallerID), "%q is not a number to show: up to 32 digits, * and #, + in front", s.CallerID)
	c.names("call_groups", s.CallGroups)
	c.names("pickup_groups", s.PickupGroups)
	oneOf(&c, "recording", s.Recording, Recordings())
	return c
}

// external refuses what only a device has that speaks SIP (SEED-48).
func (s Settings) external(c *checks) {
	const why = "an external device has none: it is a number behind a trunk"
	for field, given := range map[string]bool{
		"transports": len(s.Transports) > 0, "host": s.Host != "", "nat": s.NAT != "", "codecs": len(s.Codecs) > 0, "context": s.Context != "",
	} {
		c.that(field, !given, why)
	}
	c.that("type", s.Type == "" || s.Type == Peer, "an external device can only be called: peer, or nothing")
	c.that("srtp", !s.SRTP, "an external device can't encrypt: it is a number behind a trunk")
	slices.SortFunc(*c, func(a, b fault.Field) int { return cmp.Compare(a.Name, b.Name) })
}

func (s Settings) signalled(c *checks, k leg.Kind) {
	allowed := Transports()
	if k == leg.WebRTC {
		allowed = []Transport{WS, WSS}
	}
	list(c, "transports", s.Transports, allowed)
	_, err := fixedHost(s.Host)
	c.that("host", !s.Fixed() || err == nil, "%q must be an IP address, or dynamic for a device that registers", s.Host)
	c.that("host", !s.Fixed() || k != leg.WebRTC, "a webrtc device registers from a browser: only dynamic is allowed")
	c.that("host", !s.Fixed() || len(s.Transports) == 0 || s.FixedTransport() != "", "a device with a fixed address is reached by udp, tcp or tls, and transports has none of them")
	oneOf(c, "nat", s.NAT, NATs())
	oneOf(c, "type", s.Type, Types())
	list(c, "codecs", s.Codecs, Codecs())
	c.that("codecs", len(s.Codecs) == 0 || slices.ContainsFunc(s.Codecs, Codec.Spoken),
		"must have ulaw or alaw: the others are only passed on between two devices that both have them, so the device could not hear music or talk with a carrier")
	c.that("context", s.Context == "" || nameForm.MatchString(s.Context), "%q is not a name: letters, digits and . _ - up to 64 characters", s.Context)
}

// FixedTransport is the transport by which a device at a fixed address is reached; empty
// if it allows none that we can begin.
func (s Settings) FixedTransport() Transport {
	if len(s.Transports) == 0 {
		return UDP
	}
	for _, t := range s.Transports {
		if t == UDP || t == TCP || t == TLS {
			return t
		}
	}
	return ""
}

// FixedAt is the address of a device that is Fixed; its port is 0 if none is set.
func (s Settings) FixedAt() (netip.AddrPort, bool) {
	if !s.Fixed() {
		return netip.AddrPort{}, false
	}
	if at, err := netip.ParseAddrPort(s.Host); err == nil {
		return at, true
	}
	ip, err := netip.ParseAddr(s.Host)
	return netip.AddrPortFrom(ip, 0), err == nil
}

// fixedHost is ip or ip:port as it is kept.
func fixedHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return "", fmt.Errorf("%s is nobody's address", ip)
		}
		return ip.Unmap().String(), nil
	}
	at, err := netip.ParseAddrPort(host)
	if err != nil || at.Port() == 0 || at.Addr().IsUnspecified() || at.Addr().IsMulticast() || at.Addr().Zone() != "" {
		return "", fmt.Errorf("%q is no address", host)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String(), nil
}

func (c *checks) names(field string, names []string) {
	c.that(field, len(names) <= mostGroups, "has %d groups, at most %d are allowed", len(names), mostGroups)
	for _, name := range names {
		c.that(field, nameForm.MatchString(name), "%q is not a name: letters, digits and . _ - up to 64 characters", name)
	}
}

func oneOf[T ~string](c *checks, field string, value T, allowed []T) {
	c.that(field, value == "" || slices.Contains(allowed, value), "%q is not allowed: %s", value, words(allowed))
}

func list[T ~string](c *checks, field string, values, allowed []T) {
	for i, v := range values {
		c.that(field, slices.Contains(allowed, v), "%q is not allowed: %s", v, words(allowed))
		c.that(field, slices.Index(values, v) == i, "%q stands twice", v)
	}
}

// words are the allowed values as a sentence has them: "udp, tcp or tls".
func words[T ~string](allowed []T) string {
	texts := make([]string, len(allowed))
	for i, a := range allowed {
		texts[i] = string(a)
	}
	last := len(texts) - 1
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}
