package media

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/g711"
	"holdfast/telephony/media/tone"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// rig is an engine under test and the events that it reported.
type rig struct {
	*Engine
	t    *testing.T
	mu   sync.Mutex
	seen []Event
	more chan struct{} // closed and replaced at each event
}

// newRig starts an engine that sweeps at each tick and never leaves one out. change may adjust its Config.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, more: make(chan struct{})}
	cfg := Config{Shards: 2, Events: r.note, RTCPInterval: time.Hour}
	cfg.tune.sweepTicks = 1
	cfg.tune.catchUp = 1000        // a busy machine must not make holes in what is heard
	cfg.tune.forgotten = time.Hour // nor end a press in its midst
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	r.Engine = e
	return r
}

func (r *rig) note(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, ev)
	close(r.more)
	r.more = make(chan struct{})
}

// events returns those of a stream and kind that were reported so far.
func (r *rig) events(s *Stream, kind EventKind) (list []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.seen {
		if ev.Stream == s && ev.Kind == kind {
			list = append(list, ev)
		}
	}
	return list
}

// await waits for the n-th event (from 1) of the stream and kind.
func (r *rig) await(s *Stream, kind EventKind, n int) Event {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		more := r.more
		r.mu.Unlock()
		if list := r.events(s, kind); len(list) >= n {
			return list[n-1]
		}
		select {
		case <-more:
		case <-deadline:
			require.FailNow(r.t, "event did not come", "%s number %d", kind, n)
		}
	}
}

func (r *rig) open(call string) *Stream {
	r.t.Helper()
	s, err := r.Open(call)
	require.NoError(r.t, err)
	return s
}

func (r *rig) stats(s *Stream) Stats {
	r.t.Helper()
	st, err := s.Stats()
	require.NoError(r.t, err)
	return st
}

// awaitStats waits until the stream's counters satisfy ok.
func (r *rig) awaitStats(s *Stream, ok func(Stats) bool) Stats {
	r.t.Helper()
	var st Stats
	require.Eventually(r.t, func() bool {
		st = r.stats(s)
		return ok(st)
	}, patience, time.Millisecond)
	return st
}

// phone is a peer: two sockets and an outgoing RTP stream.
type phone struct {
	t         *testing.T
	rtp, rtcp *net.UDPConn
	codec     Codec
	head      rtp.Header // of the next packet
	voice     *tone.Generator
	buf       [2048]byte
}

// newPhone makes a phone that speaks a tone of the given frequency.
func newPhone(t *testing.T, codec Codec, freq float64) *phone {
	t.Helper()
	p := &phone{t: t, codec: codec, voice: tone.New(freq)}
	p.rtp, p.rtcp = listen(t, "127.0.0.1"), listen(t, "127.0.0.1")
	p.head = rtp.Header{Version: 2, PayloadType: codec.PT, SequenceNumber: 100, Timestamp: 5000, SSRC: 0xA0000000 + uint32(freq)}
	return p
}

func listen(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// params is the phone's SDP, in sendrecv.
func (p *phone) params() Params {
	return Params{
		Remote: addrOf(p.rtp), RemoteRTCP: addrOf(p.rtcp), Direction: SendRecv,
		Out: []Codec{p.codec, TelephoneEvent(101)},
	}
}

// joined opens a stream for the phone and configures it.
func (r *rig) joined(call string, p *phone) *Stream {
	r.t.Helper()
	s := r.open(call)
	require.NoError(r.t, s.Configure(p.params()))
	return s
}

// pair opens, configures and bridges a stream for each phone.
func (r *rig) pair(a, b *phone) (*Stream, *Stream) {
	r.t.Helper()
	sa, sb := r.joined("call", a), r.joined("call", b)
	require.NoError(r.t, Bridge(sa, sb))
	return sa, sb
}

// say sends the next 20 ms of the phone's voice.
func (p *phone) say(to *Stream) rtp.Header {
	p.t.Helper()
	frame := make([]byte, 160)
	if p.codec.Name == "PCMA" {
		p.voice.Alaw(frame)
	} else {
		p.voice.Ulaw(frame)
	}
	h := p.head
	p.sendFrom(p.rtp, to, &rtp.Packet{Header: h, Payload: frame})
	p.head.SequenceNumber++
	p.head.Timestamp += 160
	p.head.Marker = false
	return h
}

// sendFrom sends a packet from any socket.
func (p *phone) sendFrom(c *net.UDPConn, to *Stream, pkt *rtp.Packet) {
	p.t.Helper()
	b, err := pkt.Marshal()
	require.NoError(p.t, err)
	_, err = c.WriteToUDPAddrPort(b, to.Addr())
	require.NoError(p.t, err)
}

// hear returns the next packet that comes to the phone.
func (p *phone) hear() *rtp.Packet {
	p.t.Helper()
	pkt, err := p.tryHear(patience)
	require.NoError(p.t, err)
	return pkt
}

func (p *phone) tryHear(wait time.Duration) (*rtp.Packet, error) {
	if err := p.rtp.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	n, err := p.rtp.Read(p.buf[:])
	if err != nil {
		return nil, err
	}
	pkt := new(rtp.Packet)
	return pkt, pkt.Unmarshal(append([]byte(nil), p.buf[:n]...))
}

// deaf requires that nothing has come to the phone.
func (p *phone) deaf() {
	p.t.Helper()
	_, err := p.tryHear(time.Millisecond)
	require.True(p.t, errors.Is(err, os.ErrDeadlineExceeded), "a packet came: %v", err)
}

// listenTo collects n packets and returns their sound.
func (p *phone) listenTo(n int) []int16 {
	p.t.Helper()
	var pcm []int16
	for range n {
		pcm = append(pcm, p.decode(p.hear())...)
	}
	return pcm
}

func (p *phone) decode(pkt *rtp.Packet) []int16 {
	pcm := make([]int16, len(pkt.Payload))
	if p.codec.Name == "PCMA" {
		g711.DecodeAlaw(pcm, pkt.Payload)
	} else {
		g711.DecodeUlaw(pcm, pkt.Payload)
	}
	return pcm
}

// talk lets one phone say n packets and the other hear them one by one.
func talk(from *phone, via *Stream, to *phone, n int) (pcm []int16, heard []*rtp.Packet) {
	for range n {
		from.say(via)
		pkt := to.hear()
		pcm = append(pcm, to.decode(pkt)...)
		heard = append(heard, pkt)
	}
	return pcm, heard
}

// sayFrom is say from another socket of the phone.
func (p *phone) sayFrom(c *net.UDPConn, to *Stream) {
	p.t.Helper()
	old := p.rtp
	p.rtp = c
	p.say(to)
	p.rtp = old
}

// hears says which of the frequencies are in the next n packets.
func (p *phone) hears(n int, freqs ...float64) []bool {
	p.t.Helper()
	pcm := p.listenTo(n)
	var list []bool
	for _, f := range freqs {
		list = append(list, tone.Heard(pcm, f))
	}
	return list
}

// requireContinuous checks what a receiver wants of one stream: one SSRC,
// numbers without a gap, timestamps that never go back into audio already sent.
func requireContinuous(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		last, now := packets[i-1], packets[i]
		require.Equal(t, last.SSRC, now.SSRC, "packet %d", i)
		require.Equal(t, last.SequenceNumber+1, now.SequenceNumber, "packet %d", i)
		require.GreaterOrEqual(t, int32(now.Timestamp-last.Timestamp), int32(len(last.Payload)), "packet %d", i)
	}
}
