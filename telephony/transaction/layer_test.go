package transaction

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// node is a layer with one UDP and one TCP socket on loopback.
type node struct {
	*Layer
	*recorder
	udp, tcp netip.AddrPort
}

func start(t *testing.T, conf Config) *node {
	t.Helper()
	n := &node{recorder: &recorder{}}
	if conf.User == nil {
		conf.User = n.recorder
	}
	conf.Log = slog.New(slog.DiscardHandler)
	var err error
	n.Layer, err = New(conf)
	require.NoError(t, err)
	t.Cleanup(n.Layer.Stop)
	udp, err := n.Listen(t.Context(), Endpoint{Transport: "udp", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	tcp, err := n.Listen(t.Context(), Endpoint{Transport: "tcp", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	n.udp, n.tcp = udp.(*net.UDPAddr).AddrPort(), tcp.(*net.TCPAddr).AddrPort()
	return n
}

func invite(i int, transport string, to netip.AddrPort) *sip.Request {
	req := newRequest(sip.INVITE)
	req.RemoveHeader("Route")
	*req.CallID() = sip.CallIDHeader(fmt.Sprintf("call-%d", i))
	req.SetTransport(transport)
	req.SetDestination(to.String())
	return req
}

// answers collects what one request heard until its final response.
type answers struct {
	mu    sync.Mutex
	list  []string
	final bool
	done  chan struct{}
}

func newAnswers() *answers { return &answers{done: make(chan struct{})} }

func (a *answers) on(res *sip.Response, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.final {
		return // a 200 comes again until it is acknowledged
	}
	if err != nil {
		a.list = append(a.list, err.Error())
	} else {
		a.list = append(a.list, fmt.Sprint(res.StatusCode))
	}
	if a.final = err != nil || res.StatusCode >= 200; a.final {
		close(a.done)
	}
}

func (a *answers) wait(t *testing.T) []string {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(10 * time.Second):
		t.Fatal("no final response")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list
}

// A request is answered by another goroutine than the one that says 100: whatever the
// scheduler does, nothing comes after the answer.
func TestLayer_AnsweredByAnotherGoroutine_NoTryingComesAfterTheAnswer(t *testing.T) {
	t.Parallel()
	callee := start(t, Config{})
	callee.handle(func(tx *Server) {
		go func() { _ = tx.Respond(tx.NewResponse(486, "")) }()
	})
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadBuffer(4<<20)) // nobody acknowledges the answers: they are repeated
	own := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	answered := map[string]bool{}
	buf := make([]byte, 4096)
	for i := range 500 {
		req := fmt.Sprintf("INVITE sip:x@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@%[2]s>;tag=%[3]d\r\nTo: <sip:x@%[1]s>\r\nCall-ID: c%[3]d\r\nCSeq: 1 INVITE\r\nContact: <sip:a@%[2]s>\r\nContent-Length: 0\r\n\r\n", callee.udp, own, i)
		_, err := conn.WriteToUDPAddrPort([]byte(req), callee.udp)
		require.NoError(t, err)
		for call := fmt.Sprintf("c%d", i); !answered[call]; {
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, err := conn.Read(buf)
			require.NoError(t, err)
			line, rest, _ := strings.Cut(string(buf[:n]), "\r\n")
			_, rest, _ = strings.Cut(rest, "Call-ID: ")
			of, _, _ := strings.Cut(rest, "\r\n")
			require.False(t, answered[of] && strings.Contains(line, "100"), "100 after the answer of %s", of)
			answered[of] = answered[of] || strings.Contains(line, "486")
		}
	}
}

func TestLayer_RingingAndAnswerBackToBack_ArriveInOrder300Times(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			callee := start(t, Config{})
			callee.handle(func(tx *Server) {
				_ = tx.Respond(tx.NewResponse(180, ""))
				_ = tx.Respond(tx.NewResponse(200, ""))
			})
			caller := start(t, Config{})
			to := callee.udp
			if transport == "TCP" {
				to = callee.tcp
				_, err := caller.Connect(t.Context(), "tcp", to.String(), nil)
				require.NoError(t, err)
			}
			for i := range 300 {
				a := newAnswers()
				_, err := caller.Layer.Request(invite(i, transport, to), a.on)
				require.NoError(t, err)
				require.Equal(t, []string{"180", "200"}, a.wait(t))
			}
		})
	}
}

