package telephony

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// hops is the Max-Forwards of an INVITE.
func hops(t *testing.T, req *sip.Request) int {
	t.Helper()
	require.NotNil(t, req.MaxForwards())
	return int(*req.MaxForwards())
}

func TestMaxForwards_ALegThatTheCallLeadsTo_HasOneLess(t *testing.T) { // RFC 7332 §4, RFC 3261 §16.6 step 3
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Hops: 10})
	require.Equal(t, 10, in.Hops)
	r := outward(in)
	r.Targets = append(r.Targets, leg.Address{Device: "1001", Kind: leg.SIP})
	done := s.ring(in, r)
	require.Equal(t, 9, hops(t, s.invited(carrier).Invite))
	agent := s.invited(p)
	require.Equal(t, 9, hops(t, agent.Invite))
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.NoError(t, customer.HangUp())

	_, in = s.dial(s.customer("4930123"), softphone.Dial{Hops: 4711})
	require.Equal(t, 70, in.Hops, "nobody gives a call more than is usual")
	in.Hops = 0
	done = s.ring(in, outward(in))
	c := s.invited(carrier)
	require.Equal(t, 69, hops(t, c.Invite), "a ring of before the number travelled: the INVITE's counts")
	require.NoError(t, c.Reject(486))
	s.wait(done)
}

func TestMaxForwards_AcrossNodes_EachTakesOne(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	p := a.phone("1001", "TCP")
	a.waitPhone("registered", "1001", came)
	_, in := b.dial(b.customer("4930123"), softphone.Dial{Hops: 10})
	done := b.ring(in, order(in, 1, "1001"))
	agent := b.invited(p)
	require.Equal(t, 8, hops(t, agent.Invite))
	require.NoError(t, agent.Reject(486))
	b.wait(done)
}

// What can't reach any phone is refused before an agent is rung: 483 from there would be taken for the agent's device
// being lost, and one caller after the other with Max-Forwards 1 would take every agent out of its queues.
func TestMaxForwards_TooFewForTheWayToAPhone_RefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := play(t)
	for _, hops := range []int{1, leastHops - 1} {
		c, err := s.customer("4930123").Dial(t.Context(), softphone.Dial{To: "8000", Hops: hops})
		require.NoError(t, err)
		require.NoError(t, c.Wait(s.soon(), softphone.Ended))
		require.Equal(t, 483, c.Status().Code)
	}
	require.Zero(t, s.w.calls())
}

func TestMaxForwards_UsedUpFurtherOn_TheCallerHears483(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host = carrier.Addr() })
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Hops: leastHops})
	done := s.ring(in, outward(in))
	c := s.invited(carrier)
	require.NoError(t, c.Reject(483))
	e := s.wait(done)
	require.Equal(t, call.RingLooped, e.Outcome)
	require.NoError(t, s.Drop(s.soon(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: leg.Looped}))
	require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 483, customer.Status().Code)
	require.Contains(t, customer.Status().Reason, "Q.850;cause=25", "exchange routing error")
}

// carousel is a carrier that sends each call back to where it came from, as one does to whom the called number belongs.
type carousel struct {
	phone *softphone.Phone
	mu    sync.Mutex
	seen  []int // Max-Forwards of each
}

// turn runs until the test ends. forward says what becomes of Max-Forwards.
func (c *carousel) turn(s *stage, forward func(int) int) {
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(func() { cancel(); work.Wait() })
	work.Go(func() {
		for {
			select {
			case in := <-c.phone.Incoming():
				n := int(*in.Invite.MaxForwards())
				c.mu.Lock()
				c.seen = append(c.seen, n)
				c.mu.Unlock()
				work.Go(func() { c.back(ctx, in, forward(n)) })
			case <-ctx.Done():
				return
			}
		}
	})
}

// back sends a call on, and what it hears back.
func (c *carousel) back(ctx context.Context, in *softphone.Call, hops int) {
	if hops == 0 {
		_ = in.Reject(483)
		return
	}
	out, err := c.phone.Dial(ctx, softphone.Dial{To: "4930999", Hops: hops})
	if err == nil {
		_ = out.Wait(ctx, softphone.Ended)
		_ = in.Reject(max(400, out.Status().Code))
	}
}

