package telephony

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMailbox_WhatWasPostedIsDoneOrRefusedNeverLost(t *testing.T) {
	t.Parallel()
	box := newMailbox()
	var taken, done int
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if box.post(func() { done++ }) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	go func() {
		wg.Wait()
		box.post(func() {})
	}()
	posters := make(chan struct{})
	go func() { wg.Wait(); close(posters) }()
	for open := true; open; {
		select {
		case f := <-box.queue:
			f()
		case <-posters:
			open = !box.close()
			if open {
				(<-box.queue)()
			}
		}
	}
	require.Equal(t, taken, done)
	require.False(t, box.post(func() {}), "a closed mailbox takes nothing")
}

func TestMailbox_AFloodOfRequestsLeavesRoomForTheRest(t *testing.T) {
	t.Parallel()
	box := newMailbox()
	n := 0
	for box.room() {
		require.True(t, box.post(func() {}))
		n++
	}
	require.Equal(t, mailboxSize/2, n)
	for range mailboxSize / 2 {
		require.True(t, box.post(func() {}))
	}
	require.False(t, box.post(func() {}))
}

func TestAlarms_FireInOrderAndOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newAlarms()
		var fired []string
		var a, b, c alarm
		start := time.Now()
		s.arm(&a, start.Add(3*time.Second), func() { fired = append(fired, "a") })
		s.arm(&b, start.Add(time.Second), func() {
			fired = append(fired, "b")
			s.arm(&b, start.Add(2*time.Second), func() { fired = append(fired, "b again") })
		})
		s.arm(&c, start.Add(time.Second), func() { fired = append(fired, "c") })
		s.disarm(&c)
		s.disarm(&c)
		for len(s.set) > 0 {
			s.fire(<-s.timer.C)
		}
		require.Equal(t, []string{"b", "b again", "a"}, fired)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}
