package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// SEED-69: in Ready the agent receives queue calls.
func TestOpen_AgentIsReady_CallIsOfferedInTheSameTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	require.Nil(t, anna.ready(t0).Reserved)

	arriving := w.arriving("support", t0.Add(time.Minute))
	got, effects, err := w.Open(t.Context(), arriving.ArrivedAt, arriving)
	require.NoError(t, err)
	require.Equal(t, call.Offering, got.Phase)
	require.Equal(t, id.Agent("1001"), got.Offer.Agent)
	require.Equal(t, anna.p.Addresses, got.Offer.Targets)
	require.NotEmpty(t, effects, "the ring is to be executed at once")

	stored, err := w.CallState(t.Context(), got.Ref())
	require.NoError(t, err)
	require.Equal(t, got, stored)

	saved := anna.save(agent.NotReady, t0.Add(time.Minute))
	require.NotNil(t, saved.Reserved, "not ready met the fresh reservation")
	require.Equal(t, got.Offer.ID, saved.Reserved.ID)
	require.Equal(t, got.Offer.Deadline, saved.Reserved.Deadline.UTC())
	require.Equal(t, got.From, saved.Reserved.From)
	require.Equal(t, leg.InboundQueue, saved.Reserved.Class)
	require.Nil(t, saved.Matched, "the call has been told by its own side")
}

// SEED-70, SEED-35: neither a NotReady nor a signed-out agent is offered a queue call.
func TestOpen_NobodyIsReady_CallWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").save(agent.NotReady, t0)
	gone := w.session("1002", "support")
	gone.ready(t0)
	gone.save(agent.LoggedOff, t0.Add(time.Second))
	elsewhere := w.session("1003")
	elsewhere.ready(t0)

	got := w.open(w.arriving("support", t0))
	require.Equal(t, call.Queued, got.Phase)
	second := w.open(w.arriving("support", t0.Add(time.Second)))
	require.Equal(t, call.Queued, second.Phase)
}

func TestSaveAgent_BecomesReady_GetsTheFirstCallInLine_TheSameAgainWhenRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	first := w.open(w.arriving("support", t0))
	w.open(w.arriving("support", t0.Add(time.Second)))
	anna := w.session("1001", "support")
	save := anna.state(agent.Ready, t0.Add(time.Minute))

	for range 3 {
		saved, err := w.SaveAgent(t.Context(), save)
		require.NoError(t, err)
		require.NotNil(t, saved.Matched)
		require.Equal(t, id.NewOffer(first.ID, 1), saved.Matched.Offer)
		require.Equal(t, anna.p.Addresses, saved.Matched.Targets)
		require.Equal(t, "all", saved.Matched.Method)
		require.Equal(t, saved.Matched.Offer, saved.Reserved.ID)
	}
	var decisions int
	w.one(&decisions, `SELECT count(*) FROM decisions WHERE agent = '1001'`)
	require.Equal(t, 1, decisions)
}

func TestSaveAgent_OlderThanTheRow_ChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	old := anna.state(agent.Ready, t0)
	anna.save(agent.NotReady, t0.Add(time.Second))

	saved, err := w.SaveAgent(t.Context(), old)
	require.NoError(t, err)
	require.Nil(t, saved.Reserved)
	require.Equal(t, call.Queued, w.open(w.arriving("support", t0)).Phase)
}

func TestSaveAgent_LateSaveOfAnEndedSession_DoesNotReviveIt_ANewSessionDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	late := anna.state(agent.Ready, t0)
	anna.save(agent.LoggedOff, t0.Add(time.Minute))
	_, err := w.SaveAgent(t.Context(), late)
	require.NoError(t, err)
	require.Equal(t, call.Queued, w.open(w.arriving("support", t0)).Phase)

	next := w.session("1001", "support") // counts its versions from the beginning
	require.NotNil(t, next.ready(t0.Add(time.Hour)).Matched)
}

func TestSaveAgent_ReservedForAnOfferItKnows_KeepsIt_AndIsMatchedAgainOnlyWhenReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.open(w.arriving("support", t0))
	second := w.open(w.arriving("support", t0.Add(time.Second)))
	anna := w.session("1001", "support")
	offer := anna.ready(t0.Add(time.Minute)).Reserved.ID

	anna.p.Offer = offer
	require.Nil(t, anna.save(agent.Reserved, t0.Add(time.Minute)).Reserved)
	require.Nil(t, anna.save(agent.Reserved, t0.Add(time.Minute)).Reserved)
	saved := anna.over(offer).ready(t0.Add(2 * time.Minute))
	require.Equal(t, id.NewOffer(second.ID, 1), saved.Matched.Offer)
}

func TestSaveAgent_ReservedForAnOfferItDoesNotKnow_IsToldSo_AndNotMatchedBesides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	anna.ready(t0)
	first := w.open(w.arriving("support", t0))
	w.open(w.arriving("support", t0.Add(time.Second)))

	saved := anna.ready(t0.Add(time.Minute)) // checked in somewhere, say
	require.Equal(t, first.Offer.ID, saved.Reserved.ID)
	require.Nil(t, saved.Matched)
	saved = anna.save(agent.LoggedOff, t0.Add(time.Minute))
	require.Equal(t, first.Offer.ID, saved.Reserved.ID, "the session must give the offer back")
}

