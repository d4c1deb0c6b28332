package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNoEvents says that the partner takes no telephone-events.
var ErrNoEvents = errors.New("the partner takes no telephone-events")

// ErrNoKey says that a key has no telephone-event.
var ErrNoKey = errors.New("no such key")

const (
	// mostPresses is how many presses may wait for their turn; more are dropped: nobody presses so many.
	mostPresses = 32
	// shortestPress and longestPress bound a press: what tone receivers hear for sure (ITU-T Q.24), and one
	// segment of an event at 8000 Hz (RFC 4733 §2.5.1.3).
	shortestPress = 40 * time.Millisecond
	longestPress  = 8 * time.Second
	// doubledWithin is how close in time a press by telephone-event and one that is told by signalling are one.
	doubledWithin = 200 * time.Millisecond
	// endPackets is how often the end of an event is sent (RFC 4733 §2.5.1.4).
	endPackets = 3
	// restTicks is the pause between two presses: as long as tone receivers need (ITU-T Q.24).
	restTicks = 2
	// pressVolume is that of the tone that an event stands for, in -dBm0.
	pressVolume = 10
)

// press is a key to be pressed.
type press struct {
	code uint8
	time time.Duration
}

// keypad presses keys to the peer of a leg, one after the other, in place of its partner's audio.
type keypad struct {
	queue   []press
	rest    int // ticks
	down    bool
	payload payload
	code    uint8
	ts      uint32 // of the event: where it began
	start   int64  // in time
	at      uint32 // how far it is, in samples …
	total   uint32 // … and how far it goes
	ends    int    // end packets sent
}

// Press presses a key to the partner on behalf of the stream's peer, which has told of it by signalling: as
// telephone-event (RFC 4733), for 40 ms to 8 s. Presses queue up. While one lasts, the audio of the peer is
// withheld. A press that the peer sends as telephone-event as well, within 200 ms, is one. Without a partner, or if
// the partner hears something else, nothing is sent. ErrNoEvents: the partner did not agree on telephone-event;
// ErrNoKey: key is none of 0-9 * # A-D !.
func (s *Stream) Press(key byte, d time.Duration) error {
	code := strings.IndexByte(digitNames, key)
	if code < 0 {
		return fmt.Errorf("press %q: %w", key, ErrNoKey)
	}
	p := press{uint8(code), min(max(d, shortestPress), longestPress)}
	return s.do(func(sh *shard, l *leg) error { return sh.pressFor(l, p) })
}

// pressFor has a key pressed to the partner of a leg.
func (sh *shard) pressFor(l *leg, p press) error {
	if l.partner < 0 {
		return nil
	}
	d := sh.legs.leg(l.partner)
	if _, ok := d.event(); !ok {
		return ErrNoEvents
	}
	if d.play.kind != 0 || muted(l, d) || l.digit.seen && l.digit.code == p.code && sh.now-l.digit.at < int64(doubledWithin) {
		return nil
	}
	l.signalled = signalled{code: p.code, until: sh.now + int64(p.time+doubledWithin)}
	k := sh.legs.side(d.slot).keys
	if k == nil {
		k = new(keypad)
		sh.legs.side(d.slot).keys = k
		sh.keyed = append(sh.keyed, d.slot)
		d.set(keyed, true)
	}
	if len(k.queue) < mostPresses {
		k.queue = append(k.queue, p)
	}
	return nil
}

// event finds the telephone-event of a peer: that with the clock of what is sent to it, if there is one.
func (l *leg) event() (found payload, ok bool) {
	for _, pl := range l.payloads.list[:l.payloads.n] {
		if pl.id.isEvent() && (!ok || pl.id.rate() == l.out.rate) {
			found, ok = pl, true
		}
	}
	return found, ok
}

// pressAll sends one tick of each press.
func (sh *shard) pressAll() {
	for i := len(sh.keyed) - 1; i >= 0; i-- { // backwards, because who is done leaves the list
		l := sh.legs.leg(sh.keyed[i])
		k := sh.legs.side(l.slot).keys
		switch {
		case k.rest > 0:
			k.rest--
		case k.down:
			sh.pressOn(l, k)
		case !sh.pressNext(l, k):
			sh.stopKeys(l)
		}
	}
}

// pressNext begins the next press; false if there is none.
func (sh *shard) pressNext(l *leg, k *keypad) bool {
	if len(k.queue) == 0 {
		return false
	}
	p := k.queue[0]
	k.queue = k.queue[1:]
	pl, ok := l.event()
	if !ok || !l.dir.sends() || !l.dest.valid() {
		return true // the next one may get through
	}
	if r := sh.legs.side(l.slot).packer; r != nil && l.is(repacketise) {
		sh.flush(l, r)
	}
	rate := pl.id.rate()
	k.down, k.payload, k.code, k.ends, k.at = true, pl, p.code, 0, 0
	k.total, k.ts, k.start = min(samples(int64(p.time), rate), 0xFFFF), l.out.next(sh.now, rate), sh.now
	sh.pressOn(l, k)
	return true
}

// pressOn sends the next packet of the press that is down.
func (sh *shard) pressOn(l *leg, k *keypad) {
	first := k.at == 0
	k.at = min(k.at+samples(int64(tick), k.payload.id.rate()), k.total)
	volume := byte(pressVolume)
	if k.at == k.total {
		volume |= 0x80
		k.ends++
	}
	if l.dir.sends() && l.dest.valid() {
		b := sh.scratch[:headerSize+4]
		l.out.putHeader(b, pack(k.payload.pt, first), l.out.seq+1, k.ts)
		b[headerSize], b[headerSize+1] = k.code, volume
		binary.BigEndian.PutUint16(b[headerSize+2:], uint16(k.at))
		sh.emit(l, b, k.at)
		l.out.at = k.start // its timestamp is of then
	}
	switch {
	case k.ends < endPackets:
	case len(k.queue) > 0:
		k.down, k.rest = false, restTicks
	default:
		sh.stopKeys(l)
	}
}

// stopKeys ends what is pressed to a leg: its partner is heard again.
func (sh *shard) stopKeys(l *leg) {
	if !l.is(keyed) {
		return
	}
	for i, slot := range sh.keyed {
		if slot == l.slot {
			sh.keyed = append(sh.keyed[:i], sh.keyed[i+1:]...)
			break
		}
	}
	sh.legs.side(l.slot).keys = nil
	l.set(keyed, false)
	l.out.source = 0
}

// signalled is a press that a peer told by signalling.
type signalled struct {
	code  uint8
	until int64 // when a telephone-event of the same key is another press; 0: it told none
}
