package workflows

import (
	"cmp"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
)

// bundle is the signal that carries several facts.
const bundle = activities.Bundle

// hear takes all facts that have come, by update or by signal, and applies them in the
// order of their time: channels by name would lose the order in which a node reported.
func (l *loop[S, E, F, V]) hear() {
	messages := l.told
	l.told = nil
	for _, box := range l.signals {
		for box.from.Len() > 0 {
			messages = append(messages, receive(box)...)
		}
	}
	for _, m := range l.inOrder(messages) {
		event, err := l.story.Decode(m.Kind, m.Event)
		if err != nil {
			// Refusing what can't be read would stop the workflow for good.
			workflow.GetLogger(l.ctx).Error("A signal could not be read.", "kind", m.Kind, "err", err)
			continue
		}
		taken := true
		if l.takes != nil {
			event, taken = l.takes(l.ctx, l.state, event)
		}
		if taken {
			_, _ = l.happen(m.At, m.From, event) // a fact is never refused
		}
	}
}

// receive reads one signal.
func receive(box mailbox) []Message {
	if box.name == bundle {
		var messages []Message
		box.from.ReceiveAsync(&messages)
		return messages
	}
	var m Message
	box.from.ReceiveAsync(&m)
	m.Kind = box.name
	return []Message{m}
}

// inOrder puts messages into the order of their time, those of one source into that of
// their numbers whatever the clocks say, and leaves out repetitions: a signal whose
// receipt was lost on the way back is sent again. All that have come are looked at
// together, since they arrive by channels of different names.
func (l *loop[S, E, F, V]) inOrder(messages []Message) []Message {
	slices.SortStableFunc(messages, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Number, b.Number))
	})
	var fresh []Message
	for _, m := range messages {
		if m.Source != "" && m.Number <= l.heardUpTo[m.Source] {
			continue
		}
		m.At = l.time(m.At)
		if m.Source != "" {
			l.heardUpTo[m.Source] = m.Number
			if n := len(fresh); n > 0 && fresh[n-1].Source == m.Source && m.At.Before(fresh[n-1].At) {
				m.At = fresh[n-1].At
			}
		}
		fresh = append(fresh, m)
	}
	slices.SortStableFunc(fresh, func(a, b Message) int { return a.At.Compare(b.At) })
	return fresh
}

// time is when a fact happened: the sender's time, or now if it gave none.
func (l *loop[S, E, F, V]) time(at time.Time) time.Time {
	if at.IsZero() {
		return workflow.Now(l.ctx)
	}
	return at
}

// takeFacts registers the update that brings what the signal of the same name brings.
// It is answered at once: who informs waits only until the history holds the facts.
func (l *loop[S, E, F, V]) takeFacts(ctx workflow.Context, name string) error {
	take := func(messages ...Message) {
		l.updates++
		l.told = append(l.told, messages...)
		l.turn++
	}
	if name == bundle {
		return workflow.SetUpdateHandler(ctx, name, func(_ workflow.Context, messages []Message) error {
			take(messages...)
			return nil
		})
	}
	return workflow.SetUpdateHandler(ctx, name, func(_ workflow.Context, m Message) error {
		m.Kind = name
		take(m)
		return nil
	})
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
