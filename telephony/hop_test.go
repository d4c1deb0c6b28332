package telephony

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
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
	"holdfast/telephony/transaction"
)

// onOnePort lets a node listen on UDP and TCP of one port, as nodes do.
func onOnePort(t *testing.T) func(*Config, *world) {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return func(c *Config, _ *world) {
		c.Listen = []transaction.Endpoint{{Transport: "UDP", Addr: addr}, {Transport: "TCP", Addr: addr}}
	}
}

func named(name id.Node) func(*Config, *world) {
	return func(c *Config, _ *world) { c.Name, c.Boot = name, "boot of "+string(name) }
}

// two makes two nodes of one world: phones register at a, customers call b.
func two(t *testing.T, change ...func(*Config, *world)) (a, b *stage) {
	t.Helper()
	w := newWorld()
	a = playIn(t, w, append(change, named("node-a"), onOnePort(t))...)
	b = playIn(t, w, append(change, named("node-b"), onOnePort(t))...)
	w.until(t, "both nodes in the registry", func() bool {
		seen := map[id.Node]bool{}
		for _, beat := range w.beats {
			seen[beat.Name] = true
		}
		return len(seen) == 2
	})
	return a, b
}

// across is a customer of b who talks with a phone that is registered at a.
func across(t *testing.T, a, b *stage, p *softphone.Phone) (customer, agent *softphone.Call, in call.Incoming) {
	t.Helper()
	a.waitPhone("registered", "1001", func(r device.Registration) bool { return came(r) && r.Node == "node-a" })
	customer, in = b.dial(b.customer("4930123"), softphone.Dial{Tone: 1000})
	require.NoError(t, b.Treat(b.soon(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	done := b.ring(in, order(in, 1, "1001"))
	agent = b.rings(p)
	agent.Audio.Say(440)
	b.w.waitFact(t, in.Call, call.Ringing{Offer: id.NewOffer(in.Call, 1)})
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, b.wait(done).Outcome)
	require.NoError(t, customer.Wait(b.soon(), softphone.Up))
	require.NoError(t, customer.Audio.WaitTone(b.soon(), 440))
	require.NoError(t, agent.Audio.WaitTone(b.soon(), 1000))
	return customer, agent, in
}

func TestHop_APhoneOnTCPAtAnotherNode_TheyTalkAndEitherHangsUp(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"customer", "agent"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			a, b := two(t)
			customer, agent, in := across(t, a, b, a.phone("1001", "TCP"))
			if who == "customer" {
				require.NoError(t, customer.HangUp())
				require.NoError(t, agent.Wait(b.soon(), softphone.Ended))
				require.Contains(t, agent.Status().Reason, "Q.850;cause=16")
			} else {
				require.NoError(t, agent.HangUp())
				require.NoError(t, customer.Wait(b.soon(), softphone.Ended))
				b.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.Hangup, Remote: true})
			}
			b.empty()
			require.Zero(t, a.Calls(), "the node that holds the connection has no part in the call")
		})
	}
}

func TestHop_TheAgentHoldsAndResumes_AcrossNodes(t *testing.T) { // SEED-83
	t.Parallel()
	a, b := two(t)
	customer, agent, in := across(t, a, b, a.phone("1001", "TCP"))
	require.NoError(t, agent.Hold(b.soon(), true))
	b.w.waitFact(t, in.Call, call.LegHeld{Leg: "agent-1", Held: true})
	require.NoError(t, customer.Audio.WaitWithout(b.soon(), 440))
	require.NoError(t, agent.Hold(b.soon(), false))
	require.NoError(t, customer.Audio.WaitTone(b.soon(), 440))
	require.NoError(t, customer.HangUp())
	require.NoError(t, agent.Wait(b.soon(), softphone.Ended))
	b.empty()
}

func TestHop_CancelAndRefusal_GoThrough(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	p := a.phone("1001", "TCP")
	a.waitPhone("registered", "1001", came)
	customer, in := b.dial(b.customer("4930123"), softphone.Dial{})
	done := b.ring(in, order(in, 1, "1001"))
	require.NoError(t, b.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, b.wait(done).Outcome)

	done = b.ring(in, order(in, 2, "1001"))
	agent := b.rings(p)
	require.NoError(t, customer.HangUp())
	require.Equal(t, call.RingRescinded, b.wait(done).Outcome)
	require.NoError(t, agent.Wait(b.soon(), softphone.Ended))
	require.Contains(t, agent.Status().Reason, "The caller hung up", "the Reason of the CANCEL")
	b.empty()
}

