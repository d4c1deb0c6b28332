package db_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/queue"
	"holdfast/domain/tenancy"
)

// The match looks at the best few only; it must choose as if it had seen everybody.
func TestMatch_ChoosesAsIfItHadSeenAllAgents(t *testing.T) {
	t.Parallel()
	const agents = 60
	for _, strategy := range []queue.Strategy{queue.LongestIdle, queue.FewestCalls, queue.Linear, queue.Random} {
		w := newWorld(t)
		w.addQueue("support", strategy)
		rng := rand.New(rand.NewPCG(3, 4))
		all := map[id.Agent]*queue.Candidate{}
		w.exec(`INSERT INTO users (tenant_id, name) SELECT $1, (990 + n)::text FROM generate_series(1, $2::int) n`, string(acme), agents)
		w.exec(`INSERT INTO agents (tenant_id, number, user_name) SELECT $1, (990 + n)::text, (990 + n)::text FROM generate_series(1, $2::int) n`, string(acme), agents)
		for n := range agents {
			c := &queue.Candidate{Agent: id.Agent(fmt.Sprint(991 + n)), Queue: "support", ReadyAt: t0.Add(time.Duration(rng.IntN(20)) * time.Second),
				Calls: rng.IntN(4), Penalty: rng.IntN(3), Position: rng.IntN(5)}
			all[c.Agent] = c
			w.exec(`INSERT INTO memberships (tenant_id, queue, agent, position) VALUES ($1, 'support', $2, $3)`, string(acme), string(c.Agent), c.Position)
			s := w.session(c.Agent, "support")
			s.p.Queues[0].Penalty, s.p.Calls = c.Penalty, c.Calls
			s.ready(c.ReadyAt)
		}
		var tried []id.Agent
		for range 25 {
			s := w.arriving("support", t0.Add(time.Hour))
			for i := range s.Owed {
				if s.Owed[i].Place != nil {
					s.Owed[i].Place.Tried = tried
				}
			}
			caller := queue.Caller{Call: s.ID, Queue: "support", QueuedAt: s.QueuedAt, Offer: id.NewOffer(s.ID, 1), Tried: tried}
			s = w.open(s)
			require.NotNil(t, s.Offer)
			got := s.Offer.Agent
			want := pickAmong(all, strategy, caller)
			if strategy == queue.Random { // lots are drawn among some of those who may draw
				require.Equal(t, all[want].Penalty, all[got].Penalty)
			} else {
				require.Equal(t, want, got, strategy)
			}
			delete(all, got)
			if rng.IntN(2) == 0 { // the next best has failed the next caller already
				tried = append(tried, pickAmong(all, strategy, queue.Caller{Queue: "support", Offer: "x/1", Tried: tried}))
			}
		}
	}
}

func pickAmong(all map[id.Agent]*queue.Candidate, s queue.Strategy, c queue.Caller) id.Agent {
	ask := queue.Ask{Strategies: map[id.Queue]queue.Strategy{"support": s}, Callers: []queue.Caller{c}}
	for _, candidate := range all {
		ask.Candidates = append(ask.Candidates, *candidate)
	}
	return queue.Pick(ask).Agent
}

func TestMatch_ChoosesAsIfItHadSeenAllCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support", "sales", "billing")
	rng := rand.New(rand.NewPCG(5, 6))
	waiting := map[id.Call]queue.Caller{}
	for i := range 75 {
		q := []id.Queue{"support", "sales", "billing"}[i%3]
		s := w.arriving(q, t0.Add(time.Duration(rng.IntN(3600))*time.Second))
		for j := range s.Owed {
			if s.Owed[j].Place != nil {
				s.Owed[j].Place.Priority = rng.IntN(3)
				waiting[s.ID] = queue.Caller{Call: s.ID, Queue: q, QueuedAt: s.QueuedAt, Priority: s.Owed[j].Place.Priority, Offer: id.NewOffer(s.ID, 1)}
			}
		}
		require.Equal(t, call.Queued, w.open(s).Phase)
	}
	for n := range 60 {
		a := w.session(id.Agent(fmt.Sprint(1000+n)), "support", "billing")
		ask := queue.Ask{Candidates: []queue.Candidate{{Agent: a.p.Agent, Queue: "support"}, {Agent: a.p.Agent, Queue: "billing"}}}
		for _, c := range waiting {
			ask.Callers = append(ask.Callers, c)
		}
		want := queue.Pick(ask).Call
		saved := a.ready(t0.Add(time.Hour))
		if want == "" {
			require.Nil(t, saved.Matched)
			continue
		}
		require.NotNil(t, saved.Matched)
		require.Equal(t, want, saved.Matched.Offer.Call())
		delete(waiting, want)
	}
	require.Len(t, waiting, 25, "sales has nobody")
}

func TestOpen_QueueIsGone_IsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, err := w.Open(t.Context(), t0, w.arriving("support", t0))
	requireNotFound(t, err)
}

// A queue that changes its strategy has its ready agents in the new order at once.
func TestApply_StrategyChanges_ReadyAgentsStandInTheNewOrder(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	w := &world{TB: t, DB: d, tenant: demoTenant}
	w.session("1001", "support").ready(t0)
	w.session("1002", "support").ready(t0.Add(time.Second))
	w.session("1003", "support").ready(t0.Add(2 * time.Second))
	apply(t, d, func(doc *tenancy.Document) {
		doc.Queues[0].Strategy = queue.Linear
		for i, position := range []int{3, 1, 2} {
			doc.Queues[0].Members[i].Position = position
		}
	})
	for _, want := range []id.Agent{"1002", "1003", "1001"} {
		require.Equal(t, want, w.open(w.arriving("support", t0)).Offer.Agent)
	}
}
