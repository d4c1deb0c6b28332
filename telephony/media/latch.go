package media

import (
	"net/netip"
	"time"
)

// The rules of latching. A stream has one locked source, whose packets are
// audio; everybody else is a stranger and is only counted.
//
//   - Before Configure, and while the direction is not to receive, nobody is
//     locked. So nobody is before the SIP answer.
//   - A packet from the address in the peer's SDP locks it at once.
//   - Any other source is locked after four packets with consecutive numbers of
//     one SSRC and a payload type that was agreed on. A source near the peer (its
//     signalling address, or its /24 or /64) goes before a source from anywhere.
//   - For some seconds after Configure a better source may still take the lock
//     over: the address in the SDP at once, a near one after four packets.
//   - Then the lock is final and the kernel drops strangers (connect). It opens
//     again for those seconds by a new Configure, and for another address of the
//     same SSRC after three seconds of silence: the peer's NAT forgot it.
//
// A peer AsDescribed is locked by its SDP's address only.
//
// Audio goes to the locked source, or, before there is one, to the SDP's address.

// trust ranks sources.
type trust uint8

const (
	nobody trust = iota
	anybody
	near // the signalling address, or the same network as the SDP's address
	told // the SDP's address and port
)

// latch is the state of learning.
type latch struct {
	trust      trust // of the locked source
	described  bool  // the peer is AsDescribed
	nearSeen   bool  // a near source has spoken in this window: anybody may not win
	signalling netip16
	until      int64 // end of the window
	candidates [2]candidate
}

// netip16 is an address without pointers.
type netip16 [16]byte

// candidate is a source on its way to be locked; one of anybody, one near.
type candidate struct {
	from  sockaddr
	ssrc  uint32
	next  uint16
	count uint8
}

// enough is how many packets in sequence make a source credible.
const enough = 4

// admit decides about a packet that is not from the locked source.
func (sh *shard) admit(l *leg, p *packet) bool {
	if !l.dir.receives() || p.codec == 0 {
		return false
	}
	t := l.trustOf(&sh.from)
	if l.latch.described && t != told {
		return false
	}
	if l.latch.trust == nobody || sh.now < l.latch.until {
		switch {
		case t == told:
			sh.lock(l, t)
			return true
		case t < l.latch.trust:
			return false
		case t == near:
			l.latch.nearSeen = true
		case l.latch.nearSeen:
			return false
		}
		if l.latch.candidates[t-anybody].add(&sh.from, p) {
			sh.lock(l, t)
			return true
		}
		return false
	}
	silent := sh.now-l.lastIn >= int64(sh.engine.cfg.tune.silence)
	if silent && p.ssrc == l.in.ssrc && l.latch.candidates[min(t, near)-anybody].add(&sh.from, p) {
		sh.lock(l, t)
		return true
	}
	return false
}

// add counts a packet and says whether the candidate has enough.
func (c *candidate) add(from *sockaddr, p *packet) bool {
	if c.count > 0 && c.from == *from && c.ssrc == p.ssrc && c.next == p.seq {
		c.count++
	} else {
		*c = candidate{from: *from, ssrc: p.ssrc, count: 1}
	}
	c.next = p.seq + 1
	return c.count >= enough
}

// lock makes the sender of the packet at hand the peer's address.
func (sh *shard) lock(l *leg, t trust) {
	l.release()
	l.source, l.dest = sh.from, sh.from
	l.latch.trust = t
	l.latch.candidates = [2]candidate{}
	if !l.is(muxed) && l.remote != sh.from {
		l.reports.dest = sh.from.withPort(sh.from.port() + 1)
	}
	if t == told {
		l.hold()
	}
	sh.event(l, Event{Kind: Latched, Source: sh.from.addrPort()})
}

// hold lets the kernel drop strangers.
func (l *leg) hold() {
	if !l.is(connected) && l.source.valid() && connect(l.fd, &l.source) == 0 {
		l.set(connected, true)
	}
}

// release lets strangers be seen again.
func (l *leg) release() {
	if l.is(connected) {
		_ = disconnect(l.fd) // a socket that is gone hears no stranger
		l.set(connected, false)
	}
}

// trustOf ranks a source by what the peer told us.
func (l *leg) trustOf(a *sockaddr) trust {
	if *a == l.remote {
		return told
	}
	ip := a.ip()
	if ip.As16() == l.latch.signalling || sameNetwork(ip, l.remote.ip()) {
		return near
	}
	return anybody
}

func sameNetwork(a, b netip.Addr) bool {
	if !b.IsValid() || a.Is4() != b.Is4() {
		return false
	}
	bits := 64
	if a.Is4() {
		bits = 24
	}
	network, err := a.Prefix(bits)
	return err == nil && network.Contains(b)
}

// retarget applies what a new Configure says about the peer's address, and opens
// the window. A source that is locked stays so until a better one appears.
func (sh *shard) retarget(l *leg, p *Params) {
	remote := toSockaddr(p.Remote)
	moved := remote != l.remote
	l.remote = remote
	l.latch.signalling = netip16{}
	if p.SignalingSource.IsValid() {
		l.latch.signalling = p.SignalingSource.Unmap().As16()
	}
	l.latch.nearSeen = false
	l.latch.candidates = [2]candidate{}
	l.latch.until = sh.now + int64(sh.engine.cfg.tune.window)
	if l.latch.trust != nobody {
		l.latch.trust = l.trustOf(&l.source)
	}
	if l.latch.trust != told {
		l.release()
	}
	if moved || l.latch.trust == nobody {
		l.dest = remote
		if l.latch.trust == told {
			l.dest = l.source
		}
	}
	l.set(muxed, p.RTCPMux)
	l.latch.described = p.AsDescribed
	switch {
	case p.RTCPMux:
		l.reports.dest = sockaddr{}
	case p.RemoteRTCP.IsValid():
		l.reports.dest = toSockaddr(p.RemoteRTCP)
	case moved || !l.reports.dest.valid():
		l.reports.dest = remote.withPort(remote.port() + 1)
	}
	if !remote.valid() {
		l.dest = sockaddr{}
	}
}

// guard keeps the kernel's filter right: on when the window is over, off while
// the locked source is silent, so that it may be found elsewhere.
func (sh *shard) guard(l *leg) {
	if l.latch.trust == nobody {
		return
	}
	silent := l.dir.receives() && sh.now-l.lastIn >= int64(sh.engine.cfg.tune.silence)
	switch {
	case silent:
		l.release()
	case sh.now >= l.latch.until || l.latch.trust == told:
		// If nobody better came after a new SDP, the old source is still right:
		// audio goes where it comes from.
		if l.remote.valid() {
			l.dest = l.source
		}
		l.hold()
	}
}

// timeout says how long a leg may be without a sign of life.
func (sh *shard) timeout(l *leg) time.Duration {
	if l.dir.receives() {
		return sh.engine.cfg.Timeout
	}
	return sh.engine.cfg.HeldTimeout
}
