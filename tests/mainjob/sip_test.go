package mainjob

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/telephony/torture"
	"holdfast/tests/stage"
)

// registration is a REGISTER of a device at a tenant's registrar.
func registration(ten *stage.Tenant, device string) stage.Request {
	return stage.Request{Method: "REGISTER", URI: "sip:" + ten.Domain, From: "sip:" + device + "@" + ten.Domain, More: []string{"Expires: 300"}}
}

// signed is q with credentials that answer a challenge.
func signed(r *stage.Raw, challenge *sip.Response, q stage.Request, as stage.Login) stage.Request {
	q.More = append([]string{r.Authorization(challenge, q, as)}, q.More...)
	return q
}

// look is what a stranger can tell of a refusal: its status, phrase and headers, but
// for the values that are new each time.
func look(res *sip.Response) string {
	var lines []string
	for _, h := range res.Headers() {
		switch h.Name() {
		case "WWW-Authenticate":
			before, rest, _ := strings.Cut(h.Value(), `nonce="`)
			nonce, after, _ := strings.Cut(rest, `"`)
			lines = append(lines, fmt.Sprint(h.Name(), before, len(nonce), after))
		default:
			lines = append(lines, h.Name())
		}
	}
	return fmt.Sprint(res.StatusCode, res.Reason, lines)
}

// A wrong password is challenged again and never let in; a user that doesn't exist
// looks the same from outside. The phone gives up, and nobody is registered.
func TestSIPWrongDigest_IsRefused_AndAnUnknownUserLooksTheSame(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	raw := hall.Raw(t, "UDP", ten.Stranger())
	var looks []string
	for _, user := range []string{"1001", "nobody"} {
		q := registration(ten, user)
		challenge := raw.Ask(q)
		require.Equal(t, 401, challenge.StatusCode)
		refused := raw.Ask(signed(raw, challenge, q, stage.Login{User: user, Password: "wrong"}))
		require.Equal(t, 401, refused.StatusCode)
		require.NotContains(t, refused.String(), "stale", "a wrong password is no reason to try again")
		looks = append(looks, look(challenge)+look(refused))
	}
	require.Equal(t, looks[0], looks[1])

	phone, err := softphone.New(ten.Context(), softphone.Config{IP: ten.Stranger(), Server: hall.SIP(), User: "1001", Domain: ten.Domain, Password: "wrong"})
	require.NoError(t, err)
	t.Cleanup(phone.Close)
	require.ErrorContains(t, phone.Register(ten.Context(), time.Minute), "the password was not accepted")
	require.False(t, reachable(t, ten, "1001"))
}

// reachable reports what GET /v1/me says of the agent's first device.
func reachable(t *testing.T, ten *stage.Tenant, agent string) bool {
	t.Helper()
	var me struct {
		Devices []struct {
			ID        string `json:"id"`
			Reachable bool   `json:"reachable"`
		} `json:"devices"`
	}
	require.NoError(t, ten.Login(agent).Into(ten.Context(), &me, http.MethodGet, "/v1/me", nil))
	require.NotEmpty(t, me.Devices)
	return me.Devices[0].Reachable
}

// A recorded REGISTER sent again is refused, from the same address and from another;
// the phone itself goes on with its next count.
func TestSIPReplayedNonce_IsRefused(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	raw := hall.Raw(t, "UDP", ten.Stranger())
	q := registration(ten, "1001")
	challenge := raw.Ask(q)
	once := signed(raw, challenge, q, stage.Login{User: "1001", Password: stage.Password})
	require.Equal(t, 200, raw.Ask(once).StatusCode)

	again := raw.Ask(once)
	require.Equal(t, 401, again.StatusCode)
	require.Contains(t, again.String(), "stale=true")
	thief := hall.Raw(t, "UDP", ten.Trunk())
	require.Equal(t, 401, thief.Ask(once).StatusCode)

	next := signed(raw, challenge, q, stage.Login{User: "1001", Password: stage.Password, Count: 2})
	require.Equal(t, 200, raw.Ask(next).StatusCode)
}

// Who is no trunk and shows no credentials gets no call through, whatever is dialled.
func TestSIPCallWithoutTrunkAndCredentials_IsRefused(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	for _, transport := range []string{"UDP", "TCP"} {
		raw := hall.Raw(t, transport, ten.Stranger())
		for _, number := range []string{"8000", "1001", "7999"} {
			for _, host := range []string{ten.Domain, "elsewhere.example"} {
				res := raw.Ask(stage.Request{Method: "INVITE", URI: "sip:" + number + "@" + host, From: "sip:mallory@" + host, Body: stage.Offer("0")})
				require.Equal(t, 401, res.StatusCode, "%s at %s", number, host)
			}
		}
	}
	require.Zero(t, a.Phone.Invites())
	require.Empty(t, callsOf(t, ten))
}

// callsOf lists all calls of a tenant, as its supervisor sees them.
func callsOf(t *testing.T, ten *stage.Tenant) []stage.CallView {
	t.Helper()
	var list struct {
		Items []stage.CallView `json:"items"`
	}
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &list, http.MethodGet, "/v1/calls", nil))
	return list.Items
}

