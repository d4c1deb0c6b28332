package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// The agent's phone holds a connection to one node, the customer calls at another: it
// rings, they talk and hear one another, either hangs up, and the call is recorded.
func TestAPhoneOfAnotherNode_RingsTalksAndEitherHangsUp(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	side := hall.AddNode(t, "node-5")
	a := ten.AgentAt(side, 1, "TCP")
	for _, who := range []string{"agent", "customer"} {
		customer := ten.Call("4937000-"+who, "8000")
		rung := a.Answered()
		ten.Talk(customer, rung)
		if who == "agent" {
			require.NoError(t, rung.HangUp())
			ten.WaitEnded(customer)
		} else {
			require.NoError(t, customer.HangUp())
			ten.WaitEnded(rung)
		}
		call := ten.WaitCall("end", func(c stage.CallView) bool { return c.From == "4937000-"+who && c.Phase == "Ended" })
		require.Equal(t, "hangup", call.Cause)
		a.Wait("Ready")
	}
	given := ten.Call("4937001", "8000") // who gives up while it rings
	rung := a.Offered()
	require.NoError(t, given.HangUp())
	ten.WaitEnded(rung)
	a.Wait("Ready")
	require.NotContains(t, ten.Watch.States(a.Number), "NotReady(DEVICE_LOST)")
}

// A phone whose connection stays open but which answers nothing any more is lost: the
// agent is offered no call that nobody would hear.
func TestAPhoneFallsSilent_ItsAgentIsNotReadyDeviceLost(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	p := ten.NewPhone("1001", softphone.Config{Transport: "TCP"})
	require.NoError(t, p.Register(ten.Context(), 5*time.Minute))
	a := ten.Signed("1001")
	a.Ready()
	p.Freeze()
	a.Wait("NotReady(DEVICE_LOST)")
	a.Move()
	readyAgain(t, a)
	ten.Talk(ten.Call("4937100", "8000"), a.Answered())
}

// What `holdfast call` says that it hears is what comes: when the node dies, it says that
// nothing does.
func TestHoldfastCall_TheNodeDies_ItHearsNothingAnyMore(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	side := hall.AddNode(t, "node-6")
	a := ten.AgentAt(side, 1, "UDP")
	type ended struct {
		stage.Ran
		err error
	}
	over := make(chan ended, 1)
	go func() {
		ran, err := hall.Command(ten.Context(), "", "call", "8000", "--server", side.SIP(), "--ip", ten.Trunk().String(), "--domain", ten.Domain,
			"--from", "4937200", "--tone", "1000", "--for", "8s")
		over <- ended{ran, err}
	}()
	rung := a.Answered()
	require.NoError(t, rung.Audio.WaitTone(ten.Context(), stage.CustomerTone))
	require.NoError(t, rung.Audio.WaitPackets(ten.Context(), 100)) // 2 s
	side.Kill()
	e := <-over
	require.NoError(t, e.err)
	require.Regexp(t, `hears 440 Hz\n(.*\n)*.*hears nothing any more: no packets come\n`, e.Out)
	require.Regexp(t, `heard .*440 Hz for [1-4]\.\d s`, e.Out, "not for all of the 8 s")
}
