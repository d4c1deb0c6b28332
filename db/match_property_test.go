package db_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

// Random arrivals, agents who go ready and not ready, change queues, sign out and
// in again, offers that fail, are taken, or lose their caller, from many
// connections at once. At every moment, and at the end, no agent and no call has
// two partners, and nobody waits beside an agent who could serve. HOLDFAST_SEED
// repeats a run's choices (the scheduler makes its own).
func TestMatch_FromManyConnectionsAtOnce_NobodyIsReservedTwiceNorWaitsBesideAReadyAgent(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("HOLDFAST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("HOLDFAST_SEED=%d", seed)
	w := newWorld(t)
	c := &crowd{world: w, queues: []id.Queue{"q0", "q1", "q2", "q3"}, offers: map[id.Offer]id.Agent{}, ended: map[id.Call]bool{}}
	for i, s := range []queue.Strategy{queue.LongestIdle, queue.FewestCalls, queue.Linear, queue.Random} {
		w.addQueue(c.queues[i], s)
	}

	const agents, callers, steps = 12, 10, 150
	var all sync.WaitGroup
	for i := range agents {
		a := &actor{crowd: c, rng: rand.New(rand.NewPCG(seed, uint64(i))), number: id.Agent(fmt.Sprint(1001 + i)), inbox: make(chan id.Offer, 1000)}
		c.actors = append(c.actors, a)
	}
	done := make(chan struct{})
	var working sync.WaitGroup
	for _, a := range c.actors {
		working.Go(func() { a.work(done) })
	}
	for i := range callers {
		rng := rand.New(rand.NewPCG(seed, uint64(1000+i)))
		all.Go(func() { c.callers(rng, steps) })
	}
	all.Wait()
	close(done)
	working.Wait()
	c.check()
	t.Logf("%d matches by the call's side, %d by the agent's", c.byCall, c.byAgent)
	require.Greater(t, c.byCall, steps/10, "agents were hardly ever there first")
	require.Greater(t, c.byAgent, steps/10, "calls were hardly ever there first")
}

// crowd is everybody in the property test.
type crowd struct {
	*world
	queues []id.Queue
	actors []*actor

	mu              sync.Mutex
	offers          map[id.Offer]id.Agent // every match that was told to a call
	byCall, byAgent int                   // which side made them
	ended           map[id.Call]bool      // calls that are over
	live            []call.State          // calls that wait or are offered
	back            []string              // offers that a session gave back when it signed out, and whose calls may not have heard of it
}

func (c *crowd) refuse(o id.Offer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back = append(c.back, string(o))
}

// told notes a match; the same offer must always be of the same agent.
func (c *crowd) told(m *call.Matched, by *int) {
	if m == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, known := c.offers[m.Offer]; known && before != m.Agent {
		c.Errorf("offer %s was made to %s and to %s", m.Offer, before, m.Agent)
	}
	if c.offers[m.Offer] == "" {
		*by++
	}
	if c.ended[m.Offer.Call()] {
		c.actor(m.Agent).inbox <- m.Offer // it was abandoned in the same moment
	}
	c.offers[m.Offer] = m.Agent
}

// callers opens calls, and lets some of those that are in line fail an offer, be
// answered or leave.
func (c *crowd) callers(rng *rand.Rand, steps int) {
	for step := range steps {
		// Now more calls than agents, now fewer: both sides must find the other waiting.
		crowded := 2 + 20*(step/25%2)
		lives := c.lives()
		arrive := lives == 0 || lives < rng.IntN(crowded)
		switch kind := rng.IntN(4); {
		case arrive:
			s := c.arriving(c.queues[rng.IntN(len(c.queues))], t0.Add(time.Duration(rng.IntN(1e9))))
			s.Route.Queue.Priority = rng.IntN(2)
			got, _, err := c.Open(c.Context(), s.ArrivedAt, s)
			if err != nil {
				c.Errorf("open: %v", err)
				return
			}
			if got.Offer != nil {
				c.told(&call.Matched{Offer: got.Offer.ID, Agent: got.Offer.Agent}, &c.byCall)
			}
			c.keep(got)
		case kind == 0:
			if s, ok := c.take(rng); ok && c.fail(s, rng.IntN(3) == 0) {
				s.Offers++
				c.keep(s)
			}
		default:
			if s, ok := c.take(rng); ok {
				c.leave(s)
			}
		}
	}
}

func (c *crowd) lives() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

func (c *crowd) keep(s call.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = append(c.live, s)
}

// take removes a call from the live ones, mostly one that is offered: from now on
// it is one goroutine's.
func (c *crowd) take(rng *rand.Rand) (call.State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.live) == 0 {
		return call.State{}, false
	}
	i := rng.IntN(len(c.live))
	for j, s := range c.live {
		if _, offered := c.offers[id.NewOffer(s.ID, s.Offers+1)]; (offered || s.Offer != nil) && rng.IntN(3) > 0 {
			i = j
		}
	}
	s := c.live[i]
	c.live = append(c.live[:i], c.live[i+1:]...)
	return s, true
}

