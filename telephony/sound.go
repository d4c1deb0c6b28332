package telephony

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
	"holdfast/telephony/media"
	"holdfast/telephony/sdp"
)

// sound is what a leg's descriptions have agreed on.
type sound struct {
	local  sdp.Local
	agreed *sdp.Agreed // nil as long as there is no answer
}

// newSound is that of a leg whose audio comes to at, with the codecs that it may use, best first.
func newSound(at netip.AddrPort, codecs []sdp.Codec) sound {
	return sound{local: sdp.Local{
		Address: at.Addr().String(), Port: int(at.Port()), Codecs: codecs, RTCPMux: true,
		SessionID: uint64(rand.Uint32() >> 1), // more than 31 bits break some phones
	}}
}

// offer is our description with all that we can.
func (s *sound) offer() []byte { return s.local.Offer() }

// answer takes an offer of the peer and returns our answer. Nothing changes on error; sdp.Status has its code.
func (s *sound) answer(offer []byte) ([]byte, error) {
	session, err := sdp.Parse(offer)
	if err != nil {
		return nil, err
	}
	body, agreed, err := s.local.Answer(session)
	if err != nil {
		return nil, err
	}
	s.agreed = agreed
	return body, nil
}

// accept takes the peer's answer to our offer.
func (s *sound) accept(answer []byte) error {
	session, err := sdp.Parse(answer)
	if err != nil {
		return err
	}
	agreed, err := s.local.Accept(session)
	if err != nil {
		return err
	}
	s.agreed = agreed
	return nil
}

// held reports that the peer put us on hold: it doesn't listen.
func (s *sound) held() bool { return s.agreed != nil && s.agreed.Held }

// params are what the media engine has to know; described says that audio comes from and goes to the described address only.
func (s *sound) params(signalling string, described bool) media.Params {
	a := s.agreed
	p := media.Params{RTCPMux: a.RTCPMux, Direction: directions[a.Direction], Ptime: time.Duration(a.PTime) * time.Millisecond}
	if remote, ok := a.Remote(); ok {
		p.Remote = remote
		p.RemoteRTCP = netip.AddrPortFrom(remote.Addr(), uint16(a.RTCPPort))
	}
	if p.Ptime%(10*time.Millisecond) != 0 {
		p.Ptime = 0
	}
	add := func(f sdp.Format) {
		p.Out = append(p.Out, media.Codec{Name: f.Name, Rate: f.Rate, PT: f.SendPT})
		p.In = append(p.In, media.Codec{Name: f.Name, Rate: f.Rate, PT: f.RecvPT})
	}
	add(a.Codec)
	for _, f := range a.Codecs {
		if !f.Same(a.Codec.Codec) {
			add(f)
		}
	}
	p.AsDescribed = described
	if from, err := netip.ParseAddrPort(signalling); err == nil {
		p.SignalingSource = from.Addr()
	}
	return p
}

var directions = map[sdp.Direction]media.Direction{
	sdp.SendRecv: media.SendRecv, sdp.SendOnly: media.SendOnly, sdp.RecvOnly: media.RecvOnly, sdp.Inactive: media.Inactive,
}

// description finds the session description of a message; nil if there is none. The error has a status by statusOf.
func description(m sip.Message) ([]byte, error) {
	body := m.Body()
	kind := headers.Value(m, "Content-Type")
	found, err := sdp.Extract(kind, body)
	if err != nil {
		return nil, err
	}
	if found == nil && len(body) > 0 && !strings.EqualFold(headers.Value(m, "Content-Disposition"), "session;handling=optional") {
		return nil, fmt.Errorf("content type %q: %w", kind, errNotSDP)
	}
	return found, nil
}

// listen gives the media engine what was agreed.
func (l *sipLeg) listen() error {
	if l.stream == nil || l.sound.agreed == nil {
		return nil
	}
	source := l.dialog.Flow.Remote
	if l.hop {
		source = l.peer
	}
	if err := l.stream.Configure(l.sound.params(source, l.nat.AsDescribed())); err != nil {
		return fmt.Errorf("configure the audio: %w", err)
	}
	return nil
}
