package workflows

import (
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"
)

// machine is what the loop needs of a state; agent.State and call.State have it.
type machine[S, E, F, V any] interface {
	Step(at time.Time, e E) (S, []F, error)
	Check(e E) error
	Deadline() (time.Time, E)
	View() V
	Outstanding() []F
	Over() bool
}

// story is what a workflow type brings to the loop besides its machine.
type story[S, E, F any] interface {
	// Messages names the updates and the signals that the workflow takes.
	Messages() (commands, facts []string)
	// Decode reads an event.
	Decode(kind string, data []byte) (E, error)
	// Number is an effect's Seq.
	Number(f F) int
	// Together leaves out the effects that are carried out along with others of the
	// same moment.
	Together(effects []F) []F
	// Carry carries an effect out, however long it takes, and returns its answers.
	Carry(ctx workflow.Context, s S, f F) []E
	// Lane says whether the effect must run in order with others, and Join joins
	// one that has not begun with the one that follows, if the later replaces it.
	Lane(f F) bool
	Join(older, newer F) (F, bool)
	// Wake says when the state must be woken.
	Wake(s S) wake
	// Done answers an effect that needs no work any more.
	Done(seq int) E
	// Close says what an operator's cancellation of the workflow means.
	Close() E
}

// loop is what all workflows share: next message or deadline → Step → carry out
// the effects → answer the update; continue as new when the history grows.
type loop[S machine[S, E, F, V], E, F, V any] struct {
	*desk
	story story[S, E, F]
	state S
	// fresh says whether a command that s accepts begins the story.
	fresh func(s S) bool
	// lingers says whether a story that is over waits for the answers that are still
	// on their way: ending just before one comes would do the last task once more.
	lingers func(s S) bool
	// takes is what this run makes of fact e, and whether it takes it: one that began
	// before a change may have to understand it, or pass over it, as it did then. Nil:
	// it takes every one as it is.
	takes func(ctx workflow.Context, s S, e E) (E, bool)
	// show tells the Web UI and the search attributes what the state is now.
	show func(ctx workflow.Context, s S)
	// heard is where the state keeps what was heard of whom.
	heard func(s *S) *map[string]int64
	// again continues as new.
	again func(ctx workflow.Context, s S) error

	ctx     workflow.Context // outlives a cancellation
	signals []mailbox
	told    []Message    // facts that came by update
	open    map[int]bool // effects under way, by Seq
	lane    []F          // effects that wait for their turn
	running bool         // the lane's coroutine
	alarm   alarm
	shown   int // turn of the last show
	updates int // of this run

	heardUpTo map[string]int64 // the number of the last message, by source
	closing   bool
}

// mailbox is the channel of one signal.
type mailbox struct {
	name string
	from workflow.ReceiveChannel
}

// run lives until the story is over. It returns the state reached, or the error
// that continues as new.
func (l *loop[S, E, F, V]) run(ctx workflow.Context) (V, error) {
	l.ctx, _ = workflow.NewDisconnectedContext(ctx)
	l.open = map[int]bool{}
	if l.heardUpTo = maps.Clone(*l.heard(&l.state)); l.heardUpTo == nil {
		l.heardUpTo = map[string]int64{}
	}
	commands, facts := l.story.Messages()
	for _, name := range append(facts, bundle) {
		l.signals = append(l.signals, mailbox{name, workflow.GetSignalChannel(ctx, name)})
		if err := l.takeFacts(ctx, name); err != nil {
			return l.state.View(), err
		}
	}
	if err := l.takeCommands(ctx, commands); err != nil {
		return l.state.View(), err
	}
	for _, f := range l.story.Together(l.state.Outstanding()) {
		l.issue(f, "")
	}
	l.turn++
	for {
		l.hear()
		l.tick()
		if l.rests() {
			if l.state.Over() && (len(l.open) == 0 || !l.lingers(l.state)) {
				l.settle()
				return l.state.View(), nil
			}
			if l.full() && len(l.open) == 0 {
				*l.heard(&l.state) = l.heardUpTo // a signal may be sent again to the next run
				return l.state.View(), l.again(l.ctx, l.state)
			}
		}
		l.settle()
		l.sleep(ctx)
	}
}

// sleep waits until something happened.
func (l *loop[S, E, F, V]) sleep(ctx workflow.Context) {
	if l.closing {
		ctx = l.ctx
	}
	seen := l.turn
	err := workflow.Await(ctx, func() bool { return l.turn != seen || l.alarm.rung || l.pending() })
	if err != nil && !l.closing {
		l.closing = true
		_, _ = l.happen(workflow.Now(l.ctx), "", l.story.Close()) // a refusal means that it is closing already
	}
}

// rests reports whether nobody waits for us: every command is answered and every
// signal heard. Local activities may not be cut off.
func (l *loop[S, E, F, V]) rests() bool {
	return l.local == 0 && l.beside == 0 && workflow.AllHandlersFinished(l.ctx) && !l.pending()
}

func (l *loop[S, E, F, V]) pending() bool {
	return len(l.told) > 0 || slices.ContainsFunc(l.signals, func(m mailbox) bool { return m.from.Len() > 0 })
}

// full reports whether this run's history has grown enough.
func (l *loop[S, E, F, V]) full() bool {
	info := workflow.GetInfo(l.ctx)
	return info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxEvents || l.updates >= maxUpdates
}

// settle arms the alarm and shows the state. It waits until no local activity runs:
// what such an activity changes at once would otherwise be shown, and billed, twice.
func (l *loop[S, E, F, V]) settle() {
	if l.local > 0 || l.shown == l.turn {
		return
	}
	l.shown = l.turn
	l.show(l.ctx, l.state)
	if !l.state.Over() {
		l.alarm.set(l.ctx, l.story.Wake(l.state))
	}
}

// tick lets the deadline happen if it is due.
func (l *loop[S, E, F, V]) tick() {
	if !l.alarm.answer() {
		return
	}
	l.turn++
	now := workflow.Now(l.ctx)
	at, event := l.state.Deadline()
	if at.IsZero() || now.Before(at) {
		return // the alarm was meant for a deadline that is past
	}
	_, _ = l.happen(now, "", event) // a fact is never refused
}

// happen applies an event. It returns the numbers of the effects in the lane that
// it caused, or the refusal.
func (l *loop[S, E, F, V]) happen(at time.Time, from string, e E) (lane []int, err error) {
	next, effects, err := l.state.Step(at, e)
	if err != nil {
		return nil, err
	}
	l.state = next
	l.turn++
	for _, f := range l.story.Together(effects) {
		if l.story.Lane(f) {
			lane = append(lane, l.story.Number(f))
		}
		l.issue(f, from)
	}
	return lane, nil
}
