package telephony

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
	"holdfast/telephony/transaction"
)

func TestNode_BeatsWithItsBootAndCalls(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Beat = 20 * time.Millisecond })
	s.w.until(t, "the first beat", func() bool { return len(s.w.beats) > 0 })
	s.dial(s.customer("4930123"), softphone.Dial{})
	s.w.until(t, "a beat with a call", func() bool { return s.w.beats[len(s.w.beats)-1].Calls == 1 })
	s.w.mu.Lock()
	b := s.w.beats[len(s.w.beats)-1]
	s.w.mu.Unlock()
	require.Equal(t, "boot-1", b.Boot)
	require.Equal(t, s.udp, b.Address)
	require.False(t, b.Drain)
	require.False(t, b.Seen.Before(b.Started))
}

func TestNode_Draining_RefusesNewCallersAndWaitsForLiveCalls(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Beat = 20 * time.Millisecond })
	customer, agent, in := s.connected()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	s.w.until(t, "the registry knows", func() bool { return s.w.beats[len(s.w.beats)-1].Drain })
	r := s.raw()
	r.request("INVITE", offerPCMU)
	require.NotNil(t, r.expect(503, "INVITE").GetHeader("Retry-After"))
	require.NoError(t, agent.Hold(s.soon(), true), "a live call is served as ever")
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: "agent-1", Held: true})
	require.NoError(t, customer.HangUp())
	select {
	case err := <-stopped:
		require.NoError(t, err)
	case <-s.soon().Done():
		require.FailNow(t, "the node does not stop")
	}
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	require.NoError(t, s.Stop(t.Context()), "again: nothing happens")
}

func TestNode_StoppedInAHurry_EndsItsCallsWithBye(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, in := s.connected()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.Stop(ctx), "calls that had to be ended: 1")
	for _, c := range []*softphone.Call{customer, agent} {
		require.NoError(t, c.Wait(s.soon(), softphone.Ended))
		require.Contains(t, c.Status().Reason, "Temporary failure")
	}
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.NodeLost})
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.NodeLost})
}

func TestNode_StopBeforeStart_AndStartTwice(t *testing.T) {
	t.Parallel()
	conf := Config{Name: "n", Boot: "b", Listen: []transaction.Endpoint{{Transport: "UDP", Addr: "127.0.0.1:0"}}, Log: slog.New(slog.DiscardHandler)}
	n, err := New(conf, nil, newWorld())
	require.NoError(t, err)
	require.NoError(t, n.Stop(t.Context()))
	require.Error(t, n.Start(t.Context()))

	n, err = New(conf, nil, newWorld())
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	require.Error(t, n.Start(t.Context()))
	require.NoError(t, n.Stop(t.Context()))
}

func TestNode_ATakenPortFailsTheStart(t *testing.T) {
	t.Parallel()
	s := play(t)
	n, err := New(Config{
		Name: "n", Boot: "b", Listen: []transaction.Endpoint{{Transport: "TCP", Addr: s.tcp}}, Log: slog.New(slog.DiscardHandler),
	}, s.w, s.w)
	require.NoError(t, err)
	require.ErrorContains(t, n.Start(t.Context()), s.tcp)
	require.NoError(t, n.Stop(t.Context()))
}

func TestNode_ConfigurationThatCannotWork_IsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Config{MaxCalls: -1, Listen: []transaction.Endpoint{{Transport: "SCTP"}}}, nil, newWorld())
	for _, part := range []string{"no name", "boot", "SCTP", "negative"} {
		require.ErrorContains(t, err, part)
	}
}

func TestNode_WithoutHandler_503UntilThereIsOne(t *testing.T) {
	t.Parallel()
	s := play(t)
	n, err := New(s.conf, nil, s.w)
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { ctx, cancel := context.WithCancel(context.Background()); cancel(); _ = n.Stop(ctx) })
	late := &stage{Node: n, w: s.w, t: t, udp: n.Addr("UDP")}
	r := late.raw()
	r.request("INVITE", offerPCMU)
	r.expect(503, "INVITE")
	n.SetHandler(s.w)
	late.dial(late.customer("4930123"), softphone.Dial{})
}

func TestNode_CountsWhatHappens(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, _, _ := s.connected()
	require.NoError(t, customer.HangUp())
	s.empty()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(s.Node))
	families, err := reg.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			counted[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	require.Equal(t, 1.0, counted["holdfast_telephony_calls_total"])
	require.Equal(t, 1.0, counted["holdfast_telephony_calls_ended_total hangup"])
	require.Equal(t, 1.0, counted["holdfast_telephony_rings_total answered"])
	require.Equal(t, 1.0, counted["holdfast_telephony_registrations_total 200"])
	require.Equal(t, 0.0, counted["holdfast_telephony_calls"])
	require.Positive(t, counted["holdfast_telephony_sip_received_total"])
}

func TestNode_DatabaseAway_CallersAreRefusedWithRetryAfter(t *testing.T) {
	t.Parallel()
	s := play(t, func(_ *Config, w *world) {
		w.refusal = fault.E(fault.Unavailable, "open", errors.New("the database is away"))
	})
	r := s.raw()
	r.request("INVITE", offerPCMU)
	require.NotNil(t, r.expect(503, "INVITE").GetHeader("Retry-After"))
}

// What is kept per talking pair must stay below 64 KB in the node; here phones and customers live in the same process
// but are made before the first measurement, and their calls are raw bytes.
func TestNode_ALiveTwoPartyCallIsLight(t *testing.T) { // not parallel: it measures the whole process
	s := play(t)
	const pairs = 200
	type pair struct {
		customer, agent *raw
		in              call.Incoming
	}
	list := make([]pair, pairs)
	for i := range list {
		list[i] = pair{customer: s.raw(), agent: s.raw()}
	}
	before := footprint()
	goroutines := runtime.NumGoroutine()
	for i := range list {
		p := &list[i]
		n := s.w.calls()
		branch := p.customer.request("INVITE", offerPCMU)
		p.in = s.w.waitCall(t, n)
		reg := registration("1001", p.agent.me)
		s.w.change(func() { clear(s.w.regs); s.w.regs["1001"] = reg })
		done := s.ring(p.in, order(p.in, 1, "1001"))
		p.agent.answer(p.agent.expectRequest("INVITE"), 200, "a", offerPCMU)
		require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
		p.agent.expectRequest("ACK")
		p.customer.expect(200, "INVITE")
		p.customer.ack(branch+"a", 1)
		s.confirmed(p.in)
	}
	s.w.change(func() { s.w.facts, s.w.arrived = nil, nil })
	require.Equal(t, pairs, s.Calls())
	perCall := (footprint() - before) / pairs
	more := runtime.NumGoroutine() - goroutines
	t.Logf("%d live calls: %d bytes each, %d goroutines more", pairs, perCall, more)
	require.Less(t, perCall, int64(64<<10))
	require.LessOrEqual(t, more, pairs+8, "one goroutine per call, its actor")
}

// footprint is the memory in use: heap and stacks.
func footprint() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
