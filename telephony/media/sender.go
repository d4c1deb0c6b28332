package media

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// sender is the outgoing side of a leg: one SSRC, sequence and timestamp space
// for the leg's whole life, whatever source feeds it.
type sender struct {
	ssrc uint32
	seq  uint16 // of the newest packet sent
	ts   uint32 // where the audio sent so far begins, in the newest packet
	dur  uint32 // and how long that packet is, in samples
	at   int64  // when it was sent; 0 before the first
	rate uint32 // clock of ts, Hz

	source uint64 // who the offsets below are for; 0: nobody
	seqOff uint16 // outgoing minus incoming
	tsOff  uint32
	base   uint16 // the first incoming seq of this source
	fresh  uint8  // packets since, up to freshFor

	packets, octets uint64
	failed          uint64 // the system refused to send
}

// freshFor is how many packets after a switch a late one, from before it, is
// recognised and dropped: its number would belong to the earlier source.
const freshFor = 64

// freshSender draws everything at random (RFC 3550 §5.1, §8).
func freshSender() sender {
	return sender{ssrc: rand.Uint32(), seq: uint16(rand.Uint32()), ts: rand.Uint32(), rate: 8000}
}

// next returns the timestamp of audio of another source that begins now: as much
// later as time passed, and never inside the last packet.
func (o *sender) next(now int64, rate uint32) uint32 {
	if rate != o.rate {
		// Another clock: timestamps of the two cannot be compared.
		o.rate, o.at = rate, 0
		o.ts, o.dur = rand.Uint32(), 0
	}
	if o.at == 0 {
		return o.ts
	}
	return o.ts + max(samples(now-o.at, rate), o.dur)
}

// turn points the offsets at a new source whose first packet has the given seq
// and timestamp.
func (o *sender) turn(source uint64, seq uint16, ts, next uint32) {
	o.source = source
	o.seqOff = o.seq + 1 - seq
	o.tsOff = next - ts
	o.base, o.fresh = seq, 0
}

// skip closes the gap that a packet leaves which is withheld on purpose, so that
// the peer does not take it for lost.
func (o *sender) skip(source uint64, seq uint16) {
	if o.source == source && int16(seq+o.seqOff-o.seq) > 0 {
		o.seqOff--
	}
}

// sent remembers a packet that went out, unless a newer one did before.
func (o *sender) sent(seq uint16, ts, dur uint32, now int64) {
	if o.at == 0 || int16(seq-o.seq) > 0 {
		o.seq, o.ts, o.dur, o.at = seq, ts, dur, now
	}
}

// putHeader writes a plain RTP header (RFC 3550 §5.1).
func (o *sender) putHeader(b []byte, pt uint8, seq uint16, ts uint32) {
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], o.ssrc)
}

// headerSize is that of an RTP header without sources or extension.
const headerSize = 12

// markerBit is that of the second byte of the header.
const markerBit = 0x80

// Saved is what must be written down to continue a stream in another process:
// at each change of the call's state is enough, since Reopen reckons how many
// packets have gone since. It reckons wrong only by what the stream was silent
// for; after more than ten minutes of that, a receiver takes the first two
// packets for strays (RFC 3550 appendix A.1).
type Saved struct {
	// Port is the RTP port.
	Port int `json:"port"`
	// SSRC is that of our outgoing stream.
	SSRC uint32 `json:"ssrc"`
	// Seq and TS are those of the newest packet, sent At, Frame long.
	Seq   uint16        `json:"seq"`
	TS    uint32        `json:"ts"`
	At    time.Time     `json:"at"`
	Frame time.Duration `json:"frame"`
}

// safety is how far sequence numbers jump ahead of what was reckoned: less than
// what a receiver takes for another stream (3000, RFC 3550 appendix A.1).
const safety = 2000

// resume continues the numbers ahead of everything sent before, since receivers
// drop what looks late.
func (s Saved) resume(now time.Time) sender {
	frame := s.Frame
	if frame <= 0 {
		frame = 20 * time.Millisecond
	}
	// Round drops the monotonic reading, which another process cannot compare.
	elapsed := max(now.Round(0).Sub(s.At), 0)
	o := freshSender()
	o.ssrc = s.SSRC
	o.seq = s.Seq + uint16(elapsed/frame) + safety + uint16(rand.UintN(64))
	o.ts = s.TS + samples(int64(elapsed), 8000)
	return o
}
