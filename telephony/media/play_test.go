package media

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/media/tone"
)

// SEED-83: on hold the customer hears music.
func TestPlay_MusicWhileBridged_IsHeardInPlaceOfThePartner(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, codec := range []Codec{PCMU, PCMA} {
		a, b := newPhone(t, PCMU, 440), newPhone(t, codec, 1000)
		sa, sb := r.pair(a, b)
		talk(a, sa, b, 1)
		require.NoError(t, sb.Play(Music()))
		for range 8 {
			a.say(sa)
		}
		require.Equal(t, []bool{true, true, false}, b.hears(8, MusicLow, MusicHigh, 440))

		require.NoError(t, sb.StopPlay())
		pcm := awaitTone(a, sa, b, 440)
		require.False(t, tone.Heard(pcm, MusicLow))
		require.False(t, tone.Heard(pcm, MusicHigh))
		require.NoError(t, sb.StopPlay())
	}
}

func TestPlay_MusicToMany_IsOneStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.joined("call", a), r.joined("call", b)
	require.NoError(t, sa.Play(Music()))
	for range 3 {
		a.hear()
	}
	require.NoError(t, sb.Play(Music()))
	first := b.hear()
	var inStep bool
	for end := time.Now().Add(patience); !inStep && time.Now().Before(end); { // what came before may be unheard as yet
		pkt := a.hear()
		inStep = string(pkt.Payload) == string(first.Payload)
		require.NotEqual(t, first.SSRC, pkt.SSRC)
	}
	require.True(t, inStep, "both hear the same frame")
}

func TestPlay_Ringback_BeginsWithItsSound(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMA, 440)
	s := r.joined("call", a)
	require.NoError(t, s.Play(Ringback(tone.RingbackEurope)))
	pkt := a.hear()
	require.True(t, pkt.Marker)
	require.True(t, tone.Heard(append(a.decode(pkt), a.listenTo(4)...), 425))
}

func TestPlay_Once_EndsAndSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	pcm := make([]int16, 160*3+40)
	tone.New(700).PCM(pcm)
	require.NoError(t, s.Play(Once(pcm)))
	r.await(s, Played, 1)
	heard := a.listenTo(4)
	require.True(t, tone.Heard(heard[:480], 700))
	require.Equal(t, tone.Silence, tone.Loudness(heard[520:]))
	a.deaf()
	require.NoError(t, s.Play(Once(nil)))
	r.await(s, Played, 2)
}

func TestPlay_PtimeOfPeer_IsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, ms := range []int{10, 30, 40} {
		a := newPhone(t, PCMU, 440)
		s := r.open("call")
		p := a.params()
		p.Ptime = time.Duration(ms) * time.Millisecond
		require.NoError(t, s.Configure(p))
		require.NoError(t, s.Play(Music()))
		one, two := a.hear(), a.hear()
		require.Len(t, one.Payload, 8*ms)
		require.EqualValues(t, 8*ms, two.Timestamp-one.Timestamp)
	}
}

func TestPlay_WithoutG711_IsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, Codec{Name: "G729", PT: 18}, 440)
	s := r.joined("call", a)
	require.ErrorIs(t, s.Play(Music()), ErrNoCodec)
	require.ErrorIs(t, r.open("call").Play(Music()), ErrNoCodec, "not configured")
}

func TestPlay_ToHeldPeer_IsNotSentUntilItListens(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	s, other := r.open("call"), r.joined("call", b)
	p := a.params()
	p.Direction = RecvOnly
	require.NoError(t, s.Configure(p))
	require.NoError(t, s.Play(Music()))
	require.NoError(t, other.Play(Music()))
	b.hear()
	b.hear()
	a.deaf()
	p.Direction = SendRecv
	require.NoError(t, s.Configure(p))
	require.True(t, a.hear().Marker)
}

func TestPlay_MutedPeer_GetsSilence(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	require.NoError(t, s.Mute(false, true))
	require.NoError(t, s.Play(Music()))
	require.Less(t, tone.Loudness(a.listenTo(3)), -60.0)
}

// At every moment, however it is cut, the two notes are there, and no tone that
// tests and phones use as a voice.
func TestMusic_AtEveryMoment_IsRecognisable(t *testing.T) {
	t.Parallel()
	pcm := composeMusic()
	require.Equal(t, pcm, composeMusic(), "the same in every process")
	for at := 0; at+800 <= len(pcm); at += 400 {
		part := pcm[at : at+800]
		require.True(t, tone.Heard(part, MusicLow), "at sample %d", at)
		require.True(t, tone.Heard(part, MusicHigh), "at sample %d", at)
		for _, voice := range []float64{425, 440, 480, 1000, 1500, 2000} {
			require.False(t, tone.Heard(part, voice), "%v Hz at sample %d", voice, at)
		}
		require.Less(t, tone.Loudness(part), -9.0)
	}
	// Around the end it goes on without a click.
	edge := append(append([]int16{}, pcm[len(pcm)-400:]...), pcm[:400]...)
	require.True(t, tone.Heard(edge, MusicLow))
	require.InDelta(t, float64(edge[399]), float64(edge[400]), 3000)
}

func TestClip_ShorterThanAPacket_IsLooped(t *testing.T) {
	t.Parallel()
	pcm := make([]int16, 16) // two periods of 1000 Hz
	tone.New(1000).PCM(pcm)
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	require.NoError(t, s.Play(Loop(pcm)))
	require.Equal(t, []bool{true}, a.hears(4, 1000))
}

func TestPlay_AfterALongStall_MusicHasMovedOnAndAPromptHasNot(t *testing.T) {
	t.Parallel()
	r := newBare(t, PCMU, 0)
	require.NoError(t, r.sh.play(r.a, Music()))
	require.NoError(t, r.sh.play(r.b, Once(make([]int16, 1600))))
	r.sh.now = r.engine.clock.now()
	r.sh.playAll()
	music, prompt, ts := r.a.play.pos, r.b.play.pos, r.b.out.ts
	r.sh.skipFrames(5)
	require.Equal(t, music+5*160, r.a.play.pos)
	require.Equal(t, prompt, r.b.play.pos)
	r.sh.playAll()
	require.Equal(t, ts+6*160, r.b.out.ts, "the timestamp follows the clock")
}
