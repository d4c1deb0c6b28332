package media

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEngine_CloseTwice_AndEverythingAfterIsErrClosed(t *testing.T) {
	t.Parallel()
	e, err := New(Config{})
	require.NoError(t, err)
	s, err := e.Open("call")
	require.NoError(t, err)
	other, err := e.Open("call")
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())

	_, err = e.Open("call")
	require.ErrorIs(t, err, ErrClosed)
	_, err = e.Stats()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Configure(Params{}), ErrClosed)
	require.ErrorIs(t, Bridge(s, other), ErrClosed)
	require.ErrorIs(t, s.Play(Music()), ErrClosed)
	require.ErrorIs(t, s.Unbridge(), ErrClosed)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}

func TestStream_CloseTwice_AndEverythingAfterIsErrClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, other := r.open("call"), r.open("call")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Configure(Params{}), ErrClosed)
	require.ErrorIs(t, Bridge(other, s), ErrClosed)
	require.ErrorIs(t, Bridge(s, other), ErrClosed)
	_, err := s.Stats()
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Save()
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, other.Close())
}

func TestStream_InvalidParams_AreRefusedWithoutEffect(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	for name, change := range map[string]func(*Params){
		"direction": func(p *Params) { p.Direction = 4 },
		"ptime":     func(p *Params) { p.Ptime = 15 * time.Millisecond },
		"long":      func(p *Params) { p.Ptime = 80 * time.Millisecond },
		"family":    func(p *Params) { p.Remote = netip.MustParseAddrPort("[2001:db8::1]:4000") },
		"pt":        func(p *Params) { p.Out = []Codec{{Name: "PCMU", PT: 128}} },
		"rate":      func(p *Params) { p.In = []Codec{{Name: "PCMU", Rate: -1}} },
	} {
		p := a.params()
		change(&p)
		require.ErrorIs(t, sa.Configure(p), ErrParams, name)
	}
	talk(a, sa, b, 1)
	require.ErrorIs(t, Bridge(sa, sa), ErrParams)
	require.ErrorIs(t, Bridge(sa, newRig(t, nil).open("call")), ErrParams)
}

func TestEngine_WithoutStreams_Sleeps(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	require.NoError(t, s.Play(Music()))
	a.hear()
	require.NoError(t, s.Close())
	ticks := func() (n uint64) {
		st, err := r.Stats()
		require.NoError(t, err)
		for _, sh := range st.Shards {
			n += sh.Ticks
		}
		return n
	}
	require.Zero(t, r.streams())
	before := ticks()
	began := time.Now()
	require.Eventually(t, func() bool { return time.Since(began) > 5*tick }, patience, time.Millisecond)
	require.Equal(t, before, ticks())

	s = r.joined("call", a) // and wakes
	require.NoError(t, s.Play(Music()))
	a.hear()
	require.Equal(t, 1, r.streams())
}

// streams counts those that the shards have.
func (r *rig) streams() (n int) {
	r.t.Helper()
	st, err := r.Stats()
	require.NoError(r.t, err)
	for _, sh := range st.Shards {
		n += sh.Streams
	}
	return n
}

