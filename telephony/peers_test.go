package telephony

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/telephony/softphone"
)

// lost takes a node out of the world without a word, and its row out of the registry.
func (s *stage) lost() {
	s.t.Helper()
	s.w.change(func() { s.w.forgetful = true })
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	_ = s.Stop(ctx)
	s.w.change(func() {
		s.w.beats = slices.DeleteFunc(s.w.beats, func(d device.Node) bool { return d.Name == s.conf.Name })
	})
}

// aged makes a node's connections look as if they had not been used for a while, and copies what it has.
func (p *peers) aged(by time.Duration) map[string]line {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[string]line{}
	for addr, l := range p.lines {
		l.used = l.used.Add(-by)
		found[addr] = *l
	}
	return found
}

func often(c *Config, _ *world) { c.Refresh = 100 * time.Millisecond }

func TestPeers_ANodeIsGoneForGood_ItsConnectionIsForgottenAfterTheLastLeg(t *testing.T) {
	t.Parallel()
	a, b := two(t, often)
	customer, _, _ := across(t, a, b, a.phone("1001", "TCP"))
	require.Contains(t, b.peers.aged(time.Minute), a.tcp)
	a.lost()
	require.Eventually(t, func() bool { return b.peers.aged(0)[a.tcp].failed > 0 }, 10*time.Second, time.Millisecond, "for the leg's sake it is dialled")
	require.Eventually(t, func() bool {
		b.peers.mu.Lock()
		defer b.peers.mu.Unlock()
		return len(b.peers.nodes) == 0
	}, 10*time.Second, time.Millisecond)
	b.peers.forget()
	require.Contains(t, b.peers.aged(0), a.tcp)
	require.NoError(t, customer.HangUp())
	b.empty()
	require.Eventually(t, func() bool { return len(b.peers.aged(0)) == 0 }, 10*time.Second, time.Millisecond)
}

func TestPeers_ANodeIsThere_ItsConnectionStays(t *testing.T) {
	t.Parallel()
	a, b := two(t, often)
	p := a.phone("1001", "TCP")
	a.waitPhone("registered", "1001", came)
	_, in := b.dial(b.customer("4930123"), softphone.Dial{})
	done := b.ring(in, order(in, 1, "1001"))
	require.NoError(t, b.rings(p).Reject(486))
	require.Equal(t, call.RingBusy, b.wait(done).Outcome)
	require.Contains(t, b.peers.aged(time.Minute), a.tcp)
	b.peers.forget()
	require.Contains(t, b.peers.aged(0), a.tcp)
	a.lost()
	require.Eventually(t, func() bool { return len(b.peers.aged(0)) == 0 }, 10*time.Second, time.Millisecond)
}

func TestPeers_ANodeThatWasRungJustNow_IsNotForgotten(t *testing.T) {
	t.Parallel()
	s := play(t)
	s.peers.hold("127.0.0.1:1", "127.0.0.1:1")
	s.peers.forget()
	require.Contains(t, s.peers.aged(2*lookupTime), "127.0.0.1:1")
	s.peers.forget()
	require.Empty(t, s.peers.aged(0))
}

func TestPeers_ANodeDoesNotAnswer_ItIsNotDialledBeforeThePauseIsOver(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Refresh = time.Hour })
	addr := hole(t)
	until := func(d time.Duration) {
		s.peers.mu.Lock()
		defer s.peers.mu.Unlock()
		now := s.now()
		s.peers.lines[addr] = &line{node: addr, used: now, pinged: now, next: now.Add(d)}
	}
	until(time.Hour)
	s.peers.keep()
	require.False(t, s.peers.aged(0)[addr].dialling)
	until(0)
	s.peers.keep()
	require.Eventually(t, func() bool { l := s.peers.aged(0)[addr]; return l.failed == 1 && !l.dialling }, 20*time.Second, time.Millisecond)
	require.True(t, s.peers.aged(0)[addr].next.After(s.now()))
}

func TestLine_DialsThatFail_AreFurtherAndFurtherApart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var pauses []time.Duration
	var l line
	for range 8 {
		l.dialled(errors.New("no answer"), now)
		pauses = append(pauses, l.next.Sub(now))
	}
	const s = time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, redialMost, redialMost, redialMost}, pauses)
	l.dialled(nil, now)
	require.True(t, l.next.IsZero())
	l.dialled(errors.New("no answer"), now)
	require.Equal(t, s, l.next.Sub(now), "it was there meanwhile")
}
