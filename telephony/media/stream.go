package media

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
)

// Stream is the audio of one leg. Its methods may be called from any goroutine;
// when one returns, it is in force. After Close they return ErrClosed.
type Stream struct {
	engine *Engine
	call   string
	pair   portPair
	ssrc   uint32
	closed atomic.Bool
	home   atomic.Pointer[shard]

	// Touched by the shard only.
	slot int32
}

// Call returns the key that the stream was opened for.
func (s *Stream) Call() string { return s.call }

// Port returns the RTP port, an even number; RTCP has the next one.
func (s *Stream) Port() int { return s.pair.port }

// Addr returns the address for our SDP: Config.Advertise and Port.
func (s *Stream) Addr() netip.AddrPort {
	return netip.AddrPortFrom(s.engine.cfg.Advertise, uint16(s.pair.port))
}

// SSRC returns that of the packets that we send: the same for the stream's life.
func (s *Stream) SSRC() uint32 { return s.ssrc }

// errMoved tells do that the stream went to another shard meanwhile.
var errMoved = errors.New("the stream moved")

// do runs fn on the stream's shard.
func (s *Stream) do(fn func(sh *shard, l *leg) error) error {
	for {
		sh := s.home.Load()
		err := sh.do(func() error {
			switch {
			case s.home.Load() != sh:
				return errMoved
			case s.slot < 0:
				return ErrClosed
			}
			return fn(sh, sh.legs.leg(s.slot))
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

// Configure says what SDP agreed on, at first and after each re-INVITE or UPDATE.
// From the first call on, packets are accepted and sent. It returns ErrParams
// without any effect, or ErrNotRelayable, with effect, if the stream is bridged
// and the partner's codecs no longer fit.
func (s *Stream) Configure(p Params) error {
	if err := p.validate(s.engine.cfg.Bind); err != nil {
		return fmt.Errorf("configure media stream: %w", err)
	}
	in := p.In
	if in == nil {
		in = p.Out
	}
	// Codecs are named here, not on the shard: that takes a lock.
	inCodec, out := inPayloads(in), outPayloads(p.Out)
	err := s.do(func(sh *shard, l *leg) error { return sh.configure(l, &p, &inCodec, &out) })
	if err != nil {
		return fmt.Errorf("configure media stream: %w", err)
	}
	return nil
}

// Bridge connects two streams both ways: from now on each packet of one goes to
// the other at once. Either is taken from its earlier partner. What is played to
// a stream goes on and comes first until StopPlay. A stream that is not yet
// configured may be bridged. If both are and have no codec in common, nor PCMU
// against PCMA, in one of the directions, they stay as they were and the error is
// ErrNotRelayable.
func Bridge(a, b *Stream) error {
	if a == b || a.engine != b.engine {
		return fmt.Errorf("bridge media streams: %w: two streams of one engine are needed", ErrParams)
	}
	for {
		var twin leg
		err := a.do(func(sh *shard, l *leg) error {
			switch {
			case b.home.Load() != sh:
				twin = *l
				return errElsewhere
			case b.slot < 0:
				return ErrClosed
			}
			return sh.bridge(l, sh.legs.leg(b.slot))
		})
		if errors.Is(err, errElsewhere) {
			err = b.follow(a, &twin)
		} else if err == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bridge media streams: %w", err)
		}
	}
}

// errElsewhere tells Bridge that its streams are on two shards.
var errElsewhere = errors.New("the streams are on two shards")

// follow carries the stream to the shard of another, of whose leg a copy is
// given, out of any bridge, unless the two could not be bridged anyway. Packets
// that come meanwhile wait in its sockets.
func (s *Stream) follow(other *Stream, twin *leg) error {
	target := other.home.Load()
	return s.do(func(sh *shard, l *leg) error {
		if sh == target {
			return nil
		}
		self := *l
		if err := sh.connectRoutes(&self, twin); err != nil {
			return err
		}
		return sh.move(s, l, target)
	})
}

// Unbridge takes the stream and its partner apart; both live on. Without a
// partner it does nothing.
func (s *Stream) Unbridge() error {
	return s.do(func(sh *shard, l *leg) error {
		sh.unbridge(l)
		return nil
	})
}

// Play plays a clip to the peer in place of the partner's audio, and of what was
// played before. The first packet leaves with the next tick, within 20 ms.
// ErrNoCodec: the peer has neither PCMU nor PCMA.
func (s *Stream) Play(c *Clip) error {
	err := s.do(func(sh *shard, l *leg) error { return sh.play(l, c) })
	if err != nil {
		return fmt.Errorf("play to media stream: %w", err)
	}
	return nil
}

// StopPlay ends what is played to the peer, if anything; the partner is heard
// again.
func (s *Stream) StopPlay() error {
	return s.do(func(sh *shard, l *leg) error {
		sh.stopPlay(l)
		return nil
	})
}

// Mute replaces audio by silence: with in, what the peer says, for its partner;
// with out, all that is sent to the peer. Digits are withheld, too.
func (s *Stream) Mute(in, out bool) error {
	return s.do(func(sh *shard, l *leg) error {
		l.set(mutedIn, in)
		l.set(mutedOut, out)
		return nil
	})
}

// Save returns what Reopen needs.
func (s *Stream) Save() (Saved, error) {
	var saved Saved
	err := s.do(func(sh *shard, l *leg) error {
		at := l.out.at
		if at == 0 {
			at = sh.now
		}
		saved = Saved{
			Port: s.pair.port, SSRC: l.out.ssrc, Seq: l.out.seq, TS: l.out.ts,
			At: sh.engine.clock.wall(at).Round(0), Frame: span(l.out.dur, l.out.rate),
		}
		return nil
	})
	return saved, err
}

// Close ends the stream: an RTCP BYE is sent, a partner is unbridged, and the
// ports go into quarantine. A second Close does nothing, nor does one after the
// engine's.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.do(func(sh *shard, l *leg) error {
		if l.state == legReady && (l.out.packets > 0 || l.reports.sent) {
			sh.sendReport(l, true)
		}
		sh.detach(s, l)
		return nil
	})
	if errors.Is(err, ErrClosed) {
		return nil // the engine closed the sockets
	}
	if err == nil {
		err = s.engine.ports.rest(s.pair)
	}
	if err != nil {
		return fmt.Errorf("close media stream: %w", err)
	}
	return nil
}