func TestLayer_AcceptedConnection_IsUsedForRequestsToThePeer(t *testing.T) {
	t.Parallel()
	server, phone := start(t, Config{}), start(t, Config{})
	server.handle(func(tx *Server) { _ = tx.Reject(200) })
	phone.handle(func(tx *Server) { _ = tx.Reject(486) })
	_, err := phone.Connect(t.Context(), "tcp", server.tcp.String(), nil)
	require.NoError(t, err)
	a := newAnswers()
	req := invite(1, "TCP", server.tcp)
	req.Method, req.CSeq().MethodName = sip.OPTIONS, sip.OPTIONS
	_, err = phone.Layer.Request(req, a.on)
	require.NoError(t, err)
	require.Equal(t, []string{"200"}, a.wait(t))

	flow := server.tx(0).Flow()
	require.True(t, server.Alive(flow))
	remote := netip.MustParseAddrPort(flow.Remote)
	b := newAnswers()
	_, err = server.Layer.Request(invite(2, "TCP", remote), b.on)
	require.NoError(t, err)
	require.Equal(t, []string{"100", "486"}[1:], b.wait(t))

	server.Disconnect(flow)
	require.Eventually(t, func() bool { return !server.Alive(flow) }, 20*time.Second, time.Millisecond)
	_, err = server.Layer.Request(invite(3, "TCP", remote), b.on)
	require.ErrorIs(t, err, ErrFlowGone)
	require.Eventually(t, func() bool {
		return phone.heardAll("INVITE", "closed")
	}, 20*time.Second, time.Millisecond, "the phone hears of the end, too")
}

func TestLayer_LargeRequest_GoesOverUDPInFragments(t *testing.T) {
	t.Parallel()
	callee, caller := start(t, Config{}), start(t, Config{})
	callee.handle(func(tx *Server) {
		res := tx.NewResponse(200, "")
		res.SetBody(tx.Request().Body())
		_ = tx.Respond(res)
	})
	req := invite(1, "UDP", callee.udp)
	req.SetBody([]byte(strings.Repeat("a=x\r\n", 2000)))
	size := make(chan int, 20) // nobody acknowledges the answer: it is repeated
	_, err := caller.Layer.Request(req, func(res *sip.Response, err error) { size <- len(res.Body()) })
	require.NoError(t, err)
	require.Equal(t, 10_000, <-size)
}

func TestLayer_Unsendable_IsRefusedWithoutCallback(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	never := func(*sip.Response, error) { t.Error("called back") }
	req := invite(1, "UDP", n.udp)
	req.SetDestination("example.test:5060")
	_, err := n.Layer.Request(req, never)
	require.ErrorIs(t, err, ErrNoAddress)
	req = invite(1, "UDP", netip.MustParseAddrPort("[::1]:5060"))
	_, err = n.Layer.Request(req, never)
	require.ErrorIs(t, err, ErrNoListener)
	_, err = n.Layer.Request(invite(1, "WS", n.udp), never)
	require.ErrorIs(t, err, ErrFlowGone)
	_, err = n.Connect(t.Context(), "tcp", "example.test:5060", nil)
	require.ErrorIs(t, err, ErrNoAddress)
	_, err = n.Listen(t.Context(), Endpoint{Transport: "udp", Addr: "0.0.0.0:0"})
	require.ErrorContains(t, err, "SentBy")
	_, err = n.Listen(t.Context(), Endpoint{Transport: "sctp", Addr: "127.0.0.1:0"})
	require.ErrorContains(t, err, "unknown transport")
	n.Layer.Stop()
	_, err = n.Layer.Request(invite(1, "UDP", n.udp), never)
	require.ErrorIs(t, err, ErrStopped)
	n.Layer.Stop()
}

func TestLayer_SentBy_IsWhatPeersShouldUse(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	require.Equal(t, n.udp.String(), n.SentBy("udp"))
	require.Equal(t, n.tcp.String(), n.SentBy("TCP"))
	require.Empty(t, n.SentBy("tls"))
	l, err := New(Config{User: &recorder{}})
	require.NoError(t, err)
	defer l.Stop()
	addr, err := l.Listen(t.Context(), Endpoint{Transport: "UDP", Addr: "0.0.0.0:0", SentBy: "sip.example.test:0"})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("sip.example.test:%d", addr.(*net.UDPAddr).Port), l.SentBy("udp"))
}

// dialRaw is a plain TCP client of n.
func dialRaw(t *testing.T, n *node) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.tcp.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

func write(t *testing.T, c net.Conn, data string) {
	t.Helper()
	_, err := c.Write([]byte(data))
	require.NoError(t, err)
}

func read(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	require.NoError(t, err)
	return string(buf[:n])
}

