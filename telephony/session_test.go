package telephony

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// clockwork lets a test move the node's clock.
type clockwork struct{ offset atomic.Int64 }

func (c *clockwork) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// advance moves the clock and lets what is due happen.
func (s *stage) advance(c *clockwork, d time.Duration) {
	c.offset.Add(int64(d))
	for _, a := range s.index.live() {
		a.ask(func() { a.alarms.fire(c.now()) })
	}
}

func TestSession_TheCallerRefreshes_OrTheCallEnds(t *testing.T) { // RFC 4028
	t.Parallel()
	clock := &clockwork{}
	s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
	r, in := s.waiting(true, "Session-Expires: 120;refresher=uac", "Supported: timer")
	s.advance(clock, 80*time.Second)
	cseq := r.cseq
	branch := r.request("INVITE", offerPCMU, "Session-Expires: 120;refresher=uac", "Supported: timer")
	res := r.expect(200, "INVITE")
	require.Equal(t, "120;refresher=uac", res.GetHeader("Session-Expires").Value())
	require.Equal(t, "timer", res.GetHeader("Require").Value())
	r.ack(branch+"a", cseq)
	s.advance(clock, 80*time.Second)
	require.Equal(t, 1, s.Calls())
	r.request("INVITE", offerPCMU, "Session-Expires: 60", "Supported: timer")
	r.expect(422, "INVITE")
	s.advance(clock, 15*time.Second)
	require.Equal(t, `SIP;cause=408;text="Session expired"`, r.expectRequest("BYE").GetHeader("Reason").Value())
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.SessionExpiry})
}

func TestSession_WeRefresh_ByUpdateOrElseByReinvite(t *testing.T) {
	t.Parallel()
	for _, allowed := range []string{"Allow: INVITE, ACK, BYE, UPDATE", "Allow: INVITE, ACK, BYE"} {
		t.Run(allowed, func(t *testing.T) {
			t.Parallel()
			clock := &clockwork{}
			s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
			r, in := s.waiting(true, "Session-Expires: 120;refresher=uas", "Supported: timer", allowed)
			method := "INVITE"
			if strings.Contains(allowed, "UPDATE") {
				method = "UPDATE"
			}
			s.advance(clock, 61*time.Second)
			req := r.expectRequest(method)
			require.Equal(t, "120;refresher=uac", req.GetHeader("Session-Expires").Value())
			r.answer(req, 491, "raw")
			if method == "INVITE" {
				r.expectRequest("ACK")
			}
			req = nil
			for waited := time.Duration(0); req == nil && waited < 50*time.Second; waited += 3 * time.Second { // less than the session's time
				s.advance(clock, 3*time.Second)
				req, _ = r.requestWithin(200*time.Millisecond, method)
			}
			require.NotNil(t, req, "it is sent again")
			var body []string
			if method == "INVITE" {
				require.NotEmpty(t, req.Body())
				body = []string{offerPCMU}
			}
			r.answer(req, 200, "raw", append([]string{"Session-Expires: 120;refresher=uac"}, body...)...)
			if method == "INVITE" {
				r.expectRequest("ACK")
			}
			s.refreshed(clock, in)
			s.advance(clock, 61*time.Second)
			req = r.expectRequest(method)
			r.answer(req, 481, "raw")
			s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.SessionExpiry})
		})
	}
}

// refreshed waits until the session timer of the customer's leg was wound up again.
func (s *stage) refreshed(clock *clockwork, in call.Incoming) {
	s.t.Helper()
	a := s.index.call(ref(in))
	require.Eventually(s.t, func() bool {
		is := false
		return a.ask(func() { is = a.customer.dialog.Timer.RefreshAt.After(clock.now()) }) && is
	}, 20*time.Second, time.Millisecond)
}

func TestSession_AnOfferThatMeetsOurs_491(t *testing.T) { // RFC 3261 §14.2
	t.Parallel()
	clock := &clockwork{}
	s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
	r, _ := s.waiting(true, "Session-Expires: 120;refresher=uas", "Supported: timer")
	s.advance(clock, 61*time.Second)
	r.expectRequest("INVITE")
	r.request("INVITE", direction("sendonly"))
	r.expect(491, "INVITE")
}
