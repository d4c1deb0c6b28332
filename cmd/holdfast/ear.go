package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"holdfast/domain/sound/wav"
	media "holdfast/telephony/media/tone"
	"holdfast/telephony/softphone"
)

const (
	// earLook is how often the ear listens: once per window of the softphone.
	earLook = 100 * time.Millisecond
	// earSame is how many looks in a row must agree before a sound is named, and
	// earMixed how many must not before it is called music or speech.
	earSame, earMixed = 3, 8
	// quiet is the level below which a line counts as silent, in dBFS.
	quiet = -45.0
	// tolerance is how far two looks at one tone may differ, in Hz.
	tolerance = 15.0
)

// narrator prints what happens, one line each, with the time.
type narrator struct {
	mu  sync.Mutex
	out io.Writer
}

func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// ear names what a call sounds like, and sums it up.
type ear struct {
	tell   *narrator
	audio  *softphone.Audio
	now    string  // what is heard now, as it was last told
	freq   float64 // of the tone that is heard now
	order  []string
	length map[string]time.Duration
	looks  []look
	mixed  int // looks in a row that did not agree
	steady int // looks in a row that did, after a mixture

	packets int // that had come at the last look
	missed  int // looks in a row without a new one
}

// look is one window of sound: its strongest frequency, how loud it is, and whether
// that frequency is all there is to hear.
type look struct {
	freq, level float64
	pure        bool
}

// listenTo tells what audio sounds like until ctx ends, then sums it up.
func listenTo(ctx context.Context, tell *narrator, audio *softphone.Audio) {
	e := &ear{tell: tell, audio: audio, length: map[string]time.Duration{}}
	tick := time.NewTicker(earLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			e.sum()
			return
		case <-tick.C:
			e.hear(lookAt(audio.Latest()), audio.Heard().Packets)
		}
	}
}

// purity is how much quieter than everything together a frequency may be to count
// as all there is, in dB: the other notes of a chord take more.
const purity = 1.0

func lookAt(window []int16) look {
	freq, level := media.Dominant(window)
	return look{freq, level, level > media.Loudness(window)-purity}
}

// hear takes one look, and how many packets have come so far; only what lasts is told.
// A look without a new packet shows a sound that is over.
func (e *ear) hear(l look, packets int) {
	if packets == e.packets {
		e.missing()
		return
	}
	e.packets, e.missed = packets, 0
	e.looks = append(e.looks, l)
	if len(e.looks) < earSame {
		return
	}
	e.looks = e.looks[len(e.looks)-earSame:]
	sound := e.settle()
	if sound == "" {
		return
	}
	if e.length[sound] == 0 {
		e.order = append(e.order, sound)
	}
	e.length[sound] += earLook
	if sound != e.now {
		e.now = sound
		e.tell.say("hears %s", sound)
	}
}

// missing is a look at a line on which nothing came.
func (e *ear) missing() {
	if e.missed++; e.missed != earSame || e.now == "" {
		return
	}
	e.looks, e.mixed, e.steady, e.now, e.freq = nil, 0, 0, "", 0
	e.tell.say("hears nothing any more: no packets come")
}

// settle names what is heard; while the looks disagree, that is what was heard before.
func (e *ear) settle() string {
	kind, freq := agree(e.looks)
	if kind == mixture {
		e.steady = 0
		if e.mixed++; e.mixed >= earMixed {
			return mixture
		}
		return e.now
	}
	e.mixed = 0
	if e.now == mixture && kind == tone && e.steady < earMixed {
		e.steady++ // a long note of the music is no tone yet
		return mixture
	}
	if kind == tone {
		if math.Abs(freq-e.freq) > tolerance {
			e.freq = freq
		}
		return fmt.Sprintf("%.0f Hz", e.freq)
	}
	e.freq = 0
	return kind
}

// What looks may agree on.
const (
	silence = "silence"
	tone    = "tone"
	mixture = "music or speech"
)

// agree says what some looks in a row have in common; mixture if nothing.
func agree(looks []look) (kind string, freq float64) {
	silent, steady := true, true
	for _, l := range looks {
		silent = silent && l.level < quiet
		steady = steady && l.pure && l.level >= quiet && math.Abs(l.freq-looks[0].freq) <= tolerance
	}
	switch {
	case silent:
		return silence, 0
	case steady:
		return tone, looks[0].freq
	}
	return mixture, 0
}

// sum tells in one line what was heard.
func (e *ear) sum() {
	h := e.audio.Heard()
	var parts []string
	for _, sound := range e.order {
		parts = append(parts, fmt.Sprintf("%s for %.1f s", sound, e.length[sound].Seconds()))
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	line := fmt.Sprintf("heard %s; %d packets, %d lost", strings.Join(parts, ", "), h.Packets, h.Lost)
	if h.Digits != "" {
		line += "; keys " + h.Digits
	}
	e.tell.say("%s", line)
}

// sounds are what a phone speaks and keeps.
type sounds struct {
	tone   float64
	play   string
	record string
}

// check reads the file to play, so that a wrong name is told before the phone rings.
func (s sounds) check() ([]int16, error) {
	if s.play == "" {
		return nil, nil
	}
	if s.tone != 0 {
		return nil, usage("--tone and --play exclude each other")
	}
	pcm, err := wav.ReadFile(s.play)
	if err != nil {
		return nil, usage("--play: %w", err)
	}
	return pcm, nil
}

// apply lets a call speak.
func (s sounds) apply(a *softphone.Audio, pcm []int16) {
	if pcm != nil {
		a.Play(pcm)
	} else {
		a.Say(s.tone)
	}
	if s.record != "" {
		a.Record()
	}
}

// keep writes what was recorded.
func (s sounds) keep(tell *narrator, a *softphone.Audio, file string) error {
	if s.record == "" {
		return nil
	}
	pcm := a.Recorded()
	if err := wav.WriteFile(file, pcm, wav.PCM16); err != nil {
		return usage("--record: %w", err)
	}
	tell.say("recorded %.1f s to %s", float64(len(pcm))/8000, file)
	return nil
}
