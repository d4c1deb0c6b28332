package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/media/tone"
)

func TestBridge_TwoPhones_HearEachOtherAndNotThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)

	atB, _ := talk(a, sa, b, 8)
	atA, _ := talk(b, sb, a, 8)
	require.True(t, tone.Heard(atB, 440))
	require.False(t, tone.Heard(atB, 1000))
	require.True(t, tone.Heard(atA, 1000))
	require.False(t, tone.Heard(atA, 440))
	r.await(sa, FirstIn, 1)
	r.await(sa, FirstOut, 1)
	r.await(sb, Flowing, 1)
}

func TestBridge_UlawAgainstAlaw_TranslatesByTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	sa, sb := r.pair(a, b)

	atB, heard := talk(a, sa, b, 8)
	require.EqualValues(t, 8, heard[0].PayloadType)
	require.True(t, tone.Heard(atB, 440))
	require.InDelta(t, tone.DefaultLevel, tone.Level(atB, 440), 0.3)
	atA, heard := talk(b, sb, a, 8)
	require.EqualValues(t, 0, heard[0].PayloadType)
	require.True(t, tone.Heard(atA, 1000))
}

func TestBridge_PayloadTypes_AreTranslatedByName(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	a.codec = Codec{Name: "g729", PT: 18}
	b.codec = Codec{Name: "G729", Rate: 8000, PT: 97}
	a.head.PayloadType, b.head.PayloadType = 18, 97
	sa, sb := r.pair(a, b)

	_, heard := talk(a, sa, b, 1)
	require.EqualValues(t, 97, heard[0].PayloadType)
	_, heard = talk(b, sb, a, 1)
	require.EqualValues(t, 18, heard[0].PayloadType)
}

// The peer may name other numbers for what it receives than we do (RFC 3264 §5.1).
func TestConfigure_DifferentNumbersInAndOut_AreBothUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	sa, sb := r.pair(a, b)
	p := a.params()
	p.Out = []Codec{{Name: "PCMA", PT: 111}}
	p.In = []Codec{{Name: "PCMA", PT: 112}}
	require.NoError(t, sa.Configure(p))

	_, heard := talk(b, sb, a, 1)
	require.EqualValues(t, 111, heard[0].PayloadType)
	a.codec, a.head.PayloadType = PCMA, 112
	_, heard = talk(a, sa, b, 1)
	require.EqualValues(t, 8, heard[0].PayloadType)

	a.head.PayloadType = 111 // ours is 112
	a.say(sa)
	r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Unknown == 1 })
	b.deaf()
}

func TestBridge_NothingInCommon_IsRefusedAndLeavesOldBridge(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b, c := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000), newPhone(t, PCMU, 1500)
	c.codec = Codec{Name: "GSM", PT: 3}
	sa, _ := r.pair(a, b)
	sc := r.joined("call", c)

	require.ErrorIs(t, Bridge(sa, sc), ErrNotRelayable)
	require.ErrorIs(t, Bridge(sc, sa), ErrNotRelayable)
	atB, _ := talk(a, sa, b, 8)
	require.True(t, tone.Heard(atB, 440))

	p := a.params()
	p.Out = []Codec{{Name: "GSM", PT: 3}}
	require.ErrorIs(t, sa.Configure(p), ErrNotRelayable, "a re-INVITE that leaves the partner behind")
}

func TestBridge_BeforeConfigure_FlowsAfterIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	sa, sb := r.open("call"), r.open("call")
	require.NoError(t, Bridge(sa, sb))
	require.NoError(t, Bridge(sb, sa), "what is already so succeeds")
	require.NoError(t, sa.Configure(a.params()))
	require.NoError(t, sb.Configure(b.params()))
	atB, _ := talk(a, sa, b, 8)
	require.True(t, tone.Heard(atB, 440))
}

func TestBridge_OfTwoCalls_OnDifferentShards(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Shards = 4 })
	for i := range 8 {
		a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
		sa, sb := r.joined("one", a), r.joined(string(rune('a'+i)), b)
		require.NoError(t, sb.Play(Music()))
		b.hear()
		require.NoError(t, Bridge(sa, sb))
		require.NoError(t, sb.StopPlay())
		atB := awaitTone(a, sa, b, 440)
		require.False(t, tone.Heard(atB, MusicLow))
		atA, _ := talk(b, sb, a, 8)
		require.True(t, tone.Heard(atA, 1000))
		require.NoError(t, sb.Close())
	}
}

// awaitTone lets one phone speak until the other has heard it for 160 ms.
func awaitTone(from *phone, via *Stream, to *phone, freq float64) []int16 {
	for range 20 {
		pcm, _ := talk(from, via, to, 8)
		if tone.Heard(pcm, freq) {
			pcm, _ = talk(from, via, to, 8)
			return pcm
		}
	}
	require.FailNow(to.t, "tone never came", "%v Hz", freq)
	return nil
}

