package db_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// bind saves the session with a binding.
func (s *session) bind(claim []id.Device, bound ...id.Device) record.Saved {
	s.Helper()
	s.p.Bound, s.p.Claim, s.p.Addresses = bound, claim, nil
	for _, d := range bound {
		s.p.Addresses = append(s.p.Addresses, leg.Address{Device: d, Kind: leg.SIP})
	}
	saved := s.save(agent.Ready, t0.Add(time.Duration(s.p.Version)*time.Second))
	s.p.Bound, s.p.Claim = nil, nil
	return saved
}

func (w *world) holder(d id.Device) (holder string) {
	w.Helper()
	w.one(&holder, `SELECT coalesce((SELECT agent FROM bindings WHERE tenant_id = $1 AND device = $2), '')`, string(w.tenant), string(d))
	return holder
}

// SEED-30, SEED-55: a device serves one session; the next one is told by whom it is used,
// and is not called by it. SEED-32: sign-out lets go of it, and the next has it at once.
func TestBindings_SEED30_SEED32_OneDeviceServesOneAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.device("desk", "other")
	a, b := w.session("1001", "support"), w.session("1002", "support")
	require.Empty(t, a.bind(nil, "desk").Taken)
	saved := b.bind(nil, "desk")
	require.Equal(t, []agent.Taken{{Device: "desk", By: "1001"}}, saved.Taken)
	require.Equal(t, "1001", w.holder("desk"))
	var available bool
	w.one(&available, `SELECT available FROM presence WHERE agent = '1002'`)
	require.False(t, available, "nothing can ring")

	a.save(agent.LoggedOff, t0.Add(time.Minute))
	require.Empty(t, w.holder("desk"))
	require.Empty(t, b.bind(nil, "desk").Taken)
	require.Equal(t, "1002", w.holder("desk"))
	require.Empty(t, b.bind(nil, "other").Taken)
	require.Empty(t, w.holder("desk"), "a change of the binding lets go of the device before")
}

// However many choose the same device at once, one has it.
func TestBindings_SEED30_ManyAtOnce_OneHasTheDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.device("a", "b", "c")
	const many = 12
	devices := []id.Device{"a", "b", "c"}
	var all sync.WaitGroup
	var mu sync.Mutex
	had := map[id.Device]int{}
	for n := range many {
		s := w.session(id.Agent(fmt.Sprint(1001+n)), "support")
		s.p.Bound = append(append([]id.Device{}, devices[n%3:]...), devices[:n%3]...) // in different orders
		save := s.state(agent.Ready, t0)
		all.Go(func() {
			saved, err := w.SaveAgent(w.Context(), save)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range devices {
				had[d]++
			}
			for _, x := range saved.Taken {
				had[x.Device]--
			}
		})
	}
	all.Wait()
	require.Equal(t, map[id.Device]int{"a": 1, "b": 1, "c": 1}, had)
}

// Policy device_conflict take_over: a claimed device goes to the one who claims it, in the
// same transaction out of the match for the other, who is named, also to a repetition.
// Nobody takes a device that a call is on its way to.
func TestBindings_SEED55_TakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.device("desk")
	a, b := w.session("1001", "support"), w.session("1002", "support")
	a.bind(nil, "desk")
	b.p.Bound, b.p.Claim = []id.Device{"desk"}, []id.Device{"desk"}
	save := b.state(agent.NotReady, t0.Add(time.Second))
	want := []record.Lost{{Agent: "1001", Device: "desk"}}
	for range 2 {
		saved, err := w.SaveAgent(t.Context(), save)
		require.NoError(t, err)
		require.Equal(t, want, saved.Lost)
		require.Empty(t, saved.Taken)
	}
	require.Equal(t, "1002", w.holder("desk"))
	require.Equal(t, call.Queued, w.open(w.arriving("support", t0.Add(2*time.Second))).Phase, "1001 lost its phone")

	// What 1001 saves before it hears of that takes nothing back.
	require.Equal(t, []agent.Taken{{Device: "desk", By: "1002"}}, a.bind(nil, "desk").Taken)
	b.p.Bound, b.p.Claim = nil, nil
	require.NotNil(t, b.ready(t0.Add(time.Hour)).Matched, "the caller who waits")
	saved := a.bind([]id.Device{"desk"}, "desk")
	require.Equal(t, []agent.Taken{{Device: "desk", By: "1002"}}, saved.Taken, "1002 is being called")
	require.Empty(t, saved.Lost)
}

// A session that died lets go of its devices when it is buried.
func TestBindings_BuriedSession_LetsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.device("desk")
	a := w.session("1001", "support")
	a.bind(nil, "desk")
	ref := agent.Ref{Tenant: acme, Agent: "1001"}
	require.NoError(t, w.OpenTerminal(t.Context(), ref, "tab", time.Now().Add(time.Hour)))
	_, found, err := w.Bury(t.Context(), ref, time.Now())
	require.NoError(t, err)
	require.True(t, found)
	require.Empty(t, w.holder("desk"))
	_, known, err := w.TerminalAlive(t.Context(), ref, "tab", time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.False(t, known)
}