func TestSaveAgent_UnknownOfferOfAnEndedCall_IsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	anna.ready(t0)
	first := w.open(w.arriving("support", t0))
	w.end(first, leg.Abandoned)
	waiting := w.open(w.arriving("support", t0.Add(time.Second)))

	saved := anna.ready(t0.Add(time.Minute))
	require.Equal(t, id.NewOffer(waiting.ID, 1), saved.Matched.Offer)
}

// end closes a call whose customer left.
func (w *world) end(s call.State, cause leg.Cause) call.State {
	w.Helper()
	s, effects, err := s.Step(t0.Add(time.Hour), call.LegEnded{Leg: call.CallerLeg, Cause: cause, Remote: true})
	require.NoError(w, err)
	closed := false
	for _, e := range effects {
		if e.Close != nil {
			closed = true
			require.NoError(w, w.CloseCall(w.Context(), s.Ref(), *e.Close))
		}
	}
	require.True(w, closed)
	return s
}

func TestPlace_AfterAFailedOffer_TakesTheOldPlace_AndTheNextAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.session("1001", "support").ready(t0)
	w.session("1002", "support").ready(t0.Add(time.Second))
	s := w.open(w.arriving("support", t0.Add(time.Minute)))
	require.Equal(t, id.Agent("1001"), s.Offer.Agent, "idle longest")
	w.open(w.arriving("support", t0.Add(2*time.Minute))) // takes 1002

	placed := w.again(s, "1001")
	require.Equal(t, 1, placed.Waiting.Position)
	third := w.open(w.arriving("support", t0.Add(3*time.Minute)))
	require.Equal(t, call.Queued, third.Phase)
	saved := w.session("1003", "support").ready(t0.Add(4 * time.Minute))
	require.Equal(t, id.NewOffer(s.ID, 2), saved.Matched.Offer, "the call that returned comes before the one that came later")
}

func TestPlace_TriedAgentIsAskedAgainOnlyWhenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna, bert := w.session("1001", "support"), w.session("1002", "support")
	anna.ready(t0)
	s := w.open(w.arriving("support", t0))
	require.Equal(t, id.Agent("1001"), s.Offer.Agent)
	anna.over(s.Offer.ID).ready(t0.Add(time.Second)) // stays ready
	bert.ready(t0.Add(time.Minute))

	placed := w.again(s, "1001")
	require.Equal(t, id.Agent("1002"), placed.Matched.Agent, "though 1001 is idle longer")
	s.Offers++
	bert.over(placed.Matched.Offer).save(agent.NotReady, t0.Add(time.Minute))
	placed = w.again(s, "1001", "1002")
	require.Equal(t, id.Agent("1001"), placed.Matched.Agent)
}

func TestPlace_Repeated_ReturnsTheSameMatch_AlsoTheOneThatTheAgentsSideMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.open(w.arriving("support", t0))
	saved := w.session("1001", "support").ready(t0)
	place := call.Place{Queue: "support", QueuedAt: s.QueuedAt, Offer: id.NewOffer(s.ID, 1)}
	for range 2 {
		placed, err := w.Place(t.Context(), s.Ref(), place)
		require.NoError(t, err)
		require.Equal(t, saved.Matched, placed.Matched)
	}
}

func TestPlace_CallHasEnded_IsNotFoundAndDoesNotWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.open(w.arriving("support", t0))
	w.end(s, leg.Abandoned)
	_, err := w.Place(t.Context(), s.Ref(), call.Place{Queue: "support", QueuedAt: t0, Offer: id.NewOffer(s.ID, 2)})
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
	require.Nil(t, w.session("1001", "support").ready(t0).Matched)
}

func TestOpen_Twice_IsAConflictWithTheStoredState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	arriving := w.arriving("support", t0)
	first := w.open(arriving)
	stored, effects, err := w.Open(t.Context(), t0.Add(time.Second), arriving)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	var refused *fault.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "already_open", refused.Code)
	require.Equal(t, first, stored)
	require.Empty(t, effects)
}

func TestOpen_DirectCallTwice_IsAConflictWithTheStoredState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := call.New(call.Incoming{Tenant: acme, Call: "direct", Node: "node-1", Boot: "b1", From: "1002", To: "1001", Agent: "1002", At: t0})
	s, _, err := s.Step(t0, call.Arrived{Route: call.Route{Kind: call.ToAgent, Agent: "1001", Targets: []leg.Address{{Device: "1001", Kind: leg.SIP}}, Method: "all"}})
	require.NoError(t, err)
	first := w.open(s)
	require.Equal(t, call.Offering, first.Phase)
	stored, _, err := w.Open(t.Context(), t0, s)
	require.Equal(t, fault.Conflict, fault.KindOf(err), "%v", err)
	require.Equal(t, first, stored)
	var events int
	w.one(&events, `SELECT count(*) FROM events`)
	require.Equal(t, 1, events)
}
