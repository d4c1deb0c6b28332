package workflows_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"holdfast/activities"
	"holdfast/domain/fault"
	"holdfast/workflows"
)

// watchtower is a NodeGuard on the virtual clock, with a transcript of what it asked.
type watchtower struct {
	*testsuite.TestWorkflowEnvironment
	t       *testing.T
	mu      sync.Mutex
	said    []string
	guarded int // how often the node was asked to take its guard up
}

func (w *watchtower) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// heard is how the guard's activity ends, time after time; the last is for ever.
type heard func(now time.Time) error

func silent(now time.Time) error { return temporal.NewHeartbeatTimeoutError(now.Add(-5 * time.Second)) }
func swallowed(time.Time) error  { return temporal.NewHeartbeatTimeoutError() }
func stopped(time.Time) error    { return nil }
func letGo(time.Time) error      { return temporal.NewCanceledError() }
func notPicked(time.Time) error {
	return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
}
func otherBoot(t time.Time) error {
	return activities.Carry(fault.E(fault.NotFound, "guard node", fmt.Errorf("at %s", t)))
}

// watch runs a guard of boot b1 whose node is heard, sighted, and lost as told.
func watch(t *testing.T, ends []heard, sightings []activities.Sighting, lose func(n int, l activities.Loss) error) *watchtower {
	t.Helper()
	w := newWatchtower(t, ends, sightings, lose)
	w.guard(workflows.Guarded{Node: "node-1", Boot: "b1"})
	return w
}

func (w *watchtower) guard(s workflows.Guarded) {
	w.ExecuteWorkflow(workflows.NodeGuard, s)
	require.True(w.t, w.IsWorkflowCompleted())
	require.NoError(w.t, w.GetWorkflowError())
}

func newWatchtower(t *testing.T, ends []heard, sightings []activities.Sighting, lose func(n int, l activities.Loss) error) *watchtower {
	w := &watchtower{t: t, TestWorkflowEnvironment: virtual()}
	var node *activities.Node
	var records *activities.Records
	w.RegisterActivity(&activities.Records{})
	w.RegisterActivity(&activities.Node{})
	lost := 0
	w.OnActivity(node.Guard, mock.Anything, mock.Anything).Return(func(context.Context, string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		end := ends[min(w.guarded, len(ends)-1)]
		w.guarded++
		return end(w.Now())
	})
	w.OnActivity(node.Renew, mock.Anything, mock.Anything).Return(func(_ context.Context, boot string) error {
		w.say("renew %s", boot)
		w.SignalWorkflow(workflows.SignalBooted, workflows.Booted{Boot: "b2"})
		return nil
	}).Maybe()
	w.OnActivity(records.Witness, mock.Anything, mock.Anything).Return(func(_ context.Context, l activities.Loss) (activities.Sighting, error) {
		w.say("witness %s", l.Boot)
		s := sightings[0]
		sightings = sightings[1:]
		return s, nil
	})
	w.OnActivity(records.LoseNode, mock.Anything, mock.Anything).Return(func(_ context.Context, l activities.Loss) (int, error) {
		w.say("lose boot=%s alive=%s seen=%t", l.Boot, l.Alive, !l.Seen.IsZero())
		lost++
		return 0, lose(lost, l)
	})
	return w
}

func told(int, activities.Loss) error { return nil }

var sighted = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func TestNodeGuard_NeitherHeardNorSeen_IsLost(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{silent, notPicked}, []activities.Sighting{{Seen: sighted}}, told)
	require.Equal(t, []string{"witness b1", "lose boot=b1 alive= seen=true"}, w.said)
	require.Equal(t, 2, w.guarded)
}

// Its machine lost power: the tasks go to long polls whose other end is not there.
func TestNodeGuard_TasksAreSwallowedByDeadConnections_IsLostAllTheSame(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{silent, swallowed}, []activities.Sighting{{Seen: sighted}}, told)
	require.Equal(t, []string{"witness b1", "lose boot=b1 alive= seen=true"}, w.said)
	require.Equal(t, 2, w.guarded)
}

