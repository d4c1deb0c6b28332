package mainjob

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// carrier is a telephone network beyond the tenant's trunk: what is dialled with a
// leading 0 reaches it.
func carrier(t *testing.T, plan stage.Plan) (*stage.Tenant, *softphone.Phone) {
	t.Helper()
	plan.Change = func(d *tenancy.Document) {
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "8001", Agent: "1001"})
	}
	return reaching(t, plan, "0*")
}

// network is a telephone of another network, or the network itself.
func network(t *testing.T, name string) *softphone.Phone {
	t.Helper()
	p, err := softphone.New(t.Context(), softphone.Config{Server: hall.SIP(), User: name})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// reaching is a tenant by whose trunk calls to these numbers go to the network beyond it.
func reaching(t *testing.T, plan stage.Plan, numbers ...string) (*stage.Tenant, *softphone.Phone) {
	t.Helper()
	beyond, more := network(t, "carrier"), plan.Change
	plan.Change = func(d *tenancy.Document) {
		d.Trunks[0].Host = beyond.Addr()
		for _, n := range numbers {
			d.Numbers = append(d.Numbers, tenancy.Number{Number: n, Trunk: "carrier"})
		}
		if more != nil {
			more(d)
		}
	}
	return hall.Tenant(t, plan), beyond
}

// dials lets an agent's phone call.
func dials(t *testing.T, ten *stage.Tenant, a *stage.Agent, number string) *softphone.Call {
	t.Helper()
	c, err := a.Phone.Dial(ten.Context(), softphone.Dial{To: number, Tone: stage.CustomerTone})
	require.NoError(t, err)
	return c
}

// SEED-7, SEED-94, SEED-105: the agent dials a customer, who hears the agent; the call is
// recorded as the agent's outbound call, and no wrap-up follows.
func TestSEED7_AgentDialsOut_CustomerAnswers_NoWrapUpFollows(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{WrapUp: 30 * time.Second})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055501")
	rung := ten.Offered(beyond, "the customer")
	require.Equal(t, "0493055501", rung.To)
	busy := a.Wait("Busy")
	require.NoError(t, call.Wait(ten.Context(), softphone.Ringing))
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, rung.HangUp())
	require.True(t, ten.WaitEnded(call).Remote)
	a.Wait("NotReady(LOGIN)")
	require.NotContains(t, ten.Watch.States(a.Number), "WorkingAfterCall")

	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, busy.CallIDs, []string{record.ID})
	require.Equal(t, "outbound_manual hangup", record.Class+" "+record.Cause)
	require.Equal(t, "1001 0493055501", record.From+" "+record.To)
	require.Equal(t, http.StatusOK, a.Try(http.MethodGet, "/v1/calls/"+record.ID, nil).Status, "it is the agent's own call")
}

// SEED-7: of several trunks that lead out, the one that the number's route names is taken.
func TestSEED7_AgentDialsOut_OfSeveralTrunksTheNumbersRouteDecides(t *testing.T) {
	t.Parallel()
	beyond := map[string]*softphone.Phone{}
	plan := stage.Plan{Change: func(d *tenancy.Document) {
		for i, name := range []string{"alpha", "beta", "gamma"} {
			p := network(t, name)
			beyond[name] = p
			d.Trunks = append(d.Trunks, tenancy.Trunk{Name: name, Host: p.Addr()})
			d.Numbers = append(d.Numbers, tenancy.Number{Number: fmt.Sprintf("0%d*", i), Trunk: name})
		}
	}}
	ten := hall.Tenant(t, plan)
	a := ten.Agent(1)
	a.SignIn()
	for i, name := range []string{"beta", "gamma"} {
		number := fmt.Sprintf("0%d30555", i+1)
		call := dials(t, ten, a, number)
		rung := ten.Offered(beyond[name], name)
		require.Equal(t, number, rung.To)
		require.NoError(t, rung.Answer())
		ten.WaitUp(call)
		ten.Talk(call, rung)
		require.NoError(t, call.HangUp())
		ten.WaitEnded(rung)
	}
	require.Zero(t, beyond["alpha"].Invites())
}

// A customer who is busy, and one who does not answer before the agent gives up: the
// agent hears why, and is free again.
func TestAgentDialsOut_CustomerIsBusyOrDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055502")
	require.NoError(t, ten.Offered(beyond, "the customer").Reject(486))
	require.Equal(t, 486, ten.WaitEnded(call).Code)
	a.Wait("NotReady(LOGIN)")

	call = dials(t, ten, a, "0493055503")
	rung := ten.Offered(beyond, "the customer")
	a.Wait("Busy")
	require.NoError(t, call.Wait(ten.Context(), softphone.Ringing))
	require.NoError(t, call.HangUp())
	require.True(t, ten.WaitEnded(rung).Remote)
	a.Wait("NotReady(LOGIN)")
}

// An agent on a call of its own gets no queue call; the caller who waits is served when
// it is over.
func TestSEED7_ReadyAgentDialsOut_QueueCallsWaitUntilItIsOver(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	call := dials(t, ten, a, "0493055504")
	rung := ten.Offered(beyond, "the customer")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	a.Wait("Busy")
	customer := ten.Call("4930302", "8000")
	ten.WaitUp(customer) // waits with music
	require.Zero(t, a.Phone.Invites())
	require.NoError(t, call.HangUp())
	ten.WaitEnded(rung)
	ten.Talk(customer, a.Answered())
}

// SEED-45, SEED-7: devices call each other internally; class internal, and no wrap-up for
// either.
func TestSEED45_AgentsCallEachOther_Internally(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, WrapUp: 30 * time.Second})
	caller, callee := ten.ReadyAgent(1), ten.ReadyAgent(2)
	call := dials(t, ten, caller, "1002")
	rung := callee.Answered()
	require.Equal(t, "1001", rung.From)
	ten.Talk(call, rung)
	caller.Wait("Busy")
	callee.Wait("Busy")
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(call)
	caller.Wait("Ready")
	callee.Wait("Ready")
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "internal hangup", record.Class+" "+record.Cause)
	for _, a := range []*stage.Agent{caller, callee} {
		require.NotContains(t, ten.Watch.States(a.Number), "WorkingAfterCall")
	}
}

// SEED-73, SEED-93: a customer reaches an agent by the agent's own number; no wrap-up
// follows, which comes only after queue calls.
func TestSEED73_CustomerCallsAnAgentDirectly_NoWrapUpFollows(t *testing.T) {
	t.Parallel()
	ten, _ := carrier(t, stage.Plan{WrapUp: 30 * time.Second})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930303", "8001")
	rung := a.Answered()
	require.Equal(t, "4930303", rung.From)
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	a.Wait("Ready")
	require.NotContains(t, ten.Watch.States(a.Number), "WorkingAfterCall")
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "inbound_direct", record.Class)
}

// A carrier's call is never sent out by the carrier again, which is how tolls are stolen.
func TestCarriersCallIsNeverSentOutAgain(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	customer := ten.Call("4930304", "0493055505")
	require.Equal(t, 404, ten.WaitEnded(customer).Code)
	require.Zero(t, beyond.Invites())
}
