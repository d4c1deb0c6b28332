package mainjob

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/digest"
	"holdfast/telephony/softphone"
	"holdfast/telephony/transaction"
	"holdfast/tests/stage"
)

// exchange is a carrier that asks for credentials, lets nobody hear anything, and keeps
// who was called.
type exchange struct {
	transaction.Unhandled
	t     *testing.T
	guard *digest.Server
	layer *transaction.Layer
	addr  string

	mu     sync.Mutex
	called []string
	over   chan struct{} // closed by the BYE
}

// Credentials implements digest.Credentials: one account.
func (x *exchange) Credentials(_ context.Context, user, realm string) (string, string, bool, error) {
	return digest.HA1(digest.MD5, user, realm, "carrier-secret"), digest.HA1(digest.SHA256, user, realm, "carrier-secret"), user == "acct", nil
}

func newExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{t: t, over: make(chan struct{})}
	var err error
	x.guard, err = digest.NewServer(digest.Config{Store: x, Key: []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	x.layer, err = transaction.New(transaction.Config{User: x})
	require.NoError(t, err)
	t.Cleanup(x.layer.Stop)
	addr, err := x.layer.Listen(t.Context(), transaction.Endpoint{Transport: "UDP", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	x.addr = addr.String()
	return x
}

// Request implements transaction.User.
func (x *exchange) Request(tx *transaction.Server) {
	req := tx.Request()
	result, err := x.guard.Check(x.t.Context(), req, "carrier.example", netip.MustParseAddrPort(tx.Flow().Remote).Addr())
	if err != nil || !result.OK {
		res := tx.NewResponse(401, "")
		for _, h := range result.Challenge {
			res.AppendHeader(h)
		}
		_ = tx.Respond(res)
		return
	}
	res := tx.NewResponse(200, "")
	switch req.Method {
	case sip.INVITE:
		x.mu.Lock()
		x.called = append(x.called, req.Recipient.User)
		x.mu.Unlock()
		res.AppendHeader(sip.NewHeader("Contact", "<sip:x@"+x.addr+">"))
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
		res.SetBody([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"))
	case sip.BYE:
		close(x.over)
	}
	_ = tx.Respond(res)
}

// A carrier that asks for credentials gets those of its trunk, in its own realm, though
// the tenant's file alone had the password.
func TestAgentDialsOut_TheCarrierAsksForCredentials_AndGetsThem(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Trunks = append(d.Trunks, tenancy.Trunk{Name: "out", Host: x.addr, User: "acct", Password: "carrier-secret", Realm: "carrier.example"})
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "0*", Trunk: "out"})
	}})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055509")
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())
	select {
	case <-x.over:
	case <-ten.Context().Done():
		require.FailNow(t, "the carrier was not told of the end")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	require.Equal(t, []string{"0493055509"}, x.called)
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
	require.NoError(t, rung.HangUp())
	require.True(t, ten.WaitEnded(call).Remote)
	a.Wait("NotReady(LOGIN)")
}
