package telephony

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/headers"
	"holdfast/telephony/softphone"
)

func TestRing_AllAddressesRing_FirstAnswerWins_OthersAreCancelledWithTheReason(t *testing.T) { // SEED-106, SEED-107, SEED-108
	t.Parallel()
	s := play(t)
	devices := []id.Device{"1001", "1002", "1003"}
	var phones []*softphone.Phone
	for i, d := range devices {
		phones = append(phones, s.phone(string(d), []string{"UDP", "TCP", "UDP"}[i]))
	}
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, devices...))
	var calls []*softphone.Call
	for _, p := range phones {
		calls = append(calls, s.rings(p))
	}
	s.w.waitFact(t, in.Call, call.Ringing{Offer: id.NewOffer(in.Call, 1)})
	require.NoError(t, calls[1].Answer())
	e := s.wait(done)
	require.Equal(t, call.RingAnswered, e.Outcome)
	require.Equal(t, id.Device("1002"), e.Device)
	require.Equal(t, id.Leg("agent-1"), e.Leg)
	require.False(t, e.RangAt.IsZero())
	require.False(t, e.AnsweredAt.Before(e.RangAt))
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	for _, i := range []int{0, 2} {
		require.NoError(t, calls[i].Wait(s.soon(), softphone.Ended))
		require.Equal(t, headers.AnsweredElsewhere.String(), calls[i].Status().Reason)
		require.Equal(t, 487, calls[i].Status().Code)
	}
	require.Equal(t, softphone.Up, calls[1].Status().State)
	require.NoError(t, customer.HangUp())
	s.empty()
}

func TestRing_TwoPhonesAnswerAtOnce_ExactlyOneIsConnected(t *testing.T) { // SEED-108
	t.Parallel()
	s := play(t)
	phones := []*softphone.Phone{s.phone("1001", "UDP"), s.phone("1002", "UDP"), s.phone("1003", "TCP")}
	for range 10 {
		customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
		done := s.ring(in, order(in, 1, "1001", "1002", "1003"))
		var calls []*softphone.Call
		for _, p := range phones {
			calls = append(calls, s.rings(p))
		}
		var wg sync.WaitGroup
		for _, c := range calls {
			wg.Go(func() { _ = c.Answer() }) // one that was cancelled already can't answer
		}
		wg.Wait()
		require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
		require.NoError(t, customer.Wait(s.soon(), softphone.Up))
		up := 0
		for _, c := range calls {
			require.Eventually(t, func() bool {
				st := c.Status().State
				return st == softphone.Ended || st == softphone.Up
			}, 20*time.Second, time.Millisecond)
		}
		require.Eventually(t, func() bool {
			up = 0
			for _, c := range calls {
				if c.Status().State == softphone.Up {
					up++
				}
			}
			return up == 1
		}, 20*time.Second, time.Millisecond, "the losers stay connected")
		for _, c := range calls {
			if st := c.Status(); st.State == softphone.Ended {
				require.Equal(t, headers.AnsweredElsewhere.String(), st.Reason)
			}
		}
		require.NoError(t, customer.HangUp())
		s.empty()
	}
}