// current is the offer that the call's row names, and its agent.
func (c *crowd) current(s call.State) (o id.Offer, a id.Agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := s.Offers + 1; n >= 1; n-- {
		if a, ok := c.offers[id.NewOffer(s.ID, n)]; ok {
			return id.NewOffer(s.ID, n), a
		}
	}
	return "", ""
}

// fail lets the call's present offer fail, if it has one, and places it again;
// sometimes twice, as a retried activity does. It returns whether it was placed.
func (c *crowd) fail(s call.State, twice bool) bool {
	o, a := c.current(s)
	if o == "" {
		c.keep(s)
		return false
	}
	s.Offers = o.N()
	c.actor(a).inbox <- o
	p := call.Place{Queue: s.Route.Queue.Name, QueuedAt: s.QueuedAt, Priority: s.Route.Queue.Priority,
		Offer: id.NewOffer(s.ID, s.Offers+1), Over: o, Tried: []id.Agent{a}}
	for range 1 + map[bool]int{true: 1}[twice] {
		placed, err := c.Place(c.Context(), s.Ref(), p)
		if err != nil {
			c.Errorf("place: %v", err)
			return false
		}
		c.told(placed.Matched, &c.byCall)
	}
	s.Offers--
	return true
}

// leave ends a call: answered by its agent, or abandoned.
func (c *crowd) leave(s call.State) {
	v := s.View()
	v.Phase, v.Version = call.Ended, v.Version+100
	r := call.Record{View: v, ArrivedAt: s.ArrivedAt, EndedAt: s.ArrivedAt, Cause: leg.Abandoned, Outcome: call.OutcomeAbandoned}
	if err := c.CloseCall(c.Context(), s.Ref(), call.Close{Record: r}); err != nil {
		c.Errorf("close: %v", err)
	}
	c.mu.Lock()
	c.ended[s.ID] = true // a match that is told from now on is over as well
	c.mu.Unlock()
	if o, a := c.current(s); o != "" {
		c.actor(a).inbox <- o
	}
}

func (c *crowd) actor(a id.Agent) *actor {
	for _, x := range c.actors {
		if x.number == a {
			return x
		}
	}
	panic("no such agent: " + a)
}

// actor is an agent's session.
type actor struct {
	*session
	crowd  *crowd
	rng    *rand.Rand
	number id.Agent
	inbox  chan id.Offer // offers that are over
	last   agent.Save
}

func (a *actor) work(done <-chan struct{}) {
	a.signIn()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		a.read()
		since := t0.Add(time.Duration(i) * time.Second)
		switch a.rng.IntN(12) {
		case 0:
			if a.p.Offer == "" { // else sign-out is pending
				a.tell(a.state(agent.LoggedOff, since))
				a.signIn()
			}
		case 1, 2, 3:
			a.tell(a.state(agent.NotReady, since))
		case 4:
			a.changeQueues()
			a.tell(a.state(a.p.Status, since))
		case 5:
			if a.last.Presence.Version > 0 {
				a.tell(a.last) // the answer was lost: once more
			}
		default:
			a.tell(a.state(agent.Ready, since))
		}
	}
}

