package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/dispatch"
	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/workflows"
)

// sessions are the workflows of agent sessions: they note what they are told.
type sessions struct {
	client.Client

	mu    sync.Mutex
	away  bool
	stuck bool // sessions that are to be signed out take no workflow task
	tells []string
}

func (s *sessions) SignalWorkflow(_ context.Context, workflow, _, name string, arg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		return errAway
	case workflow == "agent:acme:1009":
		return serviceerror.NewNotFound("no such workflow")
	}
	m := arg.(activities.Message)
	var e agent.ProfileChanged
	if err := json.Unmarshal(m.Event, &e); err != nil {
		return err
	}
	s.tells = append(s.tells, fmt.Sprintf("%s %s %s/%d wrap-up %v reachable %v", workflow, name, m.Source, m.Number, e.Profile.WrapUp, e.Reachable))
	return nil
}

func (s *sessions) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away || s.stuck {
		return nil, errAway
	}
	s.tells = append(s.tells, fmt.Sprintf("%s %s %s", o.WorkflowID, o.UpdateName, o.Args[0].(activities.Message).Event))
	return updated{}, nil
}

func (s *sessions) NewWithStartWorkflowOperation(client.StartWorkflowOptions, any, ...any) client.WithStartWorkflowOperation {
	return nil
}

// UpdateWithStartWorkflow answers every sign-in as the first.
func (s *sessions) UpdateWithStartWorkflow(context.Context, client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return begun{}, nil
}

type begun struct{ client.WorkflowUpdateHandle }

func (begun) Get(_ context.Context, reply any) error {
	reply.(*workflows.Reply[agent.View]).Created = true
	return nil
}

func (s *sessions) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.tells))
}

// directory is a directory whose changes a test makes.
type directory struct {
	*books

	mu       sync.Mutex
	listener func(id.Tenant)
	changes  []record.ProfileChange
	seq      int64
	profiles map[id.Agent][]agent.Profile // what each reading finds; the last stays
}

func (d *directory) OnDirectoryChange(fn func(id.Tenant)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listener = fn
}

func (d *directory) change(agents ...id.Agent) {
	d.mu.Lock()
	for _, a := range agents {
		d.seq++
		d.changes = append(d.changes, record.ProfileChange{Seq: d.seq, Agent: agent.Ref{Tenant: "acme", Agent: a}})
	}
	fn := d.listener
	d.mu.Unlock()
	if fn != nil {
		fn("acme")
	}
}

