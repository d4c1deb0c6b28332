package media

import "encoding/binary"

// digit is the state of the telephone-events (RFC 4733) of a peer. A press is a
// run of packets with one timestamp, the last ones with the end bit, three times.
type digit struct {
	ssrc, ts uint32
	duration uint16
	code     uint8
	seen     bool   // ts and ssrc are of an earlier press
	active   bool   // started and not ended
	doubled  bool   // the peer told of it by signalling as well: see Press
	at       int64  // of the last packet
	before   uint32 // duration of the earlier segments of a long press
	rate     uint32 // clock of the durations, Hz
}

// digitNames are events 0 to 16 (RFC 4733 §3.2).
const digitNames = "0123456789*#ABCD!"

// pressing says whether a press is going on: then audio is held to be the same
// press heard in-band, and is not relayed.
func (sh *shard) pressing(l *leg) bool {
	return l.digit.active && sh.now-l.digit.at < int64(sh.engine.cfg.tune.quiet)
}

// onDigit follows the presses of a peer and reports each once.
func (sh *shard) onDigit(l *leg, p *packet) {
	b := p.b[headerSize:]
	if len(b) < 4 || int(b[0]) >= len(digitNames) {
		return
	}
	d := &l.digit
	code, end, duration := b[0], b[1]&0x80 != 0, binary.BigEndian.Uint16(b[2:])
	switch {
	case d.seen && d.ssrc == p.ssrc && d.ts == p.ts:
	case d.active && d.ssrc == p.ssrc && d.code == code && d.duration == 0xFFFF && p.ts == d.ts+0xFFFF:
		// A press longer than 8 s goes on in another segment (RFC 4733 §2.5.1.3).
		d.ts, d.duration = p.ts, 0
		d.before += 0xFFFF
	case d.seen && d.ssrc == p.ssrc && int32(p.ts-d.ts) < 0:
		return // a late packet of an earlier press
	default:
		sh.endDigit(l)
		*d = digit{ssrc: p.ssrc, ts: p.ts, code: code, seen: true, active: true, rate: p.codec.rate()}
		d.doubled = l.signalled.until > sh.now && l.signalled.code == code
		sh.event(l, Event{Kind: DigitStarted, Digit: digitNames[code]})
	}
	d.at = sh.now
	d.duration = max(d.duration, duration)
	if end {
		sh.endDigit(l)
	}
}

// endDigit reports the end of a press, if one is going on.
func (sh *shard) endDigit(l *leg) {
	d := &l.digit
	if !d.active {
		return
	}
	d.active = false
	sh.event(l, Event{Kind: DigitEnded, Digit: digitNames[d.code], Duration: span(d.before+uint32(d.duration), d.rate)})
}

// forgetDigit ends a press whose end packets were all lost.
func (sh *shard) forgetDigit(l *leg) {
	if l.digit.active && sh.now-l.digit.at >= int64(sh.engine.cfg.tune.forgotten) {
		sh.endDigit(l)
	}
}
