package mainjob

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"holdfast/activities"
	"holdfast/cmd/tenantfile"
	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// apply changes the tenant's exported file and applies it.
func apply(t *testing.T, ten *stage.Tenant, change func(*tenancy.Document)) {
	t.Helper()
	doc, err := tenantfile.Read([]byte(exported(t, ten)))
	require.NoError(t, err)
	change(&doc)
	text, err := tenantfile.Write(doc)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "tenant.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	ran(t, ten, 0, "", "apply", "-f", file)
}

// member reports whether the session's view has the queue.
func member(queue string) func(stage.Session) bool {
	return func(s stage.Session) bool {
		for _, m := range s.Memberships {
			if m.Queue == queue {
				return true
			}
		}
		return false
	}
}

// told counts the changes that an agent's running session was told of by signals of a kind: each once, though
// it is told at least once.
func told(t *testing.T, ten *stage.Tenant, agent id.Agent, signal string) int {
	t.Helper()
	changes := map[int64]bool{}
	for _, m := range tellings(t, ten, agent, signal) {
		changes[m.Number] = true
	}
	delete(changes, 0) // what the sign-in itself found to be another, beside the change that was told
	return len(changes)
}

// tellings are the signals of a kind that an agent's running session has had.
func tellings(t *testing.T, ten *stage.Tenant, agent id.Agent, signal string) (all []activities.Message) {
	t.Helper()
	history := hall.Client(t).GetWorkflowHistory(ten.Context(), id.AgentWorkflow(id.Tenant(ten.Domain), agent), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		e, err := history.Next()
		require.NoError(t, err)
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s.GetSignalName() == signal {
			var m activities.Message
			require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(s.GetInput(), &m))
			all = append(all, m)
		}
	}
	return all
}

// waitWrapUp waits until an agent's running session was told that its wrap-up lasts that long.
func waitWrapUp(t *testing.T, ten *stage.Tenant, number id.Agent, wrapUp time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(tellings(t, ten, number, "profile_changed"), func(m activities.Message) bool {
			var e agent.ProfileChanged
			return json.Unmarshal(m.Event, &e) == nil && e.Profile.WrapUp == wrapUp
		})
	}, stage.Patience, 20*time.Millisecond)
}

// twoQueues adds the queue sales on number 8001, without members.
func twoQueues(d *tenancy.Document) {
	d.Queues = append(d.Queues, tenancy.Queue{Name: "sales", Ring: tenancy.Duration(15 * time.Second)})
	d.Numbers = append(d.Numbers, tenancy.Number{Number: "8001", Queue: "sales"})
}

// An apply reaches the sessions that run, without a new sign-in: a queue that was added
// gives its calls, wrap-up is as long as it says now, a queue that was taken away gives
// none any more. Sessions whose agent did not change hear nothing.
func TestApply_ReachesRunningSessions_AndOnlyThoseThatItChanges(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: twoQueues})
	a, other := ten.ReadyAgent(1), ten.Agent(2)
	other.SignIn()
	waiting := ten.Call("4930601", "8001")
	ten.WaitUp(waiting)
	require.Zero(t, a.Phone.Invites())

	apply(t, ten, func(d *tenancy.Document) {
		sales := slices.IndexFunc(d.Queues, func(q tenancy.Queue) bool { return q.Name == "sales" })
		d.Queues[sales].Members = []tenancy.Member{{Agent: "1001"}}
		d.Agents[0].WrapUp = tenancy.Duration(3 * time.Second)
	})
	rung := a.Answered() // who waited is found by the change itself
	require.Equal(t, "4930601", rung.From)
	ten.Talk(waiting, rung)
	a.Wait("Busy")
	require.NoError(t, waiting.HangUp())
	wrapUp := a.Wait("WorkingAfterCall")
	require.InDelta(t, 3, wrapUp.WrapUpUntil.Sub(wrapUp.Since).Seconds(), 0.5)
	a.Wait("Ready")

	apply(t, ten, func(d *tenancy.Document) {
		support := slices.IndexFunc(d.Queues, func(q tenancy.Queue) bool { return q.Name == "support" })
		d.Queues[support].Members = []tenancy.Member{{Agent: "1002"}}
	})
	_, err := ten.Watch.WaitSession(ten.Context(), "1001", "leave support", func(s stage.Session) bool { return !member("support")(s) })
	require.NoError(t, err)
	rings := a.Phone.Invites()
	customer := ten.Call("4930602", "8000")
	ten.WaitUp(customer)
	require.NoError(t, stage.WaitMusic(ten.Context(), customer))
	require.Equal(t, rings, a.Phone.Invites())
	require.Equal(t, "Ready", a.View().State)
	other.Ready()
	ten.Talk(customer, other.Answered())

	require.Equal(t, 2, told(t, ten, "1001", "profile_changed"))
	require.Zero(t, told(t, ten, "1002", "profile_changed"), "nothing of 1002 changed")
	apply(t, ten, func(d *tenancy.Document) {
		admin := slices.IndexFunc(d.Users, func(u tenancy.User) bool { return u.Name == "admin" })
		d.Users[admin].DisplayName = "Somebody else"
	})
	apply(t, ten, func(d *tenancy.Document) { d.Agents[0].WrapUp = tenancy.Duration(4 * time.Second) })
	require.Eventually(t, func() bool { return told(t, ten, "1001", "profile_changed") > 2 }, stage.Patience, 20*time.Millisecond)
	require.Equal(t, 3, told(t, ten, "1001", "profile_changed"), "the administrator's name is nothing to 1001")
}

