package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// lease is how long an offer of the tests' queues is kept.
const lease = 15*time.Second + call.RingGrace

// overdue lists what is overdue at a time, and when the next will be.
func (w *world) overdue(by time.Time) ([]record.Reservation, time.Time) {
	w.Helper()
	list, next, err := w.Overdue(w.Context(), by, "b9")
	require.NoError(w, err)
	for i := range list {
		list[i].Until = list[i].Until.UTC()
	}
	return list, next.UTC()
}

// bury signs an agent out whose session ended.
func (w *world) bury(number id.Agent, closed time.Time) (id.Offer, bool) {
	w.Helper()
	offer, found, err := w.Bury(w.Context(), agent.Ref{Tenant: w.tenant, Agent: number}, closed)
	require.NoError(w, err)
	return offer, found
}

// The session made a match and was terminated before it could tell the call.
func TestOverdue_SessionTerminatedAfterItsMatch_IsFoundByTheOffersOwnDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.SetClock(func() time.Time { return t0 })
	s := w.open(w.arriving("support", t0))
	none, next := w.overdue(t0.Add(time.Hour))
	require.Empty(t, none)
	require.True(t, next.IsZero(), "who waits for nobody in particular has no deadline")

	match := w.session("1001", "support").ready(t0).Matched
	require.NotNil(t, match)
	none, next = w.overdue(t0.Add(time.Hour))
	require.Empty(t, none, "without a workflow the call is its node's, or the sweeper's")
	require.True(t, next.IsZero())

	require.NoError(t, w.Started(t.Context(), s.Ref()))
	none, next = w.overdue(t0.Add(lease))
	require.Empty(t, none)
	require.Equal(t, t0.Add(lease), next)
	got, _ := w.overdue(t0.Add(lease + time.Second))
	require.Equal(t, []record.Reservation{{
		Session: agent.Ref{Tenant: acme, Agent: "1001"}, Offer: id.NewOffer(s.ID, 1), Until: t0.Add(lease),
	}}, got, "both rows name one offer")
}

// The call goes back to its old place, and the next agent gets it; the ghost does not.
func TestBury_SessionTerminatedAfterItsMatch_CallKeepsItsPlaceAndTheGhostIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.SetClock(func() time.Time { return t0.Add(time.Minute) })
	first := w.open(w.arriving("support", t0))
	second := w.open(w.arriving("support", t0.Add(time.Second)))
	require.NotNil(t, w.session("1001", "support").ready(t0.Add(time.Minute)).Matched)

	offer, found := w.bury("1001", t0.Add(2*time.Minute))
	require.True(t, found)
	require.Equal(t, id.NewOffer(first.ID, 1), offer)
	first = w.step(first, t0.Add(2*time.Minute), call.OfferRefused{Offer: offer, Agent: "1001", Cause: leg.Unreachable})
	require.Equal(t, call.Queued, first.Phase)

	match := w.session("1002", "support").ready(t0.Add(3 * time.Minute)).Matched
	require.NotNil(t, match)
	require.Equal(t, id.NewOffer(first.ID, 2), match.Offer, "before the other, who came later")
	match = w.session("1003", "support").ready(t0.Add(3 * time.Minute)).Matched
	require.NotNil(t, match)
	require.Equal(t, id.NewOffer(second.ID, 1), match.Offer)
	_, again := w.bury("1001", t0.Add(4*time.Minute))
	require.False(t, again)
}

func TestBury_ReadyAgent_IsSignedOutForEverybodyAndOfferedNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	anna.ready(t0)
	offer, found := w.bury("1001", t0.Add(time.Minute))
	require.True(t, found)
	require.Empty(t, offer)

	all, err := w.DB.Presence(t.Context(), acme)
	require.NoError(t, err)
	require.Empty(t, all)
	var view agent.View
	w.one(&view, `SELECT view FROM events ORDER BY seq DESC LIMIT 1`)
	require.Equal(t, agent.LoggedOff, view.State)
	require.Equal(t, t0.Add(time.Minute), view.Since.UTC())
	require.Equal(t, call.Queued, w.open(w.arriving("support", t0.Add(time.Minute))).Phase)

	require.Nil(t, anna.ready(t0.Add(30*time.Second)).Matched, "what is late of the ended session is known as late")
	require.NotNil(t, anna.ready(t0.Add(2*time.Minute)).Matched, "the next session")
}

func TestBury_SessionThatBeganLater_IsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	anna := w.session("1001", "support")
	anna.p.Version = t0.UnixMilli()
	anna.ready(t0)
	_, found := w.bury("1001", t0.Add(-time.Second))
	require.False(t, found)
	require.Equal(t, call.Offering, w.open(w.arriving("support", t0)).Phase)
}

// Who talks by an offer is about to say so: nothing of it is overdue.
func TestOverdue_AgentTalks_IsNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.SetClock(func() time.Time { return t0 })
	s := w.talk(w.session("1001", "support"), t0)
	require.NoError(t, w.Started(t.Context(), s.Ref()))
	var offers int
	w.one(&offers, `SELECT count(*) FROM presence WHERE offer IS NOT NULL`)
	require.Equal(t, 1, offers, "its session has not saved yet")
	got, _ := w.overdue(t0.Add(time.Hour))
	require.Empty(t, got)
}

// Whether a phone was answered knows its node first. While that lives, its offers are its
// own process's; the row still says that it rings when no worker is there.
func TestOverdue_CallOfARunThatLives_IsLeftToItsOwnProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.SetClock(func() time.Time { return t0 })
	w.session("1001", "support").ready(t0)
	s := w.open(w.arriving("support", t0))
	require.Equal(t, call.Offering, s.Phase)
	require.NoError(t, w.Started(t.Context(), s.Ref()))
	late := t0.Add(time.Hour)
	count := func(boot string) int {
		t.Helper()
		list, _, err := w.Overdue(t.Context(), late, boot)
		require.NoError(t, err)
		return len(list)
	}
	require.Equal(t, 1, count(""), "its node never beat")
	n := &nodes{t, w.DB}
	n.beat(s.Node, s.Boot, t0)
	require.Zero(t, count(""), "a worker")
	require.Zero(t, count("another"), "another node")
	require.Equal(t, 1, count(s.Boot))
	w.exec(`UPDATE nodes SET seen_at = seen_at - interval '1 min'`)
	require.Zero(t, count(""), "the database may have been away")
	w.exec(`UPDATE nodes SET seen_at = seen_at - interval '5 min'`)
	require.Equal(t, 1, count(""), "that long nobody is silent")
	n.beat(s.Node, s.Boot, t0)
	n.lose(device.Loss{Node: s.Node, Boot: s.Boot})
	require.Equal(t, 1, count(""), "given up")
	n.beat(s.Node, "later", t0.Add(time.Second))
	require.Equal(t, 1, count(""), "another run does not have it")
}
