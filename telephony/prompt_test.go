package telephony

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// prompts passes on what the node logs at the end of each prompted ring; it is how a test knows that a prompt that
// rings nobody was looked at.
type prompts chan string

func (prompts) Enabled(context.Context, slog.Level) bool { return true }
func (p prompts) WithAttrs([]slog.Attr) slog.Handler     { return p }
func (p prompts) WithGroup(string) slog.Handler          { return p }
func (p prompts) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "a prompted ring") {
		p <- r.Message
	}
	return nil
}

const (
	promptEnded   = "a prompted ring ended"
	promptRefused = "a prompted ring was not begun"
)

// prompted makes a stage that tells the end of prompted rings.
func prompted(t *testing.T) (*stage, prompts) {
	t.Helper()
	p := make(prompts, 16)
	return play(t, func(c *Config, _ *world) { c.Log = slog.New(p) }), p
}

// next waits for the end of a prompted ring.
func (s *stage) next(p prompts) string {
	s.t.Helper()
	select {
	case m := <-p:
		return m
	case <-s.soon().Done():
		require.FailNow(s.t, "the prompted ring did not end")
		return ""
	}
}

func TestPrompt_BeginsTheRing_TheRingThatFollowsAttaches(t *testing.T) {
	t.Parallel()
	s, log := prompted(t)
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	s.Prompted(ref(in), r)
	c := s.rings(p)
	done := s.ring(in, r)
	require.NoError(t, c.Answer())
	e := s.wait(done)
	require.Equal(t, call.RingAnswered, e.Outcome)
	require.Equal(t, r.Leg, e.Leg)
	require.Equal(t, r.Offer, e.Offer)
	require.Equal(t, promptEnded, s.next(log))
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	s.w.waitFact(t, in.Call, e)
	require.Equal(t, e, s.wait(s.ring(in, r)), "also when the ring is over")
	require.Equal(t, 1, p.Invites())
}

func TestPrompt_OfACallerWhoHasGone_RingsNobody(t *testing.T) {
	t.Parallel()
	s, log := prompted(t)
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.NoError(t, customer.HangUp())
	s.empty()
	r := order(in, 1, "1001")
	s.Prompted(ref(in), r)
	require.Equal(t, promptRefused, s.next(log))
	_, err := s.Ring(t.Context(), ref(in), r)
	require.Equal(t, fault.NotFound, fault.KindOf(err), "the Ring that follows learns it")
	require.Zero(t, p.Invites())
}

func TestPrompt_AfterTheRingsEnd_RingsNobody(t *testing.T) {
	t.Parallel()
	s, log := prompted(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	done := s.ring(in, r)
	require.NoError(t, s.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
	s.Prompted(ref(in), r)
	require.Equal(t, promptEnded, s.next(log), "attached to what is over")
	require.Equal(t, 1, p.Invites())
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: leg.NoAnswer}))
	s.empty()
	s.Prompted(ref(in), r)
	require.Equal(t, promptEnded, s.next(log))
	require.Equal(t, 1, p.Invites())
}

func TestPrompt_Doubled_RingsOnce(t *testing.T) {
	t.Parallel()
	s, log := prompted(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	s.Prompted(ref(in), r)
	s.Prompted(ref(in), r)
	c := s.rings(p)
	s.Prompted(ref(in), r)
	require.NoError(t, c.Reject(486))
	for range 3 {
		require.Equal(t, promptEnded, s.next(log))
	}
	require.Equal(t, call.RingBusy, s.wait(s.ring(in, r)).Outcome)
	require.Equal(t, 1, p.Invites())
}

func TestPrompt_OfAnOlderOffer_LeavesTheNewerRingAlone(t *testing.T) {
	t.Parallel()
	s, log := prompted(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	newer := s.ring(in, order(in, 2, "1002"))
	c := s.rings(q)
	s.Prompted(ref(in), order(in, 1, "1001"))
	require.Equal(t, promptRefused, s.next(log))
	_, err := s.Ring(t.Context(), ref(in), order(in, 1, "1001"))
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.NoError(t, c.Reject(486))
	require.Equal(t, call.RingBusy, s.wait(newer).Outcome)
	_, err = s.Ring(t.Context(), ref(in), order(in, 1, "1001"))
	require.Equal(t, fault.Conflict, fault.KindOf(err), "also when the newer ring is over")
	third := s.ring(in, order(in, 3, "1002"))
	require.NoError(t, s.rings(q).Answer())
	require.Equal(t, call.RingAnswered, s.wait(third).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.Zero(t, p.Invites())
}

func TestRing_AskedAgainLongAfterItsEnd_TheOutcomeIsStillKnown(t *testing.T) {
	t.Parallel()
	clock := &clockwork{}
	s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	done := s.ring(in, r)
	agent := s.rings(p)
	require.NoError(t, agent.Answer())
	e := s.wait(done)
	require.Equal(t, call.RingAnswered, e.Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	later := func() {
		clock.offset.Add(int64(ringKept + time.Minute))
		s.index.sweep(s.now())
	}
	later()
	require.Equal(t, e, s.wait(s.ring(in, r)), "the two still talk")
	require.Equal(t, softphone.Up, agent.Status().State)
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: r.Leg, Cause: leg.Rescinded}))
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	later()
	require.Equal(t, e, s.wait(s.ring(in, r)), "nor is an agent rung twice for one offer")
	require.Equal(t, 1, p.Invites())
}

func TestRing_TakenBackWhileItBegins_NeverRings(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	o := order(in, 1, "1001")
	k := offerKey{in.Tenant, o.Offer}
	r, fresh := s.index.takeRing(k, newRing(k, o)) // Ring has come so far …
	require.True(t, fresh)
	require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: o.Offer, Cause: leg.Rescinded}))
	s.begin(t.Context(), ref(in), r) // … and goes on
	e := s.wait(s.ring(in, o))
	require.Equal(t, call.RingRescinded, e.Outcome)
	require.Equal(t, o.Offer, e.Offer)
	require.Zero(t, p.Invites())
	next := s.ring(in, order(in, 2, "1001"))
	require.NoError(t, s.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(next).Outcome)
	require.Equal(t, 1, p.Invites())
}
