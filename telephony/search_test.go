package telephony

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// hole is a TCP address that answers no SYN, like a machine without power: a listener whose queue is full.
func hole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port)).String()
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 900*time.Millisecond) // the first SYN is repeated after a second
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			return addr
		}
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	require.FailNow(t, "the listener's queue does not fill")
	return ""
}

// dials lets a node's dial take that long. The shorter is for who has to wait for it; nobody may wait for the longer. Both
// leave a busy machine some time, and a search its own (lookupTime).
func dials(d time.Duration) func(*Config, *world) { return func(c *Config, _ *world) { c.dial = d } }

const (
	shortDial = 2 * time.Second
	longDial  = 4 * time.Second
)

// stranded registers a phone of a device at a node that does not answer.
func (s *stage) stranded(name id.Device, node id.Node, addr string) {
	s.w.change(func() {
		s.w.beats = append(s.w.beats, device.Node{Name: node, Boot: "boot of " + string(node), Address: addr})
		s.w.regs[string(name)+" "+string(node)] = device.Registration{
			Tenant: demo, Device: name, Instance: "at " + string(node), Node: node, Transport: "tcp", Flow: "127.0.0.1:1",
			Contact: "sip:" + string(name) + "@127.0.0.1:1;transport=tcp", Expires: time.Now().Add(time.Hour),
		}
	})
}

func TestSearch_ANodeDoesNotAnswer_OtherPhonesRingAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []id.Device{"1001", "1002"} { // the same device, another one
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			a, b := two(t, dials(longDial))
			p := a.phone("1001", "TCP")
			a.waitPhone("registered", "1001", came)
			addr := hole(t)
			for _, node := range []id.Node{"dead-1", "dead-2", "dead-3"} {
				b.stranded(name, node, addr)
			}
			_, in := b.dial(b.customer("4930123"), softphone.Dial{})
			began := time.Now()
			done := b.ring(in, order(in, 1, "1002", "1001"))
			agent := b.rings(p)
			require.Less(t, time.Since(began), longDial)
			require.NoError(t, agent.Answer())
			require.Equal(t, call.RingAnswered, b.wait(done).Outcome)
			require.Less(t, time.Since(began), longDial, "nor does the outcome wait")
		})
	}
}

// A question that is given up costs a connection to the database.
func TestSearch_TheRingEndsFirst_TheDirectorysAnswerIsHeardAllTheSame(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan context.Context), make(chan struct{})
	s := play(t, func(_ *Config, w *world) {
		w.reading = func(ctx context.Context) { asked <- ctx; <-answer }
	})
	p := s.phone("1001", "UDP")
	s.waitPhone("registered", "1001", came)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	agent := s.rings(p)
	t.Cleanup(func() { close(answer) })
	question := <-asked
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.Never(t, func() bool { return question.Err() != nil }, 100*time.Millisecond, 5*time.Millisecond)
}

func TestSearch_NoNodeAnswers_ThePhonesAreUnreachableAfterOneDial(t *testing.T) {
	t.Parallel()
	s := play(t, dials(shortDial))
	addr := hole(t)
	for _, node := range []id.Node{"dead-1", "dead-2", "dead-3", "dead-4"} {
		s.stranded("1001", node, addr)
	}
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	began := time.Now()
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
	require.Less(t, time.Since(began), 2*shortDial)
}

func TestSearch_Linear_AnAddressThatCantBeReached_CostsOneDial(t *testing.T) {
	t.Parallel()
	s := play(t, dials(shortDial))
	s.stranded("1001", "dead", hole(t))
	p := s.phone("1002", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001", "1002")
	r.Method = ringLinear
	began := time.Now()
	done := s.ring(in, r)
	require.NoError(t, s.rings(p).Answer())
	require.Less(t, time.Since(began), 2*shortDial)
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
}

func TestSearch_ACarrierDoesNotAnswer_PhonesRingAtOnce(t *testing.T) {
	t.Parallel()
	addr := hole(t)
	s := play(t, dials(longDial), func(_ *Config, w *world) { w.trunks[0].Host, w.trunks[0].Transport = addr, "tcp" })
	p := s.wired("1001", softphone.Config{})
	s.registers("1001", p, p)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := outward(in)
	r.Targets = append(r.Targets, leg.Address{Device: "1001", Kind: leg.SIP})
	began := time.Now()
	done := s.ring(in, r)
	require.NoError(t, s.rings(p).Answer())
	require.Less(t, time.Since(began), longDial)
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
}

// server is a carrier's, on TCP.
func server(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func accept(t *testing.T, ln *net.TCPListener) *stream {
	t.Helper()
	require.NoError(t, ln.SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &stream{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func overTCP(t *testing.T, first, second string) func(*Config, *world) {
	resolver := names(t, netip.MustParseAddrPort(first), netip.MustParseAddrPort(second))
	return func(c *Config, w *world) {
		c.Resolver, w.trunks[0].Host, w.trunks[0].Transport = resolver, "carrier.test", "tcp"
	}
}

func TestSearch_TheCarriersFirstServerDoesNotAnswer_TheNextIsTriedASecondLater(t *testing.T) { // RFC 3263 §4.3
	t.Parallel()
	second := server(t)
	s := play(t, dials(shortDial), overTCP(t, hole(t), second.Addr().String()))
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	began := time.Now()
	done := s.ring(in, outward(in))
	c := accept(t, second)
	invite := c.read().(*sip.Request)
	require.Less(t, time.Since(began), 2*shortDial)
	c.answer(invite, 486, "")
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
}

func TestSearch_TheCarriersFirstServerServes_NobodyWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	first := server(t)
	s := play(t, dials(shortDial), overTCP(t, first.Addr().String(), hole(t)))
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	began := time.Now()
	done := s.ring(in, outward(in))
	c := accept(t, first)
	invite := c.read().(*sip.Request)
	require.Less(t, time.Since(began), shortDial)
	c.answer(invite, 503, "") // now the other one is dialled, in vain
	require.Equal(t, call.RingTrunkBusy, s.wait(done).Outcome)
	require.Less(t, time.Since(began), 3*shortDial)
}

func TestSearch_TheCarriersFirstServerIsOutOfService_TheNextIsConnectedAndTried(t *testing.T) { // RFC 3263 §4.3
	t.Parallel()
	first, second := server(t), server(t)
	s := play(t, overTCP(t, first.Addr().String(), second.Addr().String()))
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, outward(in))
	c := accept(t, first)
	c.answer(c.read().(*sip.Request), 503, "")
	c = accept(t, second)
	c.answer(c.read().(*sip.Request), 486, "")
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
}

func TestSearch_TheRingEndsWhileAServerIsDialled_NothingFollows(t *testing.T) {
	t.Parallel()
	first := server(t)
	s := play(t, overTCP(t, first.Addr().String(), hole(t)))
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, outward(in))
	c := accept(t, first)
	c.answer(c.read().(*sip.Request), 503, "")
	require.Equal(t, sip.ACK, c.read().(*sip.Request).Method)
	require.NoError(t, customer.HangUp())
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	s.empty()
}
