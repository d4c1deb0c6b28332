package queue

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	"holdfast/domain/id"
)

// Pick answers ask: the pair that belongs together now, or none, with the reasons.
//
// Callers are served by priority, then by the time they were queued first; a caller
// for whom nobody is eligible is passed over. Among the eligible agents of its
// queue, those who have not failed this caller come first; then counts the penalty,
// then the queue's strategy, then who is idle longest, then the agent's number.
func Pick(ask Ask) Decision {
	callers := slices.Clone(ask.Callers)
	slices.SortStableFunc(callers, served)
	var passed []id.Call
	for _, c := range callers {
		ranked, eligible := rank(ask, c)
		if eligible == 0 {
			passed = append(passed, c.Call)
			continue
		}
		best := ranked[0]
		return Decision{
			Call: c.Call, Queue: c.Queue, Agent: best.Agent, Offer: c.Offer,
			Strategy: ask.strategy(c.Queue), Ranked: ranked, Passed: passed,
			Reason: because(ask.strategy(c.Queue), c, best, eligible),
		}
	}
	return Decision{Passed: passed, Ranked: excluded(ask.Candidates), Reason: nobody(ask, len(callers))}
}

// served orders callers: who is served first.
func served(a, b Caller) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.QueuedAt.Compare(b.QueuedAt), cmp.Compare(a.Call, b.Call))
}

// strategy of a queue, longest idle if it names none.
func (ask Ask) strategy(q id.Queue) Strategy {
	if s := ask.Strategies[q]; s.Valid() {
		return s
	}
	return LongestIdle
}

// rank lists the candidates for a caller: the eligible, best first, then the
// excluded; and how many are eligible.
func rank(ask Ask, c Caller) ([]Candidate, int) {
	of := slices.DeleteFunc(slices.Clone(ask.Candidates), func(x Candidate) bool { return x.Queue != c.Queue })
	eligible := slices.DeleteFunc(slices.Clone(of), func(x Candidate) bool { return x.Excluded != "" })
	better := ask.strategy(c.Queue).better(c.Offer)
	slices.SortStableFunc(eligible, func(a, b Candidate) int {
		return cmp.Or(
			cmp.Compare(c.triedRank(a.Agent), c.triedRank(b.Agent)),
			cmp.Compare(a.Penalty, b.Penalty),
			better(a, b),
			a.ReadyAt.Compare(b.ReadyAt),
			byNumber(a.Agent, b.Agent),
		)
	})
	return append(eligible, excluded(of)...), len(eligible)
}

// triedRank is 0 for an agent who has not failed the caller; those who have are
// asked again in the order in which they failed.
func (c Caller) triedRank(a id.Agent) int { return slices.Index(c.Tried, a) + 1 }

// better compares two candidates by the strategy alone.
func (s Strategy) better(o id.Offer) func(a, b Candidate) int {
	switch s {
	case FewestCalls:
		return func(a, b Candidate) int { return cmp.Compare(a.Calls, b.Calls) }
	case Linear:
		return func(a, b Candidate) int {
			return cmp.Or(cmp.Compare(a.Position, b.Position), byNumber(a.Agent, b.Agent))
		}
	case Random:
		return func(a, b Candidate) int { return cmp.Compare(lot(o, a.Agent), lot(o, b.Agent)) }
	}
	return func(a, b Candidate) int { return a.ReadyAt.Compare(b.ReadyAt) }
}

// byNumber orders agents as people count: 999 before 1001.
func byNumber(a, b id.Agent) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// lot is what an agent draws for an offer: the same again on a replay.
func lot(o id.Offer, a id.Agent) uint64 {
	h := fnv.New64a()
	h.Write([]byte(string(o) + "\x00" + string(a)))
	x := h.Sum64() // FNV leaves the high bits of short strings alike: mix (MurmurHash3's finalizer)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// excluded are the candidates who can't be asked, by number.
func excluded(list []Candidate) []Candidate {
	out := slices.DeleteFunc(slices.Clone(list), func(x Candidate) bool { return x.Excluded == "" })
	slices.SortStableFunc(out, func(a, b Candidate) int {
		return cmp.Or(byNumber(a.Agent, b.Agent), cmp.Compare(a.Queue, b.Queue))
	})
	return out
}

// because says in one sentence why this agent gets this caller.
func because(s Strategy, c Caller, best Candidate, eligible int) string {
	if n := c.triedRank(best.Agent); n > 0 {
		return fmt.Sprintf("Agent %s is asked again: nobody is eligible who has not been asked for this call.", best.Agent)
	}
	if eligible == 1 {
		return fmt.Sprintf("Agent %s is the only one eligible in queue %s.", best.Agent, c.Queue)
	}
	return fmt.Sprintf("Agent %s comes first of %d eligible in queue %s by %s.", best.Agent, eligible, c.Queue, s.words())
}

// words is the strategy as a sentence has it.
func (s Strategy) words() string {
	switch s {
	case FewestCalls:
		return "fewest calls"
	case Linear:
		return "fixed order"
	case Random:
		return "lot"
	}
	return "longest idle time"
}

// nobody says in one sentence why there is no pair.
func nobody(ask Ask, callers int) string {
	switch out := len(excluded(ask.Candidates)); {
	case callers == 0:
		return "No call waits."
	case len(ask.Candidates) == 0:
		return "No agent is checked in and ready."
	case out == len(ask.Candidates) && out == 1:
		return fmt.Sprintf("Agent %s is not eligible: %s.", ask.Candidates[0].Agent, ask.Candidates[0].Excluded)
	case out == len(ask.Candidates):
		return fmt.Sprintf("None of %d agents is eligible.", out)
	}
	return "No eligible agent serves the queue of a waiting call."
}
