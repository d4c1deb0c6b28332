package queue_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/domain/id"
	"holdfast/domain/queue"
)

var t0 = time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return t0.Add(-d) }

func caller(c string, waited time.Duration, tried ...id.Agent) queue.Caller {
	return queue.Caller{Call: id.Call(c), Queue: "support", QueuedAt: ago(waited), Offer: id.NewOffer(id.Call(c), 1), Tried: tried}
}

func ready(a id.Agent, idle time.Duration) queue.Candidate {
	return queue.Candidate{Agent: a, Queue: "support", ReadyAt: ago(idle)}
}

func ask(s queue.Strategy, callers []queue.Caller, candidates ...queue.Candidate) queue.Ask {
	return queue.Ask{Strategies: map[id.Queue]queue.Strategy{"support": s}, Callers: callers, Candidates: candidates}
}

func TestPick_LongestIdle_TakesWhoIsReadyLongest(t *testing.T) {
	t.Parallel()
	d := queue.Pick(ask(queue.LongestIdle, []queue.Caller{caller("c1", time.Minute)},
		ready("1001", time.Minute), ready("1002", time.Hour), ready("1003", time.Second)))
	require.Equal(t, id.Agent("1002"), d.Agent)
	require.Equal(t, id.Offer("c1/1"), d.Offer)
	require.Equal(t, "Agent 1002 comes first of 3 eligible in queue support by longest idle time.", d.Reason)
	require.Equal(t, []id.Agent{"1002", "1001", "1003"}, agents(d.Ranked))
}

func TestPick_Strategies_ChooseByTheirName(t *testing.T) {
	t.Parallel()
	a, b := ready("1001", time.Hour), ready("1002", time.Minute)
	a.Calls, b.Calls = 7, 2
	a.Position, b.Position = 2, 1
	for s, want := range map[queue.Strategy]id.Agent{
		queue.LongestIdle: "1001", queue.FewestCalls: "1002", queue.Linear: "1002", "unheard_of": "1001",
	} {
		require.Equal(t, want, queue.Pick(ask(s, []queue.Caller{caller("c1", 0)}, a, b)).Agent, s)
	}
}

func TestPick_Linear_SamePosition_CountsByNumber(t *testing.T) {
	t.Parallel()
	d := queue.Pick(ask(queue.Linear, []queue.Caller{caller("c1", 0)}, ready("1001", time.Hour), ready("999", 0)))
	require.Equal(t, id.Agent("999"), d.Agent)
}

func TestPick_PenaltyComesBeforeTheStrategy(t *testing.T) {
	t.Parallel()
	second := ready("1001", time.Hour)
	second.Penalty = 1
	d := queue.Pick(ask(queue.LongestIdle, []queue.Caller{caller("c1", 0)}, second, ready("1002", time.Second)))
	require.Equal(t, id.Agent("1002"), d.Agent)
}

func TestPick_WhoFailedTheCaller_IsAskedAgainOnlyAfterAllOthers(t *testing.T) {
	t.Parallel()
	fresh := ready("1003", time.Second)
	fresh.Penalty = 9
	c := []queue.Caller{caller("c1", 0, "1001", "1002")}
	d := queue.Pick(ask(queue.LongestIdle, c, ready("1002", time.Hour), ready("1001", time.Minute), fresh))
	require.Equal(t, []id.Agent{"1003", "1001", "1002"}, agents(d.Ranked))
	d = queue.Pick(ask(queue.LongestIdle, c, ready("1002", time.Hour)))
	require.Equal(t, id.Agent("1002"), d.Agent, "alone, it is asked again")
	require.Contains(t, d.Reason, "asked again")
}

func TestPick_CallersAreServedByPriorityThenByPlace(t *testing.T) {
	t.Parallel()
	vip := caller("c3", time.Second)
	vip.Priority = 5
	late, early := caller("c1", time.Minute), caller("c2", time.Hour)
	a := ready("1001", time.Minute)
	require.Equal(t, id.Call("c3"), queue.Pick(ask(queue.LongestIdle, []queue.Caller{late, early, vip}, a)).Call)
	require.Equal(t, id.Call("c2"), queue.Pick(ask(queue.LongestIdle, []queue.Caller{late, early}, a)).Call)
}

func TestPick_CallerNobodyCanServe_IsPassedOverAndSaidSo(t *testing.T) {
	t.Parallel()
	sales := caller("c1", time.Hour)
	sales.Queue = "sales"
	d := queue.Pick(ask(queue.LongestIdle, []queue.Caller{sales, caller("c2", time.Minute)}, ready("1001", 0)))
	require.Equal(t, id.Call("c2"), d.Call)
	require.Equal(t, []id.Call{"c1"}, d.Passed)
}

