package media

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// press is the packets of one telephone-event with the given durations, the last
// one three times with the end bit (RFC 4733 §2.5.1.4).
func (p *phone) press(code byte, durations ...uint16) (packets []*rtp.Packet) {
	add := func(duration uint16, end byte) {
		h := p.head
		h.PayloadType, h.Marker = 101, len(packets) == 0
		h.SequenceNumber += uint16(len(packets))
		body := binary.BigEndian.AppendUint16([]byte{code, end | 10}, duration)
		packets = append(packets, &rtp.Packet{Header: h, Payload: body})
	}
	for _, d := range durations {
		add(d, 0)
	}
	last := durations[len(durations)-1]
	for range 3 {
		add(last, 0x80)
	}
	p.head.SequenceNumber += uint16(len(packets))
	p.head.Timestamp += uint32(last)
	return packets
}

func TestDigit_PassesThroughAndIsReportedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	sa, sb := r.pair(a, b)
	p := b.params()
	p.Out = []Codec{PCMA, TelephoneEvent(96)}
	require.NoError(t, sb.Configure(p))

	_, all := talk(a, sa, b, 2)
	for _, pkt := range a.press(5, 160, 320, 480, 640) {
		a.sendFrom(a.rtp, sa, pkt)
		got := b.hear()
		require.EqualValues(t, 96, got.PayloadType)
		require.Equal(t, pkt.Payload, got.Payload)
		require.Equal(t, all[1].Timestamp+160, got.Timestamp, "an event keeps the time of its start")
		require.Equal(t, all[len(all)-1].SequenceNumber+1, got.SequenceNumber)
		require.Equal(t, sb.SSRC(), got.SSRC)
		all = append(all, got)
	}
	_, voice := talk(a, sa, b, 1)
	require.Equal(t, all[1].Timestamp+160+640, voice[0].Timestamp)

	require.EqualValues(t, '5', r.await(sa, DigitStarted, 1).Digit)
	end := r.await(sa, DigitEnded, 1)
	require.EqualValues(t, '5', end.Digit)
	require.Equal(t, 80*time.Millisecond, end.Duration)

	for i, code := range []byte{10, 11, 0, 15, 16} { // * # 0 D flash
		for _, pkt := range a.press(code, 160) {
			a.sendFrom(a.rtp, sa, pkt)
		}
		require.Equal(t, "*#0D!"[i], r.await(sa, DigitEnded, i+2).Digit)
	}
	require.Len(t, r.events(sa, DigitStarted), 6)
	require.Len(t, r.events(sa, DigitEnded), 6)
}

func TestDigit_OnlyItsEndArrives_IsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	packets := a.press(7, 160, 800)
	a.sendFrom(a.rtp, s, packets[len(packets)-1])
	require.EqualValues(t, '7', r.await(s, DigitStarted, 1).Digit)
	require.Equal(t, 100*time.Millisecond, r.await(s, DigitEnded, 1).Duration)
	a.sendFrom(a.rtp, s, packets[0]) // it was overtaken
	talkTo(r, a, s)
	require.Len(t, r.events(s, DigitStarted), 1)
}

// talkTo sends a packet of audio and waits until the engine has taken it.
func talkTo(r *rig, p *phone, s *Stream) {
	before := r.stats(s).In.Packets
	p.say(s)
	r.awaitStats(s, func(st Stats) bool { return st.In.Packets > before })
}

func TestDigit_EndLost_EndsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.tune.forgotten = 500 * time.Millisecond })
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	first := a.press(1, 160, 320)
	a.sendFrom(a.rtp, s, first[0])
	a.sendFrom(a.rtp, s, a.press(2, 160, 320)[1]) // the next digit ends the first
	require.EqualValues(t, '1', r.await(s, DigitEnded, 1).Digit)
	require.EqualValues(t, '2', r.await(s, DigitStarted, 2).Digit)
	a.sendFrom(a.rtp, s, first[2])   // late, of the first press
	end := r.await(s, DigitEnded, 2) // and time the second
	require.EqualValues(t, '2', end.Digit)
	require.Equal(t, 40*time.Millisecond, end.Duration)
	require.Len(t, r.events(s, DigitStarted), 2)
}

func TestDigit_LongerThanASegment_IsOnePress(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	long := a.press(3, 0xFFFF)
	a.sendFrom(a.rtp, s, long[0])
	rest := a.press(3, 800)
	rest[0].Marker = false
	for _, pkt := range rest {
		a.sendFrom(a.rtp, s, pkt)
	}
	require.Equal(t, time.Duration(0xFFFF+800)*time.Second/8000, r.await(s, DigitEnded, 1).Duration)
	require.Len(t, r.events(s, DigitStarted), 1)
}

func TestDigit_AudioBesideIt_IsNotRelayedAndLeavesNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.tune.quiet = time.Hour })
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 1)
	packets := a.press(9, 160)
	a.sendFrom(a.rtp, sa, packets[0])
	all = append(all, b.hear())

	inBand := *packets[1]
	inBand.PayloadType, inBand.Payload = 0, make([]byte, 160)
	a.sendFrom(a.rtp, sa, &inBand)
	for _, pkt := range packets[1:] {
		pkt.SequenceNumber++
		a.sendFrom(a.rtp, sa, pkt)
		all = append(all, b.hear())
	}
	a.head.SequenceNumber++
	_, voice := talk(a, sa, b, 1)
	all = append(all, voice...)
	for i := 1; i < len(all); i++ {
		require.Equal(t, all[i-1].SequenceNumber+1, all[i].SequenceNumber)
	}
	require.EqualValues(t, []uint8{0, 101, 101, 101, 101, 0}, types(all))
}

func types(packets []*rtp.Packet) (list []uint8) {
	for _, p := range packets {
		list = append(list, p.PayloadType)
	}
	return list
}

func TestDigit_PartnerWithoutEvents_GetsNoneAndNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	p := b.params()
	p.Out = []Codec{PCMU}
	require.NoError(t, sb.Configure(p))
	_, all := talk(a, sa, b, 2)
	for _, pkt := range a.press(4, 160, 320) {
		a.sendFrom(a.rtp, sa, pkt)
	}
	_, voice := talk(a, sa, b, 2)
	requireContinuous(t, append(all, voice...))
	require.EqualValues(t, '4', r.await(sa, DigitEnded, 1).Digit)
}

func TestDigit_OfMutedPhone_IsReportedButNotRelayed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 1)
	require.NoError(t, sa.Mute(true, false))
	for _, pkt := range a.press(6, 160) {
		a.sendFrom(a.rtp, sa, pkt)
	}
	_, voice := talk(a, sa, b, 1)
	requireContinuous(t, append(all, voice...))
	require.EqualValues(t, '6', r.await(sa, DigitEnded, 1).Digit)
}
