package device_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/leg"
)

func yes(v bool) *bool { return &v }

// full has every setting of a SIP device.
func full() device.Settings {
	return device.Settings{
		Transports: []device.Transport{"tls", "tcp", "udp", "ws", "wss"}, Host: "192.0.2.7", NAT: "never", Type: "peer",
		Codecs: device.Codecs(), CallerID: "+41443332211", Context: "from-sip", CallGroups: []string{"sales"}, PickupGroups: []string{"sales", "back-office"},
		Monitoring: yes(false), Recording: "wav49", SRTP: true,
	}
}

// SEED-120 to SEED-128: each setting is accepted as the source has it.
func TestSettings_EveryValueOfTheSource_IsAccepted(t *testing.T) {
	t.Parallel()
	require.Empty(t, full().Validate(leg.SIP))
	require.Empty(t, device.Settings{}.Validate(leg.SIP))
	require.Empty(t, device.Settings{}.Validate(leg.WebRTC))
	require.Empty(t, device.Settings{}.Validate(leg.PSTN))
	for _, n := range []device.NAT{"yes", "no", "force_rport", "comedia", "never", "route"} { // SEED-122
		require.Empty(t, device.Settings{NAT: n}.Validate(leg.SIP), n)
	}
	for _, p := range []device.Type{"user", "peer", "friend"} {
		require.Empty(t, device.Settings{Type: p}.Validate(leg.SIP), p)
	}
	for _, c := range []device.Codec{"ulaw", "alaw", "gsm", "g722", "g729", "opus"} { // SEED-123
		require.Empty(t, device.Settings{Codecs: append([]device.Codec{c}, spoken(c)...)}.Validate(leg.SIP), c)
	}
	for _, r := range []device.Recording{"off", "wav", "wav49", "gsm"} { // SEED-127
		require.Empty(t, device.Settings{Recording: r}.Validate(leg.PSTN), r)
	}
	for _, h := range []string{"dynamic", "192.0.2.7", "192.0.2.7:5070", "2001:db8::7", "[2001:db8::7]:5070"} { // SEED-121
		require.Empty(t, device.Settings{Host: h}.Validate(leg.SIP), h)
	}
}

// spoken is a codec that must stand beside one that is only passed on.
func spoken(beside device.Codec) []device.Codec {
	if beside.Spoken() {
		return nil
	}
	return []device.Codec{device.ALaw}
}

