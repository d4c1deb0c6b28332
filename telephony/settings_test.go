package telephony

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// set gives devices settings.
func set(devices map[id.Device]device.Settings) func(*Config, *world) {
	return func(_ *Config, w *world) {
		w.devices = map[id.Device]device.Device{}
		for name, s := range devices {
			w.devices[name] = device.Device{Kind: leg.SIP, Agent: id.Agent(name), Settings: s}
		}
	}
}

// wired is a phone of a device with codecs of its own.
func (s *stage) wired(user string, conf softphone.Config) *softphone.Phone {
	s.t.Helper()
	conf.Server, conf.User, conf.Domain, conf.Password = s.udp, user, string(demo), password
	if conf.Transport == "TCP" {
		conf.Server = s.tcp
	}
	p, err := softphone.New(s.t.Context(), conf)
	require.NoError(s.t, err)
	s.t.Cleanup(p.Close)
	return p
}

// formatsOf are the payload types of an SDP, in order.
func formatsOf(t *testing.T, body []byte) []string {
	t.Helper()
	for line := range strings.Lines(string(body)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "m=audio") {
			return f[3:]
		}
	}
	require.FailNow(t, "no audio", "%s", body)
	return nil
}

// SEED-122: a user may call and is never called; a peer is called and may not call; a friend does both.
func TestType_SaysWhichWayCallsGo(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{"1001": {Type: device.User}, "1002": {Type: device.Peer}, "1003": {Type: device.Friend}}))
	user, peer, friend := s.unregistered("1001", "UDP"), s.unregistered("1002", "UDP"), s.unregistered("1003", "UDP")
	require.ErrorContains(t, user.Register(s.soon(), time.Hour), "403")
	require.NoError(t, peer.Register(s.soon(), time.Hour))
	require.NoError(t, friend.Register(s.soon(), time.Hour))

	refused, err := peer.Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	require.NoError(t, refused.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 403, refused.Status().Code)
	for _, p := range []*softphone.Phone{user, friend} {
		c, in := s.dial(p, softphone.Dial{})
		require.NotEmpty(t, in.Device)
		require.NoError(t, c.HangUp())
	}

	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
	for n, p := range []*softphone.Phone{peer, friend} {
		done := s.ring(in, order(in, n+2, id.Device([]string{"1002", "1003"}[n])))
		require.NoError(t, s.rings(p).Reject(486))
		require.Equal(t, call.RingBusy, s.wait(done).Outcome)
	}
}

// SEED-121: a device with a fixed host registers and calls from there only, with its password.
func TestHost_Fixed_OnlyThatAddressMayRegisterAndCall(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{"1001": {Host: "127.0.0.2"}}), func(_ *Config, w *world) {
		v := w.devices["1001"]
		v.Owner = "has a password" // see world.Credentials
		w.devices["1001"] = v
	})
	here := s.wired("1001", softphone.Config{IP: netip.MustParseAddr("127.0.0.2")})
	elsewhere := s.wired("1001", softphone.Config{IP: netip.MustParseAddr("127.0.0.3")})
	require.NoError(t, here.Register(s.soon(), time.Hour))
	require.ErrorContains(t, elsewhere.Register(s.soon(), time.Hour), "403")
	c, err := elsewhere.Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 403, c.Status().Code, "though the password is right")
	c, in := s.dial(here, softphone.Dial{})
	require.Equal(t, id.Device("1001"), in.Device)
	require.NoError(t, c.HangUp())
}

// SEED-121: one without a password is known by its address, and is called there, without any registration.
func TestHost_Fixed_CallsAndIsCalledWithoutARegistration(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := playIn(t, w)
	p := s.wired("door", softphone.Config{IP: netip.MustParseAddr("127.0.0.2")})
	stranger := s.wired("door", softphone.Config{IP: netip.MustParseAddr("127.0.0.3")})
	set(map[id.Device]device.Settings{"door": {Host: p.Addr()}})(nil, w)

	c, in := s.dial(p, softphone.Dial{})
	require.Equal(t, call.Incoming{
		Tenant: demo, Call: in.Call, Node: in.Node, Boot: in.Boot, From: "door", To: "8000", Agent: "door", Device: "door", Data: in.Data, Hops: 70, At: in.At,
	}, in)
	require.NoError(t, c.HangUp())
	c, in = s.dial(stranger, softphone.Dial{})
	require.Equal(t, "loopback", in.Trunk, "from another address it is nobody of ours")
	done := s.ring(in, order(in, 1, "door"))
	require.NoError(t, s.rings(p).Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, c.Wait(s.soon(), softphone.Up))
}

// SEED-120: a device may use the transports that it is allowed.
func TestTransports_OthersAreNotLetIn(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{"1001": {Transports: []device.Transport{"tcp", "tls"}}}))
	require.ErrorContains(t, s.unregistered("1001", "UDP").Register(s.soon(), time.Hour), "403")
	require.NoError(t, s.unregistered("1001", "TCP").Register(s.soon(), time.Hour))
}

