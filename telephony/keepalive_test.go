package telephony

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/telephony/softphone"
	"holdfast/telephony/transaction"
)

// everyMoment asks phones often; each has a third of the interval for its answer, and three attempts.
func everyMoment(c *Config, _ *world) { c.KeepAlive = 600 * time.Millisecond }

func TestKeepAlive_APhoneOnTCPThatFallsSilent_IsLost(t *testing.T) {
	t.Parallel()
	s := play(t, everyMoment)
	p := s.stream()
	p.register(1)
	for range 2 {
		ask := p.read().(*sip.Request)
		require.Equal(t, sip.OPTIONS, ask.Method)
		require.Equal(t, "phone.invalid", ask.Recipient.Host)
		p.answer(ask, 405, "") // it knows no OPTIONS, but it is there
	}
	s.w.mu.Lock()
	require.Len(t, s.w.phoneLog, 1, "a phone that answers whatever stays")
	s.w.mu.Unlock()
	s.waitPhone("lost", "1001", went) // it answers no more
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.Equal(t, call.RingUnreachable, s.wait(s.ring(in, order(in, 1, "1001"))).Outcome)
	require.Eventually(t, func() bool { return s.layer.Stats().ConnsAlive == 0 }, 20*time.Second, time.Millisecond,
		"the connection is closed, so that a phone that lives registers anew")

	back := s.stream()
	back.register(3)
	require.Equal(t, sip.OPTIONS, back.read().(*sip.Request).Method, "it begins anew")
}

func TestKeepAlive_APhoneBehindNATOnUDP_IsAskedThroughItsMapping(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := play(t, everyMoment, func(c *Config, _ *world) {
		c.Trace = func(sent bool, _ transaction.Flow, data []byte) {
			if sent && strings.HasPrefix(string(data), "OPTIONS ") {
				asked.Add(1)
			}
		}
	})
	n := s.nat()
	p, err := softphone.New(t.Context(), softphone.Config{Server: n.inside.LocalAddr().String(), User: "1001", Domain: string(demo), Password: password})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	require.NoError(t, p.Register(s.soon(), time.Minute))
	require.Eventually(t, func() bool { return asked.Load() >= 4 }, 10*time.Second, time.Millisecond)
	s.w.mu.Lock()
	require.Len(t, s.w.phoneLog, 1, "it answers and stays")
	s.w.mu.Unlock()
	require.Positive(t, samples(t, s.Node, "holdfast_telephony_keepalive_seconds"), "how long the phone took is told")
	p.Vanish()
	s.waitPhone("lost", "1001", went)
}

func TestKeepAlive_APhoneOnItsOwnAddress_IsLeftAlone(t *testing.T) {
	t.Parallel()
	s := play(t, everyMoment)
	p := s.phone("1001", "UDP")
	behind := s.stream()
	behind.register(1)
	for range 3 {
		behind.answer(behind.read().(*sip.Request), 200, "")
	}
	p.Vanish()
	for range 6 {
		behind.answer(behind.read().(*sip.Request), 200, "")
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, r := range s.w.phoneLog {
		require.True(t, came(r), "nothing keeps its way open, and nothing is to be kept")
	}
}

// samples is how many values a histogram of the node has.
func samples(t *testing.T, n *Node, name string) (count uint64) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(n)
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			count += f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return count
}
