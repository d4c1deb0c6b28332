package g711

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// value is a line of a table of G.711: the decision value below it and the
// quantised value, in the units of the table, with the code on the line.
type value struct {
	number   int
	decision int
	output   int
	code     byte
}

// ulawTable holds the lines that G.711 table 2a prints (positive values).
var ulawTable = []value{
	{0, 0, 0, 0xFF}, {1, 1, 2, 0xFE}, {2, 3, 4, 0xFD},
	{15, 29, 30, 0xF0}, {16, 31, 33, 0xEF},
	{31, 91, 93, 0xE0}, {32, 95, 99, 0xDF}, {48, 223, 231, 0xCF}, {64, 479, 495, 0xBF},
	{80, 991, 1023, 0xAF}, {96, 2015, 2079, 0x9F}, {112, 4063, 4191, 0x8F}, {127, 7903, 8031, 0x80},
}

// alawTable holds the lines that G.711 table 1a prints (positive values).
var alawTable = []value{
	{1, 0, 1, 0xD5}, {2, 2, 3, 0xD4}, {32, 62, 63, 0xCA},
	{33, 64, 66, 0xF5}, {49, 128, 132, 0xE5}, {65, 256, 264, 0x95}, {81, 512, 528, 0x85},
	{97, 1024, 1056, 0xB5}, {113, 2048, 2112, 0xA5}, {128, 3968, 4032, 0xAA},
}

func TestUlaw_Tables2a2b_DecodeToTheirValues(t *testing.T) {
	t.Parallel()
	for _, v := range ulawTable {
		require.EqualValues(t, v.output*4, ulawDecode[v.code], "value number %d", v.number)
		require.EqualValues(t, -v.output*4, ulawDecode[v.code&0x7F], "negative value number %d", v.number)
		require.Equal(t, v.code, ulawEncode[v.output*4], "value number %d", v.number)
		if v.decision > 0 {
			require.Equal(t, v.code, ulawEncode[v.decision*4], "at decision value %d", v.decision)
			require.Equal(t, v.code+1, ulawEncode[v.decision*4-1], "below decision value %d", v.decision)
		}
	}
}

func TestAlaw_Tables1a1b_DecodeToTheirValues(t *testing.T) {
	t.Parallel()
	for _, v := range alawTable {
		require.EqualValues(t, v.output*8, alawDecode[v.code], "value number %d", v.number)
		require.EqualValues(t, -v.output*8, alawDecode[v.code&0x7F], "negative value number %d", v.number)
		require.Equal(t, v.code, alawEncode[v.output*8], "value number %d", v.number)
		if v.decision > 0 {
			require.Equal(t, v.code, alawEncode[v.decision*8], "at decision value %d", v.decision)
			require.NotEqual(t, v.code, alawEncode[v.decision*8-1], "below decision value %d", v.decision)
		}
	}
}

func TestBothLaws_EveryCode_SurvivesDecodingAndEncoding(t *testing.T) {
	t.Parallel()
	codes := make([]byte, 256)
	for i := range codes {
		codes[i] = byte(i)
	}
	pcm, back := make([]int16, 256), make([]byte, 256)

	require.Equal(t, 256, DecodeUlaw(pcm, codes))
	require.Equal(t, 256, EncodeUlaw(back, pcm))
	back[0x7F] = 0x7F // negative zero has no linear twin
	require.Equal(t, codes, back)

	require.Equal(t, 256, DecodeAlaw(pcm, codes))
	require.Equal(t, 256, EncodeAlaw(back, pcm))
	require.Equal(t, codes, back)
}

func TestBothLaws_EverySample_IsMonotonicAndWithinHalfAStep(t *testing.T) {
	t.Parallel()
	lastU, lastA := int16(math.MinInt16), int16(math.MinInt16)
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		u := ulawDecode[ulawEncode[uint16(int16(s))]]
		a := alawDecode[alawEncode[uint16(int16(s))]]
		require.GreaterOrEqual(t, u, lastU, "sample %d", s)
		require.GreaterOrEqual(t, a, lastA, "sample %d", s)
		lastU, lastA = u, a
		abs := max(s, -s)
		// A step is at most 1/16 of the segment's foot; the clipped ends are
		// half a step of the last segment away.
		require.LessOrEqual(t, math.Abs(float64(int(u)-s)), float64(abs)/32+8+644*clipped(abs), "sample %d", s)
		require.LessOrEqual(t, math.Abs(float64(int(a)-s)), float64(abs)/32+16, "sample %d", s)
	}
}

func clipped(abs int) float64 {
	if abs > ulawClip {
		return 1
	}
	return 0
}

func TestTranscode_EveryCode_KeepsSignAndLevel(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		in := []byte{byte(i)}
		out := make([]byte, 1)
		require.Equal(t, 1, UlawToAlaw(out, in))
		require.Equal(t, in[0]&0x80, out[0]&0x80, "sign of µ-law %#x", i)
		requireNear(t, ulawDecode[in[0]], alawDecode[out[0]])

		require.Equal(t, 1, AlawToUlaw(out, in))
		require.Equal(t, in[0]&0x80, out[0]&0x80, "sign of A-law %#x", i)
		requireNear(t, alawDecode[in[0]], ulawDecode[out[0]])
	}
}

func requireNear(t *testing.T, want, got int16) {
	t.Helper()
	require.InDelta(t, float64(want), float64(got), math.Abs(float64(want))/31+8)
}

// The digital milliwatt of G.711 tables 5 and 6: one period of 1000 Hz at
// 0 dBm0 in each law. Both mean the same tone, so each transcodes to the other
// to within the step of the laws.
func TestTranscode_DigitalMilliwatt_OfBothLaws(t *testing.T) {
	t.Parallel()
	ulaw := []byte{0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E}
	alaw := []byte{0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4}
	out := make([]byte, 8)
	UlawToAlaw(out, ulaw)
	require.Equal(t, alaw, out)
	AlawToUlaw(out, alaw)
	require.Equal(t, ulaw, out)
}

func TestSilence_DecodesToAlmostNothing(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 0, ulawDecode[UlawSilence])
	require.EqualValues(t, 8, alawDecode[AlawSilence])
	require.Equal(t, UlawSilence, ulawEncode[0])
	require.Equal(t, AlawSilence, alawEncode[0])
}

func TestShortBuffers_OnlyTheShorterIsDone(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2, EncodeUlaw(make([]byte, 2), make([]int16, 5)))
	require.Equal(t, 2, DecodeAlaw(make([]int16, 5), make([]byte, 2)))
	require.Equal(t, 0, UlawToAlaw(nil, make([]byte, 2)))
}

func BenchmarkEncodeUlaw160(b *testing.B) {
	src, dst := make([]int16, 160), make([]byte, 160)
	for i := range src {
		src[i] = int16(i * 200)
	}
	b.ReportAllocs()
	for b.Loop() {
		EncodeUlaw(dst, src)
	}
}

func BenchmarkUlawToAlaw160(b *testing.B) {
	src, dst := make([]byte, 160), make([]byte, 160)
	b.ReportAllocs()
	for b.Loop() {
		UlawToAlaw(dst, src)
	}
}
