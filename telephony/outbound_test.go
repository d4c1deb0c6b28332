package telephony

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/digest"
	"holdfast/telephony/exchange"
	"holdfast/telephony/softphone"
)

const mobile = "+41791234567"

// outward is a ring of a number beyond a trunk.
func outward(in call.Incoming) call.Ring {
	r := order(in, 1)
	r.Targets = []leg.Address{{Device: "mobile", Kind: leg.PSTN, URI: mobile}}
	return r
}

func beyond(t *testing.T) *softphone.Phone {
	t.Helper()
	p, err := softphone.New(t.Context(), softphone.Config{User: "carrier"})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func TestOutbound_AnExternalNumberGoesOutByTheTrunk(t *testing.T) { // SEED-22, SEED-23
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Headers: map[string]string{"X-CC-Account": "42"}})
	done := s.ring(in, outward(in))
	c := s.rings(carrier)
	require.Equal(t, mobile, c.To)
	for _, h := range c.Invite.Headers() {
		require.NotContains(t, h.Name(), "X-CC-", "what the call carries is for the agent's phone, not for a carrier")
	}
	require.NoError(t, c.Answer())
	e := s.wait(done)
	require.Equal(t, call.RingAnswered, e.Outcome)
	require.Equal(t, id.Device("mobile"), e.Device)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
}

func TestOutbound_OfSeveralTrunks_TheNumbersRouteDecides(t *testing.T) {
	t.Parallel()
	one, two := beyond(t), beyond(t)
	s := play(t, func(_ *Config, w *world) {
		w.trunks = append(w.trunks, device.Trunk{Tenant: demo, Name: "one", Host: one.Addr()}, device.Trunk{Tenant: demo, Name: "two", Host: two.Addr()})
		w.routes = map[string]string{mobile: "two", "0800": "loopback"}
	})
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, outward(in))
	require.NoError(t, s.rings(two).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)

	r := outward(in)
	r.Offer = id.NewOffer(in.Call, 2)
	r.Targets[0].Device, r.Targets[0].URI = "one", "0999" // no number leads there, but the order names it
	done = s.ring(in, r)
	require.NoError(t, s.rings(one).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)

	for n, number := range []string{"0998", "0800"} { // nobody says by which; a trunk that is for calls from outside only
		r = outward(in)
		r.Offer = id.NewOffer(in.Call, 3+n)
		r.Targets[0].URI = number
		require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, r)).Outcome, number)
	}
	require.Equal(t, 1, one.Invites())
	require.Equal(t, 1, two.Invites())
}

func accountAt(x *exchange.Exchange, password string) func(*Config, *world) {
	return func(_ *Config, w *world) {
		w.trunks[0].Host, w.trunks[0].User, w.trunks[0].Realm = x.Addr(), exchange.User, exchange.Realm
		w.trunks[0].MD5 = digest.HA1(digest.MD5, exchange.User, exchange.Realm, password)
		w.trunks[0].SHA256 = digest.HA1(digest.SHA256, exchange.User, exchange.Realm, password)
	}
}

func TestOutbound_ACarrierThatAsksForCredentials_GetsThem(t *testing.T) { // RFC 3261 §22.2, RFC 8760
	t.Parallel()
	x := exchange.New(t)
	s := play(t, accountAt(x, exchange.Password))
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingAnswered, s.wait(s.ring(in, outward(in))).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.Eventually(t, func() bool { return len(x.Acks()) > 0 }, 20*time.Second, time.Millisecond)
	require.NotEmpty(t, x.Acks()[0].GetHeaders("Authorization"), "the ACK shows those of its INVITE (RFC 3261 §22.1)")
	x.Forget()
	require.NoError(t, customer.HangUp())
	select {
	case <-x.Over():
	case <-s.soon().Done():
		require.FailNow(t, "the carrier was not told of the end", "%v", x.Heard())
	}
	require.Equal(t, []string{"INVITE 401", "INVITE 200", "BYE 401", "BYE 200"}, x.Heard())
	s.empty()
}

func TestOutbound_WrongCredentials_AreShownOnce(t *testing.T) {
	t.Parallel()
	x := exchange.New(t)
	s := play(t, accountAt(x, "guess"))
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	e := s.wait(s.ring(in, outward(in)))
	require.Equal(t, call.RingFailed, e.Outcome)
	require.Equal(t, 401, e.SIPCode)
	require.Equal(t, []string{"INVITE 401", "INVITE 401"}, x.Heard())
}

// names is a DNS server that knows carrier.test: SRV records of two servers, the first of which is preferred.
func names(t *testing.T, first, second netip.AddrPort) *net.Resolver {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	var work sync.WaitGroup
	t.Cleanup(func() { _ = c.Close(); work.Wait() })
	work.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if isQuery(buf[:n]) {
				_, _ = c.WriteToUDPAddrPort(zone(buf[:n], first, second), from)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", c.LocalAddr().String())
	}}
}

// isQuery tells a query of one name from what was sent to who had the port before: a phone of another test.
func isQuery(b []byte) bool {
	const opcodeAndResponse = 0xf8
	if len(b) < 12 || b[2]&opcodeAndResponse != 0 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return false
	}
	end := 12
	for end < len(b) && b[end] != 0 {
		end += 1 + int(b[end])
	}
	return end+5 <= len(b) // and the type and the class
}

