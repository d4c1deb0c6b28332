package telephony

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

// strangers takes the loopback trunk away, so that everybody has to say who he is.
func strangers(_ *Config, w *world) {
	w.trunks = []device.Trunk{{Tenant: demo, Name: "carrier", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
}

func TestInbound_UnknownNumber_404(t *testing.T) {
	t.Parallel()
	s := play(t, func(_ *Config, w *world) { w.refusal = fault.E(fault.NotFound, "route", errors.New("no such number")) })
	c, in := s.dial(s.customer("4930123"), softphone.Dial{To: "9999"})
	require.Equal(t, "9999", in.To)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 404, c.Status().Code)
	s.empty()
	require.Empty(t, s.w.of(in.Call), "a refused call has no facts")
}

func TestInbound_TheHandlersRefusals_BecomeResponses(t *testing.T) {
	t.Parallel()
	for kind, code := range map[fault.Kind]int{fault.Unavailable: 503, fault.Forbidden: 403, fault.TooMany: 486, fault.Internal: 500} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := play(t, func(_ *Config, w *world) { w.refusal = fault.E(kind, "open", errors.New("refused by the test")) })
			r := s.raw()
			r.request("INVITE", offerPCMU)
			res := r.expect(code, "INVITE")
			require.NotEmpty(t, res.GetHeaders("Reason"))
			require.Equal(t, code == 503, len(res.GetHeaders("Retry-After")) == 1)
		})
	}
}

func TestInbound_NoTrunkAndNoCredentials_AreChallengedAlike(t *testing.T) { // never 404 before authentication
	t.Parallel()
	s := play(t, strangers)
	for _, user := range []string{"1001", "nobody", "raw"} {
		r := s.raw()
		r.from = "sip:" + user + "@demo.localhost"
		r.request("INVITE", offerPCMU)
		res := r.expect(401, "INVITE")
		require.Len(t, res.GetHeaders("WWW-Authenticate"), 2, "SHA-256 and MD5")
		require.Contains(t, res.GetHeader("WWW-Authenticate").Value(), `realm="demo.localhost"`)
		r.ack(fmt.Sprintf("%s.%d", strings.ReplaceAll(r.me, ":", "."), r.n), 1)
		r.tag = ""
		r.request("INVITE", offerPCMU, r.authorization(res, "INVITE", "sip:8000@"+r.node, user, "wrong", 1))
		r.expect(401, "INVITE")
	}
	require.Zero(t, s.w.calls())
}

func TestInbound_ADevicesCall_CarriesItsAgent(t *testing.T) { // SEED-7
	t.Parallel()
	for name, change := range map[string]func(*Config, *world){"stranger": strangers, "behind the trunk's address": func(*Config, *world) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, change)
			p := s.phone("1001", "UDP")
			_, in := s.dial(p, softphone.Dial{To: "1002"})
			require.Equal(t, id.Agent("1001"), in.Agent)
			require.Equal(t, id.Device("1001"), in.Device)
			require.Equal(t, "1001", in.From)
			require.Equal(t, "1002", in.To)
			require.Empty(t, in.Trunk)
		})
	}
}

func TestInbound_ATrunksCredentials_MakeItATrunksCall(t *testing.T) {
	t.Parallel()
	s := play(t, strangers)
	_, in := s.dial(s.unregistered("carrier", "UDP"), softphone.Dial{From: "4930123"})
	require.Equal(t, "carrier", in.Trunk)
	require.Equal(t, "4930123", in.From)
}

func TestInbound_AReplayedNonceIsRefused(t *testing.T) {
	t.Parallel()
	s := play(t, strangers)
	r := s.raw()
	r.from = "sip:1001@demo.localhost"
	r.request("INVITE", offerPCMU)
	res := r.expect(401, "INVITE")
	auth := r.authorization(res, "INVITE", "sip:8000@"+r.node, "1001", password, 1)
	r.tag = ""
	branch := r.request("INVITE", offerPCMU, auth)
	in := s.w.waitCall(t, 0)
	require.Equal(t, id.Agent("1001"), in.Agent)
	r.cancel(branch, 2)
	r.expect(487, "INVITE")

	thief := s.raw()
	thief.from = r.from
	thief.request("INVITE", offerPCMU, auth)
	require.Contains(t, thief.expect(401, "INVITE").GetHeader("WWW-Authenticate").Value(), "stale=true")
	require.Equal(t, 1, s.w.calls())
}