func (a *actor) signIn() {
	version := int64(0)
	if a.session != nil {
		version = a.p.Version
	}
	a.session = a.crowd.session(a.number)
	a.p.Version = version
	a.p.Release = nil
	a.changeQueues()
}

func (a *actor) changeQueues() {
	a.p.Queues = nil
	for _, q := range a.crowd.queues {
		if a.rng.IntN(2) == 0 {
			a.p.Queues = append(a.p.Queues, agent.Membership{Queue: q, CheckedIn: true, Penalty: a.rng.IntN(2)})
		}
	}
}

// read learns of the offers that are over.
func (a *actor) read() {
	for {
		select {
		case o := <-a.inbox:
			a.p.Release = append(a.p.Release, o)
			if a.p.Offer == o {
				a.p.Offer = ""
			}
		default:
			return
		}
	}
}

// tell saves the session; an offer that comes back is known from then on.
func (a *actor) tell(s agent.Save) {
	a.last = s
	var saved record.Saved
	var err error
	if saved, err = a.SaveAgent(a.Context(), s); err != nil {
		a.Errorf("save: %v", err)
		return
	}
	a.crowd.told(saved.Matched, &a.crowd.byAgent)
	switch {
	case saved.Reserved == nil || s.Presence.Version != a.p.Version:
	case s.Presence.Gone:
		a.crowd.refuse(saved.Reserved.ID)
	default:
		a.p.Offer = saved.Reserved.ID
	}
}

// check looks at the rows when all is still.
func (c *crowd) check() {
	c.Helper()
	for what, sql := range map[string]string{
		"an agent has two calls": `
			SELECT count(*) FROM (SELECT agent FROM waiting WHERE agent IS NOT NULL AND offer <> ALL ($1) GROUP BY agent HAVING count(*) > 1) x`,
		"a call has an agent who has another one": `
			SELECT count(*) FROM waiting w JOIN presence p USING (tenant_id, agent) WHERE p.offer IS NOT NULL AND p.offer <> w.offer
			   AND w.offer <> ALL ($1)`,
		"two agents have one offer": `
			SELECT count(*) FROM (SELECT offer FROM presence WHERE offer IS NOT NULL GROUP BY offer HAVING count(*) > 1) x`,
		"a call waits beside a ready agent": `
			SELECT count(*) FROM waiting w JOIN presence p ON w.queue = ANY (p.queues)
			 WHERE w.agent IS NULL AND p.available AND p.offer IS NULL`,
		"a candidate is not to be had": `
			SELECT count(*) FROM candidates c LEFT JOIN presence p USING (tenant_id, agent)
			 WHERE p.agent IS NULL OR NOT p.available OR p.offer IS NOT NULL OR p.version <> c.version OR NOT c.queue = ANY (p.queues)`,
		"a ready agent is no candidate": `
			SELECT count(*) FROM presence p, unnest(p.queues) AS q(name)
			 WHERE p.available AND p.offer IS NULL AND NOT EXISTS (
			       SELECT FROM candidates c WHERE c.agent = p.agent AND c.queue = q.name)`,
		"an ended call waits": `
			SELECT count(*) FROM waiting w JOIN calls c USING (tenant_id, call) WHERE NOT c.open`,
		"a match was decided twice": `
			SELECT count(*) FROM (SELECT offer FROM decisions WHERE agent IS NOT NULL GROUP BY offer HAVING count(*) > 1) x`,
	} {
		var n int
		args := []any{}
		if strings.Contains(sql, "$1") {
			args = append(args, append([]string{}, c.back...))
		}
		c.one(&n, sql, args...)
		require.Zero(c, n, what)
	}
}
