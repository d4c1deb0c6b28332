package simulation

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
)

// seeds is how many hours each test plays; go test ./domain/simulation -seeds 1000
// for a long night.
var seeds = flag.Int("seeds", 10, "how many seeds each simulation plays")

const callerCount = 200

// A world in which nothing goes wrong but people: nobody waits beside a free agent,
// every call ends, every state is left by its deadline.
func TestSimulation_PeopleOnly(t *testing.T) {
	t.Parallel()
	simulate(t, 1000, faults{})
}

// Facts come twice and in any order, effects fail and are repeated: the same.
func TestSimulation_DoubledReorderedFailing(t *testing.T) {
	t.Parallel()
	simulate(t, 2000, faults{double: 0.2, fail: 0.05, slow: 2 * time.Second})
}

// Facts are lost as well: deadlines make up for them.
func TestSimulation_LostDoubledReorderedFailing(t *testing.T) {
	t.Parallel()
	simulate(t, 3000, faults{lose: 0.05, double: 0.2, fail: 0.05, slow: 2 * time.Second})
}

// Agents take Ready back in the moment in which they are matched, and the refusal
// overtakes the match: the phone does not ring for what was refused.
func TestSimulation_RefusedInTheMomentOfTheMatch_NeverRings(t *testing.T) {
	t.Parallel()
	require.Positive(t, simulate(t, 4000, faults{hasty: 0.5, double: 0.2, fail: 0.05, slow: 2 * time.Second}), "or nothing was proven")
}

// Every third ring finds no line free: nobody waits beside a free agent, nobody is asked
// again and again, and nobody is forgotten.
func TestSimulation_LinesRunOut(t *testing.T) {
	t.Parallel()
	simulate(t, 5000, faults{noLine: 0.3, double: 0.2, fail: 0.05, slow: 2 * time.Second})
}

// simulate runs many seeds, and returns how many refusals overtook their match. A failure names its seed, and tells the part of its
// history that has to do with it.
func simulate(t *testing.T, first uint64, f faults) (early int) {
	runs := *seeds
	if testing.Short() {
		runs = 5
	}
	answered := 0
	for seed := first; seed < first+uint64(runs); seed++ {
		w := hour(seed, f, false)
		if w.broken != "" {
			w = hour(seed, f, true)
			require.Empty(t, w.broken, "seed %d\n%s", seed, w.story(w.suspects()...))
		}
		require.Len(t, w.ledger.records, callerCount, "seed %d: every call has its record", seed)
		early += w.early
		for _, r := range w.ledger.records {
			if r.Outcome == call.OutcomeAnswered {
				answered++
			}
		}
	}
	require.Greater(t, answered, runs*callerCount/2, "most callers are served")
	return early
}

// hour is one busy hour, and the evening until everything has come to rest.
func hour(seed uint64, f faults, recording bool) *world {
	w := newWorld(seed, f)
	w.recording = recording
	for i := range f.staff() {
		s := &session{w: w, id: id.Agent(strconv.Itoa(1001 + i))}
		s.habit = habit{
			answers: 0.5 + w.rng.Float64()/2, rejects: 0.5, restless: w.rng.Float64() / 2,
			hasty: f.hasty, thinks: w.between(time.Second, 20*time.Second), pause: w.between(2*time.Second, 2*time.Minute),
		}
		w.agents[s.id] = s
		w.after(w.between(0, time.Minute), s.begin)
		w.after(90*time.Minute+w.between(0, time.Minute), s.goHome)
	}
	for i := range callerCount {
		c := &conversation{w: w, id: id.Call(fmt.Sprintf("c%03d", i)), queue: "support", patience: w.between(2*time.Second, 10*time.Minute)}
		if w.chance(0.3) {
			c.queue = "sales"
		}
		w.calls[c.id] = c
		w.after(w.between(0, 40*time.Minute), c.arrive)
	}
	w.run(morning.Add(48 * time.Hour))
	if w.broken == "" {
		w.evening()
	}
	return w
}

// watch checks, after everything that happened, what must never be, and at rest what
// must not be at rest.
func (w *world) watch() {
	if !w.changed {
		return
	}
	w.changed = false
	w.watchRows()
	if w.flying == 0 {
		w.watchRest()
	}
}

