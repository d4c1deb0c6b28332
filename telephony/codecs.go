package telephony

import (
	"slices"
	"strings"

	"holdfast/domain/device"
	"holdfast/telephony/sdp"
)

// formats are the codecs as descriptions have them.
var formats = map[device.Codec]sdp.Codec{
	device.ALaw: sdp.PCMA, device.ULaw: sdp.PCMU, device.GSM: sdp.GSM, device.G722: sdp.G722, device.G729: sdp.G729, device.Opus: sdp.Opus,
}

// spoken are the codecs by which the node itself talks with a device, best first (SEED-123): the laws of G.711 that it
// may use. They are translated into each other by the media engine, so that any two legs have a way. Without a setting
// the first one named goes in front.
func spoken(s device.Settings, first string) []sdp.Codec {
	if len(s.Codecs) == 0 {
		list := []sdp.Codec{sdp.PCMA, sdp.PCMU}
		if strings.EqualFold(first, sdp.PCMU.Name) {
			slices.Reverse(list)
		}
		return append(list, sdp.DTMF)
	}
	var list []sdp.Codec
	for _, c := range s.Codecs {
		if c.Spoken() {
			list = append(list, formats[c])
		}
	}
	return append(list, sdp.DTMF)
}

// codecsFor are the codecs that a device is offered: those that it may use in its order, and of those that the node only
// passes on the ones that the caller has offered and may use too, as long as it is not answered yet.
func (a *actor) codecsFor(s device.Settings) []sdp.Codec {
	if len(s.Codecs) == 0 {
		return spoken(s, a.favourite())
	}
	var list []sdp.Codec
	events := []sdp.Codec{sdp.DTMF}
	theirs := a.passable()
	for _, c := range s.Codecs {
		if c.Spoken() {
			list = append(list, formats[c])
			continue
		}
		i := slices.IndexFunc(theirs, func(f sdp.Codec) bool { return f.Same(formats[c]) })
		if i < 0 {
			continue
		}
		f := formats[c]
		f.Fmtp = theirs[i].Fmtp
		list = append(list, f)
		if f.Rate == sdp.DTMF48.Rate {
			events = append(events, sdp.DTMF48)
		}
	}
	return append(list, events...)
}

// passable are the caller's formats that can be passed on.
func (a *actor) passable() (list []sdp.Codec) {
	c := a.customer
	if c.phase != arriving || c.offer == nil {
		return nil
	}
	session, err := sdp.Parse(c.offer)
	if err != nil || session.Audio() < 0 {
		return nil
	}
	for _, f := range session.Media[session.Audio()].Codecs() {
		may := func(k device.Codec) bool { return !k.Spoken() && formats[k].Same(f) }
		if slices.ContainsFunc(a.from.Codecs, may) {
			list = append(list, f)
		}
	}
	return list
}

// passOn has the caller speak what the phone that answered has chosen, if that is a codec that the node only passes on.
func (a *actor) passOn(l *sipLeg) error {
	chosen := l.sound.agreed.Codec.Codec
	if chosen.Same(sdp.PCMA) || chosen.Same(sdp.PCMU) || a.customer.phase != arriving {
		return nil
	}
	a.customer.sound.local.Codecs = []sdp.Codec{chosen, sdp.DTMF, sdp.DTMF48}
	_, err := a.customer.sound.answer(a.customer.offer)
	return err
}
