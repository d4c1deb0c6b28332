package media

// repacker cuts relayed G.711 to the packet length that the peer asked for.
type repacker struct {
	b     [headerSize + 2048 + maxFrame]byte
	fill  int    // bytes of audio waiting behind the header
	ts    uint32 // outgoing timestamp of the first of them
	pt    uint8
	first bool // the next packet begins a talk spurt
}

// maxFrame is the size of the longest packet that we make, in samples.
const maxFrame = int(maxPtime) * 8000 / 1e9

// startPacker readies the repacketiser of a leg for another source.
func (sh *shard) startPacker(l *leg) {
	if !l.is(repacketise) {
		return
	}
	s := sh.legs.side(l.slot)
	if s.packer == nil {
		s.packer = new(repacker) // once per leg that needs it
	}
	s.packer.fill = 0
}

// repack takes a relayed packet, whose payload is already in the law of the
// peer, and sends what is complete. Numbers count our packets; where the source
// has a gap they jump by what is missing, so that loss stays visible.
func (sh *shard) repack(l *leg, p *packet, r route) {
	k := sh.legs.side(l.slot).packer
	ts := p.ts + l.out.tsOff
	if !r.outCodec(p.codec).isG711() {
		sh.flush(l, k)
		seq := l.out.seq + 1
		l.out.putHeader(p.b, pack(r.pt, p.marker), seq, ts)
		sh.emit(l, p.b, l.length(p, r))
		return
	}
	expected := k.ts + uint32(k.fill)
	if k.fill == 0 {
		expected = l.out.ts + l.out.dur
	}
	gap := int32(ts - expected)
	switch {
	case gap < 0 && !p.marker:
		return // late: its place is gone
	case gap != 0 || p.marker || k.pt != r.pt:
		sh.flush(l, k)
		if missing := gap / int32(l.ptime); missing > 0 && missing < maxDropout && !p.marker {
			l.out.seq += uint16(missing)
		}
		k.ts, k.pt, k.first = ts, r.pt, p.marker
	case k.fill == 0:
		k.ts, k.pt = ts, r.pt
	}
	k.fill += copy(k.b[headerSize+k.fill:], p.b[headerSize:])
	size := int(l.ptime)
	for k.fill >= size {
		sh.cut(l, k, size)
	}
}

// flush sends what waits as a short packet.
func (sh *shard) flush(l *leg, k *repacker) {
	if k.fill > 0 {
		sh.cut(l, k, k.fill)
	}
}

// cut sends the first size bytes and moves the rest up.
func (sh *shard) cut(l *leg, k *repacker, size int) {
	seq := l.out.seq + 1
	l.out.putHeader(k.b[:], pack(k.pt, k.first), seq, k.ts)
	sh.emit(l, k.b[:headerSize+size], uint32(size))
	copy(k.b[headerSize:], k.b[headerSize+size:headerSize+k.fill])
	k.fill -= size
	k.ts += uint32(size)
	k.first = false
}
