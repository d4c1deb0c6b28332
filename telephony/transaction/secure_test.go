package transaction

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// certificate is a self-signed certificate for sip.test and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"sip.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS_BothWays_CertificateIsChecked(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	callee, caller := start(t, Config{}), start(t, Config{})
	callee.handle(func(tx *Server) { _ = tx.Reject(486) })
	addr, err := callee.Listen(t.Context(), Endpoint{Transport: "TLS", Addr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	require.NoError(t, err)
	_, err = caller.Connect(t.Context(), "tls", addr.String(), &tls.Config{ServerName: "sip.test"})
	require.ErrorContains(t, err, "certificate")
	flow, err := caller.Connect(t.Context(), "tls", addr.String(), &tls.Config{ServerName: "sip.test", RootCAs: pool})
	require.NoError(t, err)
	same, err := caller.Connect(t.Context(), "tls", addr.String(), nil)
	require.NoError(t, err)
	require.Equal(t, flow, same, "one connection serves all")
	a := newAnswers()
	tx, err := caller.Layer.Request(invite(1, "TLS", addr.(*net.TCPAddr).AddrPort()), a.on)
	require.NoError(t, err)
	require.Equal(t, []string{"486"}, a.wait(t))
	require.Equal(t, flow, tx.Flow())
	_, err = callee.Listen(t.Context(), Endpoint{Transport: "TLS", Addr: "127.0.0.1:0"})
	require.Error(t, err)
}

func TestIPv6_Loopback_CallGoesThrough(t *testing.T) {
	t.Parallel()
	callee, caller := start(t, Config{}), start(t, Config{})
	callee.handle(func(tx *Server) { _ = tx.Reject(486) })
	addr, err := callee.Listen(t.Context(), Endpoint{Transport: "UDP", Addr: "[::1]:0"})
	if err != nil {
		t.Skip("this machine has no IPv6 loopback")
	}
	_, err = caller.Listen(t.Context(), Endpoint{Transport: "UDP", Addr: "[::1]:0"})
	require.NoError(t, err)
	a := newAnswers()
	tx, err := caller.Layer.Request(invite(1, "UDP", addr.(*net.UDPAddr).AddrPort()), a.on)
	require.NoError(t, err)
	require.Equal(t, []string{"486"}, a.wait(t))
	require.Contains(t, tx.Request().Via().Value(), "SIP/2.0/UDP [::1]:")
}

func TestAcknowledge_LostACK_IsSentAgainByTheLayer(t *testing.T) {
	t.Parallel()
	var acks atomic.Int32
	lossy := func(_ string, _ netip.AddrPort, data []byte) bool {
		return !bytes.HasPrefix(data, []byte("ACK ")) || acks.Add(1) > 2
	}
	callee := start(t, Config{Filter: lossy, Timers: Timers{T1: 100 * time.Millisecond}}) // it waits 64 times that for the ACK
	callee.handle(func(tx *Server) { _ = tx.Respond(tx.NewResponse(200, "")) })
	var firstHeard, acknowledged atomic.Bool // an answer that is repeated before the ACK is the user's
	caller := start(t, Config{Filter: func(_ string, _ netip.AddrPort, data []byte) bool {
		return acknowledged.Load() || !bytes.HasPrefix(data, []byte("SIP/2.0 200 ")) || !firstHeard.Swap(true)
	}})
	answered := make(chan *sip.Response, 10)
	tx, err := caller.Layer.Request(invite(1, "UDP", callee.udp), func(res *sip.Response, _ error) {
		if res.StatusCode == 200 {
			answered <- res
		}
	})
	require.NoError(t, err)
	res := <-answered
	ack := newAck(tx.Request(), res)
	ack.RemoveHeader("Via")
	require.NoError(t, tx.Acknowledge(ack))
	acknowledged.Store(true)
	require.Eventually(t, func() bool { return callee.heardAll("INVITE", "ack") }, 20*time.Second, time.Millisecond)
	require.Empty(t, answered, "the user is not bothered again")
	require.NotZero(t, callee.Stats().RepeatedOut)
}

func TestSend_ACKWithoutTransaction_ArrivesAtTheUser(t *testing.T) {
	t.Parallel()
	callee, caller := start(t, Config{}), start(t, Config{})
	ack := invite(1, "UDP", callee.udp)
	ack.Method, ack.CSeq().MethodName = sip.ACK, sip.ACK
	require.NoError(t, caller.Send(ack))
	require.Eventually(t, func() bool { return callee.heardAll("ack") }, 20*time.Second, time.Millisecond)
}

func TestTrace_SeesBothDirections(t *testing.T) {
	t.Parallel()
	type line struct {
		sent bool
		word string
	}
	seen := make(chan line, 10)
	n := start(t, Config{Trace: func(sent bool, f Flow, data []byte) {
		word, _, _ := bytes.Cut(data, []byte(" "))
		seen <- line{sent, f.Transport + " " + string(word)}
	}})
	n.handle(func(tx *Server) { _ = tx.Reject(200) })
	c := dialRaw(t, n)
	write(t, c, overTCP(request("OPTIONS", "z9hG4bK1", "1", "")))
	require.Equal(t, line{false, "TCP OPTIONS"}, <-seen)
	require.Equal(t, line{true, "TCP SIP/2.0"}, <-seen)
}
