package tone

import (
	"math"
	"time"

	"holdfast/domain/sound/g711"
)

// Level returns the level in dBFS of the frequency freq (Hz) in pcm, by the
// Goertzel algorithm under a Hann window. Neighbours nearer than
// 2·SampleRate/len(pcm) Hz (25 Hz at 80 ms) leak into each other.
func Level(pcm []int16, freq float64) float64 {
	n := len(pcm)
	if n < 2 {
		return Silence
	}
	coeff := 2 * math.Cos(2*math.Pi*freq/SampleRate)
	var s1, s2 float64
	// The window is a rotating phasor: cheaper than a cosine per sample.
	wc, ws := 1.0, 0.0
	dc, ds := math.Cos(2*math.Pi/float64(n)), math.Sin(2*math.Pi/float64(n))
	for _, x := range pcm {
		s := float64(x)*(0.5-0.5*wc) + coeff*s1 - s2
		s2, s1 = s1, s
		wc, ws = wc*dc-ws*ds, wc*ds+ws*dc
	}
	power := s1*s1 + s2*s2 - coeff*s1*s2
	if power <= 0 {
		return Silence
	}
	// A full-scale sine gives a magnitude of peak·n/2, halved by the window.
	return decibel(math.Sqrt(power) / (float64(n) / 4) / math.MaxInt16)
}

// Loudness returns the level in dBFS of everything in pcm: that of a sine of the
// same power.
func Loudness(pcm []int16) float64 {
	if len(pcm) == 0 {
		return Silence
	}
	var sum float64
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return decibel(math.Sqrt(2*sum/float64(len(pcm))) / math.MaxInt16)
}

// scanStep is the distance of the frequencies that Dominant tries first, in Hz.
const scanStep = 10

// Dominant returns the strongest frequency in pcm between 100 and 3900 Hz, to
// within 1 Hz for a clean tone of 80 ms or more, and its level in dBFS. It
// returns 0 and Silence when pcm is quieter than -60 dBFS.
func Dominant(pcm []int16) (freq, level float64) {
	if Loudness(pcm) < -60 {
		return 0, Silence
	}
	best, at := Silence-1, 0.0
	try := func(f float64) {
		if l := Level(pcm, f); l > best {
			best, at = l, f
		}
	}
	for f := 100.0; f <= 3900; f += scanStep {
		try(f)
	}
	for step := scanStep / 2.0; step >= 0.5; step /= 2 {
		middle := at
		try(middle - step)
		try(middle + step)
	}
	return at, best
}

// Heard says whether freq stands out in pcm: at least -40 dBFS, and within
// 12 dB of everything else together. Music, two voices and noise around a tone
// do not hide it; its absence is not mistaken for it.
func Heard(pcm []int16, freq float64) bool {
	l := Level(pcm, freq)
	return l > -40 && l > Loudness(pcm)-12
}

// Detector measures given frequencies over windows of a running stream. It is
// not safe for concurrent use.
type Detector struct {
	freqs  []float64
	window []int16
	fill   int
	levels []float64
	pcm    []int16
	// Windows counts those that are complete.
	Windows int
}

// NewDetector returns a detector of freqs (Hz) with windows of the given length
// (80 ms if 0).
func NewDetector(window time.Duration, freqs ...float64) *Detector {
	if window <= 0 {
		window = 80 * time.Millisecond
	}
	d := &Detector{freqs: freqs, window: make([]int16, samples(window)), levels: make([]float64, len(freqs))}
	for i := range d.levels {
		d.levels[i] = Silence
	}
	return d
}

// PCM takes the next samples of the stream and says whether a window became
// complete; then Levels and Last have new values.
func (d *Detector) PCM(pcm []int16) bool {
	complete := false
	for len(pcm) > 0 {
		n := copy(d.window[d.fill:], pcm)
		pcm, d.fill = pcm[n:], d.fill+n
		if d.fill < len(d.window) {
			break
		}
		for i, f := range d.freqs {
			d.levels[i] = Level(d.window, f)
		}
		d.fill, complete = 0, true
		d.Windows++
	}
	return complete
}

// Ulaw is PCM for G.711 µ-law.
func (d *Detector) Ulaw(b []byte) bool {
	d.grow(len(b))
	return d.PCM(d.pcm[:g711.DecodeUlaw(d.pcm, b)])
}

// Alaw is PCM for G.711 A-law.
func (d *Detector) Alaw(b []byte) bool {
	d.grow(len(b))
	return d.PCM(d.pcm[:g711.DecodeAlaw(d.pcm, b)])
}

func (d *Detector) grow(n int) {
	if cap(d.pcm) < n {
		d.pcm = make([]int16, n)
	}
	d.pcm = d.pcm[:cap(d.pcm)]
}

// Levels returns the levels in dBFS of the frequencies, in their order, in the
// last complete window. The slice is the detector's own.
func (d *Detector) Levels() []float64 { return d.levels }

// Last returns the samples of the last complete window until more come in. The
// slice is the detector's own.
func (d *Detector) Last() []int16 { return d.window }

func decibel(ratio float64) float64 {
	if ratio <= 0 {
		return Silence
	}
	return max(Silence, 20*math.Log10(ratio))
}