// SEED-120: a phone that is registered by two transports rings by the favourite one, and by the other if that fails.
func TestTransports_ThePhoneRingsByTheFavourite(t *testing.T) {
	t.Parallel()
	for _, order := range [][]device.Transport{{"udp", "tcp"}, {"tcp", "udp"}} {
		s := play(t, set(map[id.Device]device.Settings{"1001": {Transports: order}}))
		phones := map[device.Transport]*softphone.Phone{"udp": s.phone("1001", "UDP"), "tcp": s.phone("1001", "TCP")}
		favourite, other := phones[order[0]], phones[order[1]]
		_, in := s.dial(s.customer("4930123"), softphone.Dial{})
		done := s.ring(in, ringOf(in, 1))
		require.NoError(t, s.rings(favourite).Reject(486))
		require.Equal(t, call.RingBusy, s.wait(done).Outcome)
		require.Zero(t, other.Invites(), "it is the same phone")

		done = s.ring(in, ringOf(in, 2))
		require.NoError(t, s.invited(favourite).Reject(503))
		require.NoError(t, s.rings(other).Reject(486))
		require.Equal(t, call.RingBusy, s.wait(done).Outcome)
	}
}

// ringOf is a ring of device 1001.
func ringOf(in call.Incoming, n int) call.Ring { return order(in, n, "1001") }

// SEED-123: a device is offered what it may use, in its order.
func TestCodecs_AreOfferedAndAnsweredInTheDevicesOrder(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{
		"1001": {Codecs: []device.Codec{"ulaw", "alaw"}}, "1002": {Codecs: []device.Codec{"alaw"}}, "1003": {Codecs: []device.Codec{"g722", "ulaw"}},
	}))
	_, in := s.dial(s.wired("4930123", softphone.Config{Codecs: []uint8{8, 0}}), softphone.Dial{})
	for n, want := range []string{"0 8 101", "8 101", "0 101", "8 0 101"} {
		name := []string{"1001", "1002", "1003", "1004"}[n]
		p := s.phone(name, "UDP")
		done := s.ring(in, order(in, n+1, id.Device(name)))
		c := s.rings(p)
		require.Equal(t, want, strings.Join(formatsOf(t, c.Invite.Body()), " "), name)
		require.NoError(t, c.Reject(486))
		s.wait(done)
	}
	only := s.wired("1002", softphone.Config{Codecs: []uint8{0}})
	c, err := only.Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 488, c.Status().Code, "it speaks only what it may not")
}

