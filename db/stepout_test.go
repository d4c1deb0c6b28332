package db_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// outbound is a call that an agent dials from its phone, as the route says.
func (w *world) outbound(from id.Agent, r call.Route, at time.Time) call.State {
	w.Helper()
	s := w.arriving("support", at) // for its name
	s = call.New(call.Incoming{
		Tenant: w.tenant, Call: s.ID, Node: "node-1", Boot: "b1", From: string(from), Agent: from, Device: id.Device(from), To: "030555", At: at,
	})
	s, _, err := s.Step(at, call.Arrived{Route: r})
	require.NoError(w, err)
	return w.open(s)
}

var beyond = []leg.Address{{Device: "carrier", Kind: leg.PSTN, URI: "030555"}}

// SEED-80: dialling while Ready takes the agent out of its queues in the transaction that
// opens the call; a call that is turned away leaves it there.
func TestOpen_SEED80_AReadyAgentDials_NoQueueCallIsOfferedFromThenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	anna.ready(t0)
	gone := w.outbound("1001", call.Route{Kind: call.ToTrunk, Name: "030555", CallerReady: true, Targets: beyond}, t0)
	require.Equal(t, call.Ended, gone.Phase)
	require.Equal(t, leg.AgentReady, gone.Cause)
	first := w.open(w.arriving("support", t0.Add(time.Second)))
	require.Equal(t, call.Offering, first.Phase, "whose call was refused is still Ready")
	anna.over(first.Offer.ID).ready(t0.Add(time.Minute))

	w.outbound("1001", call.Route{Kind: call.ToTrunk, Name: "030555", Targets: beyond}, t0.Add(time.Minute))
	second := w.open(w.arriving("support", t0.Add(2*time.Minute)))
	require.Equal(t, call.Queued, second.Phase)

	anna.save(agent.Busy, t0.Add(time.Minute))
	back := anna.ready(t0.Add(3 * time.Minute))
	require.NotNil(t, back.Matched, "after its own call the agent is served again")
	require.Equal(t, id.NewOffer(second.ID, 1), back.Matched.Offer)
}

// SEED-80: an agent who calls a queue is not offered its own call.
func TestOpen_SEED80_AnAgentCallsItsOwnQueue_AnotherIsOfferedTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	route := call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support", Ring: 15 * time.Second}}
	require.Equal(t, call.Queued, w.outbound("1001", route, t0.Add(time.Minute)).Phase)
}

// SEED-80: whether the one who sits at a device may dial out, in both settings of the policy
// and every state.
func TestSeat_SEED80_WhoIsReadyMayNotDialOut_IfTheTenantWantsThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.exec(`INSERT INTO devices (tenant_id, name, kind) VALUES ($1, '1001', 'sip')`, string(w.tenant))
	anna := w.session("1001", "support")
	for i, state := range []agent.Status{agent.NotReady, agent.Ready, agent.Reserved, agent.Busy, agent.WorkingAfterCall, agent.LoggedOff} {
		anna.p.Bound = []id.Device{"1001"}
		anna.save(state, t0.Add(time.Duration(i)*time.Minute))
		for _, wanted := range []string{"{}", `{"outbound_requires_not_ready": false}`, `{"outbound_requires_not_ready": true}`} {
			w.exec(`UPDATE tenants SET policies = $2 WHERE tenant_id = $1`, string(w.tenant), wanted)
			seat, err := w.Seat(t.Context(), w.tenant, "1001")
			require.NoError(t, err)
			may := wanted != `{"outbound_requires_not_ready": true}` || state != agent.Ready && state != agent.Reserved
			require.Equal(t, may, !seat.MayNotDialOut, "%s with %s", state, wanted)
		}
	}
}

// SEED-80: agents who dial each other's queues at one moment are not made to wait for each
// other, which the database would notice after a second only: their queues stand still as long.
func TestOpen_SEED80_TwoAgentsDialEachOthersQueues_NeitherWaitsForTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "blue", "red")
	anna, ben := w.session("1001", "blue", "red"), w.session("1002", "blue", "red")
	deadlocks := func() (n int) {
		w.one(&n, `SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()`)
		return n
	}
	for i := range 30 {
		at := t0.Add(time.Duration(i) * time.Minute)
		anna.ready(at)
		ben.ready(at)
		var both sync.WaitGroup
		calls, errs := make([]call.State, 2), make([]error, 2)
		for k, from := range []id.Agent{"1001", "1002"} {
			s := w.arriving([]id.Queue{"blue", "red"}[k], at)
			s = call.New(call.Incoming{Tenant: w.tenant, Call: s.ID, Node: "node-1", Boot: "b1", From: string(from), Agent: from, To: "8000", At: at})
			s, _, err := s.Step(at, call.Arrived{Route: call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: []id.Queue{"blue", "red"}[k], Ring: 15 * time.Second}}})
			require.NoError(t, err)
			both.Go(func() { calls[k], _, errs[k] = w.Open(t.Context(), at, s) })
		}
		both.Wait()
		for k, s := range calls {
			require.NoError(t, errs[k])
			if s.Offer != nil {
				require.Equal(t, []id.Agent{"1002", "1001"}[k], s.Offer.Agent)
				[]*session{ben, anna}[k].over(s.Offer.ID)
			}
		}
		anna.save(agent.Busy, at.Add(time.Second))
		ben.save(agent.Busy, at.Add(time.Second))
		w.exec(`DELETE FROM waiting`)
	}
	w.exec(`SELECT pg_stat_force_next_flush()`)
	require.Zero(t, deadlocks())
}
