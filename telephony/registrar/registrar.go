package registrar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/transaction"
)

// Store keeps bindings beyond the process.
type Store interface {
	// SaveBindings replaces all bindings of an AOR; an empty list removes them. It is called before the change takes
	// effect, and again with a newer list if two REGISTERs of one AOR meet.
	SaveBindings(ctx context.Context, aor string, bindings []Binding) error
}

// Config configures a Registrar.
type Config struct {
	// Policy are the limits; zero fields take the defaults.
	Policy Policy
	// Store keeps the bindings. Required.
	Store Store
	// Node is written into bindings.
	Node string
	// OnChange is told of each change, after it took effect, from the goroutine that made it. May be nil.
	OnChange func(Change)
	// Log takes what cannot be returned. Default slog.Default.
	Log *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Registrar holds the bindings of this node's phones. Safe for concurrent use.
type Registrar struct {
	conf Config
	wake chan struct{}

	mu   sync.Mutex
	aors map[string]*record
	next time.Time // when Run will look at the deadlines; zero while it does
}

// record is one AOR; version grows with each change.
type record struct {
	list    []Binding
	version int
}

// New makes a registrar without bindings; Restore brings those of a former process.
func New(c Config) (*Registrar, error) {
	if c.Store == nil {
		return nil, errors.New("new registrar: no Store")
	}
	c.Policy = c.Policy.orDefault()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnChange == nil {
		c.OnChange = func(Change) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Registrar{conf: c, wake: make(chan struct{}, 1), aors: map[string]*record{}}, nil
}

// Restore takes bindings that were stored, without storing them again or telling of them; what has expired is left out.
// Those over connections are of use only if the connection survived: the caller leaves the others out.
func (r *Registrar) Restore(bindings []Binding) {
	now := r.conf.Now()
	r.mu.Lock()
	for _, b := range bindings {
		if b.ExpiresAt.After(now) {
			rec := r.record(b.AOR)
			rec.list = append(slices.DeleteFunc(rec.list, func(o Binding) bool { return o.Key() == b.Key() }), b)
			rec.version++
			byPreference(rec.list)
			r.nudge(rec.list)
		}
	}
	r.mu.Unlock()
}

// Register handles a REGISTER for an AOR, whose sender has been authorised, and returns the response. It blocks on the
// store; an error means that the store failed and nothing changed: the answer is 500.
func (r *Registrar) Register(ctx context.Context, req *sip.Request, aor string, from transaction.Flow) (*Result, error) {
	reg := registration{req: req, aor: aor, from: from, node: r.conf.Node, policy: r.conf.Policy, now: r.conf.Now()}
	for {
		old, version := r.snapshot(aor)
		list, result := reg.apply(old)
		if len(result.Changes) == 0 {
			return result, nil
		}
		done, err := r.commit(ctx, aor, list, version)
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", aor, err)
		}
		if done {
			r.tell(result.Changes)
			return result, nil
		}
	}
}

// Lookup returns the bindings of an AOR that have not expired, best first.
func (r *Registrar) Lookup(aor string) []Binding {
	list, _ := r.snapshot(aor)
	now := r.conf.Now()
	return slices.DeleteFunc(list, func(b Binding) bool { return !b.ExpiresAt.After(now) })
}

// All returns every binding that has not expired, in no order.
func (r *Registrar) All() []Binding {
	now := r.conf.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Binding
	for _, rec := range r.aors {
		for _, b := range rec.list {
			if b.ExpiresAt.After(now) {
				out = append(out, b)
			}
		}
	}
	return out
}

// FlowClosed removes the bindings of a connection that ended (RFC 5626 §5.3.2): they are Lost.
func (r *Registrar) FlowClosed(ctx context.Context, f transaction.Flow) error {
	return r.removeWhere(ctx, Lost, func(b Binding) bool { return b.Flow == f })
}

// Remove takes out one binding, because it answers no keep-alive or was removed by an administrator: it is Lost.
func (r *Registrar) Remove(ctx context.Context, aor, key string) error {
	return r.removeWhere(ctx, Lost, func(b Binding) bool { return b.AOR == aor && b.Key() == key })
}

// Expire removes what has expired by now. Run does it in time.
func (r *Registrar) Expire(ctx context.Context) error {
	now := r.conf.Now()
	return r.removeWhere(ctx, Expired, func(b Binding) bool { return !b.ExpiresAt.After(now) })
}

// Run expires bindings at their deadlines until ctx ends. A store that fails is tried again: what has expired is not
// looked up meanwhile.
func (r *Registrar) Run(ctx context.Context) {
	const retry = 5 * time.Second
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		wait := time.Duration(0)
		if err := r.Expire(ctx); err != nil && ctx.Err() == nil {
			r.conf.Log.Error("expired registrations could not be removed from the store", "err", err)
			wait = retry
		}
		timer.Reset(max(wait, r.untilNext()))
	}
}

