package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// prompts hears the notifications by which a match makes the node ring before the
// workflow asks (docs/adr/0010-prompted-rings.md), and says them again.
type prompts struct {
	t    *testing.T
	ten  *stage.Tenant
	hear *pgx.Conn
	say  *pgx.Conn
}

// promptEnded is what the node writes into its log when it is done with a prompt: it
// attached to the ring of that offer, also long after that ring's end.
const promptEnded = "a prompted ring ended"

func listenToPrompts(t *testing.T, ten *stage.Tenant) *prompts {
	t.Helper()
	p := &prompts{t: t, ten: ten, hear: hall.SQL(t), say: hall.SQL(t)}
	_, err := p.hear.Exec(ten.Context(), `LISTEN holdfast_rings`)
	require.NoError(t, err)
	return p
}

// next is the next prompt for this tenant.
func (p *prompts) next() string {
	p.t.Helper()
	for {
		n, err := p.hear.WaitForNotification(p.ten.Context())
		require.NoError(p.t, err, "no prompt was sent")
		if strings.Contains(n.Payload, p.ten.Domain) {
			return n.Payload
		}
	}
}

// again sends a prompt once more, and returns when the node is done with it.
func (p *prompts) again(payload string) {
	p.t.Helper()
	from := hall.Node.LogSize()
	p.notify(payload)
	require.NoError(p.t, hall.Node.Logged(p.ten.Context(), from, promptEnded))
}

func (p *prompts) notify(payload string) {
	p.t.Helper()
	_, err := p.say.Exec(p.ten.Context(), `SELECT pg_notify('holdfast_rings', $1)`, payload)
	require.NoError(p.t, err)
}

// A prompt that comes twice, or late, at any later moment of its call: each phone rings
// once for each of its offers, the newer ring and the conversation go on.
func TestPromptDoubledAndLate_NothingHappensTwice(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: ringLong})
	unwilling, willing := ten.Agent(1), ten.Agent(2)
	unwilling.SignIn()
	willing.SignIn()
	customer := ten.Call("4935701", "8000")
	ten.WaitUp(customer)
	p := listenToPrompts(t, ten)

	unwilling.Ready()
	first := p.next()
	rung := unwilling.Offered()
	from := hall.Node.LogSize()
	for range 3 {
		p.notify(first) // while it rings
	}
	require.NoError(t, rung.Reject(603))
	require.Eventually(t, func() bool { // the prompt itself, and its repetitions
		return hall.Node.SaidTimes(from, promptEnded, 4) == nil
	}, stage.Patience, stage.Soon)
	unwilling.Wait("NotReady(REJECTED)")
	p.again(first) // when its ring is over
	require.NoError(t, stage.WaitMusic(ten.Context(), customer))

	willing.Ready()
	second := p.next()
	rung = willing.Offered()
	p.again(first) // while a newer one rings
	require.Equal(t, softphone.Ringing, rung.Status().State)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	p.again(second) // while they talk
	p.again(first)
	ten.Talk(customer, rung)

	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	willing.Wait("Ready")
	p.again(first) // when nobody is there any more
	require.Equal(t, "Ready", willing.View().State)
	require.Equal(t, "NotReady REJECTED", unwilling.View().State+" "+unwilling.View().Reason)
	require.Equal(t, []int{1, 1}, []int{unwilling.Phone.Invites(), willing.Phone.Invites()}, "rung once each")
	ten.Booked(answered("4935701", "customer", "1002", 2))
}

// The notification is lost, because the node's connection for them has just broken: the
// workflow's own ring comes all the same; and the next prompt is heard again.
func TestPromptLost_ThePhoneRingsAllTheSame(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Ring: ringLong})
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4935702", "8000")
	ten.WaitUp(customer)
	p := listenToPrompts(t, ten)
	from := hall.Node.LogSize()
	thaw := hall.FreezeNode(t) // it must not listen again before the prompt is sent
	_, err := p.say.Exec(ten.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdfast listener'`)
	require.NoError(t, err)
	a.Ready()
	first := p.next()
	thaw()
	rung := a.Answered()
	ten.Talk(customer, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	a.Wait("Ready")
	require.Error(t, hall.Node.Said(from, promptEnded), "the node did not hear the prompt")
	ten.Booked(answered("4935702", "agent:1001", "1001", 1))

	require.NoError(t, hall.Node.Said(from, "Lost the connection that tells of changes"))
	require.Eventually(t, func() bool { // it listens again
		p.notify(first)
		return hall.Node.Said(from, promptEnded) == nil
	}, stage.Patience, 5*stage.Soon)
	require.Equal(t, 1, a.Phone.Invites())
}

// With more attached data than a notification can carry no prompt is sent: the phone
// rings by the workflow, and has all of the data.
func TestPromptTooLarge_ThePhoneRingsWithAllOfTheData(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Ring: ringLong})
	a := ten.Agent(1)
	a.SignIn()
	extra, want := map[string]string{}, map[string]string{}
	for n := range 10 { // six bytes each as JSON, three on the way
		extra[fmt.Sprintf("X-CC-Note%d", n)] = strings.Repeat("%3C", 200)
		want[fmt.Sprintf("note%d", n)] = strings.Repeat("<", 200)
	}
	customer := ten.Dial(softphone.Dial{To: "8000", From: "4935703", Tone: stage.CustomerTone, Headers: extra})
	ten.WaitUp(customer)
	from := hall.Node.LogSize()
	a.Ready()
	rung := a.Answered()
	require.Contains(t, rung.Invite.String(), "X-CC-Data: ")
	ten.Talk(customer, rung)
	talking := ten.WaitCall("talk", func(c stage.CallView) bool { return c.Phase == "Talking" })
	require.Equal(t, want, talking.Data)
	size, err := json.Marshal(call.Ring{Data: talking.Data})
	require.NoError(t, err)
	require.Greater(t, len(size), 8000, "more than Postgres carries")
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	a.Wait("Ready")
	require.Error(t, hall.Node.Said(from, promptEnded), "no prompt came")
	require.Equal(t, 1, a.Phone.Invites())
	ten.Booked(answered("4935703", "customer", "1001", 1))
	require.Equal(t, http.StatusOK, a.Try(http.MethodGet, "/v1/calls/"+talking.ID, nil).Status)
}
