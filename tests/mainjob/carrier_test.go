package mainjob

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/exchange"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// A carrier that asks for credentials gets those of its trunk, in its own realm, though
// the tenant's file alone had the password.
func TestAgentDialsOut_TheCarrierAsksForCredentials_AndGetsThem(t *testing.T) {
	t.Parallel()
	x := exchange.New(t)
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Trunks = append(d.Trunks, tenancy.Trunk{Name: "out", Host: x.Addr(), User: exchange.User, Password: exchange.Password, Realm: exchange.Realm})
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "0*", Trunk: "out"})
	}})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055509")
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())
	select {
	case <-x.Over():
	case <-ten.Context().Done():
		require.FailNow(t, "the carrier was not told of the end")
	}
	require.Equal(t, []string{"0493055509"}, x.Called())
}

// What the network says before anybody answers is heard by who dialled.
func TestAgentDialsOut_TheNetworkSpeaksBeforeTheAnswer_TheAgentHearsIt(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055510")
	rung := <-beyond.Incoming()
	rung.Audio.Say(stage.AgentTone)
	require.NoError(t, rung.Progress())
	require.NoError(t, call.Audio.WaitTone(ten.Context(), stage.AgentTone))
	require.Equal(t, softphone.Ringing, call.Status().State, "nobody has answered")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	a.Wait("Busy")
	require.NoError(t, rung.HangUp())
	require.True(t, ten.WaitEnded(call).Remote)
	a.Wait("NotReady(LOGIN)")
}
