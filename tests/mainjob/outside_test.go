package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// mobiles are agents with a phone each, of whom the first has a number outside too; what
// is dialled there reaches beyond.
func mobiles(t *testing.T, plan stage.Plan) (*stage.Tenant, *softphone.Phone) {
	t.Helper()
	plan.Change = func(d *tenancy.Document) {
		d.Devices = append(d.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Agent: "1001", Number: "+41441234567"})
		d.Agents[0].Addresses = append(d.Agents[0].Addresses, "mobile")
	}
	return reaching(t, plan, "+*")
}

// SEED-22, SEED-23, SEED-24: an agent works by its number outside: the queue's call dials
// that number through the trunk; only its answer connects the customer, who until then
// hears music and nothing of what the network says; wrap-up follows as for anybody.
func TestSEED23_TheAgentsNumberIsCalled_ThenTheCustomerIsBridged(t *testing.T) {
	t.Parallel()
	ten, beyond := mobiles(t, stage.Plan{WrapUp: time.Second})
	a := ten.Agent(1)
	waiting := ten.Call("4930220", "8000")
	ten.WaitUp(waiting)
	hearsMusic(t, ten, waiting)
	sat(t, a.Sit(map[string]any{"interface": "mobile"}), http.StatusCreated)
	a.Ready()
	rung := ten.Offered(beyond, "the number outside")
	require.Equal(t, "+41441234567", rung.To)
	a.Wait("Reserved")
	require.NoError(t, rung.Progress()) // an announcement of the network, in the agent's tone
	require.NoError(t, waiting.Audio.WaitWithout(ten.Context(), stage.AgentTone), "not before the answer")
	hearsMusic(t, ten, waiting)
	require.NoError(t, rung.Answer())
	ten.Talk(waiting, rung)
	busy := a.Wait("Busy")
	require.NoError(t, waiting.HangUp())
	ten.WaitEnded(rung)
	a.Wait("WorkingAfterCall")
	a.Wait("Ready")
	require.Zero(t, a.Phone.Invites(), "the phone inside does not ring")
	require.Equal(t, []string{"external 1001 mobile +41441234567"}, booked(t, ten, 1), "SEED-50")
	call := ten.WaitCall("end", func(c stage.CallView) bool { return c.ID == busy.CallIDs[0] && c.Phase == "Ended" })
	require.Equal(t, "inbound_queue 1001", call.Class+" "+call.Agent)

	// A caller who comes while the agent is free hears ringing, and is answered by the agent only.
	customer := ten.Call("4930221", "8000")
	rung = ten.Offered(beyond, "the number outside")
	require.NoError(t, customer.Wait(ten.Context(), softphone.Ringing))
	require.Equal(t, softphone.Ringing, customer.Status().State)
	require.NoError(t, rung.Answer())
	ten.WaitUp(customer)
	ten.Talk(customer, rung)
	require.NoError(t, rung.HangUp())
	require.True(t, ten.WaitEnded(customer).Remote)
}

// SEED-23: a number outside that is busy, or that nobody answers, is as a phone that does
// so: the call goes to the next agent, and who was called is told why it is Not Ready.
func TestSEED23_TheAgentsNumberIsBusyOrSilent_TheNextAgentIsCalled(t *testing.T) {
	t.Parallel()
	ten, beyond := mobiles(t, stage.Plan{Agents: 2, Ring: 10 * time.Second})
	a, b := ten.Person(1), ten.Agent(2)
	sat(t, a.Sit(map[string]any{"interface": "mobile"}), http.StatusCreated)
	b.SignIn()
	for reason, from := range map[string]string{"REJECTED": "4930230", "RONA": "4930231"} {
		a.Ready()
		customer := ten.Call(from, "8000")
		rung := ten.Offered(beyond, "the number outside")
		if reason == "REJECTED" {
			require.NoError(t, rung.Reject(486))
		}
		a.Wait("NotReady(" + reason + ")")
		ten.WaitEnded(rung)
		b.Ready()
		ten.Talk(customer, b.Answered())
		b.Wait("Busy")
		require.NoError(t, customer.HangUp())
		b.Wait("Ready")
		b.NotReady("LUNCH")
	}
}