// watchRows: after every transaction, nobody waits beside a free agent.
func (w *world) watchRows() {
	if w.ledger.broken != "" {
		w.breaks("%s", w.ledger.broken)
	}
	for _, row := range w.ledger.presence {
		if !row.Available || row.reserved != nil {
			continue
		}
		for _, p := range w.ledger.waiting {
			if p.agent == "" && slices.ContainsFunc(row.Queues, func(m agent.Membership) bool { return m.Queue == p.Queue }) {
				w.breaks("call %s waits in %s beside agent %s, who is free", p.Call, p.Queue, row.Agent)
			}
		}
	}
}

// watchRest: with nothing under way, the machines agree with each other.
func (w *world) watchRest() {
	offered := map[id.Agent]id.Call{}
	for _, c := range w.calls {
		for o, r := range c.rings {
			if !r.over && c.refused[o] && !c.cancels(o) {
				w.breaks("the phone of agent %s rings for offer %s, which was refused", r.Agent, o)
			}
		}
		if c.state.Phase != call.Offering || !c.customer {
			continue
		}
		a := c.state.Offer.Agent
		if other := offered[a]; other != "" {
			w.breaks("agent %s has two offers: calls %s and %s", a, other, c.id)
		}
		offered[a] = c.id
	}
	if w.faults != (faults{}) {
		return
	}
	for _, c := range w.calls {
		if c.state.Phase == call.Offering && c.customer {
			if s := w.agents[c.state.Offer.Agent]; s.state.Offer == nil || s.state.Offer.Call != c.id {
				w.breaks("call %s is offered to agent %s, but: %s", c.id, s.id, s.state.Describe())
			}
		}
		if c.state.Phase == call.Talking && c.talks != nil && !slices.Contains(c.talks.state.View().CallIDs, c.id) {
			w.breaks("call %s talks with agent %s, but: %s", c.id, c.talks.id, c.talks.state.Describe())
		}
		if c.state.Phase != call.Queued {
			continue
		}
		for _, s := range w.agents {
			if s.state.Status == agent.Ready && s.serves(c.queue) {
				w.breaks("call %s waits in %s, and agent %s is Ready", c.id, c.queue, s.id)
			}
		}
	}
}

// cancels reports whether the call is still trying to take an offer back.
func (c *conversation) cancels(o id.Offer) bool {
	return slices.ContainsFunc(c.state.Owed, func(f call.Effect) bool { return f.Cancel != nil && f.Cancel.Offer == o })
}

func (s *session) serves(q id.Queue) bool {
	return slices.ContainsFunc(s.state.Members, func(m agent.Membership) bool { return m.Queue == q && m.CheckedIn })
}

// watchDeadline: every state that must not last has an end, and an end to come soon.
func (s *session) watchDeadline() {
	at, due := s.state.Deadline()
	switch s.state.Status {
	case agent.Reserved, agent.Busy, agent.WorkingAfterCall:
		if due == nil || at.Sub(s.w.now) > 12*time.Hour {
			s.w.breaks("agent %s: %s has no end", s.id, s.state.Describe())
		}
	}
}

func (c *conversation) watchDeadline() {
	if at, due := c.state.Deadline(); due == nil && !c.state.Over() || at.Sub(c.w.now) > 13*time.Hour {
		c.w.breaks("call %s: %s has no end", c.id, c.state.Describe())
	}
}

// evening checks that everything has come to its end.
func (w *world) evening() {
	for _, k := range slices.Sorted(maps.Keys(w.calls)) {
		if c := w.calls[k]; !c.state.Over() {
			w.breaks("call %s is not over: %s", k, c.state.Describe())
		}
	}
	for _, k := range slices.Sorted(maps.Keys(w.agents)) {
		s := w.agents[k]
		if !s.state.Over() {
			w.breaks("agent %s is not signed out: %s", k, s.state.Describe())
		}
		if row := w.ledger.presence[k]; row.reserved != nil && !w.ledger.closed[row.reserved.Call] {
			w.breaks("agent %s is reserved for ever, for %s", k, row.reserved.ID)
		}
		if s.phone.talking != "" || s.phone.ringing != "" {
			w.breaks("agent %s has a ghost on the phone: %s%s", k, s.phone.talking, s.phone.ringing)
		}
	}
	if n := len(w.ledger.waiting); n > 0 {
		w.breaks("%d places in line are left over", n)
	}
}

// suspects are the names in the broken promise.
func (w *world) suspects() []string {
	var names []string
	for k := range w.calls {
		names = append(names, "call "+string(k))
	}
	for k := range w.agents {
		names = append(names, "agent "+string(k))
	}
	return slices.DeleteFunc(names, func(n string) bool { return !containsWord(w.broken, n) })
}

func containsWord(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i:i+len(word)] == word {
			return true
		}
	}
	return false
}
