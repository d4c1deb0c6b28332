// Package tone makes and recognises tones at 8000 samples per second: the
// engine plays ringback with it, scripted phones speak with it, and tests prove
// with it who is heard by whom.
//
// Levels are in dBFS: the level of a sine relative to the largest sine that
// 16-bit samples can hold (peak 32767). A sine at 0 dBm0 is about -3.14 dBFS
// (ITU-T G.711 §4).
package tone

import (
	"math"

	"holdfast/domain/sound/g711"
)

// SampleRate of everything in this package, in samples per second.
const SampleRate = 8000

// Silence is the level of no tone at all, in dBFS; no measurement is lower.
const Silence = -120.0

// DefaultLevel is the level of generated tones in dBFS: loud enough to be found
// behind any codec, with headroom for two of them.
const DefaultLevel = -10.0

// Generator makes the sum of sines, each at the same level, with continuous
// phase from call to call. It is not safe for concurrent use.
type Generator struct {
	sines []sine
	amp   float64
	pcm   []int16
}

// sine is an oscillator: phase in turns, so that it stays exact for hours.
type sine struct{ phase, step float64 }

// New returns a generator of the given frequencies in Hz, each at DefaultLevel.
// Without frequencies it generates silence.
func New(freqs ...float64) *Generator { return NewLevel(DefaultLevel, freqs...) }

// NewLevel returns a generator of the given frequencies in Hz, each at level
// dBFS. Sums beyond full scale are clipped.
func NewLevel(level float64, freqs ...float64) *Generator {
	g := &Generator{amp: math.MaxInt16 * math.Pow(10, level/20)}
	for _, f := range freqs {
		g.sines = append(g.sines, sine{step: f / SampleRate})
	}
	return g
}

// PCM fills dst with the next samples.
func (g *Generator) PCM(dst []int16) {
	for i := range dst {
		var sum float64
		for k := range g.sines {
			s := &g.sines[k]
			sum += math.Sin(2 * math.Pi * s.phase)
			s.phase += s.step
			s.phase -= math.Floor(s.phase)
		}
		dst[i] = clamp(sum * g.amp)
	}
}

// Ulaw fills dst with the next samples as G.711 µ-law.
func (g *Generator) Ulaw(dst []byte) { g711.EncodeUlaw(dst, g.frame(len(dst))) }

// Alaw fills dst with the next samples as G.711 A-law.
func (g *Generator) Alaw(dst []byte) { g711.EncodeAlaw(dst, g.frame(len(dst))) }

// frame returns the next n samples in a buffer that the generator keeps.
func (g *Generator) frame(n int) []int16 {
	if cap(g.pcm) < n {
		g.pcm = make([]int16, n)
	}
	g.pcm = g.pcm[:n]
	g.PCM(g.pcm)
	return g.pcm
}

func clamp(v float64) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(v))))
}