func TestPick_NobodyEligible_SaysWhy(t *testing.T) {
	t.Parallel()
	busy := ready("1001", 0)
	busy.Excluded = "reserved for another call"
	c := []queue.Caller{caller("c1", 0)}
	d := queue.Pick(ask(queue.LongestIdle, c, busy))
	require.Empty(t, d.Call)
	require.Equal(t, "Agent 1001 is not eligible: reserved for another call.", d.Reason)
	require.Equal(t, []queue.Candidate{busy}, d.Ranked)
	require.Equal(t, "No agent is checked in and ready.", queue.Pick(ask(queue.LongestIdle, c)).Reason)
	require.Equal(t, "No call waits.", queue.Pick(ask(queue.LongestIdle, nil, busy)).Reason)
	require.Equal(t, "None of 2 agents is eligible.", queue.Pick(ask(queue.LongestIdle, c, busy, busy)).Reason)
	other := caller("c1", 0)
	other.Queue = "sales"
	require.Equal(t, "No eligible agent serves the queue of a waiting call.", queue.Pick(ask(queue.LongestIdle, []queue.Caller{other}, ready("1001", 0))).Reason)
}

// The lot is drawn from offer and agent: fair over many offers, the same on a replay.
func TestPick_Random_IsFairAndReproducible(t *testing.T) {
	t.Parallel()
	var candidates []queue.Candidate
	for i := range 10 {
		candidates = append(candidates, ready(id.Agent(fmt.Sprint(1001+i)), 0))
	}
	counts := map[id.Agent]int{}
	const n = 10_000
	for i := range n {
		c := []queue.Caller{caller(fmt.Sprintf("c%d", i), 0)}
		d := queue.Pick(ask(queue.Random, c, candidates...))
		require.Equal(t, d, queue.Pick(ask(queue.Random, c, candidates...)))
		counts[d.Agent]++
	}
	chi2 := 0.0
	for _, c := range candidates {
		chi2 += math.Pow(float64(counts[c.Agent])-n/10, 2) / (n / 10)
	}
	require.Less(t, chi2, 27.9, "not fair: χ² of 9 degrees of freedom beyond p = 0.001; %v", counts)
}

func agents(list []queue.Candidate) (out []id.Agent) {
	for _, c := range list {
		out = append(out, c.Agent)
	}
	return out
}

// asks draws a random question: few agents and callers, so that ties are frequent.
func asks() *rapid.Generator[queue.Ask] {
	queues := []id.Queue{"support", "sales", "vip"}
	strategies := []queue.Strategy{queue.LongestIdle, queue.FewestCalls, queue.Linear, queue.Random, ""}
	return rapid.Custom(func(t *rapid.T) queue.Ask {
		a := queue.Ask{Strategies: map[id.Queue]queue.Strategy{}}
		for _, q := range queues {
			a.Strategies[q] = rapid.SampledFrom(strategies).Draw(t, "strategy")
		}
		num := func(n int, name string) int { return rapid.IntRange(0, n).Draw(t, name) }
		agent := func() id.Agent { return id.Agent(fmt.Sprint(997 + num(8, "agent"))) }
		for i := range num(5, "callers") {
			c := queue.Caller{
				Call: id.Call(fmt.Sprintf("c%d", i)), Queue: rapid.SampledFrom(queues).Draw(t, "queue"),
				QueuedAt: ago(time.Duration(num(3, "waited")) * time.Minute), Priority: num(2, "priority"),
			}
			c.Offer = id.NewOffer(c.Call, 1+num(3, "offer"))
			for range num(3, "tried") {
				if x := agent(); !slices.Contains(c.Tried, x) {
					c.Tried = append(c.Tried, x)
				}
			}
			a.Callers = append(a.Callers, c)
		}
		for range num(8, "candidates") {
			c := queue.Candidate{
				Agent: agent(), Queue: rapid.SampledFrom(queues).Draw(t, "queue"), ReadyAt: ago(time.Duration(num(3, "idle")) * time.Minute),
				Calls: num(3, "calls"), Penalty: num(2, "penalty"), Position: num(3, "position"),
			}
			same := func(o queue.Candidate) bool { return o.Agent == c.Agent && o.Queue == c.Queue }
			if num(3, "out") == 0 {
				c.Excluded = "busy"
			}
			if !slices.ContainsFunc(a.Candidates, same) {
				a.Candidates = append(a.Candidates, c)
			}
		}
		return a
	})
}

