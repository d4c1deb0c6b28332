package db_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
)

// atOnce runs the functions at the same moment and waits for them.
func atOnce(fns ...func()) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for _, fn := range fns {
		all.Go(func() {
			<-start
			fn()
		})
	}
	close(start)
	all.Wait()
}

// The queues' locks don't keep two queues apart: the agent's row must.
func TestMatch_CallsInManyQueuesAtOnce_OneAgentGetsExactlyOne(t *testing.T) {
	t.Parallel()
	queues := make([]id.Queue, 6)
	for i := range queues {
		queues[i] = id.Queue(fmt.Sprint("q", i))
	}
	w := newWorld(t, queues...)
	require.NoError(t, w.Warm(t.Context(), len(queues)))
	anna := w.session("1001", queues...)
	for round := range 25 {
		anna.ready(t0.Add(time.Duration(round) * time.Minute))
		states := make([]call.State, len(queues))
		var opens []func()
		for i, q := range queues {
			s := w.arriving(q, t0)
			opens = append(opens, func() { states[i], _, _ = w.Open(t.Context(), t0, s) })
		}
		atOnce(opens...)
		var offered []id.Offer
		for _, s := range states {
			require.Contains(t, []call.Phase{call.Queued, call.Offering}, s.Phase)
			if s.Offer != nil {
				offered = append(offered, s.Offer.ID)
			}
			w.end(s, "abandoned")
		}
		require.Len(t, offered, 1, "round %d", round)
		anna.over(offered[0])
	}
}

func TestMatch_NotReadyMeetsAnArrival_EitherWaitsOrTheAgentIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	require.NoError(t, w.Warm(t.Context(), 2))
	anna := w.session("1001", "support")
	for round := range 40 {
		anna.ready(t0.Add(time.Duration(round) * time.Minute))
		arriving, notReady := w.arriving("support", t0), anna.state(agent.NotReady, t0)
		var s call.State
		var told *agent.Offer
		atOnce(
			func() { s, _, _ = w.Open(t.Context(), t0, arriving) },
			func() {
				saved, err := w.SaveAgent(t.Context(), notReady)
				if err == nil {
					told = saved.Reserved
				}
			})
		if s.Offer == nil {
			require.Equal(t, call.Queued, s.Phase)
			require.Nil(t, told)
		} else {
			require.NotNil(t, told, "offered, and the agent does not know")
			require.Equal(t, s.Offer.ID, told.ID)
			anna.over(told.ID)
		}
		w.end(s, "abandoned")
	}
}

func TestMatch_CallerLeavesWhileAnAgentBecomesReady_NoPlaceInLineIsLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	require.NoError(t, w.Warm(t.Context(), 2))
	anna := w.session("1001", "support")
	for round := range 40 {
		s := w.open(w.arriving("support", t0))
		ready := anna.state(agent.Ready, t0.Add(time.Duration(round)*time.Minute))
		atOnce(
			func() { w.end(s, "abandoned") },
			func() {
				saved, err := w.SaveAgent(t.Context(), ready)
				if err != nil {
					t.Errorf("save: %v", err)
				}
				if saved.Reserved != nil {
					anna.over(saved.Reserved.ID)
				}
			})
		anna.save(agent.NotReady, t0)
		var waiting int
		w.one(&waiting, `SELECT count(*) FROM waiting`)
		require.Zero(t, waiting)
	}
}
