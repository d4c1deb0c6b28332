package media

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// RTCP ends at each leg: we report what we send and receive ourselves (sender
// and receiver reports, CNAME, BYE; RFC 3550 §6) and never relay the peer's.

const (
	rtcpSR   = 200
	rtcpRR   = 201
	rtcpSDES = 202
	rtcpBYE  = 203
)

// reports is the RTCP side of a leg.
type reports struct {
	dest sockaddr // invalid: as the audio (mux)
	next int64    // when ours is due
	sent bool

	// About the peer's sender reports, for our receiver reports.
	lsr  uint32 // middle bits of its last NTP timestamp
	srAt int64

	// What our last report counted, for the fraction lost.
	expected, received, epoch uint32
	outPackets                uint64

	// What the peer's last report says about what it hears.
	heard    bool
	lost     int32
	fraction uint8
	jitter   uint32
	rtt      int64 // ns, 0 unknown
	eventAt  int64
	counted  uint64 // valid compounds from the peer
}

// newCNAME makes the name that all streams of an engine carry; it means nothing
// (RFC 7022 §4.2).
func newCNAME() (name [16]byte) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	for i := range name {
		name[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return name
}

// onReport takes what came to the RTCP port, or RTCP from the RTP port. Only the
// host that we send audio to is believed.
func (sh *shard) onReport(l *leg, b []byte) {
	if l.state != legReady {
		l.in.early++
		return
	}
	if !l.dest.valid() || sh.from.ip() != l.dest.ip() {
		l.in.stranger++
		return
	}
	// A compound begins with a report (RFC 3550 §6.1; a BYE may come alone,
	// RFC 5506).
	valid := false
	for len(b) >= 4 && b[0]>>6 == 2 {
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			break
		}
		valid = sh.onReportPart(l, b[:size]) || valid
		b = b[size:]
	}
	if !valid {
		l.in.invalid++
		return
	}
	l.life = sh.now
	l.reports.counted++
	if !l.is(muxed) {
		l.reports.dest = sh.from
	}
	if sh.now-l.reports.eventAt >= int64(time.Second) || l.reports.eventAt == 0 {
		l.reports.eventAt = sh.now
		sh.event(l, Event{Kind: Report})
	}
}

// onReportPart reads one packet of a compound.
func (sh *shard) onReportPart(l *leg, b []byte) bool {
	count := int(b[0] & 0x1F)
	switch b[1] {
	case rtcpSR:
		if len(b) < 28+24*count {
			return false
		}
		if !l.in.started || binary.BigEndian.Uint32(b[4:]) == l.in.ssrc {
			l.reports.lsr = binary.BigEndian.Uint32(b[10:])
			l.reports.srAt = sh.now
		}
		sh.onBlocks(l, b[28:], count)
	case rtcpRR:
		if len(b) < 8+24*count {
			return false
		}
		sh.onBlocks(l, b[8:], count)
	case rtcpSDES, rtcpBYE:
		return len(b) >= 8
	default:
		return false
	}
	return true
}

// onBlocks reads the report blocks for the one about our stream.
func (sh *shard) onBlocks(l *leg, b []byte, count int) {
	for ; count > 0; count, b = count-1, b[24:] {
		if binary.BigEndian.Uint32(b) != l.out.ssrc {
			continue
		}
		r := &l.reports
		r.heard = true
		r.fraction = b[4]
		r.lost = int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8
		r.jitter = binary.BigEndian.Uint32(b[12:])
		lsr, dlsr := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
		if lsr == 0 {
			continue
		}
		// RFC 3550 §6.4.1: A - LSR - DLSR in units of 1/65536 s. Clocks that
		// drift make it negative on short paths.
		if rtt := int32(uint32(sh.engine.clock.ntp(sh.now)>>16) - lsr - dlsr); rtt >= 0 {
			r.rtt = max(int64(rtt)*int64(time.Second)>>16, 1)
		}
	}
}

