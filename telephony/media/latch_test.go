package media

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// windowOf sets how long a better source may take over, and how long the locked
// one must be silent before it may move.
func windowOf(window, silence time.Duration) func(*Config) {
	return func(c *Config) { c.tune.window, c.tune.silence = window, silence }
}

// behindNAT is a phone's SDP with an address that nobody reaches.
func (p *phone) behindNAT(signalling string) Params {
	params := p.params()
	params.Remote = netip.MustParseAddrPort("192.0.2.9:4000")
	params.RemoteRTCP = netip.AddrPort{}
	if signalling != "" {
		params.SignalingSource = netip.MustParseAddr(signalling)
	}
	return params
}

func TestLatch_AddressOfSDP_IsBelievedAtOnceAndStrangersAreNot(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 1)
	require.Equal(t, addrOf(a.rtp), r.await(sa, Latched, 1).Source)

	stranger := listen(t, "127.0.0.1")
	for range 10 {
		a.sayFrom(stranger, sa) // with the right SSRC and in sequence
	}
	a.head.SequenceNumber -= 10
	a.head.Timestamp -= 1600
	_, voice := talk(a, sa, b, 1)
	requireContinuous(t, append(all, voice...))
	st := r.stats(sa)
	require.EqualValues(t, 2, st.In.Packets)
	require.Zero(t, st.Rejected.Stranger, "the kernel dropped them")
	require.Len(t, r.events(sa, Latched), 1)
}

func TestLatch_BeforeConfigure_NobodyIsBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.open("call"), r.joined("call", b)
	require.NoError(t, Bridge(sa, sb))
	stranger := listen(t, "127.0.0.1")
	for range 10 {
		a.sayFrom(stranger, sa)
	}
	st := r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Early == 10 })
	require.False(t, st.Latched)
	require.NoError(t, sa.Configure(a.params()))
	talk(b, sb, a, 1)
	require.Equal(t, addrOf(a.rtp), r.stats(sa).Peer)
}

func TestLatch_WhileInactiveOrSendOnly_NobodyIsBelieved(t *testing.T) {
	t.Parallel()
	for _, d := range []Direction{Inactive, SendOnly} {
		r := newRig(t, nil)
		a := newPhone(t, PCMU, 440)
		s := r.open("call")
		p := a.behindNAT("127.0.0.1")
		p.Direction = d
		require.NoError(t, s.Configure(p))
		r.believesNobody(a, s, p)
	}
}

// believesNobody lets a phone speak from where it is not expected, and proves that it stays a stranger.
func (r *rig) believesNobody(a *phone, s *Stream, p Params) {
	r.t.Helper()
	for range 10 {
		a.say(s)
	}
	st := r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger == 10 })
	require.False(r.t, st.Latched)
	require.Equal(r.t, p.Remote, st.Peer)
}

func TestLatch_PhoneBehindNAT_IsBelievedAfterFourInSequence(t *testing.T) {
	t.Parallel()
	for _, signalling := range []string{"127.0.0.1", ""} { // near, and from anywhere
		r := newRig(t, nil)
		a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
		sa, sb := r.pair(a, b)
		require.NoError(t, sa.Unbridge())
		require.NoError(t, sa.Configure(a.behindNAT(signalling)))
		require.NoError(t, Bridge(sa, sb))

		a.say(sa)
		a.say(sa)
		a.head.SequenceNumber++ // a gap: counting starts again
		a.say(sa)
		a.say(sa)
		a.say(sa)
		r.awaitStats(sa, func(st Stats) bool { return st.Rejected.Stranger == 5 })
		b.deaf()
		_, heard := talk(a, sa, b, 3)
		require.True(t, heard[0].Marker)
		talk(b, sb, a, 1)
		require.Equal(t, addrOf(a.rtp), r.await(sa, Latched, 1).Source)
	}
}

func TestLatch_WrongPayloadType_NeverConvinces(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.open("call")
	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))
	a.head.PayloadType = 34
	for range 10 {
		a.say(s)
	}
	st := r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger == 10 })
	require.False(t, st.Latched)
}