func TestBridge_ToAnother_LeavesFirstAlone(t *testing.T) {
	t.Parallel()
	for _, bridge := range []func(a, b *Stream) error{
		Bridge, func(a, b *Stream) error { return Bridge(b, a) },
	} {
		testBridgeToAnother(t, bridge)
	}
}

func testBridgeToAnother(t *testing.T, bridge func(a, b *Stream) error) {
	t.Helper()
	r := newRig(t, nil)
	a, b, c := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000), newPhone(t, PCMU, 1500)
	sa, sb := r.pair(a, b)
	talk(a, sa, b, 1)
	sc := r.joined("call", c)
	require.NoError(t, bridge(sa, sc))

	atC, _ := talk(a, sa, c, 8)
	require.True(t, tone.Heard(atC, 440))
	b.say(sb)
	r.awaitStats(sb, func(st Stats) bool { return st.In.Packets == 1 })
	a.deaf()
	b.deaf()

	require.NoError(t, sa.Unbridge())
	require.NoError(t, sa.Unbridge())
	a.say(sa)
	r.awaitStats(sa, func(st Stats) bool { return st.In.Packets == 10 })
	c.deaf()
}

func TestRelay_LossAndReordering_StayVisible(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, heard := talk(a, sa, b, 1)
	first := heard[0]

	for _, step := range []uint16{1, 4, 3, 5} { // 2 is lost, 3 comes late
		h := a.head
		h.SequenceNumber += step - 1
		h.Timestamp += 160 * uint32(step-1)
		a.sendFrom(a.rtp, sa, &rtp.Packet{Header: h, Payload: make([]byte, 160)})
		got := b.hear()
		require.Equal(t, first.SequenceNumber+step, got.SequenceNumber)
		require.Equal(t, first.Timestamp+160*uint32(step), got.Timestamp)
		require.Equal(t, first.SSRC, got.SSRC)
	}
	st := r.stats(sa)
	require.EqualValues(t, 1, st.In.Lost)
	require.EqualValues(t, 1, st.In.Late)
	require.EqualValues(t, 5, st.In.Packets)
}

func TestRelay_MarkerOfSource_IsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, heard := talk(a, sa, b, 2)
	require.True(t, heard[0].Marker, "the beginning")
	require.False(t, heard[1].Marker)
	a.head.Marker = true
	a.head.Timestamp += 8000 // it was silent for a second
	_, after := talk(a, sa, b, 2)
	require.True(t, after[0].Marker)
	require.False(t, after[1].Marker)
	require.Equal(t, heard[1].Timestamp+160+8000, after[0].Timestamp)
}

func TestRelay_HeaderExtras_AreCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	pkt := &rtp.Packet{Header: a.head, Payload: []byte("the words of the payload")}
	pkt.CSRC = []uint32{1, 2}
	pkt.Extension, pkt.ExtensionProfile = true, 0xBEDE
	require.NoError(t, pkt.SetExtension(1, []byte{1, 2, 3}))
	pkt.Padding, pkt.PaddingSize = true, 4
	a.sendFrom(a.rtp, sa, pkt)
	got := b.hear()
	require.Equal(t, "the words of the payload", string(got.Payload))
	require.False(t, got.Padding)
	require.False(t, got.Extension)
	require.Empty(t, got.CSRC)
}

func TestRelay_Rubbish_IsCountedAndDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	talk(a, sa, b, 1)
	rubbish := [][]byte{
		{0x80}, []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 12),
		{0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xBE, 0xDE, 0xFF, 0xFF}, // extension longer than the packet
		{0xA0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 200},                       // more padding than packet
		{0xA0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0},                         // no padding
		{0x8F, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1},                         // sources that are not there
		{0x80, 200, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1},                       // a report cut short
	}
	for _, b := range rubbish {
		_, err := a.rtp.WriteToUDPAddrPort(b, sa.Addr())
		require.NoError(t, err)
	}
	r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Invalid == uint64(len(rubbish)) })
	b.deaf()
	talk(a, sa, b, 1)
}

func TestDirection_Hold_StopsOneWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	talk(a, sa, b, 2)
	talk(b, sb, a, 2)

	p := a.params()
	p.Direction = SendOnly // a is put on hold
	require.NoError(t, sa.Configure(p))
	a.say(sa)
	r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Unwanted == 1 })
	b.deaf()
	talk(b, sb, a, 1)

	p.Direction = RecvOnly // a puts us on hold
	require.NoError(t, sa.Configure(p))
	talk(a, sa, b, 1)
	b.say(sb)
	r.awaitStats(sb, func(st Stats) bool { return st.In.Packets == 4 })
	a.deaf()

	p.Direction = Inactive
	require.NoError(t, sa.Configure(p))
	b.say(sb)
	a.say(sa)
	r.awaitStats(sb, func(st Stats) bool { return st.In.Packets == 5 })
	r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Unwanted == 2 })
	a.deaf()
	b.deaf()

	p.Direction = SendRecv
	require.NoError(t, sa.Configure(p))
	atB, _ := talk(a, sa, b, 8)
	require.True(t, tone.Heard(atB, 440))
	_, heard := talk(b, sb, a, 1)
	require.True(t, heard[0].Marker)
	require.Zero(t, r.stats(sa).In.Lost, "what is not wanted is not lost")
}