// zone answers a query (RFC 1035 §4, RFC 2782).
func zone(query []byte, first, second netip.AddrPort) []byte {
	name, end := "", 12
	for query[end] != 0 {
		n := int(query[end])
		name += string(query[end+1:end+1+n]) + "."
		end += 1 + n
	}
	end++
	kind := binary.BigEndian.Uint16(query[end:])
	res := append([]byte(nil), query[:end+4]...)
	res[2], res[3] = 0x84, 0 // an answer, authoritative, no error
	copy(res[6:12], make([]byte, 6))
	var answers uint16
	add := func(data []byte) {
		answers++
		res = append(res, 0xc0, 12) // the question's name
		res = binary.BigEndian.AppendUint16(res, kind)
		res = append(res, 0, 1, 0, 0, 0, 60)
		res = binary.BigEndian.AppendUint16(res, uint16(len(data)))
		res = append(res, data...)
	}
	const srv, a = 33, 1
	switch {
	case kind == srv && (name == "_sip._udp.carrier.test." || name == "_sip._tcp.carrier.test."):
		for i, to := range []netip.AddrPort{first, second} {
			data := []byte{0, byte(10 * (i + 1)), 0, 1}
			data = binary.BigEndian.AppendUint16(data, to.Port())
			add(append(data, "\x06server\x07carrier\x04test\x00"...))
		}
	case kind == a && strings.HasPrefix(name, "server.carrier.test."):
		add([]byte{127, 0, 0, 1})
	}
	binary.BigEndian.PutUint16(res[6:], answers)
	return res
}

func TestOutbound_TheFirstServerIsSilentOrOutOfService_TheNextOneIsTried(t *testing.T) { // RFC 3263 §4.2, §4.3
	t.Parallel()
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	closed := beyond(t)
	go func() {
		for c := range closed.Incoming() {
			_ = c.Reject(503)
		}
	}()
	for name, first := range map[string]string{"silent": silent.LocalAddr().String(), "out of service": closed.Addr()} {
		t.Run(name, func(t *testing.T) {
			second := beyond(t)
			resolver := names(t, netip.MustParseAddrPort(first), netip.MustParseAddrPort(second.Addr()))
			s := play(t, func(c *Config, w *world) { c.Resolver, w.trunks[0].Host = resolver, "carrier.test" })
			customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
			done := s.ring(in, outward(in))
			require.NoError(t, s.rings(second).Answer())
			require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
			require.NoError(t, customer.Wait(s.soon(), softphone.Up))
			require.NoError(t, customer.HangUp())
		})
	}
}

func TestOutbound_ARefreshIsChallenged_ItIsSentAgainWithCredentials(t *testing.T) {
	t.Parallel()
	x := exchange.New(t)
	s := play(t, accountAt(x, exchange.Password))
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingAnswered, s.wait(s.ring(in, outward(in))).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	x.Forget()
	a := s.index.call(ref(in))
	a.ask(func() { require.NoError(t, a.refresh(a.talking, false)) })
	require.Eventually(t, func() bool { return len(x.Heard()) == 4 }, 20*time.Second, time.Millisecond)
	require.Equal(t, []string{"INVITE 401", "INVITE 200", "INVITE 401", "INVITE 200"}, x.Heard())
	require.NoError(t, customer.HangUp())
	<-x.Over()
	s.empty()
}

func TestOutbound_TheCarriersAnnouncements_AreHeardBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Tone: 1000})
	done := s.ring(in, outward(in))
	c := s.invited(carrier)
	c.Audio.Say(440)
	require.NoError(t, c.Progress())
	s.w.waitFact(t, in.Call, call.Ringing{Offer: id.NewOffer(in.Call, 1)})
	require.NoError(t, s.Treat(s.soon(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	require.NoError(t, customer.Wait(s.soon(), softphone.Ringing))
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.Equal(t, softphone.Ringing, customer.Status().State, "it is not answered")
	require.NoError(t, c.Progress(), "again: nothing changes")
	require.NoError(t, c.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.NoError(t, c.Audio.WaitTone(s.soon(), 1000))
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.Equal(t, 1, customer.Audio.Heard().SSRCs, "the sound goes on as it was")
	require.NoError(t, customer.HangUp())
	s.empty()
}

func TestOutbound_AnnouncementsAndThenARefusal_TheNextOneIsHeardAsWell(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Tone: 1000})
	done := s.ring(in, outward(in))
	c := s.invited(carrier)
	c.Audio.Say(440)
	require.NoError(t, c.Progress())
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.NoError(t, c.Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)

	done = s.ring(in, order(in, 2, "1001"))
	agent := s.rings(p)
	agent.Audio.Say(700)
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 700))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
	require.NoError(t, customer.HangUp())
	s.empty()
}

func TestRing_APhonesEarlySound_IsNotForTheCaller(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	c := s.invited(p)
	c.Audio.Say(440)
	require.NoError(t, c.Progress())
	s.w.waitFact(t, in.Call, call.Ringing{Offer: id.NewOffer(in.Call, 1)})
	require.NoError(t, c.Reject(486))
	s.wait(done)
	require.Zero(t, customer.Audio.Heard().Packets)
	require.NoError(t, customer.HangUp())
	s.empty()
}
