// Package media is the media engine of a telephony node: it owns the RTP sockets
// of every leg, relays audio between two legs without decoding it, plays music
// and ringback, reports with RTCP, and guards each socket against strangers.
//
// # Shape
//
// An Engine has a few shards, normally one per core. A shard is one goroutine
// locked to its thread, with an epoll set, a 20 ms tick and plain data per leg:
// nothing on the packet path is locked, allocated or shared. All streams of one
// call live on one shard, chosen by the call's key, so that bridging two of them
// is the swap of an index. Methods of Engine and Stream may be called from any
// goroutine; they hand a command to the shard and return when it is in force,
// normally within 0.1 ms.
//
// # Words
//
// A Stream is the audio side of one leg: one pair of ports, RTP even and RTCP
// odd. "In" is what its peer sends to us, "out" is what we send to it.
//
// # Rules
//
//   - Each outgoing stream has one SSRC, sequence and timestamp space for its
//     whole life, whatever it carries (RFC 3550 §5.1). A change of source
//     continues them and sets the marker; gaps in the source stay visible.
//   - Payload types are translated by name, never by number.
//   - A source is believed at once if it is the address in the peer's SDP, and
//     otherwise only after four packets in sequence; then the socket is locked to
//     it (see latch.go).
//   - A closed port drains in quarantine before another call gets it.
//
// # Processors
//
// A busy shard that waits for packets would cost the Go runtime much: a process
// with an engine should set GOMAXPROCS to the number of cores plus Config.Shards
// before New. Shards then keep one each, and the rest of the program has as many
// as before. Without that all works, with about a sixth more CPU per packet.
//
// The engine needs Linux.
package media

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNoPorts means that every port of the range is used or was until moments
	// ago, or that the process has no descriptor left: the call is to be refused
	// with 503.
	ErrNoPorts = errors.New("no RTP port is free")
	// ErrPortTaken means that the port asked of Reopen is not free.
	ErrPortTaken = errors.New("the RTP port is taken")
	// ErrClosed means that the stream or the engine is closed.
	ErrClosed = errors.New("the stream is closed")
	// ErrNotRelayable means that two streams have no audio codec in common in one
	// of the two directions, and none that a table translates.
	ErrNotRelayable = errors.New("no codec can be relayed between the streams")
	// ErrNoCodec means that a stream has no codec that the engine can speak
	// (PCMU or PCMA), so nothing can be played to it.
	ErrNoCodec = errors.New("the stream has no codec to play with")
	// ErrParams is wrapped by every refusal of Config or Params.
	ErrParams = errors.New("invalid media parameters")
)

// Config says how an Engine works. The zero value of each field has a meaning,
// given there.
type Config struct {
	// Bind is the local address of all sockets; it decides between IPv4 and
	// IPv6. Zero: 127.0.0.1.
	Bind netip.Addr
	// Advertise is the address that Stream.Addr tells peers. Zero: Bind.
	Advertise netip.Addr
	// PortMin and PortMax bound the ports, both included. Both zero: any ports
	// that the system gives.
	PortMin, PortMax int
	// Shards is the number of event loops. Zero: one per core that the process
	// may use.
	Shards int
	// Quarantine is how long a closed port drains before it is used again; a tenth
	// of it if no other port is left. Zero: 30 s.
	Quarantine time.Duration
	// Timeout is how long a stream that should receive may be silent before
	// Timeout is reported. RTCP counts as life. Zero: 60 s.
	Timeout time.Duration
	// HeldTimeout is the same for a stream that does not receive. Zero: 30 min.
	HeldTimeout time.Duration
	// RTCPInterval is the mean time between two reports of a stream; each is
	// drawn between half and one and a half of it (RFC 3550 §6.3.5). Zero: 5 s.
	RTCPInterval time.Duration
	// Events is called for each event, one at a time, in the order of their
	// occurrence per stream, on a goroutine of the engine. It may call the
	// engine. While it runs, up to 4096 events wait; more are dropped and
	// counted, and a Timeout is reported again. Nil: events are dropped.
	Events func(Event)
	// Log is told what an operator should know. Nil: silence.
	Log *slog.Logger

	tune tuning
}

// tuning holds the periods that only tests change.
type tuning struct {
	sweepTicks int           // ticks between two visits of a stream by the sweep
	window     time.Duration // how long a better source may take over after Configure
	silence    time.Duration // of the locked source, before it may move
	catchUp    int           // ticks that are made up for after a stall
	quiet      time.Duration // after a packet of a press, while audio may be the same press in-band
	forgotten  time.Duration // after the last packet of a press without an end, when it is over
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Quarantine, 30*time.Second)
	def(&c.Timeout, 60*time.Second)
	def(&c.HeldTimeout, 30*time.Minute)
	def(&c.RTCPInterval, 5*time.Second)
	def(&c.tune.window, 5*time.Second)
	def(&c.tune.silence, 3*time.Second)
	def(&c.tune.quiet, 100*time.Millisecond)
	def(&c.tune.forgotten, 500*time.Millisecond)
	if c.tune.catchUp == 0 {
		c.tune.catchUp = 3
	}
	if c.tune.sweepTicks == 0 {
		c.tune.sweepTicks = int(time.Second / tick)
	}
	if !c.Bind.IsValid() {
		c.Bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	c.Bind = c.Bind.Unmap()
	if !c.Advertise.IsValid() {
		c.Advertise = c.Bind
	}
	if c.Shards == 0 {
		c.Shards = min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Events == nil {
		c.Events = func(Event) {}
	}
	return c
}

// Validate says what is wrong with c, as an ErrParams, or nil.
func (c Config) Validate() error {
	switch {
	case c.Shards < 0 || c.Shards > 256:
		return fmt.Errorf("%w: %d shards", ErrParams, c.Shards)
	case c.PortMin == 0 && c.PortMax == 0:
	case c.PortMin < 1024 || c.PortMax > 65535 || c.PortMin+(c.PortMin&1)+1 > c.PortMax:
		return fmt.Errorf("%w: ports %d to %d", ErrParams, c.PortMin, c.PortMax)
	}
	if c.Quarantine < 0 || c.Timeout < 0 || c.HeldTimeout < 0 || c.RTCPInterval < 0 {
		return fmt.Errorf("%w: a negative duration", ErrParams)
	}
	return nil
}

// Engine owns the shards and the ports. Make one with New.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	clock  clock
	shards []*shard
	ports  *ports
	events *eventQueue
	seed   maphash.Seed
	cname  [16]byte
	spare  bool // the runtime has a processor for each shard beyond the cores
	once   sync.Once
}