func TestDirection_HoldAndResume_LeavesNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 2)
	p := a.params()
	p.Direction = SendOnly
	require.NoError(t, sa.Configure(p))
	for range 10 {
		a.say(sa)
	}
	r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Unwanted == 10 })
	require.NoError(t, sa.Configure(a.params()))
	_, voice := talk(a, sa, b, 2)
	requireContinuous(t, append(all, voice...))
}

// Comfort noise that nobody agreed on, for example.
func TestRelay_UnknownPayloadType_LeavesNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 2)
	a.head.PayloadType = 13
	a.say(sa)
	a.head.PayloadType = 0
	_, voice := talk(a, sa, b, 2)
	requireContinuous(t, append(all, voice...))
	st := r.stats(sa)
	require.EqualValues(t, 1, st.Rejected.Unknown)
	require.Zero(t, st.In.Lost)
}

// A codec of another clock has timestamps of its own (a fresh base and a marker).
func TestRelay_OtherClock_BeginsAfresh(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	opus := Codec{Name: "opus", Rate: 48000, PT: 111}
	p := a.params()
	p.Out = []Codec{opus, PCMU}
	require.NoError(t, sa.Configure(p))
	p = b.params()
	p.Out = []Codec{PCMU, opus}
	require.NoError(t, sb.Configure(p))

	_, all := talk(a, sa, b, 2)
	a.head.PayloadType, a.head.SSRC = 111, 99
	_, wide := talk(a, sa, b, 2)
	require.EqualValues(t, 111, wide[0].PayloadType)
	require.True(t, wide[0].Marker)
	require.Equal(t, all[1].SequenceNumber+1, wide[0].SequenceNumber)
	require.Equal(t, sb.SSRC(), wide[0].SSRC)
}

func TestMute_ReplacesVoiceBySilence_AndFlowsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	sa, sb := r.pair(a, b)
	_, before := talk(a, sa, b, 2)

	require.NoError(t, sa.Mute(true, false))
	silent, during := talk(a, sa, b, 4)
	require.Less(t, tone.Loudness(silent), -60.0)
	toA, _ := talk(b, sb, a, 8)
	require.True(t, tone.Heard(toA, 1000), "the muted one still hears")

	require.NoError(t, sa.Mute(false, false))
	voice, after := talk(a, sa, b, 8)
	require.True(t, tone.Heard(voice, 440))
	requireContinuous(t, append(append(before, during...), after...))

	require.NoError(t, sb.Mute(false, true))
	silent, _ = talk(a, sa, b, 4)
	require.Less(t, tone.Loudness(silent), -60.0, "nothing is to be sent to b")
}

func TestPtime_OfPeer_RepacketisesG711(t *testing.T) {
	t.Parallel()
	for _, ptime := range []time.Duration{10, 30, 60} {
		r := newRig(t, nil)
		a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
		sa, sb := r.pair(a, b)
		talk(a, sa, b, 1) // as it comes, until the peer asks
		p := b.params()
		p.Ptime = ptime * time.Millisecond
		require.NoError(t, sb.Configure(p))

		for range 12 {
			a.say(sa)
		}
		size := int(ptime) * 8
		var heard []*rtp.Packet
		for range 12 * 160 / size {
			heard = append(heard, b.hear())
		}
		var pcm []int16
		for _, pkt := range heard {
			require.Len(t, pkt.Payload, size)
			pcm = append(pcm, b.decode(pkt)...)
		}
		requireContinuous(t, heard)
		require.Equal(t, uint32(size), heard[1].Timestamp-heard[0].Timestamp)
		require.True(t, tone.Heard(pcm, 440))
		require.InDelta(t, tone.DefaultLevel, tone.Level(pcm, 440), 0.5, "not a sample is missing")

		a.head.SequenceNumber += 3 // 60 ms are lost
		a.head.Timestamp += 480
		for range 3 {
			a.say(sa)
		}
		next := b.hear()
		last := heard[len(heard)-1]
		require.Equal(t, last.SequenceNumber+1+uint16(480/size), next.SequenceNumber, "the gap stays visible")
		require.Equal(t, last.Timestamp+uint32(size)+480, next.Timestamp)
	}
}
