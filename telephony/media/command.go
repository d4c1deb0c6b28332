package media

// What commands do on the shard.

// add gives a new stream a leg.
func (sh *shard) add(s *Stream, out sender) error {
	l := sh.legs.add()
	l.fd, l.rtcpFD = int32(s.pair.rtp), int32(s.pair.rtcp)
	l.out = out
	if err := sh.settle(s, l); err != nil {
		sh.legs.remove(l)
		return err
	}
	return nil
}

// settle makes the leg the stream's and watches its sockets.
func (sh *shard) settle(s *Stream, l *leg) error {
	if err := sh.watch(s.pair.rtp, l.slot<<1, l.gen); err != nil {
		return err
	}
	if err := sh.watch(s.pair.rtcp, l.slot<<1|1, l.gen); err != nil {
		sh.unwatch(s.pair.rtp)
		return err
	}
	sh.legs.side(l.slot).stream = s
	s.slot = l.slot
	sh.arm()
	return nil
}

// detach takes a leg out of everything; its sockets stay open.
func (sh *shard) detach(s *Stream, l *leg) {
	sh.unbridge(l)
	sh.stopPlay(l)
	sh.stopKeys(l)
	sh.unwatch(s.pair.rtp)
	sh.unwatch(s.pair.rtcp)
	sh.legs.remove(l)
	s.slot = -1
	sh.arm()
}

// move hands a leg over to another shard. It is on its way, as a command, before
// the stream's home changes: so every command that comes to the new home comes
// after it.
func (sh *shard) move(s *Stream, l *leg, target *shard) error {
	sh.stopKeys(l)
	kept := *l
	clip := sh.legs.side(l.slot).clip
	sh.detach(s, l)
	arrived := target.post(func() {
		n := target.legs.add()
		slot, gen := n.slot, n.gen
		*n = kept
		n.slot, n.gen, n.partner = slot, gen, -1
		n.play = playing{}
		n.out.source = 0
		if err := target.settle(s, n); err != nil {
			// Only a full system can refuse; the stream is deaf then, and ends by
			// its timeout.
			target.engine.log.Error("Media stream could not be watched", "err", err)
			target.legs.side(n.slot).stream = s
			s.slot = n.slot
		}
		if clip != nil {
			_ = target.play(n, clip) // it played on the other shard
		}
	})
	if !arrived {
		portPair{rtp: int(kept.fd), rtcp: int(kept.rtcpFD)}.close()
		return ErrClosed
	}
	s.home.Store(target)
	return nil
}

// configure applies what SDP says.
func (sh *shard) configure(l *leg, p *Params, in *[128]codecID, out *payloads) error {
	if l.state == legOpen {
		l.state = legReady
		l.life, l.lastIn = sh.now, sh.now
	}
	if l.dir.receives() != p.Direction.receives() {
		// The limit of silence is another one now, and silence until now was right.
		l.life, l.lastIn = sh.now, sh.now
		l.in.pause()
		if l.partner >= 0 {
			sh.refresh(sh.legs.leg(l.partner))
		}
	}
	ptime := samples(int64(p.Ptime), 8000)
	if l.dir != p.Direction || l.payloads != *out || l.ptime != ptime {
		sh.refresh(l) // without change it goes on unheard
	}
	l.dir = p.Direction
	l.inCodec, l.payloads = *in, *out
	l.ptime = ptime
	l.set(repacketise, ptime != 0)
	sh.retarget(l, p)
	if l.play.kind != 0 {
		if pl, ok := l.payloads.g711(); ok {
			l.play.pt, l.play.codec = pl.pt, pl.id
		} else {
			sh.stopPlay(l)
		}
	}
	if l.partner < 0 {
		return nil
	}
	return sh.connectRoutes(l, sh.legs.leg(l.partner))
}

// connectRoutes works out what each may send to the other.
func (sh *shard) connectRoutes(a, b *leg) error {
	there, back := compile(a, b), compile(b, a)
	if a.state == legReady && b.state == legReady && !(there && back) {
		return ErrNotRelayable
	}
	return nil
}

// bridge connects two legs of this shard.
func (sh *shard) bridge(a, b *leg) error {
	if a.partner == b.slot {
		return nil
	}
	if err := sh.connectRoutes(a, b); err != nil {
		sh.restoreRoutes(a)
		sh.restoreRoutes(b)
		return err
	}
	sh.unbridge(a)
	sh.unbridge(b)
	a.partner, b.partner = b.slot, a.slot
	a.set(awaitFlow, true)
	b.set(awaitFlow, true)
	sh.refresh(a) // they may have been partners before
	sh.refresh(b)
	return nil
}

// refresh lets the next relayed packet to the leg begin a new run of timestamps:
// what its source sent in between is no loss.
func (sh *shard) refresh(l *leg) {
	if l.play.kind == 0 {
		l.out.source = 0
	}
}

// restoreRoutes undoes connectRoutes after a refusal.
func (sh *shard) restoreRoutes(l *leg) {
	if l.partner >= 0 {
		compile(l, sh.legs.leg(l.partner))
	}
}

func (sh *shard) unbridge(l *leg) {
	if l.partner < 0 {
		return
	}
	o := sh.legs.leg(l.partner)
	l.partner, o.partner = -1, -1
	l.set(awaitFlow, false)
	o.set(awaitFlow, false)
}