// The oracle: a naive twin that compares every pair with every other by the rules as
// the words have them, without sorting.
func TestPick_AgreesWithItsNaiveTwin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := asks().Draw(rt, "ask")
		want, found := naive(a)
		d := queue.Pick(a)
		require.Equal(t, found, d.Call != "", "%+v", d)
		if found {
			require.Equal(t, want.caller.Call, d.Call)
			require.Equal(t, want.candidate.Agent, d.Agent)
			require.Equal(t, want.caller.Offer, d.Offer)
			require.Equal(t, want.caller.Queue, d.Queue)
		}
		require.NotEmpty(t, d.Reason)
	})
}

// The order of what Pick is shown does not matter, and it changes nothing of it.
func TestPick_OrderOfItsInput_DoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := asks().Draw(rt, "ask")
		d := queue.Pick(a)
		b := queue.Ask{Strategies: a.Strategies, Callers: slices.Clone(a.Callers), Candidates: slices.Clone(a.Candidates)}
		slices.Reverse(b.Callers)
		slices.Reverse(b.Candidates)
		frozen := queue.Ask{Callers: slices.Clone(b.Callers), Candidates: slices.Clone(b.Candidates)}
		require.Equal(t, d, queue.Pick(b))
		require.Equal(t, frozen.Callers, b.Callers)
		require.Equal(t, frozen.Candidates, b.Candidates)
	})
}

type pair struct {
	caller    queue.Caller
	candidate queue.Candidate
}

// naive finds the pair that no other pair beats.
func naive(a queue.Ask) (pair, bool) {
	var pairs []pair
	for _, c := range a.Callers {
		for _, x := range a.Candidates {
			if x.Queue == c.Queue && x.Excluded == "" {
				pairs = append(pairs, pair{c, x})
			}
		}
	}
	for _, p := range pairs {
		if !slices.ContainsFunc(pairs, func(o pair) bool { return beats(a, o, p) }) {
			return p, true
		}
	}
	return pair{}, false
}

// beats says whether pair o comes before pair p.
func beats(a queue.Ask, o, p pair) bool {
	if o.caller.Call != p.caller.Call {
		switch {
		case o.caller.Priority != p.caller.Priority:
			return o.caller.Priority > p.caller.Priority
		case !o.caller.QueuedAt.Equal(p.caller.QueuedAt):
			return o.caller.QueuedAt.Before(p.caller.QueuedAt)
		}
		return o.caller.Call < p.caller.Call
	}
	x, y := o.candidate, p.candidate
	if x.Agent == y.Agent {
		return false
	}
	if i, j := slices.Index(o.caller.Tried, x.Agent), slices.Index(o.caller.Tried, y.Agent); i != j {
		return i < j
	}
	if x.Penalty != y.Penalty {
		return x.Penalty < y.Penalty
	}
	switch a.Strategies[o.caller.Queue] {
	case queue.FewestCalls:
		if x.Calls != y.Calls {
			return x.Calls < y.Calls
		}
	case queue.Linear:
		if x.Position != y.Position {
			return x.Position < y.Position
		}
		return number(x.Agent) < number(y.Agent)
	case queue.Random:
		return first(o.caller, x, y) == x.Agent
	}
	if !x.ReadyAt.Equal(y.ReadyAt) {
		return x.ReadyAt.Before(y.ReadyAt)
	}
	return number(x.Agent) < number(y.Agent)
}

func number(a id.Agent) (n int) {
	_, _ = fmt.Sscan(string(a), &n) // the agents of this test are numbers
	return n
}

// first asks Pick itself for the lot of two: what is proved is that the lot of two
// decides among many.
func first(c queue.Caller, x, y queue.Candidate) id.Agent {
	x.Penalty, y.Penalty = 0, 0
	c.Tried = nil
	return queue.Pick(queue.Ask{
		Strategies: map[id.Queue]queue.Strategy{c.Queue: queue.Random},
		Callers:    []queue.Caller{c}, Candidates: []queue.Candidate{x, y},
	}).Agent
}

// A match costs the same with 10 or 10,000 agents because candidates come bounded;
// this is the pure part for 50.
func BenchmarkPick_FiftyCandidates(b *testing.B) {
	var candidates []queue.Candidate
	for i := range 50 {
		candidates = append(candidates, ready(id.Agent(fmt.Sprint(1001+i)), time.Duration(i)*time.Second))
	}
	a := ask(queue.LongestIdle, []queue.Caller{caller("c1", 0)}, candidates...)
	for b.Loop() {
		queue.Pick(a)
	}
}
