package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// nodes is the demo tenant with a registry of nodes and phones.
type nodes struct {
	*testing.T
	*db.DB
}

func newNodes(t *testing.T) *nodes { return &nodes{t, newDemo(t)} }

func (n *nodes) beat(name id.Node, boot string, started time.Time) (lost bool) {
	n.Helper()
	lost, err := n.Beat(n.Context(), device.Node{Name: name, Boot: boot, Address: "127.0.0.1:5060", Started: started})
	require.NoError(n, err)
	return lost
}

// phone registers a device at a node; change may alter the registration.
func (n *nodes) phone(name id.Device, node id.Node, change ...func(*device.Registration)) {
	n.Helper()
	r := registration(name, time.Now().Add(time.Hour))
	r.Node = node
	for _, f := range change {
		f(&r)
	}
	_, _, err := n.SaveRegistration(n.Context(), r)
	require.NoError(n, err)
}

func over(transport string) func(*device.Registration) {
	return func(r *device.Registration) { r.Transport = transport }
}

// behindNAT is a phone whose contact is an address of its own network.
func behindNAT(r *device.Registration) { r.Contact = "sip:1001@10.0.0.7:5060;ob" }

// lose gives a run up and removes what is stranded, as the guard's activity does.
func (n *nodes) lose(l device.Loss) map[id.Device]bool {
	n.Helper()
	list, err := n.LoseNode(n.Context(), l)
	require.NoError(n, err)
	again, err := n.LoseNode(n.Context(), l)
	require.NoError(n, err)
	require.Equal(n, list, again, "as long as they were not removed they are told again")
	reachable := map[id.Device]bool{}
	for _, s := range list {
		owner, there, err := n.Reachable(n.Context(), s)
		require.NoError(n, err)
		require.Equal(n, id.Agent(s.Device), owner)
		reachable[s.Device] = there
	}
	require.NoError(n, n.Unstrand(n.Context(), list))
	return reachable
}

func (n *nodes) contacts(name id.Device) int {
	n.Helper()
	list, err := n.Registrations(n.Context(), demoTenant, name)
	require.NoError(n, err)
	return len(list)
}

func (n *nodes) listed() (names []string) {
	n.Helper()
	list, err := n.Nodes(n.Context())
	require.NoError(n, err)
	for _, l := range list {
		names = append(names, string(l.Name)+" "+l.Boot)
	}
	return names
}

func TestLoseNode_ReturnsWhoseOnlyWayItWas(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	n.beat("node-1", "b1", t0)
	n.beat("node-2", "c1", t0)
	n.phone("1001", "node-1", over("tcp"))
	n.phone("1002", "node-1")
	n.phone("1003", "node-1", behindNAT)
	n.phone("1004", "node-1", over("TLS"))
	n.phone("1004", "node-2", func(r *device.Registration) { r.Instance = "softphone" })
	n.phone("1005", "node-2", over("tcp"))

	require.Equal(t, map[id.Device]bool{"1001": false, "1003": false, "1004": true}, n.lose(device.Loss{Node: "node-1", Boot: "b1"}))
	for name, left := range map[id.Device]int{"1001": 0, "1002": 1, "1003": 0, "1004": 1, "1005": 1} {
		require.Equal(t, left, n.contacts(name), name)
	}
	require.Equal(t, []string{"node-2 c1"}, n.listed())
	require.Empty(t, n.lose(device.Loss{Node: "node-1", Boot: "b1"}), "nothing is left to be told")
}

func TestLoseNode_WhatHasRunOut_IsTold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := dbtest.Open(t, db.Config{URL: dbtest.URL(t), Now: func() time.Time { return now }})
	apply(t, d)
	n := &nodes{t, d}
	n.beat("node-1", "b1", t0)
	n.phone("1001", "node-1", func(r *device.Registration) { r.Expires = now.Add(time.Minute) })
	n.phone("1002", "node-1")
	now = now.Add(2 * time.Minute)
	require.Equal(t, map[id.Device]bool{"1001": false}, n.lose(device.Loss{Node: "node-1", Boot: "b1"}))
}

