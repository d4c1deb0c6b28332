package media

import (
	"holdfast/domain/sound/g711"
	"holdfast/telephony/media/tone"
)

// playKind is how a clip runs; zero is: nothing plays.
type playKind uint8

const (
	playOnce  playKind = iota + 1 // from the beginning to the end
	playLoop                      // from the beginning, again and again
	playAlong                     // wherever the one running stream is
)

// Clip is audio ready to be played to any number of streams: it is encoded once
// per codec when it is made, and a packet costs its header. It never changes, so
// it may be shared by all goroutines and engines.
type Clip struct {
	kind       playKind
	samples    int
	ulaw, alaw []byte // both with the beginning again at the end, so that frames are never split
}

// Once returns a clip that plays from its beginning to its end; then Played is
// reported. pcm is mono at 8000 Hz; an empty one ends at once.
func Once(pcm []int16) *Clip { return newClip(playOnce, pcm) }

// Loop returns a clip that each listener hears from its beginning, repeated.
func Loop(pcm []int16) *Clip { return newClip(playLoop, pcm) }

// Broadcast returns a clip that runs all the time: everybody who listens at one
// moment hears the same, as from a radio.
func Broadcast(pcm []int16) *Clip { return newClip(playAlong, pcm) }

// Ringback returns a looped network tone that begins with its sound.
func Ringback(c tone.Cadence) *Clip { return Loop(c.PCM()) }

func newClip(kind playKind, pcm []int16) *Clip {
	c := &Clip{kind: kind, samples: len(pcm)}
	tail := pcm
	if kind == playOnce {
		tail = nil // silence follows
	}
	whole := make([]int16, 0, len(pcm)+maxFrame)
	whole = append(whole, pcm...)
	for len(whole) < len(pcm)+maxFrame {
		if len(tail) == 0 {
			whole = append(whole, 0)
			continue
		}
		whole = append(whole, tail[:min(len(tail), len(pcm)+maxFrame-len(whole))]...)
	}
	c.ulaw, c.alaw = make([]byte, len(whole)), make([]byte, len(whole))
	g711.EncodeUlaw(c.ulaw, whole)
	g711.EncodeAlaw(c.alaw, whole)
	return c
}

// frame returns n samples from pos on in the given law.
func (c *Clip) frame(id codecID, pos, n int) []byte {
	if id == codecPCMA {
		return c.alaw[pos : pos+n]
	}
	return c.ulaw[pos : pos+n]
}
