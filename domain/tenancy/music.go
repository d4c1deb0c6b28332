package tenancy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"holdfast/domain/sound/wav"
)

// MostAudio bounds a sound file, in bytes: more than four minutes of G.711.
const MostAudio = 2 << 20

// leastAudio is how long a sound lasts at least: what is shorter is no music.
const leastAudio = time.Second

// Music is a sound file that callers hear while they wait; queues choose it by its name.
type Music struct {
	Name        string `yaml:"name" json:"name"`
	DisplayName string `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Audio       Audio  `yaml:"audio" json:"audio"`
}

// Audio is a WAVE file of 8000 Hz mono: PCM of 16 bits, µ-law or A-law. As text it is base64.
type Audio []byte

// MarshalText implements encoding.TextMarshaler.
func (a Audio) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, a), nil
}

// NotBase64 says that a text is no sound as a document has it. It is always a pointer.
type NotBase64 struct {
	Text string
	Err  error
}

// Error implements error, without the text: it may be long.
func (e *NotBase64) Error() string { return "the sound is not base64: " + e.Err.Error() }

// Unwrap returns what is wrong with it.
func (e *NotBase64) Unwrap() error { return e.Err }

// UnmarshalText implements encoding.TextUnmarshaler. The error is a *NotBase64.
func (a *Audio) UnmarshalText(text []byte) (err error) {
	*a, err = base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields(text), nil))
	if err != nil {
		return &NotBase64{string(text), err}
	}
	return nil
}

// Duration is how long the sound lasts; an error says in words why it can't be played.
func (a Audio) Duration() (time.Duration, error) {
	if len(a) > MostAudio {
		return 0, fmt.Errorf("has %d bytes, at most %d are allowed: µ-law takes half of what PCM does", len(a), MostAudio)
	}
	pcm, err := wav.Read(bytes.NewReader(a))
	if err != nil {
		return 0, fmt.Errorf("is no WAVE file of 8000 Hz mono with 16 bits, µ-law or A-law (ffmpeg -i in.mp3 -ar 8000 -ac 1 -c:a pcm_mulaw out.wav makes one): %w", err)
	}
	long := time.Duration(len(pcm)) * time.Second / wav.SampleRate
	if long < leastAudio {
		return 0, fmt.Errorf("lasts %s, and must last %s at least", long, leastAudio)
	}
	return long, nil
}

// Sum tells whether two sounds are the same: their SHA-256 in hexadecimal.
func (a Audio) Sum() string {
	sum := sha256.Sum256(a)
	return hex.EncodeToString(sum[:])
}

// music checks the sounds, and that queues choose among them.
func (c *check) music(d Document) {
	for i, m := range d.Music {
		path := fmt.Sprintf("music[%d]", i)
		c.text(path+".display_name", m.DisplayName, 0, maxText)
		_, err := m.Audio.Duration()
		c.that(path+".audio", err == nil, "%v", err)
	}
	if d.Music == nil {
		return // the tenant's stay, and are compared with when the document is applied
	}
	for i, q := range d.Queues {
		c.refer("music", fmt.Sprintf("queues[%d].music", i), q.Music)
	}
}
