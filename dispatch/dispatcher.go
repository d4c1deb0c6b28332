package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/domain/call"
	"holdfast/domain/id"
)

// Config is what a Dispatcher stands on.
type Config struct {
	Temporal client.Client
	Ledger   Ledger
	// Journal is what an opening writes by while Temporal is away. Needed where a
	// node is connected.
	Journal activities.Journal
	// Desks is what sign-ins and terminals are looked up in; nil: sessions are bound as
	// asked, and nobody watches their terminals.
	Desks Desks
	Log   *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Patience is how long a command or query waits for Temporal before it fails as
	// fault.Unavailable; 0 is 5 s.
	Patience time.Duration
	// OpenPatience is how long a caller hears music while the database is away
	// before the call is given up; 0 is 30 s.
	OpenPatience time.Duration
	// SweepEvery is how often open calls without a workflow are looked for, and
	// OrphanAge how old they must be; 0 is 2 s and 5 s.
	SweepEvery, OrphanAge time.Duration
	// ReapEvery is how often it is looked for agent sessions that ended without
	// signing out, and ReapAfter how long after its lease a reservation is taken back
	// that nobody gave back; 0 is 10 s and 30 s.
	ReapEvery, ReapAfter time.Duration
	// LeaseEvery is how often it is looked for terminals that show no life any more; 0 is 1 s.
	LeaseEvery time.Duration
}

// Validate returns the first fault as one sentence.
func (c Config) Validate() error {
	switch {
	case c.Temporal == nil:
		return errors.New("dispatch: no Temporal client")
	case c.Ledger == nil:
		return errors.New("dispatch: no ledger")
	case c.Log == nil:
		return errors.New("dispatch: no log")
	}
	return nil
}

// Dispatcher delivers: it satisfies httpapi.Commands and telephony.Handler.
type Dispatcher struct {
	conf     Config
	log      *slog.Logger
	courier  *courier
	outage   outage // of the database
	temporal health
	phone    atomic.Pointer[phonePort] // the local node, if there is one

	source string       // names this run of the dispatcher …
	number atomic.Int64 // … which numbers what it reports

	life    context.Context // ends at Stop
	end     context.CancelFunc
	running sync.WaitGroup

	lifeMu  sync.Mutex
	stopped bool

	mu       sync.Mutex
	opening  map[call.Ref]int      // calls that are being written
	openings map[call.Ref]*opening // calls whose workflow has not taken over yet
	live     map[call.Ref]*live    // calls of the local node that a workflow has taken over
	known    bindings
	answers  map[id.Offer]time.Time // offers that were answered at the local node, and when
}

type phonePort struct{ activities.Phone }

// New is a Dispatcher that does not run yet. It panics if c is not valid: a defect
// of the wiring.
func New(c Config) *Dispatcher {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	orElse(&c.Patience, 5*time.Second)
	orElse(&c.OpenPatience, 30*time.Second)
	orElse(&c.SweepEvery, 2*time.Second)
	orElse(&c.OrphanAge, 5*time.Second)
	orElse(&c.ReapEvery, 10*time.Second)
	orElse(&c.ReapAfter, 30*time.Second)
	orElse(&c.LeaseEvery, time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Dispatcher{conf: c, log: c.Log, openings: map[call.Ref]*opening{}, live: map[call.Ref]*live{}, opening: map[call.Ref]int{},
		answers: map[id.Offer]time.Time{}, source: uuid.NewString()[:8]}
	d.life, d.end = context.WithCancel(context.Background())
	d.courier = newCourier(d)
	return d
}

func orElse(d *time.Duration, usual time.Duration) {
	if *d == 0 {
		*d = usual
	}
}

// Connect gives the dispatcher the local node, by which it carries out the first
// effects of a call. Call it before the node takes calls.
func (d *Dispatcher) Connect(p activities.Phone) { d.phone.Store(&phonePort{p}) }

// Start begins to look for open calls without a workflow, and for agents without a
// session.
func (d *Dispatcher) Start() {
	d.run(d.sweep)
	d.run(d.reap)
	if d.conf.Desks != nil {
		d.run(d.watchTerminals)
	}
}

// Stop ends what is under way and waits for it. Calls whose workflow was not
// started yet are found by the sweeper of another process, or of the next run. It
// is safe twice and before Start.
func (d *Dispatcher) Stop() {
	d.lifeMu.Lock()
	d.stopped = true
	d.lifeMu.Unlock()
	d.end()
	d.running.Wait()
}

// run lets f run until the dispatcher stops. It reports whether it does.
func (d *Dispatcher) run(f func(ctx context.Context)) bool {
	d.lifeMu.Lock()
	defer d.lifeMu.Unlock()
	if d.stopped {
		return false
	}
	d.running.Go(func() { f(d.life) })
	return true
}

// pause waits, and reports whether the time came before the end of ctx.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
