package faults

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// back bounds a restart.
func back(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// recorded waits until the tenant's call is Ended with that cause, and read again from
// the records.
func recorded(ten *stage.Tenant, cause string) stage.CallView {
	return ten.WaitCall("end with "+cause, func(c stage.CallView) bool { return c.Phase == "Ended" && c.Cause == cause })
}

// Temporal is away while a caller arrives: matched, connected, and recorded once it is back.
func TestTemporalIsAway_CallersAreMatchedTalkAndAreRecordedOnceItIsBack(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	a := ten.ReadyAgent(1)
	hall.Temporal.Kill()
	restarted := false
	defer func() {
		if !restarted {
			_ = hall.Temporal.Restart(back(t))
		}
	}()
	customer := ten.Call("4934300", "8000")
	rung := a.Answered()
	ten.WaitUp(customer)
	ten.Talk(customer, rung)
	waiting := ten.Call("4934400", "8000") // nobody is free: hears music
	ten.WaitUp(waiting)
	require.NoError(t, stage.WaitMusic(ten.Context(), waiting))
	behind := ten.Call("4934410", "8000")
	ten.WaitUp(behind)
	impatient := ten.Call("4934420", "8000")
	ten.WaitUp(impatient)
	require.NoError(t, impatient.HangUp())
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)

	ans := a.Try(http.MethodPost, "/v1/agent-session/not-ready", nil)
	require.Equal(t, http.StatusServiceUnavailable, ans.Status, "a command can't be taken now, and the answer says so: %s", ans.Body)
	require.NotEmpty(t, ans.Header.Get("Retry-After"))

	require.NoError(t, hall.Temporal.Restart(back(t)))
	restarted = true
	next := a.Answered() // the agent comes free, and the waiting caller is next
	require.Equal(t, "4934400", next.From)
	ten.Talk(waiting, next)
	a.Wait("Busy")
	require.NoError(t, next.HangUp())
	next = a.Answered()
	require.Equal(t, "4934410", next.From, "in the order in which they came")
	ten.Talk(behind, next)
	require.NoError(t, behind.HangUp())
	gone := abandoned("4934420")
	gone.Offers = 0
	ten.Booked(answered("4934300", "agent:1001", "1001", 1), answered("4934400", "agent:1001", "1001", 1), answered("4934410", "customer", "1001", 1), gone)
}

// The node dies in the middle of a talk: the call ends with node_lost, the agent comes free.
func TestNodeIsKilled_ItsCallsEndAsNodeLostAndAgentsComeFree(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4934500", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, hall.Node.Restart(back(t)))
	recorded(ten, "node_lost")
	a.Wait("Ready")
	again := ten.Call("4934600", "8000") // the registration outlived the node
	ten.Talk(again, a.Answered())
}

// The node dies between the opening's transaction and the start of the workflow: the
// call is found, ended, and its agent comes free.
func TestNodeDiesBetweenTheOpeningAndTheWorkflowsStart_NothingIsLost(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	hall.Temporal.Kill() // so that no workflow can start
	ten.Call("4934700", "8000")
	rung := a.Offered()
	hall.Node.Kill()
	require.NoError(t, hall.Temporal.Restart(back(t)))
	require.NoError(t, hall.Node.Start(back(t)))
	recorded(ten, "node_lost")
	a.Wait("Ready")
	_ = rung.Reject(486) // the phone rings on: its INVITE died with the node
	again := ten.Call("4934800", "8000")
	ten.Talk(again, a.Answered())
}

// The database is away: who talks goes on talking, who comes in hears music while the
// node retries, who comes later is told to come back, and readyz names what is missing;
// then all goes on, and who waited is served.
func TestDatabaseIsAway_LiveCallsGoOn_NewOnesHearMusicOrAreToldToComeBack(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4934900", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	hall.Postgres.Kill()
	restarted := false
	defer func() {
		if !restarted {
			_ = hall.Postgres.Restart(back(t))
		}
	}()
	ten.Talk(customer, rung)
	ans, err := hall.Anonymous().Do(ten.Context(), http.MethodGet, "/readyz", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, ans.Status)
	require.Contains(t, string(ans.Body), "database")
	newcomer := ten.Call("4935000", "8000")
	require.NoError(t, stage.WaitMusic(ten.Context(), newcomer))
	refusedWithRetryAfter(t, ten)

	require.NoError(t, hall.Postgres.Restart(back(t)))
	restarted = true
	ten.Talk(customer, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	next := a.Answered()
	require.Equal(t, "4935000", next.From)
	ten.Talk(newcomer, next)
	a.Wait("Busy")
	ten.Talk(newcomer, next) // nobody ends it
	require.NoError(t, next.HangUp())
	again := ten.Call("4935100", "8000")
	served := a.Answered()
	require.Equal(t, "4935100", served.From)
	ten.Talk(again, served)
	require.NoError(t, again.HangUp())
	for from, by := range map[string]string{"4934900": "agent:1001", "4935000": "agent:1001", "4935100": "customer"} {
		require.Equal(t, answered(from, by, "1001", 1), ten.Record(from))
	}
}

// refusedWithRetryAfter waits until new callers are refused with 503, at once, and are
// told when to come back. Those who come while the node still hopes hang up again.
func refusedWithRetryAfter(t *testing.T, ten *stage.Tenant) {
	t.Helper()
	require.Eventually(t, func() bool {
		impatient := ten.Call("4935001", "8000")
		if impatient.Wait(ten.Context(), softphone.Up) == nil {
			return impatient.HangUp() != nil
		}
		return impatient.Status().Code == http.StatusServiceUnavailable
	}, stage.Patience, 100*time.Millisecond)
	raw := hall.Raw(t, "UDP", ten.Trunk())
	res := raw.Ask(stage.Request{Method: "INVITE", URI: "sip:8000@" + ten.Domain, From: "sip:4935002@carrier.example", Body: stage.Offer("0")})
	require.Equal(t, 503, res.StatusCode)
	require.NotNil(t, res.GetHeader("Retry-After"))
}