// nat is an address translation on UDP between a phone and a node: the phone's own address can't be reached, and only
// the node that the phone has talked to gets through.
type nat struct{ inside, outside *net.UDPConn }

func (s *stage) nat() *nat {
	s.t.Helper()
	node := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s.udp))
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(s.t, err)
	out, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, node) // connected: nobody else gets in
	require.NoError(s.t, err)
	var work sync.WaitGroup
	s.t.Cleanup(func() {
		_, _ = in.Close(), out.Close()
		work.Wait()
	})
	var mu sync.Mutex
	var phone netip.AddrPort
	copyAll := func(read func([]byte) (int, error), write func([]byte)) func() {
		return func() {
			buf := make([]byte, 65536)
			for {
				n, err := read(buf)
				if err != nil {
					if errors.Is(err, syscall.ECONNREFUSED) {
						continue // ICMP of a port that is closed
					}
					return
				}
				write(buf[:n])
			}
		}
	}
	work.Go(copyAll(func(b []byte) (int, error) {
		n, from, err := in.ReadFromUDPAddrPort(b)
		mu.Lock()
		defer mu.Unlock()
		phone = from
		return n, err
	}, func(b []byte) { _, _ = out.Write(b) }))
	work.Go(copyAll(out.Read, func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = in.WriteToUDPAddrPort(b, phone)
	}))
	return &nat{in, out}
}

func TestHop_APhoneBehindNATOnUDP_IsRungThroughItsNode(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	n := a.nat()
	p, err := softphone.New(t.Context(), softphone.Config{Server: n.inside.LocalAddr().String(), User: "1001", Domain: string(demo), Password: password})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	require.NoError(t, p.Register(a.soon(), time.Minute))
	customer, agent, _ := across(t, a, b, p)
	require.NoError(t, agent.HangUp())
	require.NoError(t, customer.Wait(b.soon(), softphone.Ended))
	b.empty()
}

func TestHop_TheOtherNodeIsGone_ThePhoneIsUnreachableAtOnce(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	a.phone("1001", "TCP")
	a.waitPhone("registered", "1001", came)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.w.change(func() { b.w.forgetful = true }) // it dies: nobody unregisters its phones
	_ = a.Stop(ctx)
	_, in := b.dial(b.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	r.Timeout = time.Minute // longer than wait
	require.Equal(t, call.RingUnreachable, b.wait(b.ring(in, r)).Outcome)
}

func TestHop_TheConnectionBetweenTheNodesBreaks_TheCallGoesOn(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	customer, agent, _ := across(t, a, b, a.phone("1001", "TCP"))
	between := transaction.Flow{Transport: "TCP", Remote: a.tcp}
	require.True(t, b.layer.Alive(between))
	b.layer.Disconnect(between)
	require.Eventually(t, func() bool { return !b.layer.Alive(between) }, 20*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return b.layer.Alive(between) }, 20*time.Second, time.Millisecond, "it is made anew")
	require.NoError(t, customer.HangUp())
	require.NoError(t, agent.Wait(b.soon(), softphone.Ended))
	b.empty()
}

