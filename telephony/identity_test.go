package telephony

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/telephony/headers"
	"holdfast/telephony/softphone"
)

const (
	callerID = "+41443332211"
	main     = "+41443330000"
)

// told is what an INVITE says of who calls: From, P-Asserted-Identity, Privacy.
func told(c *softphone.Call) [3]string {
	return [3]string{c.Invite.From().Address.String(), headers.Value(c.Invite, "P-Asserted-Identity"), headers.Value(c.Invite, "Privacy")}
}

const nobody = "sip:anonymous@anonymous.invalid"

// A call out shows its caller id in the carrier's domain, which the carrier is told as ours to vouch for; a caller who
// does not want to be shown is anonymous outside and inside, and only the carrier knows it (RFC 3323, RFC 3325).
func TestIdentity_WhatACallOutShows(t *testing.T) {
	t.Parallel()
	clir := map[string]string{"Privacy": "id"}
	for name, c := range map[string]struct {
		device, trunk, identity string
		how                     softphone.Dial
		want                    [3]string
		inside                  string
	}{
		"the device's caller id":         {callerID, main, "", softphone.Dial{}, [3]string{"sip:" + callerID + "@127.0.0.1", "<sip:" + callerID + "@127.0.0.1>", ""}, "sip:1001@demo.localhost"},
		"the trunk's":                    {"", main, "", softphone.Dial{}, [3]string{"sip:" + main + "@127.0.0.1", "<sip:" + main + "@127.0.0.1>", ""}, "sip:1001@demo.localhost"},
		"none: an extension is no proof": {"", "", "", softphone.Dial{}, [3]string{"sip:1001@127.0.0.1", "", ""}, "sip:1001@demo.localhost"},
		"a carrier that is not trusted":  {callerID, "", "none", softphone.Dial{}, [3]string{"sip:" + callerID + "@127.0.0.1", "", ""}, "sip:1001@demo.localhost"},
		"CLIR by Privacy":                {callerID, main, "", softphone.Dial{Headers: clir}, [3]string{nobody, "<sip:" + callerID + "@127.0.0.1>", "id"}, nobody},
		"CLIR by From":                   {callerID, main, "", softphone.Dial{From: nobody}, [3]string{nobody, "<sip:" + callerID + "@127.0.0.1>", "id"}, nobody},
		"CLIR, not trusted":              {callerID, main, "none", softphone.Dial{Headers: clir}, [3]string{nobody, "", "id"}, nobody},
		"CLIR without any caller id":     {"", "", "", softphone.Dial{Headers: clir}, [3]string{nobody, "", "id"}, nobody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := beyond(t)
			s := play(t, set(map[id.Device]device.Settings{"1001": {CallerID: c.device}}), func(_ *Config, w *world) {
				w.trunks[0].Host, w.trunks[0].CallerID, w.trunks[0].Identity = carrier.Addr(), c.trunk, c.identity
			})
			colleague := s.phone("1002", "UDP")
			_, in := s.dial(s.phone("1001", "UDP"), c.how)
			require.Equal(t, "1001", in.From, "the record has who it was")
			require.Equal(t, id.Device("1001"), in.Device)
			require.Equal(t, c.inside == nobody, in.Private)
			done := s.ring(in, outward(in))
			rung := s.rings(carrier)
			require.Equal(t, c.want, told(rung))
			require.NoError(t, rung.Reject(486))
			s.wait(done)
			done = s.ring(in, order(in, 2, "1002"))
			rung = s.rings(colleague)
			require.Equal(t, [3]string{c.inside, "", ""}, told(rung))
			require.NoError(t, rung.Reject(486))
			s.wait(done)
		})
	}
}

// A carrier's call that goes on to an agent's number outside shows who called; only a number of ours is vouched for.
func TestIdentity_WhatACarriersCallShowsThatGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trunk string
		how   softphone.Dial
		want  [3]string
	}{
		"the caller's number":        {main, softphone.Dial{}, [3]string{"sip:4930123@127.0.0.1", "<sip:" + main + "@127.0.0.1>", ""}},
		"the trunk has none":         {"", softphone.Dial{}, [3]string{"sip:4930123@127.0.0.1", "", ""}},
		"a caller who is not shown":  {main, softphone.Dial{Headers: map[string]string{"Privacy": "id"}}, [3]string{nobody, "<sip:" + main + "@127.0.0.1>", "id"}},
		"a caller who is not known":  {"", softphone.Dial{From: nobody}, [3]string{nobody, "", "id"}},
		"an identity that is theirs": {"", softphone.Dial{Headers: map[string]string{"P-Asserted-Identity": "<sip:4930456@x.example>"}}, [3]string{"sip:4930456@127.0.0.1", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := beyond(t)
			s := play(t, func(_ *Config, w *world) { w.trunks[0].Host, w.trunks[0].CallerID = carrier.Addr(), c.trunk })
			_, in := s.dial(s.customer("4930123"), c.how)
			require.Equal(t, "loopback", in.Trunk)
			done := s.ring(in, outward(in))
			rung := s.rings(carrier)
			require.Equal(t, c.want, told(rung))
			require.NoError(t, rung.Reject(486))
			s.wait(done)
		})
	}
}

// SEED-121: a device that is known by its address only is known when it does not want to be shown, too.
func TestIdentity_AnAnonymousDeviceAtAFixedAddress_IsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := playIn(t, w)
	p := s.wired("door", softphone.Config{})
	set(map[id.Device]device.Settings{"door": {Host: p.Addr()}})(nil, w)
	_, in := s.dial(p, softphone.Dial{From: nobody})
	require.Equal(t, id.Device("door"), in.Device)
	require.True(t, in.Private)
	_, in = s.dial(p, softphone.Dial{From: nobody, Headers: map[string]string{"P-Preferred-Identity": "<sip:door@demo.localhost>"}})
	require.Equal(t, id.Device("door"), in.Device)
	require.Eventually(t, func() bool { return w.calls() == 2 }, 20*time.Second, time.Millisecond)
}

// A carrier's caller who does not want to be shown is a carrier's caller, also where the carrier's Contact has the name of a
// phone of ours: nobody there could show its password.
func TestIdentity_AnAnonymousCallOfACarrier_ItsContactIsCalledAsAPhoneIs_ItIsTaken(t *testing.T) {
	t.Parallel()
	s := play(t)
	s.phone("1001", "UDP")
	_, in := s.dial(s.customer("1001"), softphone.Dial{From: nobody, To: "sip:8000@" + string(demo)})
	require.Equal(t, "loopback", in.Trunk)
	require.Equal(t, anonymous, in.From)
	require.Empty(t, in.Device)
}
