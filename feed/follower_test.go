package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// tail is a double of the log: what it holds is what is committed.
type tail struct {
	mu     sync.Mutex
	log    []event.Event
	away   error
	reads  int
	nudges chan struct{}
}

func (s *tail) add(events ...event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, events...)
}

func (s *tail) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

func (s *tail) Tail(_ context.Context, after int64, limit int) ([]event.Event, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.away != nil {
		return nil, 0, s.away
	}
	var found []event.Event
	next := after
	for _, e := range s.log {
		if e.Seq > after && len(found) < limit {
			found, next = append(found, e), e.Seq
		}
	}
	return found, next, nil
}

func (s *tail) End(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return 0, s.away
	}
	if len(s.log) == 0 {
		return 0, nil
	}
	return s.log[len(s.log)-1].Seq, nil
}

func (s *tail) Nudges(context.Context) <-chan struct{} { return s.nudges }

func one(seq int64, t id.Tenant) event.Event {
	return event.Event{Seq: seq, Tenant: t, Stream: "agent:1001", Version: seq}
}

// follow runs a follower until the test ends, and waits until it follows.
func follow(t *testing.T, c Config) *Follower {
	t.Helper()
	if c.Poll == 0 {
		c.Poll = time.Millisecond
	}
	f := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return f
}

func following(t *testing.T, f *Follower) {
	t.Helper()
	require.Eventually(t, func() bool { return f.Check(t.Context()) == nil }, 20*time.Second, time.Millisecond)
}

func TestFollower_HandsEachTenantItsEventsInOrderFromNowOn(t *testing.T) {
	t.Parallel()
	log := &tail{}
	log.add(one(1, "a"), one(2, "b"))
	f := follow(t, Config{Source: log})
	following(t, f)
	from, events, stop, err := f.Subscribe("a")
	require.NoError(t, err)
	defer stop()
	require.EqualValues(t, 2, from)
	_, second, stopSecond, err := f.Subscribe("a")
	require.NoError(t, err)
	defer stopSecond()
	for seq := range int64(1200) { // more than one batch, less than a buffer of each tenant
		log.add(one(3+seq, id.Tenant("ab"[seq%3/2:seq%3/2+1])))
		if seq == 600 {
			require.Eventually(t, func() bool { return f.Stats().Position >= 600 }, 20*time.Second, time.Millisecond)
			drain(t, events, 3, 400)
			drain(t, second, 3, 400)
		}
	}
	drain(t, events, 403, 300)
	drain(t, second, 403, 300)
}

// drain takes n events of tenant a and sees that they come in order.
func drain(t *testing.T, events <-chan event.Event, least int64, n int) {
	t.Helper()
	last := least - 1
	for range n {
		e, ok := <-events
		require.True(t, ok)
		require.Equal(t, id.Tenant("a"), e.Tenant)
		require.Greater(t, e.Seq, last)
		last = e.Seq
	}
}

func TestFollower_CutsOffWhoFallsBehindAndNobodyElse(t *testing.T) {
	t.Parallel()
	log := &tail{}
	f := follow(t, Config{Source: log, Buffer: 3})
	following(t, f)
	_, slow, stop, err := f.Subscribe("a")
	require.NoError(t, err)
	_, quick, stopQuick, err := f.Subscribe("a")
	require.NoError(t, err)
	defer stopQuick()
	for seq := range int64(5) {
		log.add(one(seq+1, "a"))
		require.EqualValues(t, seq+1, (<-quick).Seq)
	}
	for range 3 {
		<-slow
	}
	_, ok := <-slow
	require.False(t, ok, "the fourth did not fit")
	require.Equal(t, Stats{Subscribers: 1, Cut: 1, Position: 5}, f.Stats())
	stop()
	stop()
	stopQuick()
	stopQuick()
	require.Zero(t, f.Stats().Subscribers)
}

func TestFollower_WhileTheSourceIsAwayNothingIsLost(t *testing.T) {
	t.Parallel()
	log := &tail{}
	log.fail(fmt.Errorf("connection refused"))
	f := follow(t, Config{Source: log})
	_, _, _, err := f.Subscribe("a")
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "not followed yet")
	require.Error(t, f.Check(t.Context()))
	log.fail(nil)
	following(t, f)
	_, events, stop, err := f.Subscribe("a")
	require.NoError(t, err)
	defer stop()
	log.fail(fmt.Errorf("connection refused"))
	require.Eventually(t, func() bool { return f.Check(t.Context()) != nil }, 20*time.Second, time.Millisecond)
	log.add(one(1, "a"), one(2, "a"))
	log.fail(nil)
	require.EqualValues(t, 1, (<-events).Seq)
	require.EqualValues(t, 2, (<-events).Seq)
}

func TestFollower_ANudgeIsFasterThanThePoll(t *testing.T) {
	t.Parallel()
	log := &tail{nudges: make(chan struct{}, 1)}
	f := follow(t, Config{Source: log, Poll: time.Hour})
	following(t, f)
	_, events, stop, err := f.Subscribe("a")
	require.NoError(t, err)
	defer stop()
	log.add(one(1, "a"))
	log.nudges <- struct{}{}
	require.EqualValues(t, 1, (<-events).Seq)
	close(log.nudges) // from now on only polling
}

func TestFollower_StopCutsAllOffAndComesAfterStopToo(t *testing.T) {
	t.Parallel()
	f := New(Config{Source: &tail{}, Poll: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	following(t, f)
	_, events, stop, err := f.Subscribe("a")
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-done)
	_, ok := <-events
	require.False(t, ok)
	stop()
	_, _, _, err = f.Subscribe("a")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
}