// Who guesses passwords is shut out: then even the right one is refused, for a while.
// Others at the same address, and the same user elsewhere, go on.
func TestSIPBruteForce_IsShutOutForAWhile_AndHitsNobodyElse(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	raw := hall.Raw(t, "UDP", ten.Stranger())
	q := registration(ten, "1001")
	var challenge *sip.Response
	for i := range 5 {
		challenge = raw.Ask(q)
		require.Equal(t, 401, challenge.StatusCode)
		require.Equal(t, 401, raw.Ask(signed(raw, challenge, q, stage.Login{User: "1001", Password: fmt.Sprint("guess", i)})).StatusCode)
	}
	began := time.Now()
	right := func(r *stage.Raw, user string) int {
		q := registration(ten, user)
		challenge := r.Ask(q)
		if challenge.StatusCode != 401 {
			return challenge.StatusCode
		}
		return r.Ask(signed(r, challenge, q, stage.Login{User: user, Password: stage.Password})).StatusCode
	}
	require.Equal(t, 403, right(raw, "1001"))
	require.Equal(t, 200, right(raw, "1002"))
	require.Equal(t, 200, right(hall.Raw(t, "UDP", ten.Trunk()), "1001"))

	require.Eventually(t, func() bool { return right(raw, "1001") == 200 }, time.Minute, time.Second, "the ban ends")
	require.Greater(t, time.Since(began), 15*time.Second, "and is long enough to make guessing slow")
}

// The same user name of another tenant, behind the same address, pays for nobody's guesses.
func TestSIPBruteForce_HitsNoOtherTenantBehindTheSameAddress(t *testing.T) { // SEED-38, SEED-39
	t.Parallel()
	ten, neighbour := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	raw := hall.Raw(t, "UDP", ten.Stranger())
	q := registration(ten, "1001")
	for range 6 {
		if challenge := raw.Ask(q); challenge.StatusCode == 401 {
			raw.Ask(signed(raw, challenge, q, stage.Login{User: "1001", Password: "guess"}))
		}
	}
	q = registration(neighbour, "1001")
	require.Equal(t, 200, raw.Ask(signed(raw, raw.Ask(q), q, stage.Login{User: "1001", Password: stage.Password})).StatusCode)
}

// invited is the final response to an INVITE from the tenant's trunk to its queue.
func invited(t *testing.T, ten *stage.Tenant, body string, more ...string) *sip.Response {
	t.Helper()
	raw := hall.Raw(t, "UDP", ten.Trunk())
	return raw.Ask(stage.Request{Method: "INVITE", URI: "sip:8000@" + ten.Domain, From: "sip:4930123@carrier.example", Body: body, More: more})
}

// Without a common codec the call is refused with 488, and no agent is disturbed.
func TestSIPNoCommonCodec_488(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	for _, types := range []string{"18", "18 9", "111\r\na=rtpmap:111 opus/48000/2"} {
		require.Equal(t, 488, invited(t, ten, stage.Offer(types)).StatusCode, types)
	}
	require.Zero(t, a.Phone.Invites())
	require.Empty(t, callsOf(t, ten))
}

// A description that can't be read is refused with 400 or 488, never with a crash.
func TestSIPMalformedSDP_IsRefused(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	good := stage.Offer("0")
	for name, body := range map[string]string{
		"no words":        "v=0\r\no=nonsense\r\nm=audio x y\r\n",
		"noise":           "\x00\x01\x02\xff\xfe",
		"port too high":   strings.Replace(good, "40000", "99999", 1),
		"negative port":   strings.Replace(good, "40000", "-1", 1),
		"address is none": strings.Replace(good, "c=IN IP4 127.0.0.1", "c=IN IP9 127.0.0.1", 1),
		"no address":      strings.Replace(good, "c=IN IP4 127.0.0.1\r\n", "", 1),
		"no audio":        strings.Replace(good, "m=audio", "m=video", 1),
		"only encrypted":  strings.Replace(good, "RTP/AVP", "RTP/SAVP", 1),
		"payload is none": stage.Offer("x"),
		"no payload":      strings.Replace(good, "RTP/AVP 0", "RTP/AVP", 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, []int{400, 488}, invited(t, ten, body).StatusCode)
		})
	}
	ten.Call("4930124", "8000")
	require.Equal(t, "4930124", a.Offered().From, "the node goes on")
}

// The cases of RFC 4475 over UDP and TCP, from a carrier and from a stranger: a proper
// answer or silence, and the node takes calls as before.
func TestSIPTortureMessages_AreAnsweredOrIgnored_AndTheNodeTakesCalls(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	before := hall.Node.PID()
	for _, transport := range []string{"UDP", "TCP"} {
		for who, from := range map[string]netip.Addr{"carrier": ten.Trunk(), "stranger": ten.Stranger()} {
			t.Run(transport+" "+who, func(t *testing.T) {
				peer := hall.Raw(t, transport, from)
				for _, m := range torture.Messages() {
					peer.Send(string(m.Data))
					codes, open := peer.Alive()
					for _, code := range codes {
						require.True(t, code >= 100 && code < 700, "%s: %d", m.Name, code)
					}
					if !open { // a stream that can't be understood is given up
						require.Equal(t, "TCP", transport, m.Name)
						peer = hall.Raw(t, transport, from)
					}
				}
			})
		}
	}
	require.Equal(t, before, hall.Node.PID())
	customer := ten.Call("4930125", "8000")
	ten.Talk(customer, a.Answered())
}