// SEED-123: what the node does not speak is passed on between two devices that both may use it.
func TestCodecs_OthersArePassedOnBetweenTwoDevices(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{
		"1001": {Codecs: []device.Codec{"g722", "alaw"}}, "1002": {Codecs: []device.Codec{"opus", "g729", "g722", "alaw"}}, "1003": {Codecs: []device.Codec{"alaw"}},
	}))
	called := s.wired("1002", softphone.Config{Codecs: []uint8{9, 8}})
	require.NoError(t, called.Register(s.soon(), time.Hour))
	for n, want := range map[string]string{"1001": "9 8 101", "1003": "8 101"} {
		caller := s.wired(n, softphone.Config{Codecs: []uint8{9, 18, 8}})
		out, in := s.dial(caller, softphone.Dial{To: "1002", Tone: 1000})
		require.NoError(t, s.Treat(s.soon(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
		done := s.ring(in, order(in, 1, "1002"))
		rung := s.rings(called)
		require.Equal(t, want, strings.Join(formatsOf(t, rung.Invite.Body()), " "), "that of the caller that both may use")
		rung.Audio.Say(440)
		require.NoError(t, rung.Answer())
		require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
		require.NoError(t, out.Wait(s.soon(), softphone.Up))
		require.NoError(t, out.Audio.WaitTone(s.soon(), 440))
		require.NoError(t, rung.Audio.WaitTone(s.soon(), 1000))
		require.NoError(t, out.HangUp())
		require.NoError(t, rung.Wait(s.soon(), softphone.Ended))
	}
}

// SEED-124: outside, the device's caller id is shown; inside, who calls.
func TestCallerID_IsShownOutsideOnly(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, set(map[id.Device]device.Settings{"1001": {CallerID: "+41443332211"}}), func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	colleague := s.phone("1002", "UDP")
	_, in := s.dial(s.phone("1001", "UDP"), softphone.Dial{})
	require.Equal(t, "1001", in.From, "the record has who it was")
	done := s.ring(in, outward(in))
	c := s.rings(carrier)
	require.Equal(t, "+41443332211", c.Invite.From().Address.User)
	require.NoError(t, c.Reject(486))
	s.wait(done)
	done = s.ring(in, order(in, 2, "1002"))
	c = s.rings(colleague)
	require.Equal(t, "1001", c.Invite.From().Address.User)
	require.NoError(t, c.Reject(486))
	s.wait(done)

	_, in = s.dial(s.phone("1003", "UDP"), softphone.Dial{})
	done = s.ring(in, outward(in))
	c = s.rings(carrier)
	require.Equal(t, "1003", c.Invite.From().Address.User, "without a setting as ever")
	require.NoError(t, c.Reject(486))
	s.wait(done)
}

// SEED-128: a device that must encrypt is neither called nor let in, as long as the node can't.
func TestSRTP_ADeviceThatMustEncrypt_IsNeverHeardInClear(t *testing.T) {
	t.Parallel()
	s := play(t, set(map[id.Device]device.Settings{"1001": {SRTP: true}}))
	p := s.phone("1001", "UDP")
	c, err := p.Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 488, c.Status().Code)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
	require.Zero(t, p.Invites())
}

// SEED-122: which address a UDP phone's INVITE goes to is said by the NAT mode.
func TestNAT_Requests_GoToTheContactOrWhereTheRegisterCameFrom(t *testing.T) {
	t.Parallel()
	for mode, byContact := range map[device.NAT]bool{"yes": false, "force_rport": false, "route": false, "no": true, "never": true, "comedia": true} {
		s := play(t, set(map[id.Device]device.Settings{"1001": {NAT: mode}}))
		behind, named := s.wired("1001", softphone.Config{}), s.wired("1001", softphone.Config{})
		s.registers("1001", behind, named)
		_, in := s.dial(s.customer("4930123"), softphone.Dial{})
		done := s.ring(in, ringOf(in, 1))
		rung := behind
		if byContact {
			rung = named
		}
		require.NoError(t, s.rings(rung).Reject(486), mode)
		require.Equal(t, call.RingBusy, s.wait(done).Outcome)
	}
}

// registers keeps a registration that came from one phone and names the address of another, as behind a router.
func (s *stage) registers(name id.Device, from, named *softphone.Phone) {
	s.w.change(func() {
		s.w.regs[string(name)] = device.Registration{
			Tenant: demo, Device: name, Contact: "sip:" + string(name) + "@" + named.Addr(), Instance: "router", Transport: "udp",
			Flow: from.Addr(), Node: s.conf.Name, Boot: s.Boot(), Expires: time.Now().Add(time.Hour),
		}
	})
}

// SEED-122: and audio from another address than that of the SDP is heard by yes and comedia only.
func TestNAT_Audio_IsTakenFromTheDescribedAddressOnly(t *testing.T) {
	t.Parallel()
	for _, mode := range device.NATs() {
		l := sipLeg{nat: mode}
		l.sound = newSound(netip.MustParseAddrPort("127.0.0.1:4000"), spoken(device.Settings{}, ""))
		_, err := l.sound.answer([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"))
		require.NoError(t, err)
		require.Equal(t, mode != "yes" && mode != "comedia", l.sound.params("192.0.2.1:5060", l.nat.AsDescribed()).AsDescribed, mode)
	}
}

// A changed setting counts from the moment at which the node hears of it; while the directory is away, the last one.
func TestSettings_ChangedInTheDirectory_CountAtOnce(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	formats := func(n int) string {
		done := s.ring(in, ringOf(in, n))
		c := s.rings(p)
		require.NoError(t, c.Reject(486))
		s.wait(done)
		return strings.Join(formatsOf(t, c.Invite.Body()), " ")
	}
	require.Equal(t, "0 8 101", formats(1), "the caller's first")
	set(map[id.Device]device.Settings{"1001": {Codecs: []device.Codec{"alaw"}}})(nil, s.w)
	s.DirectoryChanged(demo)
	require.Equal(t, "8 101", formats(2))
	s.w.change(func() { s.w.away = fault.E(fault.Unavailable, "query", errors.New("the database is away")) })
	s.DirectoryChanged("")
	require.Equal(t, "8 101", formats(3))
}

// SEED-46: how long a phone takes to answer is written down once in a while.
func TestPulses_AreWrittenTogether(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.KeepAlive = 200 * time.Millisecond })
	s.phone("1001", "TCP")
	s.phone("1002", "TCP")
	s.w.until(t, "both pulses", func() bool {
		of := map[id.Device]device.Pulse{}
		for _, p := range s.w.pulses {
			of[p.Device] = p
		}
		for _, p := range of {
			if p.Tenant != demo || p.Instance == "" || p.RoundTrip <= 0 || p.At.IsZero() {
				return false
			}
		}
		return len(of) == 2
	})
	require.False(t, slices.ContainsFunc(s.w.pulses[:1], func(p device.Pulse) bool { return p.RoundTrip > time.Second }))
}

// Strangers who call themselves by a name that nobody has cost one look-up; a device of that name is known as soon as
// the directory changed, or it has shown a password.
func TestSettings_OfNobody_AreRemembered(t *testing.T) {
	t.Parallel()
	s := play(t)
	_, err := s.settings.quick(t.Context(), demo, "door")
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.True(t, s.settings.nobody(demo, "door"))
	require.False(t, s.settings.nobody(demo, "window"), "not looked up")
	s.DirectoryChanged(demo)
	require.False(t, s.settings.nobody(demo, "door"))
	s.w.change(func() { s.w.devices = map[id.Device]device.Device{"door": {Kind: leg.SIP}} })
	v, err := s.settings.quick(t.Context(), demo, "door")
	require.NoError(t, err)
	require.Equal(t, id.Device("door"), v.Name)
	require.False(t, s.settings.nobody(demo, "door"))
}
