package device

import "slices"

// Transport is how SIP reaches a device.
type Transport string

// The transports of SEED-120. WS and WSS are SIP over WebSocket (RFC 7118).
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
	WS  Transport = "ws"
	WSS Transport = "wss"
)

// Transports lists all of them.
func Transports() []Transport { return []Transport{UDP, TCP, WS, WSS, TLS} }

// Dynamic is the host of a device that registers (SEED-121).
const Dynamic = "dynamic"

// NAT says what is known of the network between us and a device (SEED-122). On TCP and
// TLS requests always go over the device's connection.
type NAT string

// The modes of NAT.
const (
	NATYes        NAT = "yes"         // force_rport and comedia: everything goes where the device's packets come from
	NATNo         NAT = "no"          // the addresses that the device names are right, in Contact and in SDP
	NATForceRPort NAT = "force_rport" // requests go where the device's come from, audio where its SDP says
	NATComedia    NAT = "comedia"     // audio goes where the device's comes from, requests to its Contact
	NATNever      NAT = "never"       // as no
	NATRoute      NAT = "route"       // as force_rport
)

// NATs lists the modes.
func NATs() []NAT { return []NAT{NATYes, NATNo, NATForceRPort, NATComedia, NATNever, NATRoute} }

// ByContact reports that requests over UDP go to the address in the device's Contact,
// and not to that which its REGISTER came from.
func (n NAT) ByContact() bool { return n == NATNo || n == NATNever || n == NATComedia }

// AsDescribed reports that audio goes to the address in the device's SDP only, and is
// taken from nowhere else.
func (n NAT) AsDescribed() bool { return n != "" && n != NATYes && n != NATComedia }

// Type says which way calls go (SEED-122).
type Type string

// The types of device.
const (
	User   Type = "user"   // may call; is never called
	Peer   Type = "peer"   // is called; may not call
	Friend Type = "friend" // both
)

// Types lists them.
func Types() []Type { return []Type{User, Peer, Friend} }

// Calls reports that the device may call.
func (t Type) Calls() bool { return t != Peer }

// Called reports that the device may be called.
func (t Type) Called() bool { return t != User }

// Codec is a format of audio by the name that people configure (SEED-123).
type Codec string

// The codecs of SEED-123.
const (
	ULaw Codec = "ulaw"
	ALaw Codec = "alaw"
	GSM  Codec = "gsm"
	G722 Codec = "g722"
	G729 Codec = "g729"
	Opus Codec = "opus"
)

// Codecs lists them.
func Codecs() []Codec { return []Codec{ULaw, ALaw, GSM, G722, G729, Opus} }

// Spoken reports that this build makes and understands the codec itself. The others are
// passed on between two devices that both have them.
func (c Codec) Spoken() bool { return c == ULaw || c == ALaw }

// Recording is the format in which calls to a device are recorded by themselves (SEED-127).
type Recording string

// The formats. WAV takes 16 KB per second and side, wav49 and gsm 1.6 KB.
const (
	RecordingOff Recording = "off"
	RecordWAV    Recording = "wav"
	RecordWAV49  Recording = "wav49"
	RecordGSM    Recording = "gsm"
)

// Recordings lists them.
func Recordings() []Recording { return []Recording{RecordingOff, RecordWAV, RecordWAV49, RecordGSM} }

// DefaultContext is where calls of a device begin if nothing else is said (SEED-124).
const DefaultContext = "from-sip"

// Settings are what an administrator may set of a device (SEED-120 to SEED-128). The
// zero value of a field means its default; Complete writes the defaults out.
type Settings struct {
	// Transports are those that the device may use, the favourite first; none: any, in no order.
	Transports []Transport `yaml:"transports,omitempty" json:"transports,omitempty"`
	// Host is Dynamic, or the address, ip or ip:port, of a device that does not have to register.
	Host string `yaml:"host,omitempty" json:"host,omitempty"`
	NAT  NAT    `yaml:"nat,omitempty" json:"nat,omitempty"`
	Type Type   `yaml:"type,omitempty" json:"type,omitempty"`
	// Codecs are those that the device may use, the favourite first; none: alaw and ulaw,
	// that of the other party first.
	Codecs []Codec `yaml:"codecs,omitempty" json:"codecs,omitempty"`
	// CallerID is the number that outsiders see when the device calls them; none: the agent's.
	CallerID string `yaml:"caller_id,omitempty" json:"caller_id,omitempty"`
	Context  string `yaml:"context,omitempty" json:"context,omitempty"`
	// Devices of PickupGroups may pick up what rings at devices of CallGroups with the same name.
	CallGroups   []string `yaml:"call_groups,omitempty" json:"call_groups,omitempty"`
	PickupGroups []string `yaml:"pickup_groups,omitempty" json:"pickup_groups,omitempty"`
	// Monitoring says whether calls at the device may be monitored; nil is yes (SEED-126).
	Monitoring *bool     `yaml:"monitoring,omitempty" json:"monitoring,omitempty"`
	Recording  Recording `yaml:"recording,omitempty" json:"recording,omitempty"`
	// SRTP says that audio must be encrypted (SEED-128).
	SRTP bool `yaml:"srtp,omitempty" json:"srtp,omitempty"`
}

// Monitored reports whether calls at the device may be monitored (SEED-126).
func (s Settings) Monitored() bool { return s.Monitoring == nil || *s.Monitoring }

// Fixed reports that the device is at a fixed address and need not register (SEED-121).
func (s Settings) Fixed() bool { return s.Host != "" && s.Host != Dynamic }

// Allows reports whether the device may use a transport.
func (s Settings) Allows(t Transport) bool {
	return len(s.Transports) == 0 || slices.Contains(s.Transports, t)
}

// Rank is the place of a transport in the order of preference, 0 the favourite; all are
// alike if there is no order.
func (s Settings) Rank(t Transport) int {
	return max(0, slices.Index(s.Transports, t))
}
