package dispatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"holdfast/activities"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/workflows"
)

// startWithin bounds a try to start a workflow while Temporal is well, and
// startAgainWithin while it is not, because facts wait meanwhile; tellWithin bounds
// what is told before, and leaves activities.Inform the time for a signal where no
// worker is.
const (
	startWithin      = 1500 * time.Millisecond
	startAgainWithin = 300 * time.Millisecond
	tellWithin       = time.Second
)

// opening drives one call from its first transaction until its workflow has taken
// over: as a rule for the ten milliseconds that Temporal needs, while Temporal is
// away as long as that lasts. One goroutine owns the state; others post to it.
type opening struct {
	d   *Dispatcher
	ref call.Ref

	mu    sync.Mutex
	inbox []report // facts and answers not applied yet, in the order in which they came
	over  bool     // the workflow has taken over: answers are for nobody
	news  chan struct{}

	// What follows is the goroutine's.
	state  call.State
	told   []report // every fact since the INVITE, for a workflow that began from an older state
	rung   map[id.Offer]bool
	writer *writer
	failed int // starts in a row that Temporal did not take
}

func newOpening(d *Dispatcher, s call.State) *opening {
	o := &opening{d: d, ref: s.Ref(), state: s, news: make(chan struct{}, 1), rung: map[id.Offer]bool{}}
	o.writer = &writer{o: o}
	return o
}

// post takes a fact and returns at once.
func (o *opening) post(r report) {
	o.mu.Lock()
	if !o.over {
		o.inbox = append(o.inbox, r)
	}
	o.mu.Unlock()
	o.nudge()
}

// answer takes the answer to an effect and returns at once.
func (o *opening) answer(e call.Event) {
	r, err := o.d.report(e)
	if err != nil {
		o.d.log.Error("An answer could not be written.", "call", o.ref.Call, "kind", e.Kind(), "err", err)
		return
	}
	o.post(r)
}

func (o *opening) nudge() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// drive carries out what the state owes and hands the call over. While that fails
// it goes on driving the same machine by the facts that come.
func (o *opening) drive(ctx context.Context) {
	if o.state.Phase == call.Ended {
		o.writer.advance(o.state)
	}
	o.begin(ctx, o.state.Outstanding())
	if o.handOver(ctx) {
		return
	}
	next := time.NewTimer(o.nextTry())
	defer next.Stop()
	for {
		at, due := o.state.Deadline()
		wake := time.NewTimer(o.until(at))
		select {
		case <-ctx.Done():
			wake.Stop()
			return
		case <-next.C:
			if o.handOver(ctx) {
				wake.Stop()
				return
			}
			next.Reset(o.nextTry())
		case <-o.news:
			o.apply(ctx)
		case <-wake.C:
			if !at.IsZero() {
				o.step(ctx, o.d.conf.Now(), due)
			}
		}
		wake.Stop()
	}
}

// until is how long it is until at; a zero at is a long time.
func (o *opening) until(at time.Time) time.Duration {
	if at.IsZero() {
		return time.Hour
	}
	return max(at.Sub(o.d.conf.Now()), 0)
}

// nextTry is when a start is tried again: soon, later every few seconds.
func (o *opening) nextTry() time.Duration {
	return min(100*time.Millisecond<<min(o.failed, 10), longPause)
}

// apply applies what was posted.
func (o *opening) apply(ctx context.Context) {
	o.mu.Lock()
	inbox := o.inbox
	o.inbox = nil
	o.mu.Unlock()
	for _, r := range inbox {
		if !o.fresh(r) {
			continue
		}
		if isFact(r.event) {
			o.told = append(o.told, r)
		}
		o.step(ctx, r.At, r.event)
	}
}

// fresh reports whether r is new: a ring's outcome comes twice, as a report and as
// the answer to whoever asked for the ring.
func (o *opening) fresh(r report) bool {
	e, ok := r.event.(call.RingEnded)
	if !ok {
		return true
	}
	if o.rung[e.Offer] {
		return false
	}
	o.rung[e.Offer] = true
	return true
}

// isFact reports whether e happened in the world, not only as the answer to an effect
// that a workflow would have answered for itself.
func isFact(e call.Event) bool {
	switch e.(type) {
	case call.Done, call.Failed, call.Matched, call.Waiting:
		return false
	}
	return true
}

// step applies an event and begins what follows. Once a start has failed, each state
// reached is written, so that the sweeper of another process would begin from it; the end
// always, so that no agent is matched any more with a caller who is gone.
func (o *opening) step(ctx context.Context, at time.Time, e call.Event) {
	next, effects, err := o.state.Step(at, e)
	if err != nil {
		o.d.log.Error("A fact was refused.", "call", o.ref.Call, "kind", e.Kind(), "err", err)
		return
	}
	over := next.Phase == call.Ended && o.state.Phase != call.Ended
	o.state = next
	o.begin(ctx, effects)
	if o.failed > 0 || over {
		o.writer.advance(o.state)
	}
}