func TestRing_CallerHangsUpWhileRinging_PhonesAreCancelledAndTheCallIsAbandoned(t *testing.T) {
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.NoError(t, s.Treat(s.soon(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	require.NoError(t, customer.Wait(s.soon(), softphone.Ringing))
	done := s.ring(in, order(in, 1, "1001", "1002"))
	a, b := s.rings(p), s.invited(q) // one rings, the other has said nothing but 100
	require.NoError(t, customer.HangUp())
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	for _, c := range []*softphone.Call{a, b} {
		require.NoError(t, c.Wait(s.soon(), softphone.Ended))
		require.Equal(t, `Q.850;cause=16;text="The caller hung up"`, c.Status().Reason)
	}
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "customer", Cause: leg.Abandoned, Remote: true})
	s.empty()
}

// The caller gives up in the same instant in which the agent answers, for every instant: whoever is first, there is one
// outcome, both ends learn it, and nobody is left on a call alone.
func TestRing_CallerHangsUpInTheInstantOfTheAnswer_NeverAGhostLeg(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	customers := s.customer("4930123")
	won := map[call.Outcome]int{}
	const answerAfter = 150 * time.Millisecond
	for at := time.Duration(0); at <= 300*time.Millisecond; at += 10 * time.Millisecond {
		offset := at
		if offset > 120*time.Millisecond && offset < 180*time.Millisecond { // in the middle every instant counts
			offset = answerAfter + (at-answerAfter)/30
		}
		customer, in := s.dial(customers, softphone.Dial{})
		done := s.ring(in, order(in, 1, "1001"))
		agent := s.rings(p)
		var wg sync.WaitGroup
		wg.Add(2)
		time.AfterFunc(answerAfter, func() { defer wg.Done(); _ = agent.Answer() })
		time.AfterFunc(offset, func() { defer wg.Done(); _ = customer.HangUp() })
		wg.Wait()
		e := s.wait(done)
		won[e.Outcome]++
		require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
		require.NoError(t, agent.Wait(s.soon(), softphone.Ended), "a ghost leg stays, offset %s, outcome %s", offset, e.Outcome)
		s.empty()
		s.checkEnds(in, e.Outcome)
	}
	require.Positive(t, won[call.RingAnswered], "%v", won)
	require.Positive(t, won[call.RingRescinded], "%v", won)
}

// checkEnds checks that a call had exactly one outcome and that each leg that was up ended once.
func (s *stage) checkEnds(in call.Incoming, outcome call.Outcome) {
	s.t.Helper()
	ends := map[id.Leg]int{}
	rings := 0
	for _, e := range s.w.of(in.Call) {
		switch e := e.(type) {
		case call.LegEnded:
			ends[e.Leg]++
		case call.RingEnded:
			rings++
			require.Equal(s.t, outcome, e.Outcome)
		}
	}
	want := map[id.Leg]int{call.CallerLeg: 1}
	if outcome == call.RingAnswered {
		want["agent-1"] = 1
	}
	require.Equal(s.t, want, ends)
	require.Equal(s.t, 1, rings)
}

func TestRing_NobodyAnswers_NoAnswerAndCancel(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	r.Timeout = 2 * time.Second // within which it has to ring
	done := s.ring(in, r)
	c := s.rings(p)
	e := s.wait(done)
	require.Equal(t, call.RingNoAnswer, e.Outcome)
	require.Equal(t, id.Agent("1001"), e.Agent, "whoever did not order the ring learns whose it was")
	require.Equal(t, 180, e.SIPCode)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, `Q.850;cause=19;text="No answer"`, c.Status().Reason)
}

func TestRing_PhonesRefuse_TheBestOutcomeIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		codes []int
		want  call.Outcome
		code  int
	}{
		{"busy", []int{486}, call.RingBusy, 486},
		{"declined", []int{603}, call.RingRejected, 603},
		{"do not disturb", []int{480}, call.RingRejected, 480},
		{"busy and declined", []int{486, 480}, call.RingRejected, 480},
		{"not found", []int{404}, call.RingUnreachable, 404},
		{"broken and busy", []int{500, 486}, call.RingBusy, 486},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := play(t)
			var devices []id.Device
			var phones []*softphone.Phone
			for i := range c.codes {
				d := id.Device([]string{"1001", "1002"}[i])
				devices = append(devices, d)
				phones = append(phones, s.phone(string(d), "UDP"))
			}
			_, in := s.dial(s.customer("4930123"), softphone.Dial{})
			done := s.ring(in, order(in, 1, devices...))
			for i, code := range c.codes {
				require.NoError(t, s.rings(phones[i]).Reject(code))
			}
			e := s.wait(done)
			require.Equal(t, c.want, e.Outcome)
			require.Equal(t, c.code, e.SIPCode)
		})
	}
}

