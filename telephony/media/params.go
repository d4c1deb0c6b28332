package media

import (
	"fmt"
	"net/netip"
	"time"
)

// Direction is which way audio flows, seen from us: SendOnly means that we send
// and the peer does not (it is on hold), as "a=sendonly" in our SDP.
type Direction uint8

// The directions of RFC 3264 §6.1.
const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = SendOnly | RecvOnly
)

// String returns the attribute of SDP, such as "sendrecv".
func (d Direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&SendRecv]
}

func (d Direction) sends() bool    { return d&SendOnly != 0 }
func (d Direction) receives() bool { return d&RecvOnly != 0 }

// Params is what SDP says about a stream.
type Params struct {
	// Remote is where the peer wants its audio: c= and m= of its SDP. An
	// unspecified address or port 0 means nowhere.
	Remote netip.AddrPort
	// RemoteRTCP is where it wants reports (a=rtcp). Zero: Remote's port + 1.
	RemoteRTCP netip.AddrPort
	// RTCPMux says that both sides agreed on RTP and RTCP on one port (RFC 5761).
	RTCPMux bool
	// Direction is ours. The zero value is Inactive.
	Direction Direction
	// Out are the codecs of the peer's SDP, which we may send, favourite first;
	// up to 12 are used.
	Out []Codec
	// In are those of our SDP, which the peer may send. Nil: as Out.
	In []Codec
	// Ptime is the length of the packets that the peer wants: 10 ms to 60 ms in
	// steps of 10. Relayed G.711 of another length is repacketised to it. Zero:
	// 20 ms for what we play, and relayed packets keep their length.
	Ptime time.Duration
	// SignalingSource is where the peer's SIP messages come from: behind NAT its
	// audio is likely to come from there, too.
	SignalingSource netip.Addr
	// AsDescribed says that there is no NAT: only packets from Remote are audio, and
	// audio goes nowhere else.
	AsDescribed bool
}

func (p *Params) validate(bind netip.Addr) error {
	if p.Direction > SendRecv {
		return fmt.Errorf("%w: direction %d", ErrParams, p.Direction)
	}
	if p.Ptime != 0 && (p.Ptime < 10*time.Millisecond || p.Ptime > maxPtime || p.Ptime%(10*time.Millisecond) != 0) {
		return fmt.Errorf("%w: ptime %s", ErrParams, p.Ptime)
	}
	for _, a := range []netip.AddrPort{p.Remote, p.RemoteRTCP} {
		if a.IsValid() && a.Addr().Unmap().Is4() != bind.Is4() {
			return fmt.Errorf("%w: remote address %s is of another family than %s", ErrParams, a, bind)
		}
	}
	for _, list := range [][]Codec{p.Out, p.In} {
		for _, c := range list {
			if c.PT > 127 || c.Rate < 0 {
				return fmt.Errorf("%w: codec %s/%d as payload type %d", ErrParams, c.Name, c.Rate, c.PT)
			}
		}
	}
	return nil
}

// maxPtime is the longest packet that the engine makes.
const maxPtime = 60 * time.Millisecond
