package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"holdfast/activities"
	"holdfast/cmd/engines"
	"holdfast/db"
	"holdfast/db/cluster"
	"holdfast/dispatch"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/worker"
)

// patience bounds every wait: long enough for a loaded machine.
const patience = 20 * time.Second

// ground is what all tests of this package stand on: a durable Postgres, Temporal on
// it, the schema, and a worker of the shared task queue.
var ground struct {
	once     sync.Once
	dir      string
	postgres *cluster.Cluster
	temporal *engines.Temporal
	client   client.Client
	db       *db.DB
	shared   *worker.Worker
	err      error
	tenants  atomic.Int32
	journal  journal
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := clear(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func quiet() *slog.Logger {
	if os.Getenv("HOLDFAST_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

func prepare() (err error) {
	ctx := context.Background()
	if ground.dir, err = os.MkdirTemp("", "holdfast-worker-"); err != nil {
		return err
	}
	if ground.postgres, err = cluster.Start(ctx, cluster.Config{Dir: ground.dir, Database: "holdfast"}); err != nil {
		return err
	}
	output, err := os.Create(filepath.Join(ground.dir, "temporal.log"))
	if err != nil {
		return err
	}
	if ground.temporal, err = engines.Start(ctx, engines.Config{Cluster: ground.postgres, Headless: true, Output: output}); err != nil {
		return err
	}
	if ground.db, err = db.New(db.Config{URL: ground.postgres.DSN(), Log: quiet()}); err != nil {
		return err
	}
	ground.journal = journal{ground.db, make(chan string, 100)}
	if err = ground.db.Migrate(ctx); err != nil {
		return err
	}
	ground.client, err = client.NewLazyClient(client.Options{
		HostPort: ground.temporal.Frontend(), Logger: sdklog.NewStructuredLogger(quiet()),
	})
	if err != nil {
		return err
	}
	ground.shared = sharedWorker()
	ground.shared.Start()
	return nil
}

func clear() error {
	if ground.shared != nil {
		ground.shared.Stop()
	}
	if ground.client != nil {
		ground.client.Close()
	}
	if ground.db != nil {
		if err := ground.db.Close(); err != nil {
			return err
		}
	}
	ctx := context.Background()
	if ground.temporal != nil {
		if err := ground.temporal.Stop(ctx); err != nil {
			return err
		}
	}
	if ground.postgres != nil {
		if err := ground.postgres.Stop(ctx); err != nil {
			return err
		}
	}
	return os.RemoveAll(ground.dir)
}

// rig is one tenant with a telephony node whose phones are played by the test.
type rig struct {
	*testing.T
	tenant id.Tenant
	node   id.Node
	boot   string
	ledger *ledger
	phone  *phone
	d      *dispatch.Dispatcher
	worker *worker.Worker
	calls  int
}

// newRig makes one whose phones ring longer than any test waits.
func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigThatRings(t, 2*patience)
}

// newRigThatRings makes one whose phones ring that long, for those tests that let a ring run out.
func newRigThatRings(t testing.TB, ring time.Duration) *rig {
	t.Helper()
	ground.once.Do(func() { ground.err = prepare() })
	require.NoError(t, ground.err)
	n := ground.tenants.Add(1)
	r := &rig{tenant: id.Tenant(fmt.Sprintf("t%d.localhost", n)), node: id.Node(fmt.Sprintf("node-%d", n)), boot: "boot-1"}
	r.T, _ = t.(*testing.T)
	r.found(t, ring)
	r.phone = newPhone()
	r.ledger = &ledger{DB: ground.db, rig: r, ring: ring, wrapUp: 2 * time.Second}
	r.d = dispatch.New(dispatch.Config{
		Temporal: ground.client, Ledger: r.ledger, Journal: ground.journal, Log: quiet(),
		SweepEvery: 200 * time.Millisecond, OrphanAge: 200 * time.Millisecond, ReapEvery: 200 * time.Millisecond,
	})
	r.d.Connect(r.phone)
	r.phone.report = r.d.Report
	t.Cleanup(r.d.Stop)
	r.worker = worker.Node(ground.client, &activities.Node{Phone: r.phone, Journal: ground.journal, Name: r.node, Boot: r.boot}, quiet())
	r.worker.Start()
	t.Cleanup(func() { r.worker.Stop() })
	for _, w := range []*worker.Worker{ground.shared, r.worker} {
		select {
		case <-w.Ready():
		case <-time.After(patience):
			t.Fatal("a worker did not start")
		}
	}
	return r
}

// found makes the tenant with queue support, that rings so long.
func (r *rig) found(t testing.TB, ring time.Duration) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, ground.postgres.DSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	for _, sql := range []string{
		`INSERT INTO organizations VALUES ($1)`, `INSERT INTO divisions VALUES ($1, 'main')`,
		`INSERT INTO tenants (tenant_id, organization, division) VALUES ($1, $1, 'main')`,
		fmt.Sprintf(`INSERT INTO queues (tenant_id, name, ring_ms) VALUES ($1, 'support', %d)`, ring.Milliseconds()),
		`INSERT INTO devices (tenant_id, name, kind) SELECT $1, n::text, 'sip' FROM generate_series(1001, 1009) n`,
	} {
		_, err := conn.Exec(ctx, sql, string(r.tenant))
		require.NoError(t, err, sql)
	}
}

// ledger is the database with a directory that the test plays: one queue, and every
// agent with one phone of its own number.
type ledger struct {
	*db.DB
	*rig
	ring   time.Duration
	wrapUp time.Duration
	// unheard: the sessions take their phones for unreachable
	unheard bool
}

func (l *ledger) Route(_ context.Context, _ id.Tenant, number string) (call.Route, error) {
	switch {
	case number == "8000":
		return call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support", Ring: l.ring}}, nil
	case len(number) == 4:
		return call.Route{Kind: call.ToAgent, Agent: id.Agent(number), Targets: address(number), Method: "all", Ring: l.ring}, nil
	}
	return call.Route{Kind: call.ToNobody}, nil
}

func (l *ledger) Profile(_ context.Context, ref agent.Ref) (agent.Profile, []id.Device, error) {
	return agent.Profile{
		Name: "Agent " + string(ref.Agent), WrapUp: l.wrapUp, RingMethod: "all", Addresses: address(string(ref.Agent)),
		Queues:     []agent.Membership{{Queue: "support", CheckedIn: true}},
		OnNoAnswer: agent.FollowNotReady, OnReject: agent.FollowNotReady,
	}, []id.Device{id.Device(ref.Agent)}, nil
}

func (l *ledger) SaveRegistration(_ context.Context, r device.Registration) (id.Agent, device.Reach, error) {
	there := r.Expires.After(time.Now())
	return id.Agent(r.Device), device.Reach{Reachable: there, Unheard: there && l.unheard}, nil
}

func address(number string) []leg.Address {
	return []leg.Address{{Device: id.Device(number), Kind: leg.SIP}}
}

// incoming calls number and returns the call.
func (r *rig) incoming(number string) call.Ref {
	r.Helper()
	in := r.invite(number)
	require.NoError(r, r.d.Incoming(context.Background(), in))
	return call.Ref{Tenant: in.Tenant, Call: in.Call}
}

func (r *rig) invite(number string) call.Incoming {
	r.calls++
	return call.Incoming{
		Tenant: r.tenant, Call: id.NewCall(fmt.Sprint(r.calls), string(r.tenant), r.boot), Node: r.node, Boot: r.boot,
		From: "+493012345678", To: number, Trunk: "demo", At: time.Now(),
	}
}

func (r *rig) agent(number id.Agent) agent.Ref { return agent.Ref{Tenant: r.tenant, Agent: number} }

// signIn signs an agent in.
func (r *rig) signIn(number id.Agent) agent.View {
	r.Helper()
	v, created, err := r.d.SignIn(r.Context(), r.agent(number), id.User(number), agent.SignIn{Interface: "phone", Actor: agent.Actor{User: string(number)}})
	require.NoError(r, err)
	require.True(r, created)
	return v
}

// ask gives a command that must be accepted.
func (r *rig) ask(number id.Agent, e agent.Event) agent.View {
	r.Helper()
	v, err := r.d.Agent(r.Context(), r.agent(number), e)
	require.NoError(r, err)
	return v
}

// ready signs an agent in and makes it Ready.
func (r *rig) ready(number id.Agent) {
	r.Helper()
	r.signIn(number)
	require.Equal(r, agent.Ready, r.ask(number, agent.GoReady{}).State)
}

// rings is the next ring, which must be the agent's.
func (r *rig) rings(number id.Agent) *ringing {
	r.Helper()
	ring := r.phone.next(r)
	require.Equal(r, number, ring.Agent)
	return ring
}

// connected makes an agent ready and lets a caller of the queue talk with it.
func (r *rig) connected(number id.Agent) (call.Ref, *ringing) {
	r.Helper()
	r.ready(number)
	ref := r.incoming("8000")
	ring := r.rings(number)
	r.phone.answer(ring)
	r.waitState(number, agent.Busy)
	return ref, ring
}

// serve lets the agent answer; the customer hangs up, and the call comes to its end.
func (r *rig) serve(ring *ringing, number id.Agent) call.View {
	r.Helper()
	r.phone.answer(ring)
	r.waitState(number, agent.Busy)
	r.hangUp(ring)
	return r.waitEnded(ring.ref)
}

// waitState waits until the session is in a state.
func (r *rig) waitState(number id.Agent, want agent.Status) agent.View {
	r.Helper()
	var v agent.View
	require.Eventually(r, func() bool {
		var err error
		v, err = r.d.AgentView(context.Background(), r.agent(number))
		return err == nil && v.State == want
	}, patience, 20*time.Millisecond, "agent %s does not become %s", number, want)
	return v
}

// waitSaid waits until the node was asked for something.
func (r *rig) waitSaid(what string) {
	r.Helper()
	require.Eventually(r, func() bool { return slices.Contains(r.phone.transcript(), what) }, patience, 10*time.Millisecond, what)
}

// waitEnded waits until the call's workflow is complete, and returns its result.
func (r *rig) waitEnded(ref call.Ref) call.View {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	var v call.View
	require.Eventually(r, func() bool {
		return ground.client.GetWorkflow(ctx, id.CallWorkflow(ref.Tenant, ref.Call), "").Get(ctx, &v) == nil
	}, patience, 50*time.Millisecond)
	require.Equal(r, call.Ended, v.Phase)
	return v
}

// journal is the database; what the test wants to know of it is noted.
type journal struct {
	*db.DB
	lost chan string
}

func (j journal) LoseNode(ctx context.Context, l device.Loss) ([]device.Stranded, error) {
	select {
	case j.lost <- string(l.Node) + " " + l.Boot:
	default:
	}
	return j.DB.LoseNode(ctx, l)
}

func notFound(err error) bool { return fault.KindOf(err) == fault.NotFound }
