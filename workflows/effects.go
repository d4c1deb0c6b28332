package workflows

import (
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
)

// desk is where the effects of a workflow are carried out, and what the loop must
// know of them.
type desk struct {
	turn   int // counts what happened
	local  int // local activities that run now
	beside int // what else must be done before the workflow may end
}

// besides does something that no effect waits for; the workflow does.
func (d *desk) besides(ctx workflow.Context, do func(ctx workflow.Context) error) {
	d.beside++
	workflow.Go(ctx, func(ctx workflow.Context) {
		if err := do(ctx); err != nil {
			workflow.GetLogger(ctx).Error("Something could not be done.", "err", err)
		}
		d.beside--
		d.turn++
	})
}

// record carries out an activity that writes or tells: at once in this process, and
// if that fails for a reason that may pass, as an activity until it is done.
func (d *desk) record(ctx workflow.Context, summary string, answer, activity any, args ...any) error {
	d.local++
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, recordQuickly(summary)), activity, args...).Get(ctx, answer)
	d.local--
	if err == nil || final(activities.KindOf(err)) {
		return err
	}
	d.turn++ // the loop waited for the local activity to settle
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, recordSurely(summary)), activity, args...).Get(ctx, answer)
}

// issue begins to carry out an effect; from is who sent the message that caused it.
// Each effect has its own coroutine, so that the loop goes on; those of the lane
// take turns in one.
func (l *loop[S, E, F, V]) issue(f F, from string) {
	seq := l.story.Number(f)
	if l.open[seq] {
		return
	}
	l.open[seq] = true
	if !l.story.Lane(f) {
		workflow.Go(l.ctx, func(ctx workflow.Context) {
			l.answer(seq, l.story.Carry(withSender(ctx, from), l.state, f)...)
		})
		return
	}
	l.lane = append(l.lane, f)
	if !l.running {
		l.running = true
		workflow.GoNamed(l.ctx, "lane", l.runLane)
	}
}

// answer applies the answers to effect seq.
func (l *loop[S, E, F, V]) answer(seq int, answers ...E) {
	delete(l.open, seq)
	for _, e := range answers {
		_, _ = l.happen(workflow.Now(l.ctx), "", e) // an answer is a fact
	}
}

// runLane carries out the effects of the lane, one after the other. What a later
// one replaces is not carried out; it counts as done when that one is.
func (l *loop[S, E, F, V]) runLane(ctx workflow.Context) {
	for len(l.lane) > 0 {
		f, rest := l.lane[0], l.lane[1:]
		var replaced []int
		for len(rest) > 0 {
			joined, ok := l.story.Join(f, rest[0])
			if !ok {
				break
			}
			replaced = append(replaced, l.story.Number(f))
			f, rest = joined, rest[1:]
		}
		l.lane = rest
		answers := l.story.Carry(ctx, l.state, f)
		for _, seq := range replaced {
			l.answer(seq, l.story.Done(seq))
		}
		l.answer(l.story.Number(f), answers...)
	}
	l.running = false
}

// senderKey carries who sent the message that caused an effect.
type senderKey struct{}

func withSender(ctx workflow.Context, from string) workflow.Context {
	if from == "" {
		return ctx
	}
	return workflow.WithValue(ctx, senderKey{}, from)
}

func sender(ctx workflow.Context) string {
	from, _ := ctx.Value(senderKey{}).(string)
	return from
}
