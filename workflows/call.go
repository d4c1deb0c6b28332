package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Call is one call from the state that the opening reached to the last record
// written. Its result is the last view.
func Call(ctx workflow.Context, s call.State) (call.View, error) {
	d := &desk{}
	l := &loop[call.State, call.Event, call.Effect, call.View]{
		desk:  d,
		story: callStory{d, map[int]call.Effect{}, map[id.Agent]*turns{}},
		state: s,
		fresh: func(call.State) bool { return false },
		// A node that is lost answers nothing any more.
		lingers: func(s call.State) bool { return s.Cause != leg.NodeLost },
		takes:   hears,
		show: func(ctx workflow.Context, s call.State) {
			workflow.SetCurrentDetails(ctx, callDetails(s))
			upsertAttributes(ctx, callWords(s))
		},
		heard: func(s *call.State) *map[string]int64 { return &s.Heard },
		again: func(ctx workflow.Context, s call.State) error {
			return workflow.NewContinueAsNewError(ctx, Call, s)
		},
	}
	return l.run(ctx)
}

// callStory carries out the effects of a call.
type callStory struct {
	*desk
	notes map[int]call.Effect // the Saves that rings write, by the Seq of the ring
	tells map[id.Agent]*turns // each session hears of the call in order
}

// turns lets coroutines do something one after the other, in the order in which they
// came.
type turns struct{ came, served int }

// take waits for its turn; leave must follow.
func (t *turns) take(ctx workflow.Context) error {
	turn := t.came
	t.came++
	return workflow.Await(ctx, func() bool { return t.served == turn })
}

func (t *turns) leave() { t.served++ }

// phone names the activities of a telephony node.
var phone *activities.Node

func (callStory) Messages() (commands, facts []string) {
	return names(CallCommands), names(CallFacts)
}

func (callStory) Decode(kind string, data []byte) (call.Event, error) {
	return call.Decode(call.Kind(kind), data)
}

// hears passes over a refusal that came before its match, if this run began when that
// was not known to happen.
func hears(ctx workflow.Context, s call.State, e call.Event) (call.Event, bool) {
	refused, ok := e.(call.OfferRefused)
	return e, !ok || !s.Overtakes(refused) || workflow.GetVersion(ctx, changeEarlyRefusal, workflow.DefaultVersion, 1) >= 1
}

// Together lets a ring write the Save that comes with it: the ring would otherwise
// wait until that is written.
func (c callStory) Together(effects []call.Effect) []call.Effect {
	ring := slices.IndexFunc(effects, func(f call.Effect) bool { return f.Ring != nil })
	save := slices.IndexFunc(effects, func(f call.Effect) bool { return f.Save != nil })
	if ring < 0 || save < 0 {
		return effects
	}
	c.notes[effects[ring].Seq] = effects[save]
	return slices.Delete(slices.Clone(effects), save, save+1)
}

func (callStory) Number(f call.Effect) int { return f.Seq }

// Lane keeps what the database is told in order: a call is placed before it is
// taken out of the line again, and closed last.
func (callStory) Lane(f call.Effect) bool { return f.Place != nil || f.Save != nil || f.Close != nil }

// Join joins nothing: every Save of a call is a line of its time line.
func (callStory) Join(_, newer call.Effect) (call.Effect, bool) { return newer, false }

func (callStory) Done(seq int) call.Event { return call.Done{Seq: seq} }

func (callStory) Close() call.Event { return call.HangUp{User: "operator"} }

// Wake needs no alarm for what an activity under way will answer within its own
// limits: the outcome of a ring, and after the end whatever is still owed.
func (callStory) Wake(s call.State) wake {
	at, event := s.Deadline()
	if at.IsZero() {
		return wake{}
	}
	w := wake{at: at}
	switch event.Kind() {
	case call.KindOfferOverdue:
		if rings(s) {
			return wake{}
		}
		w.summary = "the offer's outcome must have come by " + clock(at)
	case call.KindWaitedOut:
		w.summary = "the longest wait ends at " + clock(at)
	case call.KindTalkedOut:
		w.slack, w.summary = talkSlack, "the longest conversation ends at "+clock(at)
	case call.KindStuck:
		if s.Phase == call.Ended && s.RetryAt.IsZero() {
			return wake{}
		}
		w.summary = "tries again what failed"
	}
	return w
}

func rings(s call.State) bool {
	for _, f := range s.Owed {
		if f.Ring != nil {
			return true
		}
	}
	return false
}

func (c callStory) Carry(ctx workflow.Context, s call.State, f call.Effect) []call.Event {
	if f.Ring != nil {
		return c.ring(ctx, s, f)
	}
	return []call.Event{c.carry(ctx, s, f)}
}