func TestLoseNode_ALaterRunIsThere_OnlyConnectionsOfTheEarlierAreStranded(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]device.Loss{
		"the earlier is given up": {Node: "node-1", Boot: "b1"},
		"the later announces":     {Node: "node-1", Alive: "b2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNodes(t)
			n.beat("node-1", "b1", t0)
			n.phone("1001", "node-1", over("tcp"))
			n.phone("1003", "node-1", behindNAT)
			n.phone("1004", "node-1", over("tcp"), func(r *device.Registration) { r.Boot = "b2" }) // before b2's first beat
			n.beat("node-1", "b2", t0.Add(time.Minute))
			n.phone("1002", "node-1", over("tcp"))
			require.Equal(t, map[id.Device]bool{"1001": false}, n.lose(l))
			require.Equal(t, []string{"node-1 b2"}, n.listed())
			require.Equal(t, 1, n.contacts("1003"), "the later run has the earlier one's address")
		})
	}
}

func TestUnstrand_ARenewedRegistration_Stays(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	n.beat("node-1", "b1", t0)
	n.phone("1001", "node-1", over("tcp"))
	list, err := n.LoseNode(t.Context(), device.Loss{Node: "node-1", Boot: "b1"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	n.phone("1001", "node-2", func(r *device.Registration) { r.CSeq++ })
	require.NoError(t, n.Unstrand(t.Context(), list))
	require.Equal(t, 1, n.contacts("1001"))
}

// The same instance, at the same node: a node that was taken for dead keeps its phones.
func TestUnstrand_ARefreshedRegistration_StaysAndCounts(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	n.beat("node-1", "b1", t0)
	n.phone("1001", "node-1", over("tcp"))
	list, err := n.LoseNode(t.Context(), device.Loss{Node: "node-1", Boot: "b1"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, there, err := n.Reachable(t.Context(), list[0])
	require.NoError(t, err)
	require.False(t, there, "by itself does not count")
	n.phone("1001", "node-1", over("tcp"), func(r *device.Registration) { r.CSeq++; r.Expires = r.Expires.Add(time.Minute) })
	_, there, err = n.Reachable(t.Context(), list[0])
	require.NoError(t, err)
	require.True(t, there)
	require.NoError(t, n.Unstrand(t.Context(), list))
	require.Equal(t, 1, n.contacts("1001"))
}

// What a session was told may have been overtaken by older news: a refresh shows it.
func TestSaveRegistration_SessionTakesTheDeviceForUnreachable_IsUnheard(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	unheard := func() bool {
		t.Helper()
		r := registration("1001", time.Now().Add(time.Hour))
		owner, reach, err := n.SaveRegistration(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, id.Agent("1001"), owner)
		require.True(t, reach.Reachable)
		return reach.Unheard
	}
	require.False(t, unheard(), "not signed in")
	save := agent.Save{
		View:     agent.View{Tenant: demoTenant, Agent: "1001", State: agent.NotReady, Since: t0},
		Presence: agent.Presence{Tenant: demoTenant, Agent: "1001", Status: agent.NotReady, Method: "all"},
	}
	put := func(change func(v *agent.View)) {
		t.Helper()
		change(&save.View)
		save.View.Version++
		save.Presence.Version, save.Presence.Status = save.View.Version, save.View.State
		_, err := n.SaveAgent(t.Context(), save)
		require.NoError(t, err)
	}
	put(func(*agent.View) {})
	require.False(t, unheard(), "not bound to it")
	put(func(v *agent.View) { v.Binding.Addresses = []leg.Address{{Device: "1001", Kind: leg.SIP}} })
	require.True(t, unheard())
	put(func(v *agent.View) { v.Devices = []id.Device{"1001"} })
	require.False(t, unheard())
}

func TestReachable_NobodysDeviceOrNone_HasNoOwner(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	owner, there, err := n.Reachable(t.Context(), device.Stranded{Tenant: demoTenant, Device: "no-such-phone", Node: "node-1"})
	require.NoError(t, err)
	require.Empty(t, owner)
	require.False(t, there)
}

// A run that was given up learns it from its next heartbeat, and its row is its own
// again under a new boot.
func TestBeat_OfARunThatWasGivenUp_SaysSo(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	require.False(t, n.beat("node-1", "b1", t0))
	n.lose(device.Loss{Node: "node-1", Boot: "b1"})
	require.True(t, n.beat("node-1", "b1", t0))
	require.True(t, n.beat("node-1", "b1", t0), "as often as it asks")
	require.Empty(t, n.listed())
	require.False(t, n.beat("node-1", "b1-2", t0))
	require.Equal(t, []string{"node-1 b1-2"}, n.listed())
	require.False(t, n.beat("node-1", "b0", t0.Add(-time.Hour)), "an older run that still beats is not the one that was given up")
	require.Equal(t, []string{"node-1 b1-2"}, n.listed())
}

func TestLoseNode_ThatHasBeatenSince_IsRefused(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	s, err := n.SeeNode(t.Context(), "node-1")
	require.NoError(t, err)
	require.Zero(t, s)
	n.beat("node-1", "b1", t0)
	n.phone("1001", "node-1", over("tcp"))
	silent, err := n.SeeNode(t.Context(), "node-1")
	require.NoError(t, err)
	require.Equal(t, "b1", silent.Boot)
	n.beat("node-1", "b1", t0)
	_, err = n.LoseNode(t.Context(), device.Loss{Node: "node-1", Boot: "b1", Seen: silent.Seen})
	require.Equal(t, fault.Conflict, fault.KindOf(err), "%v", err)
	require.False(t, n.beat("node-1", "b1", t0))

	silent, err = n.SeeNode(t.Context(), "node-1")
	require.NoError(t, err)
	require.Equal(t, map[id.Device]bool{"1001": false}, n.lose(device.Loss{Node: "node-1", Boot: "b1", Seen: silent.Seen}))
	lost, err := n.SeeNode(t.Context(), "node-1")
	require.NoError(t, err)
	require.True(t, lost.Lost)
}

func TestLapsed_WhatRanOutLongAgo_IsListedUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	n, lapse := newLapsing(t)
	n.phone("1001", "node-1", lapse.inAMinute)
	n.phone("1002", "node-1", lapse.inAMinute)
	n.phone("1002", "node-2", func(r *device.Registration) { r.Instance = "softphone" })
	lapse.by(time.Minute + 5*time.Second)
	require.Empty(t, n.lapsed(), "its node may be about to say so")
	lapse.by(6 * time.Second)
	require.Equal(t, map[id.Device]bool{"1001": false, "1002": true}, n.lapsed())
	list, err := n.DB.Lapsed(t.Context(), 10*time.Second)
	require.NoError(t, err)
	n.phone("1001", "node-1", func(r *device.Registration) { r.CSeq++ }) // meanwhile it is back
	require.NoError(t, n.Unstrand(t.Context(), list))
	require.Empty(t, n.lapsed())
	require.Equal(t, 1, n.contacts("1001"))
}

// A node that was not given up owes the database what it could not write: after an
// outage of the database its phones are there, whatever the rows say.
func TestLapsed_OfARunThatWasNotGivenUp_IsLeftToItForAnHour(t *testing.T) {
	t.Parallel()
	n, lapse := newLapsing(t)
	n.beat("node-1", "b1", t0)
	n.phone("1001", "node-1", lapse.inAMinute)
	n.phone("1002", "node-1", lapse.inAMinute, func(r *device.Registration) { r.Boot = "b0" })
	lapse.by(2 * time.Minute)
	require.Equal(t, map[id.Device]bool{"1002": false}, n.lapsed(), "another run of the node does not keep it")
	lapse.by(time.Hour)
	require.Equal(t, map[id.Device]bool{"1001": false, "1002": false}, n.lapsed(), "that long nobody is away")
	lapse.by(-time.Hour)
	list, err := n.LoseNode(t.Context(), device.Loss{Node: "node-1", Boot: "b1"})
	require.NoError(t, err)
	require.NotEmpty(t, list)
	require.Equal(t, map[id.Device]bool{"1001": false, "1002": false}, n.lapsed(), "given up")
}

// lapsing is a clock that tests set forward.
type lapsing struct{ now time.Time }

func newLapsing(t *testing.T) (*nodes, *lapsing) {
	t.Helper()
	l := &lapsing{now: time.Now()}
	d := dbtest.Open(t, db.Config{URL: dbtest.URL(t), Now: func() time.Time { return l.now }})
	apply(t, d)
	return &nodes{t, d}, l
}

func (l *lapsing) by(d time.Duration) { l.now = l.now.Add(d) }

func (l *lapsing) inAMinute(r *device.Registration) { r.Expires = l.now.Add(time.Minute) }

// lapsed lists the phones that ran out, and whether they are reachable otherwise.
func (n *nodes) lapsed() map[id.Device]bool {
	n.Helper()
	list, err := n.DB.Lapsed(n.Context(), 10*time.Second)
	require.NoError(n, err)
	reachable := map[id.Device]bool{}
	for _, s := range list {
		_, there, err := n.Reachable(n.Context(), s)
		require.NoError(n, err)
		reachable[s.Device] = there
	}
	return reachable
}

// A call that its node still drives, because that node is cut off from Temporal, is
// nobody else's; it is an orphan as soon as the node is silent or began anew.
func TestOrphans_OfANodeThatBeats_AreLeftToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	opened := w.open(w.arriving("support", time.Now().Add(-time.Minute)))
	orphans := func() (calls []id.Call) {
		list, err := w.Orphans(t.Context(), 0)
		require.NoError(t, err)
		for _, s := range list {
			calls = append(calls, s.ID)
		}
		return calls
	}
	mine := []id.Call{opened.ID}
	require.Equal(t, mine, orphans(), "its node never beat")
	n := &nodes{t, w.DB}
	n.beat("node-1", "b1", t0)
	require.Empty(t, orphans())
	w.exec(`UPDATE nodes SET seen_at = seen_at - interval '11 s'`)
	require.Equal(t, mine, orphans(), "silent")
	n.beat("node-1", "b1", t0)
	require.Empty(t, orphans(), "back")
	w.exec(`UPDATE calls SET opened_at = opened_at - interval '61 min'`)
	require.Equal(t, mine, orphans(), "that long nobody is away")
	w.exec(`UPDATE calls SET opened_at = opened_at + interval '61 min'`)
	n.lose(device.Loss{Node: "node-1", Boot: "b1"})
	require.Equal(t, mine, orphans(), "given up")
	n.beat("node-1", "b2", t0)
	require.Equal(t, mine, orphans(), "another run does not have it")
}

// Which calls a run has opened and nobody drives, the run can always ask: also those whose
// COMMIT showed up when it had given them up.
func TestUndriven_ListsWhatTheRunOpenedUntilItsWorkflowIsMarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	first, second := w.open(w.arriving("support", t0)), w.open(w.arriving("support", t0))
	undriven := func(boot string, age time.Duration) []call.State {
		list, err := w.Undriven(t.Context(), boot, age)
		require.NoError(t, err)
		return list
	}
	require.Equal(t, []call.State{first, second}, undriven("b1", 0))
	require.Empty(t, undriven("b1", time.Hour), "young")
	require.Empty(t, undriven("b2", 0), "of another run")
	require.NoError(t, w.Started(t.Context(), first.Ref()))
	require.Equal(t, []call.State{second}, undriven("b1", 0))
}
