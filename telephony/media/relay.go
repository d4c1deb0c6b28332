package media

import (
	"encoding/binary"

	"holdfast/domain/sound/g711"
)

// route says what becomes of an incoming payload type: the payload type at the
// partner and what is done to the payload. The zero value is: withhold.
type route struct {
	op operation
	pt uint8
}

type operation uint8

const (
	withhold operation = iota
	carry              // as it is
	ulawToAlaw
	alawToUlaw
)

// compile works out the routes from one leg to another and says whether any
// audio can take one.
func compile(from, to *leg) bool {
	audible := false
	for pt, id := range from.inCodec {
		from.route[pt] = route{}
		if id == 0 {
			continue
		}
		r := plan(id, &to.payloads)
		from.route[pt] = r
		audible = audible || r.op != withhold && id.isAudio()
	}
	return audible
}

func plan(id codecID, to *payloads) route {
	if pt, ok := to.find(id); ok {
		return route{carry, pt}
	}
	switch id {
	case codecPCMU:
		if pt, ok := to.find(codecPCMA); ok {
			return route{ulawToAlaw, pt}
		}
	case codecPCMA:
		if pt, ok := to.find(codecPCMU); ok {
			return route{alawToUlaw, pt}
		}
	}
	return route{}
}

// outCodec is what the payload is after the operation.
func (r route) outCodec(in codecID) codecID {
	switch r.op {
	case ulawToAlaw:
		return codecPCMA
	case alawToUlaw:
		return codecPCMU
	}
	return in
}

// forward relays the packet at hand from one leg to its partner.
func (sh *shard) forward(l, d *leg, p *packet) {
	r := l.route[p.pt]
	source := uint64(l.slot+1)<<32 | uint64(p.ssrc)
	switch {
	case d.play.kind != 0, d.is(keyed):
		return // the partner hears something else
	case !d.dir.sends() || !d.dest.valid():
		d.out.source = 0 // when it goes on, it goes on afresh
		return
	case r.op == withhold:
		if p.codec != 0 { // that is counted already
			l.in.unknown++
		}
		d.out.skip(source, p.seq)
		return
	case p.codec.isEvent() && l.digit.doubled:
		d.out.skip(source, p.seq)
		return
	case !p.codec.isEvent() && sh.pressing(l), muted(l, d) && !r.outCodec(p.codec).isG711():
		d.out.skip(source, p.seq)
		return
	}
	if d.out.source != source {
		next := d.out.next(sh.now, r.outCodec(p.codec).rate())
		d.out.turn(source, p.seq, p.ts, next)
		sh.startPacker(d)
		p.marker = true
	} else if d.out.fresh < freshFor {
		if int16(p.seq-d.out.base) < 0 {
			l.in.late++
			return
		}
		d.out.fresh++
	}
	sh.shape(l, d, p, r)
	if d.is(repacketise) {
		sh.repack(d, p, r)
		return
	}
	seq, ts := p.seq+d.out.seqOff, p.ts+d.out.tsOff
	d.out.putHeader(p.b, pack(r.pt, p.marker), seq, ts)
	sh.emit(d, p.b, d.length(p, r))
}

// shape changes the payload on its way: another law, or silence for the muted.
func (sh *shard) shape(l, d *leg, p *packet, r route) {
	body := p.b[headerSize:]
	if muted(l, d) {
		hush(body, r.outCodec(p.codec))
		return
	}
	switch r.op {
	case ulawToAlaw:
		g711.UlawToAlaw(body, body)
	case alawToUlaw:
		g711.AlawToUlaw(body, body)
	}
}

// muted says whether what goes from one leg to the other is not to be heard.
// Other codecs than G.711 and digits are then withheld.
func muted(l, d *leg) bool { return l.is(mutedIn) || d.is(mutedOut) }

// hush fills G.711 with silence, so that the flow goes on and no end takes it
// for a failure.
func hush(b []byte, id codecID) {
	code := g711.UlawSilence
	if id == codecPCMA {
		code = g711.AlawSilence
	}
	for i := range b {
		b[i] = code
	}
}

func pack(pt uint8, marker bool) uint8 {
	if marker {
		return pt | markerBit
	}
	return pt
}

// length is how many samples a packet covers from its timestamp on: what comes
// next from another source begins behind them.
func (l *leg) length(p *packet, r route) uint32 {
	body := p.b[headerSize:]
	switch {
	case p.codec.isEvent() && len(body) >= 4:
		return uint32(binary.BigEndian.Uint16(body[2:]))
	case r.outCodec(p.codec).isG711():
		return uint32(len(body))
	}
	return samples(int64(tick), r.outCodec(p.codec).rate())
}

// emit sends a finished packet of audio, dur samples long, to the peer.
func (sh *shard) emit(l *leg, b []byte, dur uint32) {
	to := &l.dest
	if l.is(connected) {
		to = nil
	}
	if !send(l.fd, b, to) {
		l.out.failed++
	} else {
		l.out.packets++
		l.out.octets += uint64(len(b) - headerSize)
		sh.counts.PacketsOut++
	}
	l.out.sent(binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), dur, sh.now)
	if l.flags&(sawOut|awaitFlow) != sawOut {
		sh.announce(l)
	}
}

// announce reports the first packets.
func (sh *shard) announce(l *leg) {
	if !l.is(sawOut) {
		l.set(sawOut, true)
		sh.event(l, Event{Kind: FirstOut})
	}
	if l.is(awaitFlow) && l.play.kind == 0 {
		l.set(awaitFlow, false)
		sh.event(l, Event{Kind: Flowing})
	}
}