func (c callStory) carry(ctx workflow.Context, s call.State, f call.Effect) call.Event {
	switch {
	case f.Place != nil:
		return c.place(ctx, s, f)
	case f.Save != nil:
		return c.answer(f, c.record(ctx, f.Words(), nil, records.SaveCall, s.Ref(), *f.Save))
	case f.Close != nil:
		return c.answer(f, c.record(ctx, f.Words(), nil, records.CloseCall, s.Ref(), *f.Close))
	case f.Cancel != nil:
		return c.atNode(ctx, s, f, phone.Cancel, *f.Cancel)
	case f.Treat != nil:
		return c.atNode(ctx, s, f, phone.Treat, *f.Treat)
	case f.Drop != nil:
		return c.atNode(ctx, s, f, phone.Drop, *f.Drop)
	case f.Tell != nil:
		return c.tell(ctx, s, f)
	}
	return call.Failed{Seq: f.Seq, Error: "this build does not know the effect"}
}

func (c callStory) place(ctx workflow.Context, s call.State, f call.Effect) call.Event {
	var placed activities.Placed
	err := c.record(ctx, f.Words(), &placed, records.Place, s.Ref(), *f.Place)
	switch {
	case err == nil && placed.Matched != nil:
		return *placed.Matched
	case err == nil && placed.Waiting != nil:
		return *placed.Waiting
	case err == nil:
		err = errors.New("the match gave no answer")
	}
	return c.answer(f, err)
}

// ring rings, and lets the ring write what is to be noted of it.
func (c callStory) ring(ctx workflow.Context, s call.State, f call.Effect) []call.Event {
	note, noted := c.notes[f.Seq]
	delete(c.notes, f.Seq)
	rung := activities.Rung{}
	options := workflow.WithActivityOptions(ctx, ringing(s.Node, f.Ring.Timeout, f.Words()))
	err := workflow.ExecuteActivity(options, phone.Ring, s.Ref(), *f.Ring, note.Save).Get(ctx, &rung)
	answers := []call.Event{rung.RingEnded}
	if err != nil {
		answers[0] = c.answer(f, err)
	}
	if noted && rung.Noted {
		return append([]call.Event{call.Done{Seq: note.Seq}}, answers...)
	}
	if noted { // it is tried again, unless a later one replaces it now
		answers = append(answers, call.Failed{Seq: note.Seq, Error: "the ring could not write it"})
	}
	return answers
}

func (c callStory) atNode(ctx workflow.Context, s call.State, f call.Effect, activity, arg any) call.Event {
	options := workflow.WithActivityOptions(ctx, atNode(s.Node, f.Words()))
	return c.answer(f, workflow.ExecuteActivity(options, activity, s.Ref(), arg).Get(ctx, nil))
}

// tell sends a session a fact. What goes along with a ring is left to Temporal, so
// that the ring need not wait for it; all else happens at once in this process,
// which spares Temporal two events and this workflow a task.
func (c callStory) tell(ctx workflow.Context, s call.State, f call.Effect) call.Event {
	t := *f.Tell
	to := id.AgentWorkflow(s.Tenant, t.Agent)
	if t.What == call.TellOffered && sender(ctx) == to {
		return call.Done{Seq: f.Seq} // the session's own transaction made this match
	}
	kind, event := Told(t)
	m, err := note(ctx, string(kind), event)
	m.At = t.At
	queue := c.tells[t.Agent]
	if queue == nil {
		queue = &turns{}
		c.tells[t.Agent] = queue
	}
	if err == nil {
		err = queue.take(ctx)
		defer queue.leave()
	}
	switch {
	case err != nil:
	case t.What == call.TellOffered || t.What == call.TellStarted:
		err = workflow.SignalExternalWorkflow(ctx, to, "", m.Kind, m).Get(ctx, nil)
	default:
		err = c.record(ctx, f.Words(), nil, records.Tell, to, m)
	}
	answer := c.answer(f, err)
	if failed, ok := answer.(call.Failed); ok && failed.Gone && t.What == call.TellOffered &&
		workflow.GetVersion(ctx, changeOfferToNobody, workflow.DefaultVersion, 1) < 1 {
		return call.Done{Seq: f.Seq}
	}
	return answer
}

func (callStory) answer(f call.Effect, err error) call.Event {
	if err == nil {
		return call.Done{Seq: f.Seq}
	}
	var unknown *temporal.UnknownExternalWorkflowExecutionError
	gone := activities.KindOf(err) == fault.NotFound || errors.As(err, &unknown)
	return call.Failed{Seq: f.Seq, Error: err.Error(), Gone: gone}
}

// Told is the fact by which a session learns what t tells.
func Told(t call.Tell) (agent.Kind, agent.Event) {
	var e agent.Event
	switch t.What {
	case call.TellOffered:
		e = agent.Offered{Offer: agent.Offer{
			ID: t.Offer, Call: t.Call, Class: t.Class, Queue: t.Queue, From: t.From, Data: t.Data, At: t.At, Deadline: t.Deadline,
		}}
	case call.TellOfferEnded:
		e = agent.OfferEnded{Offer: t.Offer, Cause: t.Cause}
	case call.TellStarted:
		e = agent.CallStarted{Call: t.Call, Class: t.Class, From: t.From}
	case call.TellEstablished:
		e = agent.Established{Call: t.Call, Offer: t.Offer, Class: t.Class, From: t.From}
	default:
		e = agent.CallEnded{Call: t.Call, Class: t.Class, Cause: t.Cause, Spoke: t.Spoke}
	}
	return e.Kind(), e
}
