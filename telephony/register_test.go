package telephony

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/telephony/softphone"
)

// waitPhone waits for news of a device's registration.
func (s *stage) waitPhone(what string, d id.Device, ok func(r device.Registration) bool) (found device.Registration) {
	s.t.Helper()
	s.w.until(s.t, what, func() bool {
		for _, r := range s.w.phoneLog {
			if r.Device == d && ok(r) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func went(r device.Registration) bool { return !r.Expires.After(time.Now()) }
func came(r device.Registration) bool { return r.Expires.After(time.Now()) }

func TestRegister_OverUDPAndTCP_IsToldAndRingsAtOnce(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := play(t)
			p := s.phone("1001", transport)
			r := s.waitPhone("registered", "1001", came)
			require.Equal(t, demo, r.Tenant)
			require.Equal(t, id.Agent("1001"), r.Agent)
			require.Equal(t, id.Node("node-1"), r.Node)
			require.NotEmpty(t, r.Flow)
			require.Equal(t, "holdfast phone", r.UserAgent)
			_, in := s.dial(s.customer("4930123"), softphone.Dial{})
			done := s.ring(in, order(in, 1, "1001"))
			require.NoError(t, s.invited(p).Reject(486))
			require.Equal(t, call.RingBusy, s.wait(done).Outcome)

			require.NoError(t, p.Register(s.soon(), 0))
			s.waitPhone("unregistered", "1001", went)
			require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 2, "1001"))).Outcome)
		})
	}
}

func TestRegister_WrongPasswordOrUnknownUser_RefusedAlike(t *testing.T) {
	t.Parallel()
	s := play(t)
	for _, user := range []string{"1001", "nobody"} {
		p, err := softphone.New(t.Context(), softphone.Config{Server: s.udp, User: user, Domain: string(demo), Password: "wrong"})
		require.NoError(t, err)
		t.Cleanup(p.Close)
		require.ErrorContains(t, p.Register(s.soon(), time.Hour), "the password was not accepted")
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	require.Empty(t, s.w.phoneLog)
}

func TestRegister_ForSomebodyElse_403(t *testing.T) {
	t.Parallel()
	s := play(t)
	r := s.raw()
	r.from = "sip:1001@demo.localhost" // To names 8000
	r.request("REGISTER")
	res := r.expect(401, "REGISTER")
	r.tag = ""
	r.request("REGISTER", r.authorization(res, "REGISTER", "sip:8000@"+r.node, "1001", password, 1))
	r.expect(403, "REGISTER")
}

func TestRegister_ConnectionCloses_RegistrationIsGone(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "TCP")
	s.waitPhone("registered", "1001", came)
	p.Vanish()
	s.waitPhone("lost", "1001", went)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
}

func TestRegister_NotRefreshed_Expires(t *testing.T) {
	t.Parallel()
	clock := &clockwork{}
	s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
	p := s.unregistered("1001", "UDP")
	require.NoError(t, p.Register(s.soon(), time.Minute))
	clock.offset.Add(int64(2 * time.Minute))
	require.NoError(t, s.phones.reg.Expire(t.Context()))
	s.w.until(t, "expired", func() bool { return len(s.w.phoneLog) == 2 })
}

func TestRegister_DatabaseAway_ThePhoneStaysAndTheNewsFollows(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	s.w.change(func() { s.w.away = fault.E(fault.Unavailable, "query", errors.New("the database is away")) })
	clockless := len(s.w.phoneLog)
	s.secrets.mu.Lock()
	for k, v := range s.secrets.known { // as if read a while ago
		v.read = v.read.Add(-time.Minute)
		s.secrets.known[k] = v
	}
	s.secrets.mu.Unlock()
	require.NoError(t, p.Register(s.soon(), time.Hour), "known credentials are good enough for a while")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	require.NoError(t, s.invited(p).Reject(486))
	s.wait(done)
	s.w.change(func() { s.w.away = nil })
	s.w.until(t, "the news of the refresh", func() bool { return len(s.w.phoneLog) > clockless })
}

// Some phones give up when SHA-256 is offered, in whatever order.
func TestRegister_APhoneThatKnowsOnlyMD5_IsOfferedNothingElse(t *testing.T) {
	t.Parallel()
	s := play(t)
	offered := func(r *raw, lines ...string) int {
		r.tag = ""
		r.request("REGISTER", lines...)
		return len(r.expect(401, "REGISTER").GetHeaders("WWW-Authenticate"))
	}
	r := s.raw()
	r.from = "sip:1001@demo.localhost"
	require.Equal(t, 2, offered(r))
	require.Equal(t, 1, offered(r), "it came back without credentials")
	require.Contains(t, r.challenge.GetHeader("WWW-Authenticate").Value(), "algorithm=MD5")
	r.tag = ""
	r.request("REGISTER", r.authorization(r.challenge, "REGISTER", "sip:8000@"+r.node, "1001", password, 1))
	r.expect(403, "REGISTER") // To names somebody else; the credentials were right
	require.Equal(t, 2, offered(r), "it answered")

	old := s.raw()
	old.from = "sip:1002@demo.localhost"
	require.Equal(t, 1, offered(old, "User-Agent: baresip v1.0.0 (x86_64/linux)"))
}