func overTCP(m []byte) string { return strings.Replace(string(m), "SIP/2.0/UDP", "SIP/2.0/TCP", 1) }

func TestStream_MessagesInPiecesAndTogether_AreFramed(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	n.handle(func(tx *Server) { _ = tx.Reject(200) })
	c := dialRaw(t, n)
	one := overTCP(request("OPTIONS", "z9hG4bK1", "1", ""))
	write(t, c, "\r\n"+one[:10])
	write(t, c, one[10:len(one)-1])
	write(t, c, one[len(one)-1:]+overTCP(request("OPTIONS", "z9hG4bK2", "2", ""))+overTCP(request("OPTIONS", "z9hG4bK3", "3", "")))
	require.Eventually(t, func() bool { return n.Stats().Received == 3 }, 20*time.Second, time.Millisecond)
	require.Contains(t, read(t, c), "SIP/2.0 200 OK")
}

func TestStream_KeepAlivePing_GetsPong(t *testing.T) {
	t.Parallel()
	c := dialRaw(t, start(t, Config{}))
	write(t, c, "\r\n\r\n")
	require.Equal(t, "\r\n", read(t, c))
}

func TestStream_UnreadableMessage_400AndTheConnectionLives(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	n.handle(func(tx *Server) { _ = tx.Reject(200) })
	c := dialRaw(t, n)
	write(t, c, strings.Replace(overTCP(request("OPTIONS", "z9hG4bK1", "1", "")), "CSeq: 1 OPTIONS", "CSeq: x OPTIONS", 1))
	require.Contains(t, read(t, c), "SIP/2.0 400 ")
	write(t, c, overTCP(request("OPTIONS", "z9hG4bK2", "2", "")))
	require.Contains(t, read(t, c), "SIP/2.0 200 ")
}

func TestStream_LostFraming_AnsweredThenClosed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ length, want string }{{"-1", "400 Bad Content-Length"}, {"99999", "513 "}} {
		c := dialRaw(t, start(t, Config{}))
		write(t, c, strings.Replace(overTCP(request("OPTIONS", "z9hG4bK1", "1", "")), "Content-Length: 0", "Content-Length: "+test.length, 1))
		require.Contains(t, read(t, c), test.want)
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestStream_SlowOrSilentPeer_IsDisconnected(t *testing.T) {
	t.Parallel()
	n := start(t, Config{MessageTimeout: 50 * time.Millisecond, IdleTimeout: time.Hour})
	silent, slow := dialRaw(t, n), dialRaw(t, n)
	write(t, slow, "OPTIONS sip:")
	for _, c := range []net.Conn{silent, slow} {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	idle := dialRaw(t, start(t, Config{IdleTimeout: 50 * time.Millisecond}))
	write(t, idle, "\r\n\r\n")
	require.Equal(t, "\r\n", read(t, idle))
	_, err := idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestStream_TooManyConnections_AreRefused(t *testing.T) {
	t.Parallel()
	for _, limits := range []Config{{MaxConns: 1}, {MaxConnsPerAddress: 1}} {
		n := start(t, limits)
		refusesSecond(t, n)
	}
}

// refusesSecond opens two connections where one is allowed.
func refusesSecond(t *testing.T, n *node) {
	t.Helper()
	first := dialRaw(t, n)
	write(t, first, "\r\n\r\n")
	require.Equal(t, "\r\n", read(t, first))
	second := dialRaw(t, n)
	_, err := second.Read(make([]byte, 1))
	require.Error(t, err)
	require.EqualValues(t, 1, n.Stats().Refused)
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return n.Stats().ConnsAlive == 0 }, 20*time.Second, time.Millisecond)
	third := dialRaw(t, n)
	write(t, third, "\r\n\r\n")
	require.Equal(t, "\r\n", read(t, third))
}

func TestLayer_FilterSaysNo_NothingIsParsedOrAnswered(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Filter: func(transport string, _ netip.AddrPort, data []byte) bool {
		return transport == "UDP" && !strings.Contains(string(data), "scanner")
	}})
	n.handle(func(tx *Server) { _ = tx.Reject(200) })
	c, err := new(net.Dialer).DialContext(t.Context(), "udp", n.udp.String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	write(t, c, strings.Replace(string(request("OPTIONS", "z9hG4bK1", "1", "")), "Max-Forwards", "User-Agent: scanner\r\nMax-Forwards", 1))
	write(t, c, string(request("OPTIONS", "z9hG4bK2", "2", "")))
	require.Contains(t, read(t, c), "CSeq: 2 OPTIONS")
	require.EqualValues(t, 1, n.Stats().Filtered)
	_, err = dialRaw(t, n).Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "refused at accept")
}

