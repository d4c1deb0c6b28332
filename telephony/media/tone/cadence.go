package tone

import "time"

// Cadence is a tone that comes and goes, as networks use it to tell a caller
// what happens (ITU-T E.180/Q.35).
type Cadence struct {
	// Freqs are in Hz and sound together.
	Freqs []float64
	// On and Off are the length of the sound and of the silence after it.
	On, Off time.Duration
	// Level of each frequency in dBFS; 0 means DefaultLevel.
	Level float64
}

// Ringback tones (ITU-T E.180 supplement 2).
var (
	// RingbackEurope is 425 Hz, 1 s on, 4 s off (ETSI TR 101 041-2).
	RingbackEurope = Cadence{Freqs: []float64{425}, On: time.Second, Off: 4 * time.Second}
	// RingbackNorthAmerica is 440 and 480 Hz, 2 s on, 4 s off.
	RingbackNorthAmerica = Cadence{Freqs: []float64{440, 480}, On: 2 * time.Second, Off: 4 * time.Second, Level: -13}
	// BusyEurope is 425 Hz, 0.5 s on, 0.5 s off.
	BusyEurope = Cadence{Freqs: []float64{425}, On: time.Second / 2, Off: time.Second / 2}
)

// PCM returns one period of the cadence, which can be looped without a click:
// sound and silence are each a whole number of milliseconds, the edges are faded
// over 5 ms.
func (c Cadence) PCM() []int16 {
	level := c.Level
	if level == 0 {
		level = DefaultLevel
	}
	on, off := samples(c.On), samples(c.Off)
	pcm := make([]int16, on+off)
	NewLevel(level, c.Freqs...).PCM(pcm[:on])
	if off > 0 {
		fade(pcm[:on], samples(5*time.Millisecond))
	}
	return pcm
}

// fade ramps the first and last n samples.
func fade(pcm []int16, n int) {
	n = min(n, len(pcm)/2)
	for i := range n {
		pcm[i] = int16(int(pcm[i]) * i / n)
		pcm[len(pcm)-1-i] = int16(int(pcm[len(pcm)-1-i]) * i / n)
	}
}

func samples(d time.Duration) int { return int(d * SampleRate / time.Second) }