// 500 calls at once, every packet of every leg arrives at its partner and
// nowhere else.
func TestEngine_ThousandLegs_EachHearsItsPartner(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const calls, rounds = 500, 3
	socket := listen(t, "127.0.0.1")
	require.NoError(t, socket.SetReadBuffer(4<<20))
	streams := make([]*Stream, 0, 2*calls)
	params := Params{Remote: addrOf(socket), Direction: SendRecv, Out: []Codec{PCMU}}
	for i := range calls {
		a, b := r.open(strconv.Itoa(i)), r.open(strconv.Itoa(i))
		require.NoError(t, a.Configure(params))
		require.NoError(t, b.Configure(params))
		require.NoError(t, Bridge(a, b))
		streams = append(streams, a, b)
	}
	for round := range rounds {
		for i, s := range streams {
			payload := append(make([]byte, 156), byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
			h := rtp.Header{Version: 2, SSRC: uint32(i), SequenceNumber: uint16(round), Timestamp: uint32(round) * 160}
			b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
			require.NoError(t, err)
			_, err = socket.WriteToUDPAddrPort(b, s.Addr())
			require.NoError(t, err)
			requireFrom(t, socket, streams[i^1], uint32(i))
		}
	}
	for _, s := range streams {
		st := r.stats(s)
		require.EqualValues(t, rounds, st.Out.Packets)
		require.EqualValues(t, rounds, st.In.Packets)
		require.Zero(t, st.In.Lost)
		require.NoError(t, s.Close())
	}
}

// requireFrom reads a packet that the given leg must have sent, on behalf of the
// numbered one.
func requireFrom(t *testing.T, c *net.UDPConn, sender *Stream, number uint32) {
	t.Helper()
	var buf [2048]byte
	for { // its report may come between
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		n, from, err := c.ReadFromUDPAddrPort(buf[:])
		require.NoError(t, err)
		if isReport(buf[1]) {
			continue
		}
		var pkt rtp.Packet
		require.NoError(t, pkt.Unmarshal(buf[:n]))
		require.Equal(t, sender.Addr(), from)
		require.Equal(t, sender.SSRC(), pkt.SSRC)
		require.Equal(t, []byte{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}, pkt.Payload[156:])
		return
	}
}

// Everything at once from many goroutines: the race detector and the port count
// are the judges.
func TestEngine_ConcurrentUse_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Shards = 3
		c.Quarantine = time.Millisecond
		c.RTCPInterval = time.Millisecond
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
			for round := range 25 {
				sa := r.joined(strconv.Itoa(worker), a)
				sb := r.joined(strconv.Itoa(worker*100+round), b)
				var inner sync.WaitGroup
				inner.Go(func() { _ = Bridge(sa, sb) }) // may meet a closed stream
				inner.Go(func() { _ = Bridge(sb, sa) })
				inner.Go(func() { _ = sa.Play(Music()) })
				inner.Go(func() { _, _ = sb.Stats() })
				inner.Go(func() { a.say(sa); b.say(sb) })
				if round%2 == 0 {
					inner.Go(func() { _ = sb.Close() })
				}
				inner.Wait()
				require.NoError(t, sa.Close())
				require.NoError(t, sb.Close())
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool {
		st, err := r.Stats()
		require.NoError(t, err)
		return r.streams() == 0 && st.Ports == PortStats{}
	}, patience, time.Millisecond)
}

func TestLateness_Quantile_IsWithinAQuarter(t *testing.T) {
	t.Parallel()
	var h lateness
	require.Zero(t, h.quantile(0.99))
	for us := range int64(10000) {
		h.add(us * 1000)
	}
	require.InEpsilon(t, 9900*time.Microsecond, h.quantile(0.99), 0.25)
	require.InEpsilon(t, 5000*time.Microsecond, h.quantile(0.5), 0.25)
	require.Equal(t, 9999*time.Microsecond, h.quantile(1))
	for us := range uint64(100000) {
		i := bucketOf(us)
		require.Less(t, us, top(i), "value %d", us)
		require.True(t, i == 0 || us >= top(i-1), "value %d", us)
	}
}

// A system that watches no more sockets: the stream is closed and its ports are free again.
func TestEngine_SocketsCantBeWatched_StreamIsClosed(t *testing.T) {
	t.Parallel()
	first, last := freeRange(t, 1)
	r := newRig(t, func(c *Config) { c.PortMin, c.PortMax = first, last })
	pair, err := r.Engine.ports.open()
	require.NoError(t, err)
	require.NoError(t, unix.Close(pair.rtcp))
	pair.rtcp = -1
	s, err := r.Engine.attach("call", pair, freshSender())
	require.NoError(t, err)
	require.ErrorIs(t, s.Configure(Params{Remote: netip.MustParseAddrPort("127.0.0.1:4000"), Out: []Codec{PCMU}}), ErrClosed)
	require.NoError(t, s.Close())
	again := r.open("another")
	require.Equal(t, first+first&1, again.Port())
}