// What is wrong is named with its field and what is allowed.
func TestSettings_WhatIsWrong_IsNamedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind     leg.Kind
		settings device.Settings
		field    string
		sentence string
	}{
		"SEED-120 transport":            {leg.SIP, device.Settings{Transports: []device.Transport{"udp", "sctp"}}, "transports", `"sctp" is not allowed: udp, tcp, ws, wss or tls`},
		"a transport twice":             {leg.SIP, device.Settings{Transports: []device.Transport{"udp", "udp"}}, "transports", `"udp" stands twice`},
		"a browser has no UDP":          {leg.WebRTC, device.Settings{Transports: []device.Transport{"udp"}}, "transports", `"udp" is not allowed: ws or wss`},
		"SEED-121 host":                 {leg.SIP, device.Settings{Host: "phone.example"}, "host", `"phone.example" must be an IP address, or dynamic for a device that registers`},
		"no host at all":                {leg.SIP, device.Settings{Host: "0.0.0.0"}, "host", `"0.0.0.0" must be an IP address, or dynamic for a device that registers`},
		"a browser at a fixed address":  {leg.WebRTC, device.Settings{Host: "192.0.2.7"}, "host", "a webrtc device registers from a browser: only dynamic is allowed"},
		"a fixed WebSocket":             {leg.SIP, device.Settings{Host: "192.0.2.7", Transports: []device.Transport{"wss"}}, "host", "a device with a fixed address is reached by udp, tcp or tls, and transports has none of them"},
		"SEED-122 nat":                  {leg.SIP, device.Settings{NAT: "maybe"}, "nat", `"maybe" is not allowed: yes, no, force_rport, comedia, never or route`},
		"SEED-122 type":                 {leg.SIP, device.Settings{Type: "enemy"}, "type", `"enemy" is not allowed: user, peer or friend`},
		"SEED-123 codec":                {leg.SIP, device.Settings{Codecs: []device.Codec{"alaw", "speex"}}, "codecs", `"speex" is not allowed: ulaw, alaw, gsm, g722, g729 or opus`},
		"SEED-123 no codec of use":      {leg.SIP, device.Settings{Codecs: []device.Codec{"opus", "g722"}}, "codecs", "must have ulaw or alaw: the others are only passed on between two devices that both have them, so the device could not hear music or talk with a carrier"},
		"SEED-124 caller id":            {leg.SIP, device.Settings{CallerID: "Sales"}, "caller_id", `"Sales" is not a number to show: up to 32 digits, * and #, + in front`},
		"SEED-124 context":              {leg.SIP, device.Settings{Context: "from sip"}, "context", `"from sip" is not a name: letters, digits and . _ - up to 64 characters`},
		"SEED-125 call group":           {leg.PSTN, device.Settings{CallGroups: []string{"a b"}}, "call_groups", `"a b" is not a name: letters, digits and . _ - up to 64 characters`},
		"SEED-125 pickup group":         {leg.SIP, device.Settings{PickupGroups: []string{""}}, "pickup_groups", `"" is not a name: letters, digits and . _ - up to 64 characters`},
		"SEED-127 recording":            {leg.SIP, device.Settings{Recording: "mp3"}, "recording", `"mp3" is not allowed: off, wav, wav49 or gsm`},
		"SEED-128 a number can't SRTP":  {leg.PSTN, device.Settings{SRTP: true}, "srtp", "an external device can't encrypt: it is a number behind a trunk"},
		"SEED-48 a number can't call":   {leg.PSTN, device.Settings{Type: "friend"}, "type", "an external device can only be called: peer, or nothing"},
		"SEED-48 a number has no codec": {leg.PSTN, device.Settings{Codecs: []device.Codec{"alaw"}}, "codecs", "an external device has none: it is a number behind a trunk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := c.settings.Validate(c.kind)
			require.Len(t, wrong, 1)
			require.Equal(t, c.field, wrong[0].Name)
			require.Equal(t, c.sentence, wrong[0].Sentence)
		})
	}
}

// SEED-121, SEED-122, SEED-124, SEED-126, SEED-127: the defaults.
func TestSettings_Complete_WritesTheDefaultsOut(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(device.Settings{}.Complete(leg.SIP))
	require.NoError(t, err)
	require.JSONEq(t, `{"host":"dynamic","nat":"yes","type":"friend","context":"from-sip","monitoring":true,"recording":"off"}`, string(data))
	data, err = json.Marshal(device.Settings{CallGroups: []string{"b", "a", "b"}}.Complete(leg.PSTN))
	require.NoError(t, err)
	require.JSONEq(t, `{"call_groups":["a","b"],"monitoring":true,"recording":"off"}`, string(data))
	once := full().Complete(leg.SIP)
	require.Equal(t, once, once.Complete(leg.SIP))
	require.Equal(t, "192.0.2.7:5070", device.Settings{Host: "::ffff:192.0.2.7"}.Complete(leg.SIP).Host+":5070", "an address has one form")
}

// SEED-120, SEED-121, SEED-122: what the node asks of the settings.
func TestSettings_SayWhatTheNodeAsks(t *testing.T) {
	t.Parallel()
	var none device.Settings
	require.True(t, none.Allows(device.UDP))
	require.Equal(t, none.Rank(device.UDP), none.Rank(device.TLS), "no order")
	require.True(t, none.Type.Calls() && none.Type.Called())
	require.True(t, none.Monitored())
	ordered := device.Settings{Transports: []device.Transport{device.WSS, device.TCP, device.UDP}}
	require.Less(t, ordered.Rank(device.TCP), ordered.Rank(device.UDP))
	require.False(t, ordered.Allows(device.TLS))
	require.Equal(t, device.TCP, ordered.FixedTransport())
	require.False(t, device.Peer.Calls())
	require.False(t, device.User.Called())
	at, fixed := device.Settings{Host: "192.0.2.7"}.FixedAt()
	require.True(t, fixed)
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), at.Addr())
	require.Zero(t, at.Port())
	for _, n := range device.NATs() {
		require.Equal(t, n == "no" || n == "never" || n == "comedia", n.ByContact(), n)
		require.Equal(t, n != "yes" && n != "comedia", n.AsDescribed(), n)
	}
}
