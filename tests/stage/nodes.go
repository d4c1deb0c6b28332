package stage

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"holdfast/db/cluster"
	"holdfast/domain/id"
	"holdfast/telephony/softphone"
)

// SideNode is a telephony node beside the stage's first. Its ways to Temporal and to the
// database can be cut.
type SideNode struct {
	*Process
	Node     id.Node
	Temporal *Wire
	Postgres *Wire
	sip      string
	stage    *Stage
}

// AddNode starts another telephony node. It ends with the test.
func (s *Stage) AddNode(t testing.TB, name id.Node) *SideNode {
	t.Helper()
	first, _, err := net.SplitHostPort(s.sip)
	require.NoError(t, err)
	port, err := cluster.ReservePort(first, 0)
	for err == nil && rtpPorts(port.Port) == rtpPorts(s.ports[1].Port) {
		port.Release()
		port, err = cluster.ReservePort(first, 0)
	}
	require.NoError(t, err)
	dsn, err := url.Parse(s.Postgres.DSN())
	require.NoError(t, err)
	n := &SideNode{Node: name, stage: s, sip: fmt.Sprintf("%s:%d", first, port.Port)}
	n.Temporal, n.Postgres = newWire(t, s.Temporal.Frontend()), newWire(t, dsn.Host)
	dsn.Host = n.Postgres.Addr()
	n.Process = &Process{Name: "telephony", binary: s.binary, dir: s.dir, env: append(append([]string{}, s.Node.env...),
		"HOLDFAST_NODE="+string(name), "HOLDFAST_SIP_ADDR="+n.sip, "HOLDFAST_RTP_PORTS="+rtpPorts(port.Port), "HOLDFAST_HEALTH_ADDR=",
		"TEMPORAL_ADDRESS="+n.Temporal.Addr(), "HOLDFAST_DATABASE_URL="+dsn.String())}
	t.Cleanup(func() {
		n.Kill()
		port.Release()
	})
	require.NoError(t, n.Start(t.Context()))
	return n
}

// SIP is ip:port of the node.
func (n *SideNode) SIP() string { return n.sip }

// Asked returns when the node's guard has asked so often for the activity.
func (n *SideNode) Asked(t testing.TB, activity string, times int) {
	t.Helper()
	c := n.stage.Client(t)
	require.Eventually(t, func() bool {
		asked := 0
		events := c.GetWorkflowHistory(t.Context(), id.NodeWorkflow(n.Node), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				return false
			}
			if a := e.GetActivityTaskScheduledEventAttributes(); a != nil && a.GetActivityType().GetName() == activity {
				asked++
			}
		}
		return asked >= times
	}, 3*Patience, 100*time.Millisecond)
}

// Guarded returns when the node's guard watches a run that lives.
func (n *SideNode) Guarded(t testing.TB) {
	t.Helper()
	c := n.stage.Client(t)
	require.Eventually(t, func() bool {
		d, err := c.DescribeWorkflowExecution(t.Context(), id.NodeWorkflow(n.Node), "")
		if err != nil || d.GetWorkflowExecutionInfo().GetCloseTime() != nil {
			return false
		}
		pending := d.GetPendingActivities()
		return len(pending) == 1 && pending[0].GetLastHeartbeatTime() != nil
	}, 2*Patience, 100*time.Millisecond)
}

// AgentAt is the n-th agent, its phone registered at a node over a transport, signed in
// and Ready.
func (ten *Tenant) AgentAt(node *SideNode, n int, transport string) *Agent {
	ten.t.Helper()
	a := &Agent{Number: fmt.Sprint(1000 + n), ten: ten}
	a.Phone = ten.phoneAt(node.sip, softphone.Config{User: a.Number, Domain: ten.Domain, Password: Password, Transport: transport})
	require.NoError(ten.t, a.Phone.Register(ten.Context(), 5*time.Minute))
	a.API = ten.Login(a.Number)
	a.SignIn()
	a.Ready()
	return a
}

// Move gives the agent a phone that registers at the stage's first node.
func (a *Agent) Move() {
	a.ten.t.Helper()
	a.Phone = a.ten.NewPhone(a.Number, softphone.Config{})
	require.NoError(a.ten.t, a.Phone.Register(a.ten.Context(), 5*time.Minute))
}

// CallAt lets a customer dial a number at a node.
func (ten *Tenant) CallAt(node *SideNode, from, number string) *softphone.Call {
	ten.t.Helper()
	p := ten.phoneAt(node.sip, softphone.Config{IP: ten.ip, User: "customer"})
	c, err := p.Dial(ten.Context(), softphone.Dial{To: number, From: from, Tone: CustomerTone})
	require.NoError(ten.t, err)
	ten.t.Cleanup(func() { _ = c.HangUp() })
	return c
}

func (ten *Tenant) phoneAt(server string, conf softphone.Config) *softphone.Phone {
	ten.t.Helper()
	conf.Server = server
	p, err := softphone.New(ten.Context(), conf)
	require.NoError(ten.t, err)
	ten.t.Cleanup(p.Close)
	return p
}

// Wire carries TCP connections to a server until it is cut. Then nothing comes through,
// and nobody is told: as when a cable is pulled. Mended, what was under way arrives.
type Wire struct {
	listener net.Listener
	target   string
	life     context.Context
	end      context.CancelFunc
	work     sync.WaitGroup

	mu   sync.Mutex
	open chan struct{} // closed while the wire is whole
}

func newWire(t testing.TB, target string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &Wire{listener: l, target: target, open: make(chan struct{})}
	close(w.open)
	w.life, w.end = context.WithCancel(context.Background())
	w.work.Go(w.accept)
	t.Cleanup(func() {
		w.end()
		_ = l.Close()
		w.work.Wait()
	})
	return w
}

// Addr is where the wire begins.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut cuts the wire.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

// Mend makes it whole again.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.open)
}

// whole waits until the wire is whole; false: it is taken away.
func (w *Wire) whole() bool {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	select {
	case <-open:
		return true
	case <-w.life.Done():
		return false
	}
}

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.work.Go(func() { w.carry(near) })
	}
}

func (w *Wire) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	if !w.whole() {
		return
	}
	far, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	var both sync.WaitGroup
	over, end := context.WithCancel(w.life)
	defer end()
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			defer end()
			w.pass(way[0], way[1])
		})
	}
	<-over.Done()
	_, _ = near.Close(), far.Close()
	both.Wait()
}

// pass carries one direction until its end.
func (w *Wire) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !w.whole() {
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}
