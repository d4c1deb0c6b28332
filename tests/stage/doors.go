package stage

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/db/cluster"
)

// Beside starts another api process on the same ground and returns a client of it that
// nobody has signed in with. Both end with the test.
func (s *Stage) Beside(t testing.TB) *Client {
	t.Helper()
	port, err := cluster.ReservePort("127.0.0.1", 0)
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", port.Port)
	p := &Process{Name: "api", binary: s.binary, env: append(append([]string{}, s.API.env...), "HOLDFAST_HTTP_ADDR="+addr), dir: s.dir}
	t.Cleanup(func() {
		p.Kill()
		port.Release()
	})
	require.NoError(t, p.Start(t.Context()))
	return &Client{base: "http://" + addr}
}

// From is a client at an address of its own that nobody has signed in with.
func (s *Stage) From(t testing.TB, from netip.Addr) *Client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{base: s.http, http: &http.Client{Transport: transport}}
}

// At is the same client at another's api process.
func (c *Client) At(other *Client) *Client {
	return &Client{base: other.base, token: c.token, http: c.http}
}

// With is the same client with a token.
func (c *Client) With(token string) *Client { return &Client{base: c.base, token: token, http: c.http} }

// Elsewhere is the n-th of many addresses that belong to this tenant's test alone.
func (ten *Tenant) Elsewhere(n int) netip.Addr {
	a := ten.alien.As4()
	return netip.AddrFrom4([4]byte{127, byte(20 + n), a[2], a[3]})
}