// New starts an engine. Its resources are freed by Close.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start media engine: %w", err)
	}
	e, err := build(cfg)
	if err != nil {
		return nil, fmt.Errorf("start media engine: %w", err)
	}
	for _, sh := range e.shards {
		go sh.run()
	}
	go e.housekeep()
	return e, nil
}

// build makes an engine whose goroutines do not run yet.
func build(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	e := &Engine{cfg: cfg, log: cfg.Log, clock: newClock(), seed: maphash.MakeSeed(), cname: newCNAME()}
	e.spare = runtime.GOMAXPROCS(0) >= runtime.NumCPU()+cfg.Shards
	e.events = newEventQueue()
	e.ports = newPorts(cfg, e.clock.now)
	for i := range cfg.Shards {
		sh, err := newShard(e, i)
		if err != nil {
			for _, made := range e.shards {
				made.free()
			}
			return nil, err
		}
		e.shards = append(e.shards, sh)
	}
	return e, nil
}

// housekeep delivers events and lets ports out of quarantine until the shards
// have stopped and the last event is delivered.
func (e *Engine) housekeep() {
	defer close(e.events.done)
	every := min(max(e.cfg.Quarantine/8, time.Millisecond), time.Second)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case ev, more := <-e.events.queue:
			if !more {
				return
			}
			e.cfg.Events(ev)
		case <-ticker.C:
			e.ports.reap()
		}
	}
}

// Close stops the engine: packets flow no more, all sockets are closed without
// an RTCP BYE (a node that leaves in order closes its streams first), waiting
// events are delivered, and every later call of a method returns ErrClosed. It
// must not be called from Config.Events. A second Close does nothing.
func (e *Engine) Close() error {
	e.once.Do(func() {
		for _, sh := range e.shards {
			sh.stop()
		}
		for _, sh := range e.shards {
			<-sh.stopped
		}
		close(e.events.queue)
		<-e.events.done
		for _, sh := range e.shards {
			sh.free()
		}
		e.ports.closeAll()
	})
	return nil
}

// Addr is the address that peers are told: Config.Advertise.
func (e *Engine) Addr() netip.Addr { return e.cfg.Advertise }

// shardOf returns the shard of a call: all its streams get the same one.
func (e *Engine) shardOf(call string) *shard {
	return e.shards[maphash.String(e.seed, call)%uint64(len(e.shards))]
}

// Open allocates a pair of ports at random for a leg of the given call and
// returns its stream, which drops every packet until Configure. It returns
// ErrNoPorts when there is none.
func (e *Engine) Open(call string) (*Stream, error) {
	pair, err := e.ports.open()
	if err != nil {
		return nil, fmt.Errorf("open media stream: %w", err)
	}
	return e.attach(call, pair, freshSender())
}

// Reopen is Open with the port and the sequence space of a stream that lived in
// an earlier process, so that its peer hears on: the SSRC stays, sequence numbers
// jump ahead of all that can have been sent, timestamps continue by the wall
// clock. It returns ErrPortTaken when the port is not free and ErrNoPorts as Open.
// Remote address and codecs are given by Configure as at first.
func (e *Engine) Reopen(call string, saved Saved) (*Stream, error) {
	pair, err := e.ports.reopen(saved.Port)
	if err != nil {
		return nil, fmt.Errorf("reopen media stream on port %d: %w", saved.Port, err)
	}
	return e.attach(call, pair, saved.resume(e.clock.wall(e.clock.now())))
}

// attach gives the stream to its shard, whose next command it is: nobody waits for it, because a caller waits for us.
// Only a system without memory refuses to watch two sockets more; the stream is closed then, and says so to whoever
// uses it next.
func (e *Engine) attach(call string, pair portPair, out sender) (*Stream, error) {
	s := &Stream{engine: e, call: call, pair: pair, ssrc: out.ssrc}
	sh := e.shardOf(call)
	s.home.Store(sh)
	attached := sh.post(func() {
		if err := sh.add(s, out); err != nil {
			e.log.Error("Media stream could not be watched", "err", err)
			s.slot = -1
			e.ports.abandon(pair)
		}
	})
	if !attached {
		e.ports.abandon(pair)
		return nil, fmt.Errorf("open media stream: %w", ErrClosed)
	}
	return s, nil
}