// begin carries out effects: what is quick at once, the rest beside. What needs
// Temporal waits for the handover.
func (o *opening) begin(ctx context.Context, effects []call.Effect) {
	phone := o.d.phone.Load()
	for _, f := range effects {
		switch {
		case f.Ring != nil:
			o.d.run(func(ctx context.Context) {
				ended, err := phone.Ring(ctx, o.ref, *f.Ring)
				o.answer(answerTo(f, ended, err))
			})
		case f.Treat != nil:
			o.step(ctx, o.d.conf.Now(), answerTo(f, nil, phone.Treat(ctx, o.ref, *f.Treat)))
		case f.Cancel != nil:
			o.step(ctx, o.d.conf.Now(), answerTo(f, nil, phone.Cancel(ctx, o.ref, *f.Cancel)))
		case f.Drop != nil:
			o.step(ctx, o.d.conf.Now(), answerTo(f, nil, phone.Drop(ctx, o.ref, *f.Drop)))
		case f.Place != nil, f.Save != nil:
			o.writer.put(f)
		}
	}
}

// handOver starts the workflow from the state reached and reports whether it has
// taken over. An error leaves open whether it was started: then a later try finds it
// running from an older state, and every fact is told once more.
func (o *opening) handOver(ctx context.Context) bool {
	o.apply(ctx) // who has hung up already is offered to nobody
	within := startAgainWithin
	if o.failed == 0 && o.d.temporal.well() {
		within = startWithin
		o.tell(ctx)
		if o.apply(ctx); o.state.Phase == call.Ended { // meanwhile
			o.tell(ctx)
		}
	}
	options := workflows.StartCall(o.state)
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	options.EnableEagerStart = true
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := o.d.conf.Temporal.ExecuteWorkflow(timed, options, workflows.TypeCall, o.state)
	o.d.temporal.note(err == nil || started(err))
	switch {
	case err == nil:
		o.leave(ctx, len(o.told))
		return true
	case started(err):
		o.leave(ctx, 0)
		return true
	}
	o.failed++
	if o.failed == 1 {
		o.d.log.Warn("The workflow of a call can't be started yet: the call goes on without.", "call", o.ref.Call, "err", err)
		o.writer.advance(o.state)
	}
	return false
}

// tell tells the agents what the state owes them, so that the workflow need not. What one
// agent is to hear comes at once: an offer that is over already is never seen.
func (o *opening) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	var agents []id.Agent
	owed := map[id.Agent][]call.Effect{}
	for _, f := range o.state.Outstanding() {
		if f.Tell == nil {
			continue
		}
		if owed[f.Tell.Agent] == nil {
			agents = append(agents, f.Tell.Agent)
		}
		owed[f.Tell.Agent] = append(owed[f.Tell.Agent], f)
	}
	for _, a := range agents {
		o.tellAgent(ctx, a, owed[a])
	}
}

// tellAgent tells one agent's session.
func (o *opening) tellAgent(ctx context.Context, a id.Agent, owed []call.Effect) {
	var facts []activities.Message
	for _, f := range owed {
		kind, event := workflows.Told(*f.Tell)
		m, err := activities.NewMessage(f.Tell.At, string(kind), event)
		if err != nil {
			return // the workflow will say why
		}
		m.From = id.CallWorkflow(o.ref.Tenant, o.ref.Call)
		facts = append(facts, m)
	}
	err := activities.Inform(ctx, o.d.conf.Temporal, id.AgentWorkflow(o.ref.Tenant, a), facts...)
	for _, f := range owed {
		switch {
		case err == nil:
			o.step(ctx, o.d.conf.Now(), call.Done{Seq: f.Seq})
		case closed(err): // nobody is there: the call goes on to the next agent
			o.step(ctx, o.d.conf.Now(), call.Failed{Seq: f.Seq, Error: err.Error(), Gone: true})
		}
	}
}

// leave ends the drive: facts go to the workflow from now on, first those of told
// that it does not know, then those that wait, then what comes.
func (o *opening) leave(ctx context.Context, known int) {
	d := o.d
	d.mu.Lock()
	o.mu.Lock()
	o.over = true
	delete(d.openings, o.ref)
	if o.state.Phase != call.Ended {
		d.live[o.ref] = &live{state: o.state}
	}
	unknown := make([]fact, 0, len(o.told)-known)
	for _, r := range o.told[known:] {
		unknown = append(unknown, r.fact)
	}
	d.courier.send(id.CallWorkflow(o.ref.Tenant, o.ref.Call), o.ref, unknown...)
	for _, r := range o.inbox {
		if isFact(r.event) && o.fresh(r) {
			d.pass(o.ref, r)
		}
	}
	o.mu.Unlock()
	d.mu.Unlock()
	d.markStarted(ctx, o.ref)
}

// health remembers whether the last start of a workflow went well.
type health struct{ ill atomic.Bool }

func (h *health) note(well bool) { h.ill.Store(!well) }

func (h *health) well() bool { return !h.ill.Load() }

// started reports whether err says that the workflow was started before.
func started(err error) bool {
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &already)
}
