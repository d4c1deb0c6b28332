package telephony

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
	"holdfast/telephony/softphone"
)

func TestNode_CustomerHearsRingingThenTheAgent(t *testing.T) { // SEED-7, SEED-31, SEED-69
	t.Parallel()
	s := play(t)
	customer, agent, in := s.connected()
	require.Equal(t, "4930123", in.From)
	require.Equal(t, "8000", in.To)
	require.Equal(t, demo, in.Tenant)
	require.Equal(t, "loopback", in.Trunk)
	require.Equal(t, "4930123", agent.From, "SEED-75: the phone shows the caller's number")
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))

	require.NoError(t, customer.HangUp())
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	require.Equal(t, `Q.850;cause=16;text="Normal call clearing"`, agent.Status().Reason)
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "customer", Cause: leg.Hangup, Remote: true})
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.Hangup})
	s.empty()
}
