package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
)

// bundle is the signal that carries several facts.
const bundle = activities.Bundle

// hear takes all signals that have come and applies them in the order of their
// time: channels by name would lose the order in which a node reported.
func (l *loop[S, E, F, V]) hear() {
	var facts []heard[E]
	for _, box := range l.signals {
		for box.from.Len() > 0 {
			facts = append(facts, l.receive(box)...)
		}
	}
	slices.SortStableFunc(facts, func(a, b heard[E]) int { return a.at.Compare(b.at) })
	for _, f := range facts {
		_, _ = l.happen(f.at, f.from, f.event) // a fact is never refused
	}
}

// receive reads one signal. One that can't be read is logged and dropped: refusing
// it would stop the workflow for good.
func (l *loop[S, E, F, V]) receive(box mailbox) []heard[E] {
	var messages []Message
	if box.name == bundle {
		box.from.ReceiveAsync(&messages)
	} else {
		var m Message
		box.from.ReceiveAsync(&m)
		m.Kind = box.name
		messages = []Message{m}
	}
	var facts []heard[E]
	for _, m := range messages {
		if l.heardBefore(m) {
			continue
		}
		event, err := l.story.Decode(m.Kind, m.Event)
		if err != nil {
			workflow.GetLogger(l.ctx).Error("A signal could not be read.", "kind", m.Kind, "err", err)
			continue
		}
		facts = append(facts, heard[E]{l.time(m.At), m.From, event})
	}
	return facts
}

// heardBefore reports whether m is a repetition: a signal whose receipt was lost on the
// way back is sent again.
func (l *loop[S, E, F, V]) heardBefore(m Message) bool {
	if m.Source == "" {
		return false
	}
	if m.Number <= l.heardUpTo[m.Source] {
		return true
	}
	l.heardUpTo[m.Source] = m.Number
	return false
}

// time is when a fact happened: the sender's time, or now if it gave none.
func (l *loop[S, E, F, V]) time(at time.Time) time.Time {
	if at.IsZero() {
		return workflow.Now(l.ctx)
	}
	return at
}

// takeCommands registers the updates and the query.
func (l *loop[S, E, F, V]) takeCommands(ctx workflow.Context, commands []string) error {
	if err := workflow.SetQueryHandler(ctx, QueryView, func() (V, error) { return l.state.View(), nil }); err != nil {
		return err
	}
	for _, kind := range commands {
		err := workflow.SetUpdateHandlerWithOptions(ctx, kind,
			func(ctx workflow.Context, m Message) (Reply[V], error) { return l.command(ctx, kind, m) },
			workflow.UpdateHandlerOptions{Validator: func(m Message) error { return l.check(kind, m) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// check is the validator: a refused command leaves no history.
func (l *loop[S, E, F, V]) check(kind string, m Message) error {
	event, err := l.story.Decode(kind, m.Event)
	if err == nil {
		err = l.state.Check(event)
	}
	return activities.Carry(err, l.state.View())
}

// command applies a command and answers when what it caused is written.
func (l *loop[S, E, F, V]) command(ctx workflow.Context, kind string, m Message) (Reply[V], error) {
	l.updates++
	defer func() { l.turn++ }() // the loop may wait for this answer
	event, err := l.story.Decode(kind, m.Event)
	if err != nil {
		return Reply[V]{}, activities.Carry(err)
	}
	created := l.fresh(l.state)
	saves, err := l.happen(workflow.Now(ctx), m.From, event)
	if err != nil { // the state changed between check and now
		return Reply[V]{}, activities.Carry(err, l.state.View())
	}
	answered := func() bool { return !slices.ContainsFunc(saves, func(seq int) bool { return l.open[seq] }) }
	if err := workflow.Await(ctx, answered); err != nil {
		return Reply[V]{}, err
	}
	return Reply[V]{View: l.state.View(), Created: created}, nil
}