func TestInbound_BruteForceIsShutOut(t *testing.T) {
	t.Parallel()
	s := play(t, strangers)
	r := s.raw()
	r.from = "sip:1001@demo.localhost"
	for range 5 {
		r.tag = ""
		r.request("REGISTER")
		res := r.expect(401, "REGISTER")
		r.tag = ""
		r.request("REGISTER", r.authorization(res, "REGISTER", "sip:8000@"+r.node, "1001", "guess", 1))
		r.expect(401, "REGISTER")
	}
	r.tag = ""
	r.request("REGISTER", r.authorization(r.challenge, "REGISTER", "sip:8000@"+r.node, "1001", password, 2))
	r.expect(403, "REGISTER")
}

func TestInbound_ATrunksLimit_486(t *testing.T) {
	t.Parallel()
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Limit = 1 })
	first, _ := s.dial(s.customer("4930123"), softphone.Dial{})
	r := s.raw()
	r.request("INVITE", offerPCMU)
	r.expect(486, "INVITE")
	require.NoError(t, first.HangUp())
	s.empty()
	s.dial(s.customer("4930124"), softphone.Dial{})
}

func TestInbound_ANewTrunkWorksAtOnce(t *testing.T) {
	t.Parallel()
	s := play(t, strangers)
	s.w.change(func() {
		s.w.trunks = append(s.w.trunks, device.Trunk{Tenant: demo, Name: "new", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	})
	require.Eventually(t, func() bool { // the view is a second old at most
		r := s.raw()
		r.request("INVITE", offerPCMU)
		return r.read(5*time.Second) != nil && s.w.calls() > 0
	}, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, "new", s.w.waitCall(t, 0).Trunk)
}

func TestInbound_ATrunkOfSeveralTenants_TheCalledDomainDecides(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.customer("4930123")
	_, in := s.dial(p, softphone.Dial{To: "sip:8000@" + string(demo)})
	require.Equal(t, demo, in.Tenant)
	s.w.change(func() { // a tenant that the node hasn't heard of
		s.w.trunks = append(s.w.trunks, device.Trunk{Tenant: "new.localhost", Name: "new", Addresses: s.w.trunks[0].Addresses})
	})
	s.DirectoryChanged("")
	require.Eventually(t, func() bool {
		trunk, _ := s.carriers.from(netip.MustParseAddr("127.0.0.1"), "new.localhost")
		return trunk.Name == "new"
	}, 20*time.Second, time.Millisecond)
	_, in = s.dial(p, softphone.Dial{To: "sip:8000@new.localhost"})
	require.Equal(t, id.Tenant("new.localhost"), in.Tenant)
}

func TestInbound_UnusableOffers_AreRefused(t *testing.T) {
	t.Parallel()
	s := play(t)
	opus := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n"
	for _, c := range []struct {
		name  string
		lines []string
		code  int
	}{
		{"no common codec", []string{opus}, 488},
		{"only SRTP", []string{strings.Replace(offerPCMU, "RTP/AVP", "RTP/SAVP", 1)}, 488},
		{"no audio", []string{"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"}, 488},
		{"malformed SDP", []string{"v=0\r\no=nonsense\r\nm=audio x y\r\n"}, 400},
		{"100rel required", []string{offerPCMU, "Require: 100rel"}, 420},
		{"session too short", []string{offerPCMU, "Session-Expires: 30", "Supported: timer"}, 422},
	} {
		r := s.raw()
		r.request("INVITE", c.lines...)
		res := r.expect(c.code, "INVITE")
		switch c.code {
		case 420:
			require.Equal(t, "100rel", res.GetHeader("Unsupported").Value())
		case 422:
			require.Equal(t, "90", res.GetHeader("Min-SE").Value())
		}
	}
	require.Zero(t, s.w.calls())
	s.empty()
}

func TestInbound_ABodyThatIsNoSDP_415(t *testing.T) {
	t.Parallel()
	s := play(t)
	r := s.raw()
	body := strings.Replace(r.text("INVITE", "typed", "<sip:8000@"+r.node+">", 1, offerPCMU), "application/sdp", "text/plain", 1)
	r.send(body)
	r.expect(415, "INVITE")
}

func TestInbound_NoPortsLeft_503WithRetryAfter(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) {
		c.Media.PortMin = freePort(t)
		c.Media.PortMax = c.Media.PortMin + 1
	})
	s.dial(s.customer("4930123"), softphone.Dial{})
	r := s.raw()
	r.request("INVITE", offerPCMU)
	res := r.expect(503, "INVITE")
	require.Equal(t, "5", res.GetHeader("Retry-After").Value())
	require.Equal(t, 1, s.w.calls())
}

