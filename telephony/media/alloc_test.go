package media

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bare is an engine of one shard whose loop the test turns itself, with two
// bridged legs and one peer's socket for both.
type bare struct {
	t      testing.TB
	engine *Engine
	sh     *shard
	a, b   *leg
	socket int32
	to     sockaddr // the first leg's port
	packet []byte
	sink   [2048]byte
}

func newBare(t testing.TB, codec Codec, ptime time.Duration) *bare {
	t.Helper()
	e, err := build(Config{Shards: 1})
	require.NoError(t, err)
	r := &bare{t: t, engine: e, sh: e.shards[0], packet: make([]byte, headerSize+160)}
	r.packet[0] = 0x80
	fd, err := openSocket(e.cfg.Bind, 0)
	require.NoError(t, err)
	r.socket = int32(fd)
	t.Cleanup(func() {
		portPair{rtp: fd, rtcp: -1}.close()
		r.sh.free()
		e.ports.closeAll()
	})
	port, err := localPort(fd)
	require.NoError(t, err)
	remote := netip.AddrPortFrom(e.cfg.Bind, uint16(port))
	r.b = r.leg(Params{Remote: remote, Direction: SendRecv, Out: []Codec{codec, TelephoneEvent(101)}, Ptime: ptime})
	r.a = r.leg(Params{Remote: remote, Direction: SendRecv, Out: []Codec{PCMU, TelephoneEvent(101)}})
	require.NoError(t, r.sh.bridge(r.a, r.b))
	return r
}

// leg makes a stream and its leg on the shard.
func (r *bare) leg(p Params) *leg {
	r.t.Helper()
	pair, err := r.engine.ports.open()
	require.NoError(r.t, err)
	s := &Stream{engine: r.engine, pair: pair}
	require.NoError(r.t, r.sh.add(s, freshSender()))
	l := r.sh.legs.leg(s.slot)
	in, out := inPayloads(p.Out), outPayloads(p.Out)
	require.NoError(r.t, r.sh.configure(l, &p, &in, &out))
	r.to = toSockaddr(s.Addr())
	return l
}

// relay sends a packet, turns the loop, and takes what comes out.
func (r *bare) relay() {
	binary.BigEndian.PutUint16(r.packet[2:], binary.BigEndian.Uint16(r.packet[2:])+1)
	binary.BigEndian.PutUint32(r.packet[4:], binary.BigEndian.Uint32(r.packet[4:])+160)
	send(r.socket, r.packet, &r.to)
	before := r.sh.counts.PacketsIn
	for r.sh.counts.PacketsIn == before {
		r.sh.step(false)
	}
	var from sockaddr
	for receive(r.socket, r.sink[:], &from) > 0 {
	}
}

// Not parallel, as the allocations of the whole process are counted.
func TestPacketPath_NeverAllocates(t *testing.T) {
	event := func(r *bare) {
		r.packet = r.packet[:headerSize+4]
		r.packet[1] = 101
	}
	for name, c := range map[string]struct {
		codec  Codec
		ptime  time.Duration
		change func(*bare)
	}{
		"relay":        {codec: PCMU},
		"transcode":    {codec: PCMA},
		"repacketise":  {codec: PCMA, ptime: 30 * time.Millisecond},
		"events":       {codec: PCMU, change: event},
		"mute":         {codec: PCMA, change: func(r *bare) { r.a.set(mutedIn, true) }},
		"extension":    {codec: PCMU, change: func(r *bare) { r.packet[0] = 0x90 }},
		"unknown type": {codec: PCMU, change: func(r *bare) { r.packet[1] = 77 }},
		"stranger":     {codec: PCMU, change: func(r *bare) { r.a.remote = toSockaddr(netip.MustParseAddrPort("192.0.2.1:4")) }},
	} {
		r := newBare(t, c.codec, c.ptime)
		if c.change != nil {
			c.change(r)
		}
		require.Zero(t, testing.AllocsPerRun(500, r.relay), name)
		require.GreaterOrEqual(t, r.sh.counts.PacketsIn, uint64(500), name)
	}
}

func TestTickAndReports_NeverAllocate(t *testing.T) {
	r := newBare(t, PCMA, 0)
	require.NoError(t, r.sh.play(r.a, Music()))
	require.NoError(t, r.sh.play(r.b, Music()))
	require.Zero(t, testing.AllocsPerRun(500, func() {
		r.sh.now = r.engine.clock.now()
		r.sh.ticks++
		r.sh.playAll()
		r.sh.sweep()
		r.sh.sendReport(r.a, false)
		var from sockaddr
		for receive(r.socket, r.sink[:], &from) > 0 {
		}
	}))
	require.GreaterOrEqual(t, r.sh.counts.PacketsOut, uint64(1000))
	require.GreaterOrEqual(t, r.sh.counts.Reports, uint64(500))
}

// What a packet costs in one thread, with both system calls and those of the
// test's peer (about half).
func BenchmarkRelay(b *testing.B) {
	for name, c := range map[string]Codec{"same": PCMU, "transcode": PCMA} {
		b.Run(name, func(b *testing.B) {
			r := newBare(b, c, 0)
			b.ReportAllocs()
			for b.Loop() {
				r.relay()
			}
		})
	}
}

// BenchmarkRewrite is the packet path without any system call.
func BenchmarkRewrite(b *testing.B) {
	r := newBare(b, PCMU, 0)
	r.relay()
	r.b.fd = -1 // sending fails at once
	r.sh.from = r.a.source
	b.ReportAllocs()
	for b.Loop() {
		binary.BigEndian.PutUint16(r.packet[2:], binary.BigEndian.Uint16(r.packet[2:])+1)
		copy(r.sh.buf[:], r.packet)
		r.sh.onPacket(r.a, r.sh.buf[:len(r.packet)])
	}
}

// BenchmarkCommand is how long a caller waits for a command to be in force.
func BenchmarkCommand(b *testing.B) {
	e, err := New(Config{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	s, err := e.Open("call")
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, s.Mute(false, false))
	}
}