// Cut off from Temporal for a long time, it comes back and stops in order: nobody was told anything.
func TestNodeGuard_NotHeardButSeen_IsNotLost(t *testing.T) {
	t.Parallel()
	alive := activities.Sighting{Alive: true, Seen: sighted}
	w := watch(t, []heard{silent, notPicked, notPicked, notPicked, stopped}, []activities.Sighting{alive, alive, alive}, told)
	require.Equal(t, []string{"witness b1", "witness b1", "witness b1", "lose boot=b1 alive= seen=false"}, w.said, "the clean stop alone gives it up")
	require.Equal(t, 5, w.guarded)
}

// It could not tell Temporal that it lives, and gave its guard up: who says that lives.
func TestNodeGuard_GivesItsGuardUpItself_IsNotLost(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{letGo, letGo, stopped}, nil, told)
	require.Equal(t, []string{"lose boot=b1 alive= seen=false"}, w.said, "the clean stop alone gives it up")
	require.Equal(t, 3, w.guarded)
}

// And if it does not take it up again, the registry is asked.
func TestNodeGuard_GivesItsGuardUpAndDies_IsLost(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{letGo, notPicked}, []activities.Sighting{{Seen: sighted}}, told)
	require.Equal(t, []string{"witness b1", "lose boot=b1 alive= seen=true"}, w.said)
	require.Equal(t, 2, w.guarded)
}

func TestNodeGuard_CutOffAndThenDead_IsLost(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{silent, notPicked, notPicked}, []activities.Sighting{{Alive: true, Seen: sighted}, {Seen: sighted}}, told)
	require.Equal(t, "lose boot=b1 alive= seen=true", w.said[len(w.said)-1])
}

// It beats again between the witness's word and its end: it is watched on.
func TestNodeGuard_BeatsAgainInTheLastMoment_IsNotLost(t *testing.T) {
	t.Parallel()
	again := func(n int, _ activities.Loss) error {
		if n == 1 {
			return activities.Carry(fault.E(fault.Conflict, "give a node up", fmt.Errorf("it beats again")))
		}
		return nil
	}
	w := watch(t, []heard{silent, notPicked, stopped}, []activities.Sighting{{Seen: sighted}}, again)
	require.Equal(t, []string{"witness b1", "lose boot=b1 alive= seen=true", "lose boot=b1 alive= seen=false"}, w.said)
	require.Equal(t, 3, w.guarded)
}

// A run that was given up announces itself: it is told, and goes on as another.
func TestNodeGuard_OfARunThatWasGivenUp_TellsItSo(t *testing.T) {
	t.Parallel()
	givenUp := func(_ int, l activities.Loss) error {
		if l.Alive == "b1" {
			return activities.Carry(fault.E(fault.Conflict, "hear of a node", fmt.Errorf("it was given up")))
		}
		return nil
	}
	w := newWatchtower(t, []heard{otherBoot, stopped}, nil, givenUp)
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(workflows.SignalBooted, workflows.Booted{Boot: "b1"}) }, 0)
	w.guard(workflows.Guarded{Node: "node-1"})
	require.Equal(t, []string{
		"lose boot= alive=b1 seen=false", "renew b1", "lose boot= alive=b2 seen=false", "lose boot=b2 alive= seen=false",
	}, w.said)
}

// A node that goes on under another boot refuses to be guarded as the old one.
func TestNodeGuard_AnotherRunTakesTheGuard_NoWitnessIsAsked(t *testing.T) {
	t.Parallel()
	w := watch(t, []heard{otherBoot}, nil, told)
	require.Equal(t, "lose boot=b1 alive= seen=false", w.said[len(w.said)-1])
	require.NotContains(t, w.said, "witness b1")
}