func (d *directory) ProfileChanges(ctx context.Context, most int, later []int64, tell func(context.Context, []record.ProfileChange) ([]int64, error)) (bool, error) {
	passed := func(c record.ProfileChange) bool { return slices.Contains(later, c.Seq) }
	d.mu.Lock()
	batch := slices.DeleteFunc(slices.Clone(d.changes), passed)
	batch = batch[:min(most, len(batch))]
	d.mu.Unlock()
	if len(batch) == 0 {
		return false, nil
	}
	told, err := tell(ctx, batch)
	if err != nil {
		return true, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = slices.DeleteFunc(d.changes, func(c record.ProfileChange) bool { return slices.Contains(told, c.Seq) })
	return slices.ContainsFunc(d.changes, func(c record.ProfileChange) bool { return !passed(c) }), nil
}

func (d *directory) Profile(_ context.Context, ref agent.Ref) (agent.Profile, []id.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.profiles[ref.Agent]
	if len(all) == 0 {
		return agent.Profile{}, nil, fault.E(fault.NotFound, "read an agent's profile", errors.New("no row"))
	}
	if len(all) > 1 {
		d.profiles[ref.Agent] = all[1:]
	}
	return all[0], []id.Device{"desk"}, nil
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// What changed before the herald ran is told as well as what changes then: each agent's
// session once, by its newest change; who is gone is signed out; who has no session is
// nobody's business; and while Temporal is away nothing is lost.
func TestHerald_TellsEachSessionWhatChanged(t *testing.T) {
	t.Parallel()
	s := &sessions{away: true}
	d := &directory{profiles: map[id.Agent][]agent.Profile{"1001": {{WrapUp: time.Second}}, "1002": {{WrapUp: time.Minute}}, "1009": {{}}}}
	d.change("1001", "1002", "1001", "1003", "1009")
	h := dispatch.NewHerald(s, d, silent())
	h.Start()
	h.Start()
	defer h.Stop()
	require.Empty(t, s.told())
	s.mu.Lock()
	s.away = false
	s.mu.Unlock()
	want := []string{
		"agent:acme:1001 profile_changed directory/3 wrap-up 1s reachable [desk]",
		"agent:acme:1002 profile_changed directory/2 wrap-up 1m0s reachable [desk]",
		`agent:acme:1003 sign_out {"by":"system","forced":true}`,
	}
	require.Eventually(t, func() bool { return len(s.told()) >= len(want) }, 10*time.Second, time.Millisecond)
	require.Equal(t, want, s.told())

	var crowd []id.Agent
	for n := range 50 { // more than are told at a time
		a := id.Agent(fmt.Sprint(2000 + n))
		crowd = append(crowd, a)
		d.mu.Lock()
		d.profiles[a] = []agent.Profile{{}}
		d.mu.Unlock()
	}
	d.change(crowd...)
	require.Eventually(t, func() bool { return len(s.told()) == len(want)+len(crowd) }, 10*time.Second, time.Millisecond)
	h.Stop()
	h.Stop()
	d.change("1001")
	require.Len(t, s.told(), len(want)+len(crowd), "a stopped herald tells nothing")
}

// More sessions than are told at a time fail for ever: those behind them are told once,
// and the failing ones when they are well again.
func TestHerald_SomeSessionsAreStuck_TheOthersAreTold(t *testing.T) {
	t.Parallel()
	s, d := &sessions{stuck: true}, &directory{profiles: map[id.Agent][]agent.Profile{}}
	var gone, crowd []id.Agent
	for n := range 30 {
		gone = append(gone, id.Agent(fmt.Sprint(1000+n)))
		crowd = append(crowd, id.Agent(fmt.Sprint(2000+n)))
		d.profiles[crowd[n]] = []agent.Profile{{}}
	}
	d.change(append(gone, crowd...)...)
	h := dispatch.NewHerald(s, d, silent())
	h.Start()
	defer h.Stop()
	require.Eventually(t, func() bool { return len(s.told()) == len(crowd) }, 10*time.Second, time.Millisecond)
	s.mu.Lock()
	s.stuck = false
	s.mu.Unlock()
	require.Eventually(t, func() bool { return len(s.told()) == len(crowd)+len(gone) }, 10*time.Second, time.Millisecond)
}

func TestHerald_StoppedBeforeItsStart_DoesNothing(t *testing.T) {
	t.Parallel()
	s, d := &sessions{}, &directory{profiles: map[id.Agent][]agent.Profile{"1001": {{}}}}
	d.change("1001")
	h := dispatch.NewHerald(s, d, silent())
	h.Stop()
	h.Start()
	h.Stop()
	require.Empty(t, s.told())
}

// A profile that changes after a sign-in has read it, and before there is a session to
// tell, is told to the session that has begun.
func TestSignIn_ProfileChangesMeanwhile_TheSessionIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profiles []agent.Profile
		want     []string
	}{
		"unchanged": {[]agent.Profile{{WrapUp: time.Second}}, nil},
		"changed": {[]agent.Profile{{WrapUp: time.Second}, {WrapUp: time.Minute}},
			[]string{"agent:acme:1001 profile_changed /0 wrap-up 1m0s reachable [desk]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sessions{}
			d := dispatch.New(dispatch.Config{
				Temporal: s, Log: silent(), Ledger: &directory{books: newBooks(), profiles: map[id.Agent][]agent.Profile{"1001": c.profiles}},
			})
			defer d.Stop()
			_, created, err := d.SignIn(t.Context(), agent.Ref{Tenant: "acme", Agent: "1001"}, "1001", agent.SignIn{Interface: "phone"})
			require.NoError(t, err)
			require.True(t, created)
			require.Equal(t, c.want, s.told())
		})
	}
}