func TestRing_ADeclineEverywhereStopsAllPhones(t *testing.T) { // RFC 3261 §16.7: 6xx
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001", "1002"))
	a, b := s.rings(p), s.rings(q)
	require.NoError(t, a.Reject(603))
	require.Equal(t, call.RingRejected, s.wait(done).Outcome)
	require.NoError(t, b.Wait(s.soon(), softphone.Ended))
}

func TestRing_WithoutRegistration_UnreachableAtOnce(t *testing.T) {
	t.Parallel()
	s := play(t)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001", "1002")
	r.Timeout = time.Minute // longer than wait
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, r)).Outcome)
}

func TestRing_APhoneThatIsSilent_IsUnreachableAfterTheTimeout(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	p.Vanish()
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	r.Timeout = 300 * time.Millisecond
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, r)).Outcome)
}

func TestRing_AllRegistrationsOfADeviceRing(t *testing.T) {
	t.Parallel()
	s := play(t)
	desk, mobile := s.phone("1001", "UDP"), s.phone("1001", "TCP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	a, b := s.rings(desk), s.rings(mobile)
	require.NoError(t, b.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, a.Wait(s.soon(), softphone.Ended))
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
}

func TestRing_Linear_OneAfterTheOther(t *testing.T) { // ring_method linear
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1003", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001", "1002", "1003")               // 1002 has no phone
	r.Method, r.Timeout = ringLinear, 4500*time.Millisecond // a third for each
	done := s.ring(in, r)
	a := s.rings(p)
	require.Zero(t, q.Invites(), "the second address rings too early")
	require.NoError(t, a.Wait(s.soon(), softphone.Ended))
	b := s.rings(q)
	require.GreaterOrEqual(t, b.Status().Times.Invited.Sub(a.Status().Times.Invited), 1400*time.Millisecond)
	require.NoError(t, b.Answer())
	e := s.wait(done)
	require.Equal(t, call.RingAnswered, e.Outcome)
	require.Equal(t, id.Device("1003"), e.Device)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
}

func TestRing_LinearBusyPhone_TheNextRingsAtOnce(t *testing.T) {
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001", "1002")
	r.Method = ringLinear
	done := s.ring(in, r)
	require.NoError(t, s.invited(p).Reject(486))
	require.NoError(t, s.rings(q).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
}

func TestRing_Single_OnlyTheChosenAddressRings(t *testing.T) { // SEED-117
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001", "1002")
	r.Method = ringSingle
	done := s.ring(in, r)
	require.NoError(t, s.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
	require.Zero(t, q.Invites())
}

func TestRing_AskedTwice_AttachesAndRingsOnce(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := order(in, 1, "1001")
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := s.Ring(ctx, ref(in), r); first <- err }()
	c := s.rings(p)
	leave()
	require.ErrorIs(t, <-first, context.Canceled)
	second := s.ring(in, r)
	require.NoError(t, c.Reject(486))
	e := s.wait(second)
	require.Equal(t, call.RingBusy, e.Outcome)
	require.Equal(t, e, s.wait(s.ring(in, r)), "a ring that has ended is remembered")
	require.Equal(t, 1, p.Invites())
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: leg.NoAnswer}))
	s.empty()
	require.Equal(t, e, s.wait(s.ring(in, r)), "also when the call is over")
}

func TestRing_WithoutTheCustomersLeg_NotFound(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.NoError(t, customer.HangUp())
	s.empty()
	for range 2 {
		_, err := s.Ring(t.Context(), ref(in), order(in, 1, "1001"))
		require.Equal(t, fault.NotFound, fault.KindOf(err))
	}
	require.Equal(t, fault.NotFound, fault.KindOf(s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic})))
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg}))
	require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: id.NewOffer(in.Call, 1)}))
}