func TestHop_SomebodyElsesRoute_ReachesNoPhone(t *testing.T) {
	t.Parallel()
	a, _ := two(t)
	p := a.stream()
	p.register(1)
	text := func(token string) string {
		return fmt.Sprintf("INVITE sip:1001@phone.invalid SIP/2.0\r\nVia: SIP/2.0/UDP %%s;branch=z9hG4bKforged;rport\r\nRoute: <sip:%s@%s;lr>\r\n"+
			"Max-Forwards: 70\r\nFrom: <sip:x@x>;tag=x\r\nTo: <sip:1001@x>\r\nCall-ID: forged\r\nCSeq: 1 INVITE\r\nContact: <sip:x@x>\r\nContent-Length: 0\r\n\r\n", token, a.udp)
	}
	c, err := net.Dial("udp", a.udp)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	for _, token := range []string{"hop-", "hop-cAEGfwAAAQAABn8AAAEAAAAAAAAAAAAAAAA", "1001"} {
		_, err = fmt.Fprintf(c, text(token), c.LocalAddr())
		require.NoError(t, err)
	}
	require.NoError(t, p.conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	b := make([]byte, 1)
	_, err = io.ReadFull(p.in, b)
	require.Error(t, err, "nothing came but %q", b)
}

func TestHop_ThePhoneComesBackAtTheOtherNode_StillLearnsOfTheEnd(t *testing.T) { // RFC 5626 §5.3
	t.Parallel()
	a, b := two(t)
	first := a.stream()
	first.register(1)
	a.waitPhone("registered", "1001", came)
	customer, _ := first.talks(b)
	require.NoError(t, first.conn.Close())
	a.waitPhone("lost", "1001", went)

	second := b.stream()
	second.register(3)
	require.NoError(t, customer.HangUp())
	require.Empty(t, second.hearsTheEnd().GetHeaders("Route"), "nobody stands between any more")
	b.empty()
}

// flowFailed counts the 430s that come back.
func flowFailed(n *atomic.Int32) func(*Config, *world) {
	return func(c *Config, _ *world) {
		c.Trace = func(sent bool, _ transaction.Flow, data []byte) {
			if !sent && bytes.HasPrefix(data, []byte("SIP/2.0 430 ")) {
				n.Add(1)
			}
		}
	}
}

// RFC 5626 §5.3. The directory does not know yet that the phone's connection is gone, or knows another one that is gone.
func TestHop_ThePhoneComesBackAfterTheBye_StillLearnsOfTheEnd(t *testing.T) {
	t.Parallel()
	for name, failures := range map[string]int32{"the directory has the old connection": 1, "and then another that is gone": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed atomic.Int32
			a, b := two(t, flowFailed(&failed))
			first := a.stream()
			first.register(1)
			a.waitPhone("registered", "1001", came)
			customer, _ := first.talks(b)
			b.w.change(func() { b.w.forgetful = true })
			require.NoError(t, first.conn.Close())
			a.waitPhone("lost", "1001", went)
			if failures == 2 {
				b.w.change(func() {
					for k, r := range b.w.regs {
						r.Flow = "127.0.0.1:1"
						b.w.regs[k] = r
					}
				})
			}
			require.NoError(t, customer.HangUp())
			require.Eventually(t, func() bool { return failed.Load() == failures }, 10*time.Second, time.Millisecond)
			second := b.stream()
			second.register(3)
			require.Equal(t, failures, failed.Load(), "where it can't be, nobody asks at once again")
			second.hearsTheEnd()
			b.empty()
		})
	}
}

// Only the connection between the nodes broke: the phone need not wait.
func TestHop_TheConnectionBetweenTheNodesIsBroken_TheByeGoesByANewOne(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	customer, agent, _ := across(t, a, b, a.phone("1001", "TCP"))
	between := transaction.Flow{Transport: "TCP", Remote: a.tcp}
	b.peers.mu.Lock()
	b.peers.lines = map[string]*line{} // nobody makes it anew
	b.peers.mu.Unlock()
	b.layer.Disconnect(between)
	require.Eventually(t, func() bool { return !b.layer.Alive(between) }, 20*time.Second, time.Millisecond)
	began := time.Now()
	require.NoError(t, customer.HangUp())
	require.NoError(t, agent.Wait(b.soon(), softphone.Ended))
	require.Less(t, time.Since(began), comeBack[1])
	b.empty()
}

// certificate is a self-signed one.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestHop_APhoneOnTLS_IsRungAndHangsUpThroughItsNode(t *testing.T) {
	t.Parallel()
	cert := certificate(t)
	a, b := two(t)
	_, err := a.layer.Listen(t.Context(), transaction.Endpoint{Transport: "TLS", Addr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	require.NoError(t, err)
	conn, err := tls.Dial("tcp", a.Addr("TLS"), &tls.Config{InsecureSkipVerify: true}) // whom we speak with is not the matter here
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p := &stream{t: t, conn: conn, in: bufio.NewReader(conn)}
	p.register(1)
	a.waitPhone("registered", "1001", func(r device.Registration) bool { return came(r) && r.Transport == "tls" })

	customer, invite := p.talks(b)
	require.Contains(t, invite.GetHeaders("Record-Route")[0].Value(), "transport=tls", "the phone's own requests come by TLS")

	var routes strings.Builder
	for _, h := range invite.GetHeaders("Record-Route") {
		routes.WriteString("Route: " + h.Value() + "\r\n")
	}
	p.write(fmt.Sprintf("BYE sip:holdfast@%s SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.7.7;branch=z9hG4bKbye\r\n%sMax-Forwards: 70\r\nFrom: %s;tag=stream\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
		b.tcp, routes.String(), strings.Split(invite.To().Value(), ";tag")[0], invite.From().Value(), *invite.CallID()))
	require.Equal(t, 200, p.read().(*sip.Response).StatusCode, "the answer comes back, though the Via named neither transport nor port")
	require.NoError(t, customer.Wait(b.soon(), softphone.Ended))
	b.empty()
}