// untilNext is the time to the earliest expiry, an hour if there is none. Run waits for so long.
func (r *Registrar) untilNext() time.Duration {
	now := r.conf.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := time.Hour
	for _, rec := range r.aors {
		for _, b := range rec.list {
			wait = min(wait, b.ExpiresAt.Sub(now))
		}
	}
	wait = max(wait, time.Millisecond)
	r.next = now.Add(wait)
	return wait
}

// removeWhere takes out what matches, AOR by AOR.
func (r *Registrar) removeWhere(ctx context.Context, kind Kind, match func(Binding) bool) error {
	var failed error
	for _, aor := range r.matching(match) {
		if err := r.removeFrom(ctx, aor, kind, match); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (r *Registrar) removeFrom(ctx context.Context, aor string, kind Kind, match func(Binding) bool) error {
	for {
		old, version := r.snapshot(aor)
		var changes []Change
		list := slices.DeleteFunc(old, func(b Binding) bool {
			if match(b) {
				changes = append(changes, Change{Kind: kind, Binding: b})
			}
			return match(b)
		})
		if len(changes) == 0 {
			return nil
		}
		done, err := r.commit(ctx, aor, list, version)
		if err != nil {
			return fmt.Errorf("remove bindings of %s: %w", aor, err)
		}
		if done {
			r.tell(changes)
			return nil
		}
	}
}

func (r *Registrar) matching(match func(Binding) bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for aor, rec := range r.aors {
		if slices.ContainsFunc(rec.list, match) {
			out = append(out, aor)
		}
	}
	return out
}

// snapshot is a copy of an AOR's bindings and their version.
func (r *Registrar) snapshot(aor string) ([]Binding, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.aors[aor]; rec != nil {
		return slices.Clone(rec.list), rec.version
	}
	return nil, 0
}

// commit stores the list and then puts it in force, unless the AOR changed since version: false, and the caller begins
// again with the new state.
func (r *Registrar) commit(ctx context.Context, aor string, list []Binding, version int) (bool, error) {
	if err := r.conf.Store.SaveBindings(ctx, aor, list); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.record(aor)
	if rec.version != version {
		return false, nil
	}
	rec.list, rec.version = list, version+1
	r.nudge(list)
	return true, nil
}

// record finds or makes an AOR. The lock is held. An empty one stays: its version tells late writers that they are late;
// there are no more of them than users.
func (r *Registrar) record(aor string) *record {
	rec := r.aors[aor]
	if rec == nil {
		rec = &record{}
		r.aors[aor] = rec
	}
	return rec
}

func (r *Registrar) tell(changes []Change) {
	for _, c := range changes {
		r.conf.OnChange(c)
	}
}

// nudge makes Run look at the deadlines again if one of list comes before the one it waits for. The lock is held.
func (r *Registrar) nudge(list []Binding) {
	for _, b := range list {
		if !r.next.IsZero() && b.ExpiresAt.Before(r.next) {
			r.next = time.Time{}
			select {
			case r.wake <- struct{}{}:
			default: // it will look anyway
			}
		}
	}
}
