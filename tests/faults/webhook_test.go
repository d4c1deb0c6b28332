package faults

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/tests/stage"
)

// Events happen while the receiver is dead, the worker is killed by kill -9 in the middle
// and stays away, and Temporal is away as well for a while: once all are back, every event
// has arrived, each subject's in their order.
func TestWebhook_ReceiverDeadAndWorkerKilled_EverythingArrivesInOrder(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	crm := ten.Receiver("crm", nil, nil)
	a, b := ten.ReadyAgent(1), ten.ReadyAgent(2)
	crm.WaitAccepted("the sign-ins", func(told []stage.Told) bool { return len(told) >= 4 })
	crm.Close()
	talk := func(from string) {
		customer := ten.Call(from, "8000")
		select {
		case rung := <-a.Phone.Incoming():
			require.NoError(t, rung.Answer())
		case rung := <-b.Phone.Incoming():
			require.NoError(t, rung.Answer())
		case <-ten.Context().Done():
			require.FailNow(t, "nobody's phone rang")
		}
		ten.WaitUp(customer)
		require.NoError(t, customer.HangUp())
	}
	talk("4930801")
	ten.Books(1)
	sql := hall.SQL(t)
	require.Eventually(t, func() bool {
		var tried int
		err := sql.QueryRow(t.Context(), `SELECT count(*) FROM deliveries WHERE tenant_id = $1 AND state = 'pending' AND attempts > 1`, ten.Domain).Scan(&tried)
		return err == nil && tried > 0
	}, stage.Patience, stage.Soon, "it is tried again and again")

	hall.Worker.Kill()
	talk("4930802") // answered and ended by the node; its records follow
	crm.Open()
	require.NoError(t, hall.Worker.Start(back(t)))
	ten.Books(2)
	a.WaitFree() // the last event of either agent
	b.WaitFree()
	told := crm.WaitAccepted("both calls", func(told []stage.Told) bool {
		cleared := 0
		for _, m := range told {
			if m.Type == "call.cleared" {
				cleared++
			}
		}
		return cleared == 2
	})
	settled(t, ten, crm)
	require.Equal(t, expected(t, ten), bySubject(crm.Accepted()), "%d messages", len(told))
}

// The worker is killed while a message is at its receiver, which has not answered: it is
// sent again, with its id, and what follows waits for it.
func TestWebhook_WorkerKilledWithAMessageOnItsWay_ItIsSentAgain(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	hang := make(chan struct{})
	arrived := make(chan stage.Told, 10)
	crm := ten.Receiver("crm", map[string]any{"timeout_ms": 2000}, func(m stage.Told, _ http.ResponseWriter) int {
		arrived <- m
		<-hang
		return http.StatusOK
	})
	a := ten.Agent(1)
	a.SignIn()
	first := <-arrived
	hall.Worker.Kill()
	close(hang)
	crm.Answer(nil)
	require.NoError(t, hall.Worker.Start(back(t)))
	a.Ready()
	crm.WaitAccepted("the first message once more, whose id tells the receiver so, and that the agent is ready", func(told []stage.Told) bool {
		return times(told, first.ID) > 1 && slices.ContainsFunc(told, func(m stage.Told) bool { return m.Type == "agent.ready" })
	})
	settled(t, ten, crm)
	require.Equal(t, expected(t, ten), bySubject(crm.Accepted()))
}

// times is how often a message was accepted.
func times(told []stage.Told, id string) (n int) {
	for _, m := range told {
		if m.ID == id {
			n++
		}
	}
	return n
}

// Whoever terminates the workflow of a webhook loses nothing: the next event wakes it.
func TestWebhook_WorkflowTerminated_TheNextEventWakesIt(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	crm := ten.Receiver("crm", nil, func(stage.Told, http.ResponseWriter) int { return http.StatusInternalServerError })
	a := ten.Agent(1)
	a.SignIn()
	require.Eventually(t, func() bool { return len(crm.Told()) > 0 }, stage.Patience, stage.Soon)
	workflow := id.WebhookWorkflow(id.Tenant(ten.Domain), "crm")
	require.NoError(t, hall.Client(t).TerminateWorkflow(ten.Context(), workflow, "", "a test"))
	crm.Answer(nil)
	a.Ready()
	crm.WaitAccepted("that it is ready", func(told []stage.Told) bool {
		return slices.ContainsFunc(told, func(m stage.Told) bool { return m.Type == "agent.ready" })
	})
	settled(t, ten, crm)
	require.Equal(t, expected(t, ten), bySubject(crm.Accepted()))
}

// settled waits until nothing is pending of the webhook.
func settled(t *testing.T, ten *stage.Tenant, crm *stage.Receiver) {
	t.Helper()
	sql := hall.SQL(t)
	require.Eventually(t, func() bool {
		var pending int
		err := sql.QueryRow(t.Context(), `SELECT count(*) FROM deliveries WHERE tenant_id = $1 AND state <> 'delivered'`, ten.Domain).Scan(&pending)
		return err == nil && pending == 0
	}, 2*stage.Patience, 50*time.Millisecond, "%s has what is to be sent", crm.Name)
}

// expected are the tenant's events as a webhook of all must have them: by subject, in
// order.
func expected(t *testing.T, ten *stage.Tenant) map[string][]string {
	t.Helper()
	rows, err := hall.SQL(t).Query(t.Context(), `SELECT e.stream, e.seq FROM events e WHERE e.tenant_id = $1 ORDER BY e.seq`, ten.Domain)
	require.NoError(t, err)
	all := map[string][]string{}
	for rows.Next() {
		var stream string
		var seq int64
		require.NoError(t, rows.Scan(&stream, &seq))
		all[stream] = append(all[stream], fmt.Sprint("evt_", seq))
	}
	require.NoError(t, rows.Err())
	return all
}

// bySubject are the messages that were accepted, repeats left out, as a receiver does.
func bySubject(told []stage.Told) map[string][]string {
	all, known := map[string][]string{}, map[string]bool{}
	for _, m := range told {
		if !known[m.ID] {
			known[m.ID] = true
			all[m.Subject] = append(all[m.Subject], m.ID)
		}
	}
	return all
}