func TestInbound_TooManyCalls_503(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.MaxCalls = 1 })
	s.dial(s.customer("4930123"), softphone.Dial{})
	r := s.raw()
	r.request("INVITE", offerPCMU)
	require.NotNil(t, r.expect(503, "INVITE").GetHeader("Retry-After"))
}

// The node died, or a proxy tries the next one: nothing lives of what the other run took.
func TestInbound_TheSameInviteAtAnotherRun_IsANewCall(t *testing.T) {
	t.Parallel()
	var ids []id.Call
	for _, boot := range []string{"boot-1", "boot-2"} {
		s := play(t, func(c *Config, _ *world) { c.Boot = boot })
		r := s.raw()
		r.id = "comes-again"
		r.send(r.text("INVITE", "one", "<sip:8000@"+r.node+">", 1, offerPCMU))
		ids = append(ids, s.w.waitCall(t, 0).Call)
	}
	require.NotEqual(t, ids[0], ids[1])
}

func TestInbound_ARepeatedInvite_OpensNothingTwice(t *testing.T) {
	t.Parallel()
	s := play(t)
	r := s.raw()
	text := r.text("INVITE", "one", "<sip:8000@"+r.node+">", 1, offerPCMU)
	for range 3 {
		r.send(text)
	}
	in := s.w.waitCall(t, 0)
	r.send(strings.Replace(text, "branch=z9hG4bKone", "branch=z9hG4bKtwo", 1)) // the same by another way
	r.expect(482, "INVITE")
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	r.expect(180, "INVITE")
	clear(r.seen) // it is repeated
	r.send(text)
	r.expect(180, "INVITE")
	require.Equal(t, 1, s.w.calls())
	require.Equal(t, 1, s.Calls())
}

func TestInbound_CancelledInEachPhase_TheCallIsAbandoned(t *testing.T) {
	t.Parallel()
	t.Run("while it is opened", func(t *testing.T) {
		t.Parallel()
		opening, cancelled := make(chan struct{}), make(chan struct{})
		s := play(t, func(_ *Config, w *world) {
			w.opening = func(context.Context, call.Incoming) { close(opening); <-cancelled }
		})
		r := s.raw()
		branch := r.request("INVITE", offerPCMU)
		<-opening
		r.cancel(branch, 1)
		r.expect(200, "CANCEL")
		r.expect(487, "INVITE")
		require.Empty(t, s.w.all(), "facts wait until the Handler knows the call")
		close(cancelled)
		in := s.w.waitCall(t, 0)
		s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
		s.empty()
	})
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		s := play(t)
		r := s.raw()
		branch := r.request("INVITE", offerPCMU)
		in := s.w.waitCall(t, 0)
		r.cancel(branch, 1)
		r.expect(487, "INVITE")
		s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
		s.empty()
	})
	t.Run("ringing", func(t *testing.T) {
		t.Parallel()
		s := play(t)
		r := s.raw()
		branch := r.request("INVITE", offerPCMU)
		in := s.w.waitCall(t, 0)
		require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
		r.expect(180, "INVITE")
		r.cancel(branch, 1)
		r.expect(487, "INVITE")
		s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
		s.empty()
	})
	t.Run("by an early BYE", func(t *testing.T) {
		t.Parallel()
		s := play(t)
		r := s.raw()
		r.request("INVITE", offerPCMU)
		in := s.w.waitCall(t, 0)
		require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
		r.expect(180, "INVITE")
		r.request("BYE")
		r.expect(200, "BYE")
		r.expect(487, "INVITE")
		s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
		s.empty()
	})
}

