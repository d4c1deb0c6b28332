package transaction

import (
	"container/heap"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// inbound is one checked message with the link it came by, or (msg nil) the news that the link is closed.
type inbound struct {
	msg  sip.Message
	link link
}

// shard owns the transactions of the calls that hash to it. mu guards them; nothing is written or called back
// while it is held: what has to happen is collected in effects and done afterwards.
type shard struct {
	layer *Layer
	queue chan inbound
	wake  chan struct{}

	mu      sync.Mutex
	servers map[string]*Server
	clients map[string]*Client
	merged  map[string]*Server // RFC 3261 §8.2.2.2: From tag, Call-ID, CSeq → the transaction that came first
	acks    map[string]*Server // Call-ID, tags, CSeq → INVITE transaction whose 2xx waits for its ACK
	timers  timerHeap
}

func newShard(l *Layer, queue int) *shard {
	return &shard{
		layer: l, queue: make(chan inbound, queue), wake: make(chan struct{}, 1),
		servers: map[string]*Server{}, clients: map[string]*Client{},
		merged: map[string]*Server{}, acks: map[string]*Server{},
	}
}

// effects are writes and callbacks, in order, to be done without the lock.
type effects struct {
	list []func() error
	err  error
}

func (e *effects) write(k link, data []byte) {
	e.list = append(e.list, func() error { return k.send(data) })
}

func (e *effects) call(f func()) {
	e.list = append(e.list, func() error { f(); return nil })
}

// run does everything, also after an error, and returns the first error.
func (e *effects) run() error {
	for _, f := range e.list {
		if err := f(); err != nil && e.err == nil {
			e.err = err
		}
	}
	return e.err
}

// locked runs f under the shard's lock and then what f asked for.
func (s *shard) locked(f func(e *effects)) error {
	var e effects
	s.mu.Lock()
	f(&e)
	s.mu.Unlock()
	return e.run()
}

func (s *shard) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.untilNext())
		select {
		case <-s.layer.done:
			return
		case in := <-s.queue:
			s.receive(in)
		case <-s.wake:
		case <-timer.C:
		}
		s.expire()
	}
}

// untilNext is the time to the earliest timer, or an hour.
func (s *shard) untilNext() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 {
		return time.Hour
	}
	return max(0, time.Until(s.timers[0].next()))
}

// expire lets every due timer act. A failed write shows in the counters and in the transaction's own timeout.
func (s *shard) expire() {
	now := time.Now()
	for {
		due := false
		err := s.locked(func(e *effects) {
			if len(s.timers) == 0 || s.timers[0].next().After(now) {
				return
			}
			due = true
			s.timers[0].owner.tick(now, e)
		})
		if err != nil {
			s.layer.stats.writeErrors.Add(1)
		}
		if !due {
			return
		}
	}
}

// timing is the timer of one transaction: a repetition and an end.
type timing struct {
	owner interface {
		tick(now time.Time, e *effects)
	}
	repeat time.Time     // next repetition, zero: none
	every  time.Duration // interval that led to repeat
	end    time.Time     // end of the present state, zero: none
	index  int           // place in the heap, -1: not in it
}

func (t *timing) next() time.Time {
	if t.repeat.IsZero() || (!t.end.IsZero() && t.end.Before(t.repeat)) {
		return t.end
	}
	return t.repeat
}

// startRepeat begins repetitions after d.
func (t *timing) startRepeat(now time.Time, d time.Duration) { t.every, t.repeat = d, now.Add(d) }

// backOff doubles the interval up to limit (0: no limit) and sets the next repetition.
func (t *timing) backOff(now time.Time, limit time.Duration) {
	t.every *= 2
	if limit > 0 {
		t.every = min(t.every, limit)
	}
	t.repeat = now.Add(t.every)
}

// schedule puts t in its place after a change of its times. The lock is held.
func (s *shard) schedule(t *timing) {
	switch {
	case t.next().IsZero():
		if t.index >= 0 {
			heap.Remove(&s.timers, t.index)
		}
		return
	case t.index >= 0:
		heap.Fix(&s.timers, t.index)
	default:
		heap.Push(&s.timers, t)
	}
	if s.timers[0] == t {
		select {
		case s.wake <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// unschedule takes t out. The lock is held.
func (s *shard) unschedule(t *timing) {
	t.repeat, t.end = time.Time{}, time.Time{}
	s.schedule(t)
}

type timerHeap []*timing

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].next().Before(h[j].next()) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*timing)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	t.index = -1
	*h = old[:len(old)-1]
	return t
}
