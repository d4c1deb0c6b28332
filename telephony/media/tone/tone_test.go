package tone

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/g711"
)

func TestGenerator_InPieces_IsContinuous(t *testing.T) {
	t.Parallel()
	whole, pieces := make([]int16, 1600), make([]int16, 0, 1600)
	New(440).PCM(whole)
	g := New(440)
	for _, n := range []int{1, 159, 160, 480, 800} {
		piece := make([]int16, n)
		g.PCM(piece)
		pieces = append(pieces, piece...)
	}
	require.Equal(t, whole, pieces)
}

func TestLevel_OfGeneratedTone_IsWhatWasAsked(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{300, 440, 1000, 2437, 3400} {
		pcm := make([]int16, 640)
		NewLevel(-20, f).PCM(pcm)
		require.InDelta(t, -20, Level(pcm, f), 0.2, "%v Hz", f)
		require.InDelta(t, -20, Loudness(pcm), 0.3, "%v Hz", f)
		require.Less(t, Level(pcm, f+100), -60.0, "100 Hz beside %v Hz", f)
	}
}

// The digital milliwatt is 0 dBm0, which is 3.17 dB below the largest µ-law
// sine and 3.14 dB below the largest A-law sine (ITU-T G.711 §4).
func TestLevel_OfDigitalMilliwatt_IsMinus3(t *testing.T) {
	t.Parallel()
	period := []byte{0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E}
	var code []byte
	for range 80 {
		code = append(code, period...)
	}
	pcm := make([]int16, len(code))
	g711.DecodeUlaw(pcm, code)
	require.InDelta(t, -3.3, Level(pcm, 1000), 0.2)
}

func TestDominant_FindsTheStrongest(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{425, 440, 1000, 1503, 2222} {
		strong, weak := make([]int16, 800), make([]int16, 800)
		NewLevel(-10, f).PCM(strong)
		NewLevel(-25, f+300).PCM(weak)
		for i := range strong {
			strong[i] += weak[i]
		}
		got, level := Dominant(strong)
		require.InDelta(t, f, got, 2)
		require.InDelta(t, -10, level, 0.5)
	}
	f, level := Dominant(make([]int16, 800))
	require.Zero(t, f)
	require.Equal(t, Silence, level)
}

func TestHeard_TellsVoicesApart(t *testing.T) {
	t.Parallel()
	pcm := make([]int16, 640)
	New(440, 1000).PCM(pcm)
	require.True(t, Heard(pcm, 440))
	require.True(t, Heard(pcm, 1000))
	require.False(t, Heard(pcm, 1500))
	require.False(t, Heard(make([]int16, 640), 440))
}

func TestDetector_ThroughBothLaws_MeasuresEachWindow(t *testing.T) {
	t.Parallel()
	d := NewDetector(100*time.Millisecond, 440, 1000)
	require.Equal(t, []float64{Silence, Silence}, d.Levels())
	a, u := New(440), New(1000)
	frame := make([]byte, 160)
	for i := range 5 {
		a.Alaw(frame)
		require.Equal(t, i == 4, d.Alaw(frame))
	}
	require.InDelta(t, DefaultLevel, d.Levels()[0], 0.3)
	require.Less(t, d.Levels()[1], -40.0)
	for i := range 5 {
		u.Ulaw(frame)
		require.Equal(t, i == 4, d.Ulaw(frame))
	}
	require.Less(t, d.Levels()[0], -40.0)
	require.InDelta(t, DefaultLevel, d.Levels()[1], 0.3)
	require.Equal(t, 2, d.Windows)
	require.True(t, Heard(d.Last(), 1000))
}

func TestCadence_Ringback_IsSoundThenSilence(t *testing.T) {
	t.Parallel()
	pcm := RingbackEurope.PCM()
	require.Len(t, pcm, 5*SampleRate)
	require.True(t, Heard(pcm[:SampleRate], 425))
	require.Equal(t, Silence, Loudness(pcm[SampleRate:]))

	us := RingbackNorthAmerica.PCM()
	require.Len(t, us, 6*SampleRate)
	require.True(t, Heard(us[:SampleRate], 440))
	require.True(t, Heard(us[:SampleRate], 480))
}

func BenchmarkGoertzel80ms(b *testing.B) {
	pcm := make([]int16, 640)
	New(440).PCM(pcm)
	b.ReportAllocs()
	for b.Loop() {
		Level(pcm, 440)
	}
}
