package media

import "encoding/binary"

// packet is the RTP packet at hand: its header, and its bytes brought into the
// plain form of a 12-byte header and the payload.
type packet struct {
	b      []byte
	ts     uint32
	ssrc   uint32
	seq    uint16
	pt     uint8
	codec  codecID
	marker bool
}

// isReport tells RTCP from RTP on one port (RFC 5761 §4).
func isReport(second byte) bool { return second >= 192 && second <= 223 }

// parse checks and normalises an RTP packet (RFC 3550 §5.1): contributing
// sources, extensions and padding concern one hop only and are cut off.
func (p *packet) parse(b []byte) bool {
	if len(b) < headerSize || b[0]>>6 != 2 {
		return false
	}
	if b[0] != 0x80 {
		if b = plain(b); b == nil {
			return false
		}
	}
	p.b = b
	p.marker = b[1]&markerBit != 0
	p.pt = b[1] & 0x7F
	p.seq = binary.BigEndian.Uint16(b[2:])
	p.ts = binary.BigEndian.Uint32(b[4:])
	p.ssrc = binary.BigEndian.Uint32(b[8:])
	return true
}

// plain moves the header up to the payload and cuts the padding off; it returns
// nil if the lengths contradict each other.
func plain(b []byte) []byte {
	start := headerSize + 4*int(b[0]&0x0F)
	if b[0]&0x10 != 0 {
		if len(b) < start+4 {
			return nil
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		pad := int(b[end-1])
		if pad == 0 {
			return nil
		}
		end -= pad
	}
	if start > end {
		return nil
	}
	head := start - headerSize
	copy(b[head:start], b[:headerSize])
	b[head] = 0x80
	return b[head:end]
}

// onPacket takes what came to the RTP port of a leg.
func (sh *shard) onPacket(l *leg, b []byte) {
	sh.counts.PacketsIn++
	p := &sh.pkt
	if len(b) >= headerSize && isReport(b[1]) {
		sh.onReport(l, b)
		return
	}
	switch {
	case l.state != legReady:
		l.in.early++
		return
	case !p.parse(b):
		l.in.invalid++
		return
	}
	p.codec = l.inCodec[p.pt]
	if sh.from != l.source && !sh.admit(l, p) {
		l.in.stranger++
		return
	}
	l.life = sh.now
	if !l.dir.receives() {
		l.in.unwanted++
		return
	}
	l.lastIn = sh.now
	if !l.in.take(p, len(b), sh.now) {
		return
	}
	if l.in.restarted {
		sh.restart(l)
	}
	switch {
	case p.codec == 0:
		l.in.unknown++ // the partner's numbers close the gap; see forward
	case !l.is(sawIn):
		l.set(sawIn, true)
		sh.event(l, Event{Kind: FirstIn})
	}
	if p.codec.isEvent() {
		sh.onDigit(l, p)
	}
	if l.partner >= 0 {
		sh.forward(l, sh.legs.leg(l.partner), p)
	}
}

// restart makes the partner's packets start afresh: the peer's numbers jumped.
func (sh *shard) restart(l *leg) {
	l.in.restarted = false
	if l.partner >= 0 {
		sh.refresh(sh.legs.leg(l.partner))
	}
}

// reception is the incoming side of a leg: the receiver of RFC 3550 appendix A.
type reception struct {
	ssrc      uint32
	highest   uint32 // extended sequence number
	first     uint32 // extended, where counting of expected packets began
	bad       uint32 // sequence number that would confirm a restart; badNone
	received  uint32 // of this source since first
	epoch     uint32 // counts sources
	transit   uint32
	jitter    uint32 // in samples, times 16
	rate      uint32 // clock of the newest audio, Hz
	started   bool
	restarted bool // the numbers jumped: the partner's offsets are void

	lostBefore int64 // of earlier sources of this leg

	packets, bytes                                           uint64
	late, invalid, stranger, early, unwanted, unknown, stuck uint64
}

const (
	// maxDropout and maxMisorder are how far numbers may jump (RFC 3550 A.1).
	maxDropout  = 3000
	maxMisorder = 100
	badNone     = 1 << 16
)

// take counts a packet of the locked source and says whether it is to be used.
func (r *reception) take(p *packet, size int, now int64) bool {
	switch {
	case !r.started:
		r.begin(p)
	case p.ssrc != r.ssrc:
		// The address is right, so the peer changed its source, as phones and
		// exchanges do after re-INVITE.
		r.begin(p)
	default:
		delta := p.seq - uint16(r.highest)
		switch {
		case delta == 0:
			r.late++ // doubled
		case delta < maxDropout:
			r.highest += uint32(delta)
		case delta <= 1<<16-1-maxMisorder:
			if uint32(p.seq) != r.bad {
				r.bad = uint32(p.seq+1) & 0xFFFF
				r.stuck++
				return false
			}
			r.begin(p)
			r.restarted = true
		default:
			r.late++
		}
	}
	r.packets++
	r.received++
	r.bytes += uint64(size)
	if !p.codec.isEvent() { // their timestamps stand still
		rate := p.codec.rate()
		transit := samples(now, rate) - p.ts
		if r.received > 1 {
			d := int32(transit - r.transit)
			if d < 0 {
				d = -d
			}
			// A jump of seconds is a new beginning, not jitter.
			if d < int32(rate) && r.rate == rate {
				r.jitter += uint32(d) - (r.jitter+8)>>4
			}
		}
		r.transit, r.rate = transit, rate
	}
	return true
}

func (r *reception) begin(p *packet) {
	r.lostBefore += r.lost()
	r.ssrc, r.started, r.bad = p.ssrc, true, badNone
	// One turn up, so that a late first packet does not go below zero.
	r.highest = 1<<16 | uint32(p.seq)
	r.first, r.received = r.highest, 0
	r.epoch++
}

// pause ends counting until the next packet: what the peer sends meanwhile is not
// lost.
func (r *reception) pause() {
	r.lostBefore += r.lost()
	r.started, r.received = false, 0
}

// expected is how many packets the source has sent as far as we can know.
func (r *reception) expected() uint32 {
	if !r.started {
		return 0
	}
	return r.highest - r.first + 1
}

// lost is expected minus received of this source; doubled packets make it
// smaller, even negative (RFC 3550 §6.4.1).
func (r *reception) lost() int64 { return int64(r.expected()) - int64(r.received) }