func TestLayer_QueueFull_NewRequestsGet503AcksAreDropped(t *testing.T) {
	t.Parallel()
	release, busy := make(chan struct{}), make(chan struct{}, 10)
	n := start(t, Config{Shards: 1, Queue: 1, RetryAfter: 1500 * time.Millisecond})
	n.handle(func(tx *Server) { busy <- struct{}{}; <-release })
	defer close(release)
	w := tap("UDP")
	from := netip.MustParseAddrPort("127.0.0.1:4000")
	n.input(request("OPTIONS", "z9hG4bK1", "1", ""), from, w)
	<-busy
	n.input(request("OPTIONS", "z9hG4bK2", "2", ""), from, w) // waits in the queue
	n.input(request("OPTIONS", "z9hG4bK3", "3", ""), from, w)
	n.input(request("ACK", "z9hG4bK4", "4", ""), from, w)
	w.mu.Lock()
	require.Contains(t, w.sent[0], "Retry-After: 2\r\n")
	w.mu.Unlock()
	require.Equal(t, []string{"SIP/2.0 503 Service Unavailable"}, w.lines())
	require.EqualValues(t, 1, n.Stats().Overloaded)
	require.EqualValues(t, 1, n.Stats().Dropped)
}

func TestLayer_TooManyTransactions_503OutsideDialogsOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		l.conf.MaxServers = 1
		w := tap("UDP")
		inject(l, w, request("OPTIONS", "z9hG4bK1", "1", ""))
		inject(l, w, request("OPTIONS", "z9hG4bK2", "2", ""))
		require.Equal(t, []string{"SIP/2.0 503 Service Unavailable"}, w.lines())
		inject(l, w, request("BYE", "z9hG4bK3", "3", "ours"))
		require.Equal(t, []string{"OPTIONS", "BYE"}, r.events())
	})
}

// pipeWire is an attached wire that hands messages to a channel.
type pipeWire struct {
	out    chan string
	closed chan struct{}
	once   sync.Once
}

func (p *pipeWire) WriteMessage(data []byte) error { p.out <- string(data); return nil }
func (p *pipeWire) Close() error                   { p.once.Do(func() { close(p.closed) }); return nil }

func TestAttach_WebSocket_BothWaysAndItsEnd(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	n.handle(func(tx *Server) { _ = tx.Reject(200) })
	p := &pipeWire{out: make(chan string, 10), closed: make(chan struct{})}
	f := Flow{Transport: "WS", Local: "127.0.0.1:8080", Remote: "browser-1"}
	a, err := n.Attach(f, "sip.invalid", p)
	require.NoError(t, err)
	a.Receive([]byte("\r\n\r\n"))
	require.Equal(t, "\r\n", <-p.out)
	a.Receive(request("REGISTER", "z9hG4bK1", "1", ""))
	require.Contains(t, <-p.out, "SIP/2.0 200 OK")

	req := newRequest(sip.INVITE)
	req.SetTransport("WS")
	req.SetDestination(f.Remote)
	ended := newAnswers()
	_, err = n.Layer.Request(req, ended.on)
	require.NoError(t, err)
	require.Contains(t, <-p.out, "Via: SIP/2.0/WS sip.invalid;branch=")
	a.Close()
	a.Close()
	require.Equal(t, []string{"INVITE: the connection to the peer is gone"}, ended.wait(t))
	<-p.closed
	<-a.Done()
	require.False(t, n.Alive(f))
}

func TestAttach_SameNameAgain_ClosesTheOlder(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	f := Flow{Transport: "WSS", Remote: "browser-1"}
	var pipes []*pipeWire
	for range 2 {
		p := &pipeWire{out: make(chan string, 1), closed: make(chan struct{})}
		pipes = append(pipes, p)
		_, err := n.Attach(f, "sip.invalid", p)
		require.NoError(t, err)
	}
	<-pipes[0].closed
	require.True(t, n.Alive(f))
	_, err := n.Attach(Flow{Transport: "UDP", Remote: "x"}, "y", pipes[0])
	require.Error(t, err)
}

func TestFlow_TextForm_RoundTrips(t *testing.T) {
	t.Parallel()
	f := Flow{Transport: "TCP", Local: "[::1]:5060", Remote: "[::1]:4000"}
	g, err := ParseFlow(f.String())
	require.NoError(t, err)
	require.Equal(t, f, g)
	_, err = ParseFlow("nonsense")
	require.Error(t, err)
}
