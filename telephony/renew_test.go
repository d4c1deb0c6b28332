package telephony

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

// giveUp closes the calls of the node's present run in the registry, as its guard does.
func (s *stage) giveUp() (old string) {
	old = s.Boot()
	s.w.change(func() { s.w.givenUp = old })
	s.w.until(s.t, "the node beats under another boot", func() bool {
		return len(s.w.beats) > 0 && s.w.beats[len(s.w.beats)-1].Boot != old
	})
	return old
}

func quickBeat(c *Config, _ *world) { c.Beat = 20 * time.Millisecond }

func TestNode_ItsRunWasGivenUp_TalkingLegsGetByeAndNewCallsBelongToANewRun(t *testing.T) {
	t.Parallel()
	s := play(t, quickBeat)
	customer, agent, in := s.connected()
	old := s.giveUp()
	require.Equal(t, old, in.Boot)
	for _, c := range []*softphone.Call{customer, agent} {
		require.NoError(t, c.Wait(s.soon(), softphone.Ended))
		require.Contains(t, c.Status().Reason, "Temporary failure")
	}
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.NodeLost})
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.NodeLost})

	_, next := s.dial(s.customer("4930124"), softphone.Dial{})
	require.NotEqual(t, old, next.Boot)
	require.Equal(t, s.Boot(), next.Boot)
	require.Equal(t, "boot-1", old)
}

func TestNode_ItsRunWasGivenUp_RingingPhonesAndTheirCallerAreLetGo(t *testing.T) {
	t.Parallel()
	s := play(t, quickBeat)
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	done := s.ring(in, order(in, 1, "1001"))
	rung := s.rings(p)
	s.giveUp()
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	require.NoError(t, rung.Wait(s.soon(), softphone.Ended))
	require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 503, customer.Status().Code)
}

// Temporal and the database may both say it, one after the other: it is one new run.
func TestNode_ItsRunWasGivenUp_IsToldTwice_BeginsOnce(t *testing.T) {
	t.Parallel()
	s := play(t, quickBeat)
	customer, _, in := s.connected()
	s.Renew(in.Boot)
	renewed := s.Boot()
	require.NotEqual(t, in.Boot, renewed)
	s.Renew(in.Boot)
	require.Equal(t, renewed, s.Boot())
	require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
}

// What only this node reaches was taken out of the directory with its run: it is told
// again as the new run's.
func TestNode_ItsRunWasGivenUp_ItsPhonesAreToldAgain(t *testing.T) {
	t.Parallel()
	s := play(t, quickBeat)
	s.phone("1001", "TCP")
	s.phone("1002", "UDP")
	old := s.giveUp()
	s.w.until(t, "both are the new run's", func() bool {
		mine := 0
		for _, r := range s.w.regs {
			if r.Boot == s.Boot() {
				mine++
			}
		}
		return mine == 2
	})
	s.w.mu.Lock()
	first := s.w.phoneLog[0]
	s.w.mu.Unlock()
	require.Equal(t, old, first.Boot)
}

// A call that was let in while the run was given up ends as well.
func TestNode_ItsRunWasGivenUpWhileACallIsTaken_ItEnds(t *testing.T) {
	t.Parallel()
	inside, on := make(chan struct{}), make(chan struct{})
	s := play(t, quickBeat, func(_ *Config, w *world) {
		w.opening = func(context.Context, call.Incoming) { close(inside); <-on }
	})
	customer, err := s.customer("4930123").Dial(t.Context(), softphone.Dial{To: "8000"})
	require.NoError(t, err)
	<-inside
	s.giveUp()
	close(on)
	require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
	require.Equal(t, 503, customer.Status().Code)
}