// Whoever opens the call learns of it, and takes back what was begun.
func TestInbound_CancelledWhileItIsOpened_TheHandlerIsToldAtOnce(t *testing.T) {
	t.Parallel()
	opening := make(chan struct{})
	s := play(t, func(_ *Config, w *world) {
		w.refusal = errors.New("the caller is gone")
		w.opening = func(ctx context.Context, _ call.Incoming) {
			close(opening)
			<-ctx.Done()
		}
	})
	r := s.raw()
	branch := r.request("INVITE", offerPCMU)
	<-opening
	r.cancel(branch, 1)
	r.expect(200, "CANCEL")
	r.expect(487, "INVITE")
	s.w.waitCall(t, 0)
	s.empty()
	require.Empty(t, s.w.all(), "nobody knows the call")
}

// RFC 3261 §9.2: a CANCEL after the answer has no effect.
func TestInbound_CancelledAfterTheAnswer_NothingHappens(t *testing.T) {
	t.Parallel()
	s := play(t)
	r := s.raw()
	branch := r.request("INVITE", offerPCMU)
	in := s.w.waitCall(t, 0)
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}))
	r.expect(200, "INVITE")
	r.cancel(branch, 1)
	r.expect(200, "CANCEL")
	r.ack(branch+"a", 1)
	require.Empty(t, s.w.of(in.Call), "RFC 3261 §9.2: no effect after the answer")
	r.request("BYE")
	r.expect(200, "BYE")
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
}

func TestInbound_Dropped_TheCallerHearsWhy(t *testing.T) {
	t.Parallel()
	s := play(t)
	for cause, code := range map[leg.Cause]int{leg.NoAnswer: 480, leg.Busy: 486, leg.Rejected: 603, leg.NoRoute: 404, leg.MaxWait: 480, leg.Overload: 503} {
		c, in := s.dial(s.customer("4930123"), softphone.Dial{})
		require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: cause}))
		require.NoError(t, c.Wait(s.soon(), softphone.Ended))
		require.Equal(t, code, c.Status().Code)
		require.Equal(t, whyOf(cause).reason.String(), c.Status().Reason)
		s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: cause})
		require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: cause}), "again: a success")
	}
}

func TestInbound_AnonymousCallers_AreShownAsSuch(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	r := s.raw()
	r.from = "sip:anonymous@anonymous.invalid"
	r.request("INVITE", offerPCMU)
	in := s.w.waitCall(t, 0)
	require.Equal(t, "anonymous", in.From)
	done := s.ring(in, order(in, 1, "1001"))
	c := s.rings(p)
	require.Equal(t, "sip:anonymous@anonymous.invalid", c.Invite.From().Address.String())
	require.NoError(t, c.Reject(486))
	s.wait(done)
}

func TestOutside_OtherRequests_GetTheirResponses(t *testing.T) {
	t.Parallel()
	s := play(t)
	for _, c := range []struct {
		method string
		code   int
	}{{"OPTIONS", 200}, {"BYE", 481}, {"UPDATE", 481}, {"INFO", 481}, {"PRACK", 481}, {"NOTIFY", 481}, {"SUBSCRIBE", 405},
		{"MESSAGE", 405}, {"REFER", 405}, {"PUBLISH", 405}, {"FROBNICATE", 501}} {
		r := s.raw()
		r.request(c.method)
		res := r.expect(c.code, c.method)
		if c.code == 405 || c.code == 200 {
			require.Contains(t, res.GetHeader("Allow").Value(), "INVITE")
		}
	}
	r := s.raw()
	r.tag = "nobody"
	r.request("BYE")
	r.expect(481, "BYE")
}
