package media

import (
	"math"
	"sync"
)

// The built-in music on hold is a slow melody over two notes that never stop.
// Whoever hears it hears the two at every moment: that is how a test proves that
// music is heard.
const (
	// MusicLow and MusicHigh are the notes that sound all the time, in Hz.
	MusicLow  = 523
	MusicHigh = 784
)

// MusicMelody are the frequencies in Hz of the notes that come and go.
var MusicMelody = [...]float64{587, 659, 880, 1047}

const (
	musicSeconds = 16
	musicBeat    = 4000 // samples, half a second
)

// musicScore is the melody, one note per beat; -1 lets the last one ring out.
// All frequencies are whole numbers of Hz and the piece lasts whole seconds, so
// that it can be repeated without a click.
var musicScore = [musicSeconds * 2]int8{
	1, -1, 0, 1, 2, -1, -1, 1,
	0, -1, 1, 0, 1, -1, -1, -1,
	2, -1, 3, 2, 1, -1, -1, 0,
	1, -1, 0, -1, 1, -1, -1, -1,
}

var music = sync.OnceValue(func() *Clip { return Broadcast(composeMusic()) })

// Music returns the built-in music on hold: a broadcast of 16 s, synthesised at
// the first call, the same in every process. MusicLow and MusicHigh are in it at
// every moment, each at about -23 dBFS; all together it is about -17 dBFS, so
// that neighbours of a tone are still heard through it.
func Music() *Clip { return music() }

func composeMusic() []int16 {
	pcm := make([]int16, musicSeconds*8000)
	for i := range pcm {
		t := float64(i) / 8000
		// The pad swells slowly: two voices in turn, never quiet.
		swell := 0.15 * math.Sin(2*math.Pi*t/8)
		v := (0.9+swell)*wave(MusicLow, t) + (0.9-swell)*wave(MusicHigh, t)
		v += 0.6 * wave(131, t) // the bass
		pcm[i] = int16(2300 * v)
	}
	for beat, note := range musicScore {
		if note >= 0 {
			pluck(pcm, beat*musicBeat, MusicMelody[note])
		}
	}
	return pcm
}

// pluck adds a note that is struck and rings out over three beats, around the
// end of the piece if need be.
func pluck(pcm []int16, start int, freq float64) {
	const length, attack = 3 * musicBeat, 80
	for i := range length {
		t := float64(i) / 8000
		env := math.Exp(-3 * t)
		env *= min(1, float64(i)/attack) * min(1, float64(length-i)/attack)
		at := (start + i) % len(pcm)
		pcm[at] += int16(1700 * env * (wave(freq, t) + 0.2*wave(2*freq, t)))
	}
}

func wave(freq, t float64) float64 { return math.Sin(2 * math.Pi * freq * t) }
