package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// A node dies for good while another lives: its calls end, whoever has a phone that only
// the dead one reached is NotReady(DEVICE_LOST), the others come free; the next callers
// are served through the living node.
func TestNodeDiesForGood_ItsCallsEndAndTheLivingNodeServesTheNext(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 3})
	side := hall.AddNode(t, "node-2")
	talks := ten.AgentAt(side, 1, "TCP")
	customer := ten.CallAt(side, "4936000", "8000")
	rung := talks.Answered()
	ten.Talk(customer, rung)
	talks.Wait("Busy")
	idle := ten.AgentAt(side, 2, "TCP")
	near := ten.AgentAt(side, 3, "UDP")

	side.Kill()
	recorded(ten, "node_lost")
	talks.Wait("NotReady(DEVICE_LOST)")
	idle.Wait("NotReady(DEVICE_LOST)")
	require.Equal(t, "Ready", near.View().State, "any node reaches this phone")
	next := ten.Call("4936001", "8000")
	served := near.Answered()
	ten.Talk(next, served)

	for _, a := range []*stage.Agent{talks, idle} {
		a.Move()
		readyAgain(t, a)
	}
	more := ten.Call("4936002", "8000")
	ten.Talk(more, talks.Answered())
}

// Only a node's connection to Temporal is cut while two talk, for longer than its guard
// waits for it: they talk on, nobody is told that the call is over, and what happened is
// recorded when the connection is back.
func TestNodeIsCutOffFromTemporal_TheyTalkOnAndTheRecordIsRight(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{WrapUp: 2 * time.Second, Agents: 2, Ring: time.Minute})
	side := hall.AddNode(t, "node-3")
	a := ten.AgentAt(side, 1, "TCP")
	customer := ten.CallAt(side, "4936100", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")

	b := ten.AgentAt(side, 2, "TCP")
	side.Temporal.Cut()
	newcomer := ten.CallAt(side, "4936101", "8000")
	other := b.Offered()        // rings for long, and this node alone knows of it
	side.Asked(t, "Witness", 4) // once its guard would have given it up; and more
	require.NoError(t, other.Answer())
	ten.Talk(newcomer, other)
	ten.Talk(customer, rung)
	require.Equal(t, "Busy", a.View().State)
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	over := time.Now()
	require.Equal(t, "Busy", a.View().State, "nobody can know yet")

	side.Temporal.Mend()
	call := ten.WaitCall("end", func(c stage.CallView) bool { return c.From == "4936100" && c.Phase == "Ended" })
	require.Equal(t, "hangup", call.Cause)
	wrapUp := a.Wait("WorkingAfterCall")
	require.True(t, wrapUp.WrapUpUntil.After(over))
	a.Wait("Ready")
	b.Wait("Busy")
	ten.Talk(newcomer, other)
	require.NoError(t, other.HangUp())
	b.Wait("WorkingAfterCall")
	b.Wait("Ready")
	again := ten.CallAt(side, "4936102", "8000")
	ten.Talk(again, a.Answered())
	for _, s := range []*stage.Agent{a, b} {
		require.NotContains(t, ten.Watch.States(s.Number), "NotReady(RONA)")
	}
}

// A node is cut off from Temporal and from the database: nobody can tell it from a dead
// one, its calls are closed. When it is back it ends their legs, and is trusted again.
func TestNodeIsCutOffFromEverything_ItEndsWhatWasClosedAndIsTrustedAgain(t *testing.T) {
	t.Run("the database hears it first", func(t *testing.T) {
		comesBack(t, "node-4", func(n *stage.SideNode) (first, then *stage.Wire) { return n.Postgres, n.Temporal })
	})
	t.Run("Temporal hears it first", func(t *testing.T) {
		comesBack(t, "node-5", func(n *stage.SideNode) (first, then *stage.Wire) { return n.Temporal, n.Postgres })
	})
}

func comesBack(t *testing.T, name id.Node, order func(*stage.SideNode) (first, then *stage.Wire)) {
	ten := hall.Tenant(t, stage.Plan{})
	side := hall.AddNode(t, name)
	a := ten.AgentAt(side, 1, "TCP")
	customer := ten.CallAt(side, "4936200", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")

	side.Temporal.Cut()
	side.Postgres.Cut()
	recorded(ten, "node_lost")
	a.Wait("NotReady(DEVICE_LOST)")
	ten.Talk(customer, rung)

	from := side.LogSize()
	first, then := order(side)
	first.Mend()
	for _, c := range []*softphone.Call{customer, rung} {
		require.Contains(t, ten.WaitEnded(c).Reason, "Temporary failure")
	}
	require.NoError(t, side.Logged(back(t), from, "it goes on under another boot"))
	then.Mend()
	readyAgain(t, a) // its phone is known again, though it did not register anew
	again := ten.CallAt(side, "4936201", "8000")
	rung = a.Answered()
	ten.Talk(again, rung)
	side.Guarded(t) // it has heard of the new run and told the calls of those before: not this one
	ten.Talk(again, rung)
	require.NoError(t, rung.HangUp())
	recorded(ten, "hangup")
	a.Wait("Ready")
}

// readyAgain makes an agent Ready as soon as its session knows of the phone.
func readyAgain(t *testing.T, a *stage.Agent) {
	t.Helper()
	require.Eventually(t, func() bool {
		return a.Try(http.MethodPost, "/v1/agent-session/ready", nil).Status == http.StatusOK
	}, stage.Patience, 100*time.Millisecond)
}