// SEED-54, SEED-115: what there is to choose from: where each device is registered from,
// whether it is shared, and who uses it. SEED-117: a phone is called, and calls, as the
// agent's who is bound to it.
func TestCandidates_SEED115_SayWhoUsesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.configure()
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	doc.Devices = append(doc.Devices, tenancy.Device{Name: "hot-1", Kind: leg.SIP, Password: "secret-secret"})
	doc.Agents[0].Binding, doc.Agents[0].ShiftEnd = agent.HotDesk, "17:30"
	doc.Tenant.Policies.DeviceConflict, doc.Tenant.Policies.TimeZone = agent.ConflictTakeOver, "Europe/Zurich"
	doc.Tenant.Policies.NotReadyReasons = []tenancy.Reason{{Code: "LUNCH", Limit: tenancy.Duration(time.Hour), Then: agent.FollowReady}}
	_, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	again, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, doc.Tenant, again.Tenant)
	require.Equal(t, doc.Agents, again.Agents)

	ref := agent.Ref{Tenant: acme, Agent: "1001"}
	p, _, err := w.Profile(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, agent.HotDesk, p.Mode)
	require.Equal(t, agent.ConflictTakeOver, p.Conflict)
	require.Equal(t, []agent.Rule{{Code: "LUNCH", Limit: time.Hour, Then: agent.FollowReady}}, p.Reasons)
	require.Less(t, time.Until(p.ShiftEnd), 25*time.Hour)
	zurich, err := time.LoadLocation("Europe/Zurich")
	require.NoError(t, err)
	require.Equal(t, "17:30", p.ShiftEnd.In(zurich).Format("15:04"))

	_, _, err = w.SaveRegistration(t.Context(), device.Registration{
		Tenant: acme, Device: "hot-1", Instance: "i", CallID: "c", Flow: "192.0.2.7:5060", Expires: time.Now().Add(time.Hour),
	})
	require.NoError(t, err)
	list, signedIn, err := w.Candidates(t.Context(), ref)
	require.NoError(t, err)
	require.False(t, signedIn)
	require.Equal(t, []agent.Candidate{
		{Address: leg.Address{Device: "1001", Kind: leg.SIP}},
		{Address: leg.Address{Device: "hot-1", Kind: leg.SIP}, Shared: true, Reachable: true, From: []string{"192.0.2.7"}},
	}, list)

	other := w.session("1002", "support")
	other.bind(nil, "hot-1")
	list, _, err = w.Candidates(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, id.Agent("1002"), list[1].UsedBy)
	require.False(t, list[1].InCall)
	c, err := w.Credentials(t.Context(), acme, "hot-1")
	require.NoError(t, err)
	require.Equal(t, id.Agent("1002"), c.Agent)
	owner, _, err := w.SaveRegistration(t.Context(), device.Registration{Tenant: acme, Device: "hot-1", Instance: "i", CallID: "c", CSeq: 1, Flow: "192.0.2.7:5060"})
	require.NoError(t, err)
	require.Equal(t, id.Agent("1002"), owner)

	mine := w.session("1001", "support")
	mine.v.Binding.Addresses = []leg.Address{{Device: "hot-2", Kind: leg.SIP}}
	mine.ready(t0)
	r, err := w.Route(t.Context(), acme, "1001")
	require.NoError(t, err)
	require.Equal(t, mine.v.Binding.Addresses, r.Targets)
}

// SEED-61: a terminal that shows life in time is there; one that does not is given to one
// teller, and comes back if it shows life before it was told.
func TestTerminals_SEED61_LeasesRunOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	ref := agent.Ref{Tenant: acme, Agent: "1001"}
	w.session("1001", "support").ready(t0)
	require.NoError(t, w.OpenTerminal(t.Context(), ref, "tab-1", time.Now().Add(-time.Second)))
	require.NoError(t, w.OpenTerminal(t.Context(), ref, "tab-2", time.Now().Add(time.Hour)))
	lapsed, err := w.LapsedTerminals(t.Context())
	require.NoError(t, err)
	require.Equal(t, []record.Terminal{{Session: ref, Terminal: "tab-1"}}, lapsed)
	again, err := w.LapsedTerminals(t.Context())
	require.NoError(t, err)
	require.Empty(t, again)

	v, known, err := w.TerminalAlive(t.Context(), ref, "tab-2", time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, agent.Ready, v.State)
	_, known, err = w.TerminalAlive(t.Context(), ref, "tab-1", time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.False(t, known, "its session is being told that it is gone")
	require.NoError(t, w.OpenTerminal(t.Context(), ref, "tab-1", time.Now().Add(time.Hour)))
	gone, err := w.CloseTerminal(t.Context(), ref, "tab-1", true)
	require.NoError(t, err)
	require.False(t, gone, "it came back")
	gone, err = w.CloseTerminal(t.Context(), ref, "tab-1", false)
	require.NoError(t, err)
	require.True(t, gone)
}
