package faults

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/tests/stage"
)

// The histories of a call whose node was killed, and of its agent, replay.
func TestHistory_NodeIsKilled_Replays(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4935300", "8000")
	ten.Talk(customer, a.Answered())
	a.Wait("Busy")
	require.NoError(t, hall.Node.Restart(back(t)))
	lost := recorded(ten, "node_lost")
	a.Wait("Ready")
	hall.History(t, "node_killed", id.CallWorkflow(id.Tenant(ten.Domain), id.Call(lost.ID)))
	a.SignOut()
	hall.History(t, "node_killed", id.AgentWorkflow(id.Tenant(ten.Domain), id.Agent(a.Number)))
}

// The histories of a call, and of its agent, whose worker was killed while a phone rang
// and again while they talked, replay.
func TestHistory_WorkerIsKilledTwice_Replays(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4935400", "8000")
	rung := a.Offered()
	require.NoError(t, hall.Worker.Restart(back(t)))
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, hall.Worker.Restart(back(t)))
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	a.Wait("Ready")
	over := recorded(ten, "hangup")
	hall.History(t, "worker_killed_twice", id.CallWorkflow(id.Tenant(ten.Domain), id.Call(over.ID)))
	a.SignOut()
	hall.History(t, "worker_killed_twice", id.AgentWorkflow(id.Tenant(ten.Domain), id.Agent(a.Number)))
}
