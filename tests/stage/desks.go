package stage

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
)

// Person is the n-th agent (1 is 1001), its user logged in, without any phone and not
// signed in as an agent.
func (ten *Tenant) Person(n int) *Agent {
	ten.t.Helper()
	number := []string{"1001", "1002", "1003", "1004", "1005"}[n-1]
	return &Agent{Number: number, ten: ten, API: ten.Login(number)}
}

// At lets the agent's client speak from an address of this machine.
func (a *Agent) At(ip netip.Addr) *Agent {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}}
	a.ten.keep.Cleanup(transport.CloseIdleConnections)
	client := *a.API
	client.http = &http.Client{Transport: transport}
	a.API = &client
	return a
}

// Sit signs the agent in as the request says, or attaches a terminal, and returns the
// answer, whatever it is.
func (a *Agent) Sit(request map[string]any) Answer {
	a.ten.t.Helper()
	ans := a.Try(http.MethodPost, "/v1/agent-session", request)
	if ans.Status == http.StatusCreated {
		a.ten.keep.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), Patience)
			defer cancel()
			_, _ = a.API.Do(ctx, http.MethodDelete, "/v1/agent-session", nil) // signed out by the test, perhaps
		})
	}
	return ans
}

// Registered is a phone of a device that is registered from an address.
func (ten *Tenant) Registered(device string, ip netip.Addr) *softphone.Phone {
	ten.t.Helper()
	p := ten.NewPhone(device, softphone.Config{IP: ip})
	require.NoError(ten.t, p.Register(ten.Context(), 5*time.Minute))
	return p
}

// Rings lets a customer call the queue and proves that it is the phone that rings, and
// that both hear each other; then the customer hangs up.
func (ten *Tenant) Rings(p *softphone.Phone, from string) {
	ten.t.Helper()
	customer := ten.Call(from, "8000")
	rung := ten.Offered(p, "the device")
	require.NoError(ten.t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(ten.t, customer.HangUp())
	ten.WaitEnded(rung)
}
