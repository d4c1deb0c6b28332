package telephony

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/telephony/softphone"
)

// talkers are a customer and an agent who talk, with phones of that kind.
func (s *stage) talkers(customer, agent softphone.Config) (c, a *softphone.Call, in call.Incoming) {
	s.t.Helper()
	make := func(conf softphone.Config) *softphone.Phone {
		conf.Server = s.udp
		p, err := softphone.New(s.t.Context(), conf)
		require.NoError(s.t, err)
		s.t.Cleanup(p.Close)
		return p
	}
	customer.User, agent.User, agent.Domain, agent.Password = "4930123", "1001", string(demo), password
	p := make(agent)
	require.NoError(s.t, p.Register(s.soon(), time.Hour))
	c, in = s.dial(make(customer), softphone.Dial{Tone: 1000})
	done := s.ring(in, order(in, 1, "1001"))
	a = s.rings(p)
	a.Audio.Say(440)
	require.NoError(s.t, a.Answer())
	require.Equal(s.t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(s.t, c.Wait(s.soon(), softphone.Up))
	require.NoError(s.t, c.Audio.WaitTone(s.soon(), 440))
	require.NoError(s.t, a.Audio.WaitTone(s.soon(), 1000))
	return c, a, in
}

func (s *stage) informs(c *softphone.Call, kind, body string) int {
	s.t.Helper()
	code, err := c.Info(s.soon(), softphone.Info{Type: kind, Body: body})
	require.NoError(s.t, err)
	return code
}

const relayed = "application/dtmf-relay"

// Digits that a phone tells by INFO are heard by the other one as telephone-events, both ways (telephony.md §4, §6.19).
func TestInfo_Digits_BecomeEventsAtTheOtherEar(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, _ := s.talkers(softphone.Config{}, softphone.Config{})
	for who, pair := range map[string][2]*softphone.Call{"agent": {agent, customer}, "customer": {customer, agent}} {
		from, to := pair[0], pair[1]
		require.Equal(t, 200, s.informs(from, relayed, "Signal=5\r\nDuration=240\r\n"), who)
		require.Equal(t, 200, s.informs(from, "application/dtmf", "#"))
		require.Equal(t, 200, s.informs(from, relayed+";charset=utf-8", "Signal= 10\nDuration= 100"))
		require.Equal(t, 200, s.informs(from, relayed, "signal=d"))
		require.NoError(t, to.Audio.WaitDigits(s.soon(), 4))
		heard := to.Audio.Heard()
		require.Equal(t, "5#*D", heard.Digits)
		for i, duration := range []time.Duration{240, 160, 100, 160} {
			require.Equal(t, softphone.Press{Digit: "5#*D"[i], Duration: duration * time.Millisecond, Packets: int(duration+19)/20 + 2, Markers: 1, Ends: 3}, heard.Presses[i])
		}
		require.Zero(t, heard.Lost)
		require.Equal(t, 1, heard.SSRCs)
	}
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440), "they go on talking")
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
	require.Empty(t, customer.Infos())
	require.Empty(t, agent.Infos())
	require.NoError(t, customer.HangUp())
	s.empty()
}

// A phone that did not agree on telephone-event gets the INFO itself, and its answer goes back.
func TestInfo_ThePartnerKnowsNoEvents_TheInfoIsPassedOn(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, _ := s.talkers(softphone.Config{NoDigits: true}, softphone.Config{})
	const body = "Signal=5\r\nDuration=240\r\n"
	require.Equal(t, 200, s.informs(agent, relayed, body))
	require.Equal(t, []softphone.Info{{Type: relayed, Body: body}}, customer.Infos())
	require.Empty(t, customer.Audio.Heard().Digits)
	require.NoError(t, agent.HangUp())
	s.empty()
}

func TestInfo_ThePartnerRefusesIt_TheSenderIsTold(t *testing.T) {
	t.Parallel()
	for theirs, told := range map[int]int{415: 415, 405: 501, 501: 501, 500: 500, 480: 500} {
		s := play(t)
		customer, agent, _ := s.talkers(softphone.Config{}, softphone.Config{NoDigits: true, RefuseInfo: theirs})
		require.Equal(t, told, s.informs(customer, relayed, "Signal=5"), theirs)
		require.NoError(t, agent.HangUp())
	}
}

// A phone that sends more keys than a hand can press: those that are too many fail one by one, and nothing else does.
func TestInfo_MoreThanAHandCanPress_IsRefused(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, _ := s.talkers(softphone.Config{NoDigits: true}, softphone.Config{})
	told := map[int]int{}
	for n := range 5 * infoBurst {
		code := s.informs(agent, relayed, "Signal=5")
		told[code]++
		require.False(t, n < infoBurst && code != 200, "%d: %d", n, code)
	}
	require.Positive(t, told[503])
	require.Len(t, customer.Infos(), told[200])
	require.Equal(t, 5*infoBurst, told[200]+told[503])
	require.Eventually(t, func() bool { return s.informs(agent, relayed, "Signal=6") == 200 }, 5*time.Second, infoEvery)
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440), "they go on talking")
	require.NoError(t, agent.HangUp())
	s.empty()
}

// A party that answers no INFO is not sent one after the other.
func TestInfo_ThePartnerIsSilent_FewAreInFlight(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, _ := s.talkers(softphone.Config{NoDigits: true, RefuseInfo: -1}, softphone.Config{})
	codes := make(chan int, infoFlying)
	var all sync.WaitGroup
	for range infoFlying {
		all.Go(func() {
			code, err := agent.Info(s.within(time.Minute), softphone.Info{Type: relayed, Body: "Signal=5"})
			if err != nil {
				t.Errorf("INFO: %v", err)
			}
			codes <- code
		})
	}
	require.Eventually(t, func() bool { return len(customer.Infos()) >= infoFlying }, 10*time.Second, time.Millisecond)
	require.Equal(t, 503, s.informs(agent, relayed, "Signal=6"))
	all.Wait()
	for range infoFlying {
		require.Equal(t, 500, <-codes)
	}
	require.NoError(t, agent.HangUp())
	s.empty()
}

func TestInfo_WhatIsNoDigit(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, agent, _ := s.talkers(softphone.Config{}, softphone.Config{})
	require.Equal(t, 415, s.informs(agent, "application/media_control+xml", "<x/>"))
	require.Equal(t, 400, s.informs(agent, relayed, "Signal=x"))
	require.Equal(t, 400, s.informs(agent, relayed, "Duration=100"))
	require.Equal(t, 400, s.informs(agent, "application/dtmf", strings.Repeat("1", 100)))
	require.NoError(t, customer.Hold(s.soon(), true)) // the agent hears music, the customer nothing
	require.Equal(t, 200, s.informs(agent, relayed, "Signal=5"))
	require.Empty(t, customer.Audio.Heard().Digits)
	require.Empty(t, customer.Infos())
	require.NoError(t, customer.HangUp())
}
