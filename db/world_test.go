package db_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

const acme id.Tenant = "acme.example"

// world is a tenant with queues, and hands to play calls and agents with.
type world struct {
	testing.TB
	*db.DB
	url    string
	super  *pgx.Conn
	tenant id.Tenant
	calls  atomic.Int64
	talks  time.Duration // how long conversations last; 0: a minute
}

// newWorld makes a database with tenant acme and the named queues, all of the
// default strategy.
func newWorld(t testing.TB, queues ...id.Queue) *world {
	t.Helper()
	url := dbtest.URL(t)
	w := &world{TB: t, DB: dbtest.Open(t, db.Config{URL: url}), url: url, super: dbtest.Super(t, url), tenant: acme}
	w.exec(`INSERT INTO organizations VALUES ('acme')`)
	w.exec(`INSERT INTO divisions VALUES ('acme', 'main')`)
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ($1, 'acme', 'main')`, string(acme))
	for _, q := range queues {
		w.addQueue(q, queue.LongestIdle)
	}
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.super.Exec(w.Context(), sql, args...)
	require.NoError(w, err, sql)
}

// one reads one value as the superuser.
func (w *world) one(into any, sql string, args ...any) {
	w.Helper()
	require.NoError(w, w.super.QueryRow(w.Context(), sql, args...).Scan(into), sql)
}

func (w *world) addQueue(q id.Queue, s queue.Strategy) {
	w.Helper()
	w.exec(`INSERT INTO queues (tenant_id, name, strategy, ring_ms) VALUES ($1, $2, $3, 15000)`, string(w.tenant), string(q), string(s))
}

// t0 is when the tests' world begins.
var t0 = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// arriving is a call that came to queue q: it owes its place in line.
func (w *world) arriving(q id.Queue, at time.Time) call.State {
	w.Helper()
	n := w.calls.Add(1)
	s := call.New(call.Incoming{
		Tenant: w.tenant, Call: id.NewCall(fmt.Sprint("call-", n), w.Name(), "b1"), Node: "node-1", Boot: "b1",
		From: fmt.Sprintf("+4930%06d", n), To: "8000", Trunk: "demo", At: at,
	})
	s, effects, err := s.Step(at, call.Arrived{Route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: q, Ring: 15 * time.Second}}})
	require.NoError(w, err)
	require.NotEmpty(w, effects)
	return s
}

// open opens an arriving call and returns the state reached.
func (w *world) open(s call.State) call.State {
	w.Helper()
	got, _, err := w.Open(w.Context(), s.ArrivedAt, s)
	require.NoError(w, err)
	return got
}

// session plays an agent's session: it numbers its saves.
type session struct {
	*world
	p agent.Presence
	v agent.View
}

// session is of an agent who is checked in to the queues.
func (w *world) session(number id.Agent, queues ...id.Queue) *session {
	s := &session{world: w}
	s.p = agent.Presence{
		Tenant: w.tenant, Agent: number, Status: agent.NotReady, Method: "all",
		Addresses: []leg.Address{{Device: id.Device(number), Kind: leg.SIP}},
	}
	for _, q := range queues {
		s.p.Queues = append(s.p.Queues, agent.Membership{Queue: q, CheckedIn: true})
	}
	s.v = agent.View{Tenant: w.tenant, Agent: number, User: id.User(number), Name: "Agent " + string(number)}
	return s
}

// at sets the state that the next save tells.
func (s *session) state(status agent.Status, since time.Time) agent.Save {
	s.p.Version++
	s.p.Status, s.p.Available, s.p.Gone = status, status == agent.Ready, status == agent.LoggedOff
	if status == agent.Ready {
		s.p.ReadyAt = since
	}
	s.v.State, s.v.Since, s.v.Version, s.v.Memberships = status, since, s.p.Version, s.p.Queues
	return agent.Save{Presence: s.p, View: s.v}
}

// save saves the session in a state.
func (s *session) save(status agent.Status, since time.Time) record.Saved {
	s.Helper()
	saved, err := s.SaveAgent(s.Context(), s.state(status, since))
	require.NoError(s, err)
	return saved
}

// ready saves the session as Ready.
func (s *session) ready(since time.Time) record.Saved {
	s.Helper()
	return s.save(agent.Ready, since)
}

// over says that an offer has ended: the next save releases it.
func (s *session) over(o id.Offer) *session {
	s.p.Offer = ""
	s.p.Release = append(s.p.Release, o)
	return s
}

// again places a call again after its offer failed.
func (w *world) again(s call.State, tried ...id.Agent) record.Placed {
	w.Helper()
	placed, err := w.Place(w.Context(), s.Ref(), call.Place{
		Queue: s.Route.Queue.Name, QueuedAt: s.QueuedAt, Offer: id.NewOffer(s.ID, s.Offers+1), Over: id.NewOffer(s.ID, s.Offers), Tried: tried,
	})
	require.NoError(w, err)
	return placed
}
