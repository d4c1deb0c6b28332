package db_test

import (
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