// SEED-36: the agent's phone loses its network while the agent is Ready: the number outside,
// which is listed beside it, rings alone, in the same session, with the same wrap-up and
// states. Is the phone back, both ring, and the first answer has the customer.
func TestSEED36_ThePhoneIsLost_TheNumberOutsideTakesOver(t *testing.T) {
	t.Parallel()
	ten, beyond := mobiles(t, stage.Plan{WrapUp: time.Second})
	a := ten.Agent(1)
	require.Equal(t, []string{"1001", "mobile"}, boundTo(a.SignIn()))
	a.Ready()
	require.NoError(t, a.Phone.Register(ten.Context(), 0))
	require.Eventually(t, func() bool { return len(a.View().Devices) == 1 }, stage.Patience, 50*time.Millisecond)
	require.Equal(t, []string{"mobile"}, a.View().Devices)
	require.Equal(t, "Ready", a.View().State)
	customer := ten.Call("4930240", "8000")
	rung := ten.Offered(beyond, "the number outside")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	a.Wait("Ready")
	require.Zero(t, a.Phone.Invites())

	require.NoError(t, a.Phone.Register(ten.Context(), time.Minute))
	require.Eventually(t, func() bool { return len(a.View().Devices) == 2 }, stage.Patience, 50*time.Millisecond)
	customer = ten.Call("4930241", "8000")
	rung, other := ten.Offered(beyond, "the number outside"), a.Offered()
	require.NoError(t, other.Answer())
	ten.Talk(customer, other)
	require.True(t, ten.WaitEnded(rung).Remote, "the number outside rings no longer")
	require.NoError(t, customer.HangUp())
}

// SEED-23: all lines of the trunk are taken, or the carrier has none: nobody is to blame.
// The caller goes to the next agent at once; who could not be called stays Ready, is told
// why no call is offered, and takes the next one, without a word, when a line is free.
func TestHistory_SEED23_NoLineIsFree_TheNextAgentIsCalledAndNobodyIsBlamed(t *testing.T) {
	t.Parallel()
	beyond := network(t, "exchange")
	ten := hall.Tenant(t, stage.Plan{Agents: 3, Change: func(d *tenancy.Document) {
		d.Trunks = append(d.Trunks, tenancy.Trunk{Name: "out", Host: beyond.Addr(), Limit: 1})
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "+*", Trunk: "out"})
		d.Devices = append(d.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Agent: "1001", Number: "+41441234567"})
		d.Agents[0].Addresses = append(d.Agents[0].Addresses, "mobile")
	}})
	a, b, dialler := ten.Person(1), ten.Agent(2), ten.Agent(3)
	dialler.SignIn()
	b.SignIn()
	taken := dials(t, ten, dialler, "+41449999999")
	line := ten.Offered(beyond, "who takes the only line")
	require.NoError(t, line.Answer())
	ten.WaitUp(taken)

	sat(t, a.Sit(map[string]any{"interface": "mobile"}), http.StatusCreated)
	a.Ready()
	b.Ready()
	customer := ten.Call("4930250", "8000")
	ten.Talk(customer, b.Answered())
	require.NoError(t, customer.HangUp())
	delayed := func(s stage.Session) bool { return s.State == "Ready" && s.Delay != nil }
	s, err := ten.Watch.WaitSession(ten.Context(), a.Number, "be delayed", delayed)
	require.NoError(t, err)
	require.Equal(t, "trunk_busy", s.Delay.Cause)
	call := ten.WaitCall("end", func(c stage.CallView) bool { return c.From == "4930250" && c.Phase == "Ended" })
	told := lineOf(t, ten, call.ID, "Initiated Queued Decision Offered OfferRescinded Decision Offered Delivered Established ConnectionCleared ConnectionCleared CallCleared")
	require.Equal(t, "The offer to agent 1001 was taken back: no line was free.", ofKind(t, told, "OfferRescinded").Sentence)
	b.Wait("Ready")
	b.NotReady("LUNCH")

	waiting := ten.Call("4930251", "8000")
	ten.WaitUp(waiting)
	hearsMusic(t, ten, waiting)
	require.NoError(t, taken.HangUp())
	rung := ten.Offered(beyond, "the number outside, when its delay is over")
	require.Equal(t, "+41441234567", rung.To)
	require.NoError(t, rung.Reject(503)) // now it is the carrier that has none
	s, err = ten.Watch.WaitSession(ten.Context(), a.Number, "be delayed for longer", func(o stage.Session) bool {
		return delayed(o) && o.Delay.Until.After(s.Delay.Until)
	})
	require.NoError(t, err)
	require.Greater(t, s.Delay.Until.Sub(s.Since), 7*time.Second)
	rung = ten.Offered(beyond, "the number outside, once more")
	require.NoError(t, rung.Answer())
	ten.Talk(waiting, rung)
	require.Nil(t, a.Wait("Busy").Delay)
	require.NoError(t, waiting.HangUp())
	a.Wait("Ready")
	a.SignOut()
	hall.History(t, "no_line_is_free", id.AgentWorkflow(id.Tenant(ten.Domain), "1001"))
}