func TestLatch_NearSource_GoesBeforeOneFromAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowOf(time.Hour, time.Hour))
	a, evil := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	evil.rtp = listen(t, "127.7.7.7")
	s := r.open("call")
	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))

	a.say(s) // one near packet is enough to keep others out
	r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger == 1 })
	for range 10 {
		evil.say(s)
	}
	r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger == 11 })
	for range 3 {
		a.say(s)
	}
	require.Equal(t, addrOf(a.rtp), r.await(s, Latched, 1).Source)
}

func TestLatch_BetterSourceInWindow_TakesOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowOf(time.Hour, time.Hour))
	a, evil := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	evil.rtp = listen(t, "127.7.7.7")
	near := listen(t, "127.0.0.99")
	s := r.open("call")
	require.NoError(t, s.Configure(a.params()))
	for range 4 {
		evil.say(s)
	}
	require.Equal(t, addrOf(evil.rtp), r.await(s, Latched, 1).Source)
	for range 4 {
		a.sayFrom(near, s)
	}
	require.Equal(t, addrOf(near), r.await(s, Latched, 2).Source)
	a.say(s)
	require.Equal(t, addrOf(a.rtp), r.await(s, Latched, 3).Source, "the address of the SDP, at once")
	for range 10 {
		evil.say(s)
		a.sayFrom(near, s)
	}
	a.say(s)
	st := r.awaitStats(s, func(st Stats) bool { return st.In.Packets == 4 })
	require.Equal(t, addrOf(a.rtp), st.Peer)
}

func TestLatch_AfterTheWindow_IsFinalWhileTheSourceSpeaks(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowOf(time.Nanosecond, time.Hour))
	a := newPhone(t, PCMU, 440)
	s := r.open("call")
	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))
	for range 4 {
		a.say(s)
	}
	r.await(s, Latched, 1)
	other := listen(t, "127.0.0.1")
	for range 10 {
		a.sayFrom(other, s)
	}
	a.say(s)
	// The last of four was heard, and this one.
	st := r.awaitStats(s, func(st Stats) bool { return st.In.Packets == 2 })
	require.Equal(t, addrOf(a.rtp), st.Peer)
	require.Len(t, r.events(s, Latched), 1)
}

func TestLatch_NATForgetsThePhone_IsFoundAgainBySSRCAfterSilence(t *testing.T) {
	t.Parallel()
	const silence = 30 * time.Millisecond
	r := newRig(t, windowOf(time.Nanosecond, silence))
	a, evil := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	s := r.joined("call", a)
	a.say(s)
	r.await(s, Latched, 1)

	moved := listen(t, "127.7.7.7")
	last := r.stats(s).In.Last
	require.Eventually(t, func() bool { return time.Since(last) > silence }, patience, time.Millisecond)
	r.awaitStats(s, func(st Stats) bool { // the kernel lets strangers be seen from the next sweep on
		evil.say(s) // another SSRC
		return st.Rejected.Stranger >= 10
	})
	require.Len(t, r.events(s, Latched), 1)
	for range 4 {
		a.sayFrom(moved, s)
	}
	require.Equal(t, addrOf(moved), r.await(s, Latched, 2).Source)
	require.Equal(t, addrOf(moved), r.stats(s).Peer)
}

func TestLatch_ReINVITEWithNewAddress_FollowsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	_, all := talk(a, sa, b, 2)
	a.rtp = listen(t, "127.0.0.1")
	require.NoError(t, sa.Configure(a.params()))
	talk(b, sb, a, 1)
	_, voice := talk(a, sa, b, 2)
	requireContinuous(t, append(all, voice...))
	require.Equal(t, addrOf(a.rtp), r.await(sa, Latched, 2).Source)
}