func TestRing_TakenBack_PhoneIsCancelledAndTheWaiterLearnsIt(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	c := s.rings(p)
	require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: id.NewOffer(in.Call, 1), Cause: leg.Rescinded}))
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	require.NoError(t, c.Wait(s.soon(), softphone.Ended))
	require.Equal(t, `SIP;cause=487;text="Offer taken back"`, c.Status().Reason)
	require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: id.NewOffer(in.Call, 1)}), "again: a success")
}

func TestRing_TakenBackBeforeItBegan_NeverRings(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: id.NewOffer(in.Call, 1)}))
	require.Equal(t, call.RingRescinded, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
	require.Zero(t, p.Invites())
}

func TestRing_TheNextOfferTakesThePlaceOfTheFormer(t *testing.T) {
	t.Parallel()
	s := play(t)
	p, q := s.phone("1001", "UDP"), s.phone("1002", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	first := s.ring(in, order(in, 1, "1001"))
	a := s.rings(p)
	second := s.ring(in, order(in, 2, "1002"))
	b := s.rings(q)
	require.Equal(t, call.RingRescinded, s.wait(first).Outcome)
	require.NoError(t, a.Wait(s.soon(), softphone.Ended))
	require.NoError(t, b.Answer())
	e := s.wait(second)
	require.Equal(t, id.Leg("agent-2"), e.Leg)
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	_, err := s.Ring(t.Context(), ref(in), order(in, 3, "1001"))
	require.Equal(t, fault.Conflict, fault.KindOf(err), "the customer talks already")
}

func TestRing_TheDevicesHeadersSayWhatTheCallIs(t *testing.T) { // SEED-75, SEED-90
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	_, in := s.dial(s.customer("4930123"), softphone.Dial{From: "%2B4930123", Headers: map[string]string{"X-CC-Account": "A%207%0d%0aX-Evil: 1", "X-CC-Language": "de"}})
	require.Equal(t, "+4930123", in.From)
	require.Equal(t, map[string]string{"language": "de"}, in.Data, "a value with line ends is dropped")
	in.Data["city"] = "Zürich, \"Oerlikon\""
	r := order(in, 1, "1001")
	r.Queue = "support"
	done := s.ring(in, r)
	c := s.rings(p)
	require.Equal(t, "+4930123", c.From)
	require.Equal(t, string(in.Call), headers.Value(c.Invite, "X-CC-Call-ID"))
	require.Equal(t, "support", headers.Value(c.Invite, "X-CC-Queue"))
	data, dropped := headers.Attached(c.Invite)
	require.Zero(t, dropped)
	require.Equal(t, in.Data, data)
	require.NotContains(t, c.Invite.String(), "X-Evil")
	require.NoError(t, c.Reject(486))
	s.wait(done)

	r = order(in, 2, "1001")
	r.Queue, r.Data = "support\r\nX-Evil: 1", map[string]string{"a": "b\r\nX-Evil: 1"}
	done = s.ring(in, r)
	c = s.rings(p)
	require.NotContains(t, c.Invite.String(), "X-Evil")
	require.NoError(t, c.Reject(486))
	s.wait(done)
}

func TestRing_ARestartedNodeFindsThePhonesInTheDirectory(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	after := &stage{t: t, w: s.w}
	conf := s.conf
	conf.Boot = "boot-2"
	n, err := New(conf, s.w, s.w)
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { ctx, cancel := context.WithCancel(context.Background()); cancel(); _ = n.Stop(ctx) })
	after.Node, after.udp = n, n.Addr("UDP")
	customer, in := after.dial(after.customer("4930123"), softphone.Dial{})
	done := after.ring(in, order(in, 1, "1001"))
	require.NoError(t, after.rings(p).Answer())
	require.Equal(t, call.RingAnswered, after.wait(done).Outcome)
	require.NoError(t, customer.Wait(after.soon(), softphone.Up))
}

func TestRing_DirectoryAway_RegisteredPhonesRingAllTheSame(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	s.w.change(func() { s.w.away = fault.E(fault.Unavailable, "query", errors.New("the database is away")) })
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	require.NoError(t, s.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
}
