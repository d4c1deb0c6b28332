package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// defaultPoll is how often the log is read without a nudge: one is missing only
	// if its sender died between the commit and the nudge.
	defaultPoll = time.Second
	// defaultGather is the shortest time between two reads: what happens meanwhile is
	// read together. An event after a pause is read at once.
	defaultGather = 20 * time.Millisecond
	// defaultBuffer is how many events a subscriber may be behind before it is cut
	// off. At 100 events/s of one tenant that is some seconds.
	defaultBuffer = 512
	// batch is how many events one read fetches.
	batch = 500
	// firstBackoff is the pause after a failed attempt, doubled with each.
	firstBackoff = 100 * time.Millisecond
	// maxBackoff bounds the pause between attempts while the database is away.
	maxBackoff = 2 * time.Second
	// readTimeout bounds one read.
	readTimeout = 5 * time.Second
)

// Config says what to follow. Zero values of the optional fields are named.
type Config struct {
	Source Source
	Log    *slog.Logger  // nil: silence
	Poll   time.Duration // how often without a nudge; 0: 1 s
	Gather time.Duration // shortest time between reads; 0: 20 ms, negative: none
	Buffer int           // events a subscriber may be behind; 0: 512
}

// Follower reads the log of events and hands each to the subscribers of its tenant.
// It is made by New and runs while Run runs.
type Follower struct {
	config Config

	mu        sync.Mutex
	following bool
	position  int64 // everything up to it was handed out
	failure   error // of the last read; nil when it went well
	tenants   map[id.Tenant]map[*subscriber]struct{}
	cut       int // subscribers cut off for falling behind
}

type subscriber struct {
	events chan event.Event
	closed bool // guarded by Follower.mu
}

// New makes a follower; nothing runs before Run.
func New(c Config) *Follower {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.Gather == 0 {
		c.Gather = defaultGather
	}
	if c.Buffer <= 0 {
		c.Buffer = defaultBuffer
	}
	return &Follower{config: c, tenants: map[id.Tenant]map[*subscriber]struct{}{}}
}

// Run follows the log until ctx ends, then cuts off all subscribers and returns
// nil. While the source fails it goes on trying: no event is lost. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	defer f.end()
	pause := firstBackoff
	for !f.begin(ctx) {
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, maxBackoff)
	}
	nudges := f.config.Source.Nudges(ctx)
	tick := time.NewTimer(f.config.Poll)
	defer tick.Stop()
	pause = firstBackoff
	for {
		since, wait := time.Now(), f.config.Poll
		more, err := f.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = pause
			pause = min(2*pause, maxBackoff)
		case more:
			continue
		default:
			pause = firstBackoff
		}
		tick.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-nudges:
			if !ok {
				nudges = nil // the source nudges no longer: polling is enough
			}
			if !sleep(ctx, f.config.Gather-time.Since(since)) {
				return nil
			}
		case <-tick.C:
		}
	}
}

// begin finds the end of the log.
func (f *Follower) begin(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	end, err := f.config.Source.End(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(err)
	if err != nil {
		return false
	}
	f.following, f.position = true, end
	return true
}

// read hands out the next events, and reports whether there may be more at once.
func (f *Follower) read(ctx context.Context) (bool, error) {
	f.mu.Lock()
	after := f.position
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	events, next, err := f.config.Source.Tail(ctx, after, batch)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(err)
	if err != nil {
		return false, err
	}
	for _, e := range events {
		for s := range f.tenants[e.Tenant] {
			select {
			case s.events <- e:
			default:
				f.drop(e.Tenant, s)
				f.cut++
				f.config.Log.Info("A reader of events fell behind and was cut off.", "tenant", e.Tenant, "seq", e.Seq)
			}
		}
	}
	f.position = max(f.position, next)
	return len(events) == batch, nil
}

// note keeps the state of the source, and logs when it changes.
func (f *Follower) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil && f.failure == nil {
		f.config.Log.Warn("The event log can't be read; streams wait.", "err", err)
	}
	if err == nil && f.failure != nil {
		f.config.Log.Info("The event log can be read again.")
	}
	f.failure = err
}

// Subscribe delivers the tenant's events with a Seq above from, in order. The
// channel is closed when the subscriber falls behind or the follower ends. stop is
// safe twice. fault.Unavailable: the log is not followed (yet).
func (f *Follower) Subscribe(t id.Tenant) (from int64, events <-chan event.Event, stop func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.following {
		return 0, nil, nil, fault.E(fault.Unavailable, "follow events", errors.New("the event log is not followed yet"))
	}
	s := &subscriber{events: make(chan event.Event, f.config.Buffer)}
	if f.tenants[t] == nil {
		f.tenants[t] = map[*subscriber]struct{}{}
	}
	f.tenants[t][s] = struct{}{}
	stop = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(t, s)
	}
	return f.position, s.events, stop, nil
}

// Check reports whether the log is being followed: nil, or why not.
func (f *Follower) Check(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return f.failure
	}
	if !f.following {
		return fault.E(fault.Unavailable, "follow events", errors.New("not started"))
	}
	return nil
}

// Stats are figures for the metrics.
type Stats struct {
	Subscribers int
	Cut         int // cut off for falling behind, since the start
	Position    int64
}

// Stats returns the present figures.
func (f *Follower) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Cut: f.cut, Position: f.position}
	for _, all := range f.tenants {
		s.Subscribers += len(all)
	}
	return s
}

// drop closes a subscriber; f.mu is held.
func (f *Follower) drop(t id.Tenant, s *subscriber) {
	if s.closed {
		return
	}
	s.closed = true
	close(s.events)
	delete(f.tenants[t], s)
	if len(f.tenants[t]) == 0 {
		delete(f.tenants, t)
	}
}

// end cuts off all subscribers.
func (f *Follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.following = false
	for t, all := range f.tenants {
		for s := range all {
			f.drop(t, s)
		}
	}
}

// sleep waits for d; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
