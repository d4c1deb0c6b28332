package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
)

// strands is the database with one phone of a dead node, which may register anew at
// another node while that is told.
type strands struct {
	journal
	lost []device.Stranded

	mu    sync.Mutex
	reads int
	there bool              // at another node
	comes func(reading int) // what happens right after a reading
	order []string
}

func (s *strands) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, what)
}

func (s *strands) LoseNode(context.Context, device.Loss) ([]device.Stranded, error) {
	return s.lost, nil
}

func (s *strands) CallsOf(context.Context, id.Node, string) ([]call.Ref, error) {
	s.note("calls")
	return nil, nil
}

func (s *strands) Reachable(context.Context, device.Stranded) (id.Agent, bool, error) {
	s.mu.Lock()
	s.reads++
	reading, there := s.reads, s.there
	s.mu.Unlock()
	if s.comes != nil {
		s.comes(reading)
	}
	return "1001", there, nil
}

func (s *strands) Unstrand(context.Context, []device.Stranded) error {
	s.note("removed")
	return nil
}

// register lets the phone register at another node, whose dispatcher tells the session.
func (r *rig) register(s *strands) {
	s.mu.Lock()
	s.there = true
	s.mu.Unlock()
	require.NoError(r, r.d.Registered(context.Background(), device.Registration{
		Tenant: r.tenant, Device: "1001", Instance: "i", Node: "b", Boot: "x", Expires: time.Now().Add(time.Hour),
	}))
}

func (r *rig) lose(s *strands) {
	r.Helper()
	rec := &activities.Records{Client: ground.client, Journal: s}
	_, err := rec.LoseNode(r.Context(), activities.Loss{Node: "a", Boot: "boot-a"})
	require.NoError(r, err)
}

func newStrands(r *rig) *strands {
	return &strands{journal: ground.journal, lost: []device.Stranded{{Tenant: r.tenant, Device: "1001", Node: "a"}}}
}

// reachable waits until the session takes its phone for reachable, or not.
func (r *rig) reachable(number id.Agent, want bool) {
	r.Helper()
	require.Eventually(r, func() bool {
		v, err := r.d.AgentView(context.Background(), r.agent(number))
		return err == nil && (len(v.Devices) > 0) == want
	}, patience, 20*time.Millisecond)
}

func TestLoseNode_PhoneOfADeadNode_SessionHearsOfItBeforeTheCallsDo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	s := newStrands(r)
	r.lose(s)
	require.Equal(t, agent.ReasonDeviceLost, r.waitState("1001", agent.NotReady).Reason)
	require.Equal(t, []string{"removed", "calls"}, s.order)
}

// It registered at another node before it was told: nothing was lost.
func TestLoseNode_PhoneIsBackBeforeItIsTold_AgentStaysReady(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	s := newStrands(r)
	r.register(s)
	r.lose(s)
	r.reachable("1001", true)
	require.Equal(t, agent.Ready, r.waitState("1001", agent.Ready).State)
}

// It registers between the look at it and what is told of that: the older news comes
// later, and is put right.
func TestLoseNode_PhoneComesBackWhileItIsTold_SessionEndsWithAReachablePhone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	s := newStrands(r)
	s.comes = func(reading int) {
		if reading == 1 {
			r.register(s)
			r.reachable("1001", true)
		}
	}
	r.lose(s)
	r.reachable("1001", true)
	require.Equal(t, agent.Ready, r.ask("1001", agent.GoReady{}).State)
}

// Whatever went wrong, the next refresh puts it right.
func TestRegistered_SessionTakesThePhoneForUnreachable_TheNextRefreshTellsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("1001")
	s := newStrands(r)
	r.register(s)
	s.there = false
	r.lose(s)
	r.reachable("1001", false)
	r.register(s)
	r.ledger.unheard = true
	r.register(s)
	r.reachable("1001", true)
	require.Equal(t, agent.Ready, r.ask("1001", agent.GoReady{}).State)
}