// A device that is added to an agent's addresses rings with the next call, if it is
// registered; one that takes the place of all others keeps the agent Ready.
func TestApply_NewDevices_RingWithTheNextCall(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Devices: 2, Change: func(d *tenancy.Document) {
		d.Agents[0].Addresses = d.Agents[0].Addresses[:1]
	}})
	a := ten.ReadyAgent(1)
	second := ten.NewPhone("1001-2", softphone.Config{})
	require.NoError(t, second.Register(ten.Context(), time.Minute))
	apply(t, ten, func(d *tenancy.Document) { d.Agents[0].Addresses = []id.Device{"1001-2"} })
	_, err := ten.Watch.WaitSession(ten.Context(), "1001", "be reached on the second device", func(s stage.Session) bool {
		return slices.Equal(s.Devices, []string{"1001-2"})
	})
	require.NoError(t, err)
	require.Equal(t, "Ready", a.View().State)
	customer := ten.Call("4930603", "8000")
	rung := ten.Offered(second, "1001")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.Zero(t, a.Phone.Invites())
}

// SEED-16, SEED-17: an agent whose user is disabled, or who is removed, is signed out;
// a call in hand is not cut off.
func TestSEED16_DisabledUserAndRemovedAgent_AreSignedOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 3})
	disabled, removed, busy := ten.ReadyAgent(1), ten.ReadyAgent(2), ten.Agent(3)
	disabled.NotReady("LUNCH")
	removed.NotReady("LUNCH")
	busy.SignIn()
	busy.Ready()
	customer := ten.Call("4930604", "8000")
	rung := busy.Answered()
	ten.Talk(customer, rung)
	busy.Wait("Busy")
	apply(t, ten, func(d *tenancy.Document) {
		for i, u := range d.Users {
			d.Users[i].Disabled = u.Name == "1001" || u.Name == "1003"
		}
		d.Agents = slices.DeleteFunc(d.Agents, func(g tenancy.Agent) bool { return g.Number == "1002" })
		d.Devices = slices.DeleteFunc(d.Devices, func(v tenancy.Device) bool { return v.Agent == "1002" })
		d.Queues[0].Members = slices.DeleteFunc(d.Queues[0].Members, func(m tenancy.Member) bool { return m.Agent == "1002" })
	})
	disabled.Wait("LoggedOff(FORCED)")
	removed.Wait("LoggedOff(FORCED)")
	_, err := ten.Watch.WaitSession(ten.Context(), "1003", "be signed out after the call", func(s stage.Session) bool {
		return s.State == "Busy" && s.Pending != nil && s.Pending.State == "LoggedOff"
	})
	require.NoError(t, err)
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	busy.Wait("LoggedOff(FORCED)")
	require.Eventually(t, func() bool { // rights are believed for 5 s
		return disabled.Try(http.MethodGet, "/v1/agent-session", nil).Status == http.StatusUnauthorized
	}, stage.Patience, 100*time.Millisecond)
}

// The directory changes while an agent is ready, and while the agent talks; the session
// of that agent replays.
func TestHistory_ProfileChanges_Replays(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: twoQueues})
	a := ten.ReadyAgent(1)
	joins := func(d *tenancy.Document) {
		sales := slices.IndexFunc(d.Queues, func(q tenancy.Queue) bool { return q.Name == "sales" })
		d.Queues[sales].Members = []tenancy.Member{{Agent: "1001"}}
	}
	apply(t, ten, joins)
	_, err := ten.Watch.WaitSession(ten.Context(), "1001", "join sales", member("sales"))
	require.NoError(t, err)
	customer := ten.Call("4930605", "8001")
	ten.Talk(customer, a.Answered())
	a.Wait("Busy")
	apply(t, ten, func(d *tenancy.Document) { d.Agents[0].WrapUp = tenancy.Duration(time.Second) })
	waitWrapUp(t, ten, "1001", time.Second)
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	a.Wait("Ready")
	recorded(t, ten, a, "profile_changes")
}