func (c *carousel) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// mad makes a node that sends each call out again, and a carrier that sends it back.
func mad(t *testing.T, limit int, forward func(int) int) (*stage, *carousel) {
	t.Helper()
	s := play(t)
	p, err := softphone.New(t.Context(), softphone.Config{Server: s.udp, User: "carrier"})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	c := &carousel{phone: p}
	s.w.change(func() {
		s.w.trunks[0].Host, s.w.trunks[0].Limit = p.Addr(), limit
		s.w.opening = func(_ context.Context, in call.Incoming) {
			go func() {
				e, err := s.Ring(s.within(20*time.Second), ref(in), outward(in))
				if err == nil {
					_ = s.Drop(context.Background(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: causeOf(e.Outcome)})
				}
			}()
		}
	})
	s.DirectoryChanged(demo)
	c.turn(s, forward)
	return s, c
}

func TestLoop_ACarrierSendsACallBack_MaxForwardsEndsIt(t *testing.T) {
	t.Parallel()
	s, c := mad(t, 0, func(n int) int { return n - 1 })
	caller, err := s.customer("4930123").Dial(t.Context(), softphone.Dial{To: "4930999", Hops: 20})
	require.NoError(t, err)
	require.NoError(t, caller.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 483, caller.Status().Code)
	require.Equal(t, 6, c.count(), "from 20 to 10, two at a time: the carrier takes one as well")
	s.empty()
}

func TestLoop_ACarrierThatBeginsMaxForwardsAnew_IsBoundedByTheTrunksLimit(t *testing.T) {
	t.Parallel()
	s, c := mad(t, 8, func(int) int { return 70 })
	caller, err := s.customer("4930123").Dial(t.Context(), softphone.Dial{To: "4930999"})
	require.NoError(t, err)
	require.NoError(t, caller.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 4, c.count(), "each turn is two calls of the trunk: one in, one out")
	s.empty()
}

func TestLimit_AFullTrunk_NothingGoesOutByIt(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) { w.trunks[0].Host, w.trunks[0].Limit = carrier.Addr(), 3 })
	p := s.phone("1001", "UDP")
	one, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, outward(in))
	require.NoError(t, s.rings(carrier).Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)

	_, in = s.dial(s.customer("4930124"), softphone.Dial{})
	e := s.wait(s.ring(in, outward(in)))
	require.Equal(t, call.RingTrunkBusy, e.Outcome)
	require.Equal(t, 503, e.SIPCode)
	require.Equal(t, 1, carrier.Invites())

	r := outward(in)
	r.Offer, r.Targets = order(in, 2).Offer, append(r.Targets, leg.Address{Device: "1001", Kind: leg.SIP})
	done = s.ring(in, r)
	require.NoError(t, s.rings(p).Answer(), "the agent's other address rings all the same")
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)

	third := s.customer("4930125")
	full, err := third.Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	require.NoError(t, full.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 486, full.Status().Code, "nor does anything come in")

	require.NoError(t, one.HangUp())
	s.w.waitFact(t, s.w.waitCall(t, 0).Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.Eventually(t, func() bool { return s.index.busy(trunkKey(demo, "loopback")) == 1 }, 20*time.Second, time.Millisecond)
}

// A number outside that the tenant does not let be dialled is not, whatever its address has been kept since.
func TestOutbound_ABarredNumber_IsNotDialled(t *testing.T) {
	t.Parallel()
	carrier := beyond(t)
	s := play(t, func(_ *Config, w *world) {
		w.trunks[0].Host, w.barred = carrier.Addr(), map[string]string{mobile: "it is at premium rate"}
	})
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, outward(in))).Outcome)
	s.w.change(func() { s.w.routes = map[string]string{mobile: "loopback"} })
	r := outward(in)
	r.Offer = order(in, 2).Offer
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, r)).Outcome)
	require.Zero(t, carrier.Invites())
}
