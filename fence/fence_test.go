package fence_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/fence"
)

func TestFence_WhatIsNotPublicIsClosed(t *testing.T) {
	t.Parallel()
	var closed fence.Fence
	for _, a := range []string{
		"127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1",
	} {
		require.Error(t, closed.CheckAddr(netip.MustParseAddr(a), true), a)
	}
	for _, a := range []string{"1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"} {
		require.NoError(t, closed.CheckAddr(netip.MustParseAddr(a), true), a)
		require.Error(t, closed.CheckAddr(netip.MustParseAddr(a), false), "%s by http", a)
	}
	open := fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	require.NoError(t, open.CheckAddr(netip.MustParseAddr("10.1.2.3"), false))
	require.NoError(t, open.CheckAddr(netip.MustParseAddr("::ffff:10.1.2.3"), false))
	require.Error(t, open.CheckAddr(netip.MustParseAddr("192.168.1.1"), true))
	for _, u := range []string{
		"", "crm.example.com", "https://", "https:crm", "file:///etc/passwd", "gopher://x/", "https://u@x.example/", "https://x.example/#f", "https://x.example:0/",
		"https://127.0.0.1/", "https://[::1]/", "https://a.localhost/", "https://LOCALHOST./", "http://x.example/", "https://x.example:99999/",
	} {
		require.Error(t, closed.CheckURL(u), u)
	}
	require.NoError(t, closed.CheckURL("https://crm.example.com:8443/a?b=c"))
	require.NoError(t, open.CheckURL("http://10.0.0.1/"))
}

// Names are looked up when they are called: what one resolves to then is checked, and
// where the receiver would send us is not gone to.
func TestClient_CallsOnlyWhatTheFenceLetsIt(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	}))
	t.Cleanup(inside.Close)
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(encrypted.Close)
	port := func(s *httptest.Server) string {
		u, err := url.Parse(s.URL)
		require.NoError(t, err)
		return u.Port()
	}
	var closed fence.Fence
	for _, address := range []string{inside.URL, encrypted.URL, "http://localhost:" + port(inside), "http://[::ffff:127.0.0.1]:" + port(inside), "http://0.0.0.0:" + port(inside)} {
		_, err := get(t, closed.Client(), address)
		require.ErrorContains(t, err, "no public address", address)
	}
	_, err := get(t, closed.Client(), "http://2130706433:"+port(inside)) // no address to anybody but the oldest resolvers
	require.Error(t, err)
	open := fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	status, err := get(t, open.Client(), inside.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, status)
	_, err = get(t, open.Client(), encrypted.URL)
	require.ErrorContains(t, err, "certificate", "allowed, but not known")
}

func get(t *testing.T, c *http.Client, address string) (status int, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	res, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
