package media

// playing is what is played to a leg.
type playing struct {
	kind   playKind
	pt     uint8
	codec  codecID // PCMU or PCMA
	list   int32   // place in the shard's list of playing legs
	pos    int32   // samples from the beginning of the clip
	credit int32   // samples of time not yet sent: ptime need not be the tick
	source uint64  // as in sender.source
}

// tickSamples is a tick at 8000 Hz.
const tickSamples = int(tick) * 8000 / 1e9

// playSource tells players from legs among the sources of a sender.
const playSource = 1 << 63

// play starts a clip to a leg, instead of another if one plays.
func (sh *shard) play(l *leg, c *Clip) error {
	pl, ok := l.payloads.g711()
	if !ok {
		return ErrNoCodec
	}
	if c.samples == 0 {
		sh.stopPlay(l)
		sh.event(l, Event{Kind: Played})
		return nil
	}
	sh.stopKeys(l)
	if l.play.kind == 0 {
		l.play.list = int32(len(sh.playing))
		sh.playing = append(sh.playing, l.slot)
	}
	sh.plays++
	l.play = playing{kind: c.kind, pt: pl.pt, codec: pl.id, list: l.play.list, source: playSource | sh.plays}
	sh.legs.side(l.slot).clip = c
	if c.kind == playAlong {
		// By ticks, not by the clock: a late tick must not bring listeners apart.
		l.play.pos = int32(sh.ticks * int64(tickSamples) % int64(c.samples))
	}
	return nil
}

// stopPlay ends what is played to a leg, if anything.
func (sh *shard) stopPlay(l *leg) {
	if l.play.kind == 0 {
		return
	}
	last := len(sh.playing) - 1
	moved := sh.playing[last]
	sh.playing[l.play.list] = moved
	sh.legs.leg(moved).play.list = l.play.list
	sh.playing = sh.playing[:last]
	l.play = playing{}
	sh.legs.side(l.slot).clip = nil
}

// playAll sends one tick of each clip.
func (sh *shard) playAll() {
	// Backwards, because a clip that ends takes its leg off the list.
	for i := len(sh.playing) - 1; i >= 0; i-- {
		l := sh.legs.leg(sh.playing[i])
		l.play.credit += int32(tickSamples)
		frame := int32(l.ptime)
		if frame == 0 {
			frame = int32(tickSamples)
		}
		for l.play.credit >= frame && l.play.kind != 0 {
			l.play.credit -= frame
			sh.playFrame(l, int(frame))
		}
	}
}

// skipFrames moves time on by ticks that came too late to be sent. Music goes on
// elsewhere; a prompt, which is to be understood, waits.
func (sh *shard) skipFrames(ticks int64) {
	n := uint32(ticks) * uint32(tickSamples)
	for _, slot := range sh.playing {
		l := sh.legs.leg(slot)
		c := sh.legs.side(slot).clip
		if l.play.kind != playOnce {
			l.play.pos = int32((int64(l.play.pos) + int64(n)) % int64(c.samples))
		}
		if l.out.source == l.play.source {
			l.out.ts += n
		}
	}
}

// playFrame sends one packet of the clip.
func (sh *shard) playFrame(l *leg, n int) {
	c := sh.legs.side(l.slot).clip
	pos := int(l.play.pos)
	l.play.pos = int32((pos + n) % c.samples)
	switch {
	case !l.dir.sends() || !l.dest.valid():
		l.out.source = 0
	default:
		b := sh.scratch[:headerSize+n]
		copy(b[headerSize:], c.frame(l.play.codec, pos, n))
		if l.is(mutedOut) {
			hush(b[headerSize:], l.play.codec)
		}
		marker := l.out.source != l.play.source
		ts := l.out.ts + l.out.dur
		if marker {
			ts = l.out.next(sh.now, 8000)
			l.out.source = l.play.source
		}
		seq := l.out.seq + 1
		l.out.putHeader(b, pack(l.play.pt, marker), seq, ts)
		sh.emit(l, b, uint32(n))
	}
	if l.play.kind == playOnce && pos+n >= c.samples {
		sh.stopPlay(l)
		sh.event(l, Event{Kind: Played})
	}
}
