package media

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// pressed hears the packets of one event, up to its third end.
func (p *phone) pressed(t *testing.T) (list []*rtp.Packet) {
	t.Helper()
	for ends := 0; ends < 3; {
		got := p.hear()
		list = append(list, got)
		if got.PayloadType == 101 && got.Payload[1]&0x80 != 0 {
			ends++
		}
	}
	return list
}

func TestPress_IsAnEventBetweenTheAudio(t *testing.T) { // RFC 4733 §2.5
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	_, before := talk(a, sa, b, 3)
	require.NoError(t, sa.Press('5', 250*time.Millisecond))
	list := b.pressed(t)
	_, voice := talk(a, sa, b, 3)

	require.Len(t, list, 13+2, "250 ms in steps of 20 ms, and the end twice more")
	last := before[len(before)-1]
	for i, got := range list {
		require.Equal(t, uint8(101), got.PayloadType)
		require.Equal(t, i == 0, got.Marker)
		require.Equal(t, last.SequenceNumber+1+uint16(i), got.SequenceNumber)
		require.Equal(t, list[0].Timestamp, got.Timestamp, "an event keeps the time of its start")
		require.Equal(t, sb.SSRC(), got.SSRC)
		require.EqualValues(t, 5, got.Payload[0])
		require.Equal(t, i >= 12, got.Payload[1]&0x80 != 0)
		require.EqualValues(t, min(160*(i+1), 2000), binary.BigEndian.Uint16(got.Payload[2:]))
	}
	require.GreaterOrEqual(t, int32(list[0].Timestamp-last.Timestamp), int32(160), "it begins behind what was said")
	require.Equal(t, list[14].SequenceNumber+1, voice[0].SequenceNumber)
	require.True(t, voice[0].Marker)
	require.GreaterOrEqual(t, int32(voice[0].Timestamp-list[0].Timestamp), int32(2000), "what is said next comes behind it")
	require.Equal(t, voice[0].Timestamp+320, voice[2].Timestamp)
}

func TestPress_AudioMeanwhile_IsWithheldWithoutAGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, before := talk(a, sa, b, 1)
	for _, key := range []byte("1#") {
		require.NoError(t, sa.Press(key, 100*time.Millisecond))
	}
	talkTo(r, a, sa) // is not heard
	list := append(b.pressed(t), b.pressed(t)...)
	_, voice := talk(a, sa, b, 1)
	all := append(append(before, list...), voice...)
	for i := 1; i < len(all); i++ {
		require.Equal(t, all[i-1].SequenceNumber+1, all[i].SequenceNumber)
	}
	keys := map[byte]uint32{}
	for _, got := range list {
		require.Equal(t, uint8(101), got.PayloadType)
		keys[got.Payload[0]] = got.Timestamp
	}
	require.Len(t, keys, 2)
	require.Greater(t, int32(keys[11]-keys[1]), int32(800))
}

func TestPress_ThatIsSentAsAnEventAsWell_IsOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	talk(a, sa, b, 1)
	for _, pkt := range a.press(5, 160, 320) { // first in the audio …
		a.sendFrom(a.rtp, sa, pkt)
		b.hear()
	}
	require.NoError(t, sa.Press('5', 100*time.Millisecond)) // … then by signalling
	_, voice := talk(a, sa, b, 1)
	require.Equal(t, uint8(0), voice[0].PayloadType)

	require.NoError(t, sa.Press('6', 100*time.Millisecond)) // the other way round
	b.pressed(t)
	for _, pkt := range a.press(6, 160, 320) {
		a.sendFrom(a.rtp, sa, pkt)
	}
	_, voice = talk(a, sa, b, 1)
	require.Equal(t, uint8(0), voice[0].PayloadType, "its packets were not relayed")
	for _, pkt := range a.press(7, 160) { // another key is another press
		a.sendFrom(a.rtp, sa, pkt)
		require.EqualValues(t, 7, b.hear().Payload[0])
	}
}

func TestPress_WhoCanNotTakeIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	p := b.params()
	p.Out, p.In = []Codec{PCMU}, nil
	require.NoError(t, sb.Configure(p))
	require.ErrorIs(t, sa.Press('5', time.Second), ErrNoEvents)
	require.ErrorIs(t, sa.Press('X', time.Second), ErrNoKey)
	require.NoError(t, sa.Unbridge())
	require.NoError(t, sa.Press('5', time.Second), "nobody hears it")
}