func TestLatch_ReINVITEFromBehindNAT_OpensTheWindowAgain(t *testing.T) {
	t.Parallel()
	const window = 2 * time.Second
	r := newRig(t, windowOf(window, time.Hour))
	a := newPhone(t, PCMU, 440)
	s := r.open("call")
	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))
	for range 4 {
		a.say(s)
	}
	at := r.await(s, Latched, 1).At
	require.Eventually(t, func() bool { return time.Since(at) > window }, patience, time.Millisecond)
	moved := listen(t, "127.0.0.1")
	for range 4 {
		a.sayFrom(moved, s)
	}
	require.Len(t, r.events(s, Latched), 1)

	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))
	evil := newPhone(t, PCMU, 1000)
	evil.rtp = listen(t, "127.7.7.7")
	for range 10 {
		evil.say(s)
	}
	r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger >= 13 })
	require.Len(t, r.events(s, Latched), 1, "a stranger from afar is worse than the locked source")

	a.rtp = moved
	require.NoError(t, s.Configure(a.behindNAT("127.0.0.1")))
	for range 4 {
		a.say(s)
	}
	require.Equal(t, addrOf(moved), r.await(s, Latched, 2).Source)
}

// A gateway on the way rewrote the SDP, but the phone's audio stays where it is.
func TestLatch_NewSDPButOldSource_IsSentToTheSource(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowOf(2*time.Second, time.Hour))
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	talk(a, sa, b, 1)
	require.NoError(t, sa.Configure(a.behindNAT("127.0.0.1")))
	talk(a, sa, b, 1)
	require.Equal(t, netip.MustParseAddrPort("192.0.2.9:4000"), r.stats(sa).Peer)
	r.awaitStats(sa, func(st Stats) bool { return st.Peer == addrOf(a.rtp) })
	talk(b, sb, a, 1)
}

func TestTrust_RanksByNetworkAndSignalling(t *testing.T) {
	t.Parallel()
	at := func(s string) *sockaddr {
		a := toSockaddr(netip.MustParseAddrPort(s))
		return &a
	}
	var l leg
	l.remote = *at("198.51.100.7:4000")
	l.latch.signalling = netip.MustParseAddr("203.0.113.5").As16()
	for source, want := range map[string]trust{
		"198.51.100.7:4000": told, "198.51.100.7:4002": near, "198.51.100.200:9": near,
		"203.0.113.5:1": near, "203.0.113.6:1": anybody, "198.51.101.7:4000": anybody,
	} {
		require.Equal(t, want, l.trustOf(at(source)), source)
	}
	l.remote = *at("[2001:db8:1:2::7]:4000")
	for source, want := range map[string]trust{
		"[2001:db8:1:2::7]:4000": told, "[2001:db8:1:2:ffff::1]:9": near, "[2001:db8:1:3::7]:4000": anybody,
	} {
		require.Equal(t, want, l.trustOf(at(source)), source)
	}
}

func TestEngine_OnIPv6_RelaysToo(t *testing.T) {
	t.Parallel()
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("this machine has no IPv6 loopback: ", err)
	}
	r := newRig(t, func(cfg *Config) { cfg.Bind = netip.IPv6Loopback() })
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMA, 1000)
	t.Cleanup(func() { _ = c.Close() })
	a.rtp = c
	b.rtp, err = net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.rtp.Close() })
	sa, sb := r.open("call"), r.open("call")
	pa, pb := a.params(), b.params()
	pa.RemoteRTCP, pb.RemoteRTCP = netip.AddrPort{}, netip.AddrPort{}
	require.NoError(t, sa.Configure(pa))
	require.NoError(t, sb.Configure(pb))
	require.NoError(t, Bridge(sa, sb))
	talk(a, sa, b, 4)
	talk(b, sb, a, 4)
	pa.Remote = netip.MustParseAddrPort("127.0.0.1:9")
	require.ErrorIs(t, sa.Configure(pa), ErrParams)
}

// SEED-122: a peer without NAT is where its SDP says, and nowhere else.
func TestLatch_AsDescribed_NoOtherAddressIsEverBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.open("call")
	p := a.behindNAT("127.0.0.1")
	p.AsDescribed = true
	require.NoError(t, s.Configure(p))
	r.believesNobody(a, s, p)

	p.Remote = addrOf(a.rtp)
	require.NoError(t, s.Configure(p))
	a.say(s)
	require.Equal(t, addrOf(a.rtp), r.await(s, Latched, 1).Source)
}