// report sends our report when it is due.
func (sh *shard) report(l *leg) {
	r := &l.reports
	if sh.now < r.next {
		return
	}
	if r.next != 0 {
		sh.sendReport(l, false)
	}
	interval := int64(sh.engine.cfg.RTCPInterval)
	r.next = sh.now + interval/2 + rand.Int64N(interval+1)
}

// sendReport sends SR or RR with SDES, and BYE if this is the end.
func (sh *shard) sendReport(l *leg, bye bool) {
	to, fd := &l.reports.dest, l.rtcpFD
	if l.is(muxed) {
		to, fd = &l.dest, l.fd
		if l.is(connected) {
			to = nil
		}
	}
	if !l.dest.valid() || to != nil && !to.valid() {
		return
	}
	b := sh.reportBuf[:0]
	b = sh.appendReport(b, l)
	b = sh.appendCNAME(b, l)
	if bye {
		b = append(b, 0x81, rtcpBYE, 0, 1)
		b = binary.BigEndian.AppendUint32(b, l.out.ssrc)
	}
	l.reports.sent = true
	if send(fd, b, to) {
		sh.counts.Reports++
	}
}

// appendReport writes an SR if we sent audio since the last one, else an RR.
func (sh *shard) appendReport(b []byte, l *leg) []byte {
	r := &l.reports
	start := len(b)
	if l.out.packets > r.outPackets {
		r.outPackets = l.out.packets
		b = append(b, 0x80, rtcpSR, 0, 0)
		b = binary.BigEndian.AppendUint32(b, l.out.ssrc)
		b = binary.BigEndian.AppendUint64(b, sh.engine.clock.ntp(sh.now))
		b = binary.BigEndian.AppendUint32(b, l.out.ts+samples(sh.now-l.out.at, l.out.rate))
		b = binary.BigEndian.AppendUint32(b, uint32(l.out.packets))
		b = binary.BigEndian.AppendUint32(b, uint32(l.out.octets))
	} else {
		b = append(b, 0x80, rtcpRR, 0, 0)
		b = binary.BigEndian.AppendUint32(b, l.out.ssrc)
	}
	if l.in.started && l.in.received > 0 {
		b[start]++
		b = sh.appendBlock(b, l)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16((len(b)-start)/4-1))
	return b
}

// appendBlock writes what we hear of the peer (RFC 3550 §6.4.1, A.3).
func (sh *shard) appendBlock(b []byte, l *leg) []byte {
	in, r := &l.in, &l.reports
	expected := in.expected()
	interval, got := int64(expected-r.expected), int64(in.received-r.received)
	if r.epoch != in.epoch { // another source since
		interval, got = int64(expected), int64(in.received)
	}
	r.expected, r.received, r.epoch = expected, in.received, in.epoch
	var fraction uint32
	if interval > 0 && got < interval {
		fraction = uint32((interval - got) << 8 / interval)
	}
	lost := min(max(in.lost(), -1<<23), 1<<23-1)
	b = binary.BigEndian.AppendUint32(b, in.ssrc)
	b = binary.BigEndian.AppendUint32(b, min(fraction, 255)<<24|uint32(lost)&0xFFFFFF)
	b = binary.BigEndian.AppendUint32(b, in.highest-1<<16)
	b = binary.BigEndian.AppendUint32(b, in.jitter>>4)
	if r.srAt == 0 {
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint32(b, r.lsr)
	return binary.BigEndian.AppendUint32(b, uint32((sh.now-r.srAt)<<16/int64(time.Second)))
}

// appendCNAME writes an SDES packet with the CNAME (RFC 3550 §6.5).
func (sh *shard) appendCNAME(b []byte, l *leg) []byte {
	const words = 6 // SSRC, 2 bytes of item header, 16 of name, 2 of end
	b = append(b, 0x81, rtcpSDES, 0, words)
	b = binary.BigEndian.AppendUint32(b, l.out.ssrc)
	b = append(b, 1, byte(len(sh.engine.cname)))
	b = append(b, sh.engine.cname[:]...)
	return append(b, 0, 0)
}
