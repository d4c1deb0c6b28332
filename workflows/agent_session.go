package workflows

import (
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// AgentSession is one agent session from sign-in to sign-out. It is started by
// Update-with-Start of agent.KindSignIn from agent.New, and continues as new from
// the state reached. Its result is the last view.
func AgentSession(ctx workflow.Context, s agent.State) (agent.View, error) {
	d := &desk{}
	l := &loop[agent.State, agent.Event, agent.Effect, agent.View]{
		desk:  d,
		story: agentStory{d},
		state: s,
		fresh: func(s agent.State) bool { return s.Status == agent.LoggedOff },
		// What a session asks besides its Saves may take long.
		lingers: func(agent.State) bool { return false },
		takes:   understands,
		show: func(ctx workflow.Context, s agent.State) {
			workflow.SetCurrentDetails(ctx, agentDetails(s))
			upsertAttributes(ctx, agentWords(s))
		},
		heard: func(s *agent.State) *map[string]int64 { return &s.Heard },
		again: func(ctx workflow.Context, s agent.State) error {
			return workflow.NewContinueAsNewError(ctx, AgentSession, s)
		},
	}
	return l.run(ctx)
}

// understands takes an offer that no line was free for as one taken back, if this run
// heard of one before it knew of delays.
func understands(ctx workflow.Context, _ agent.State, e agent.Event) (agent.Event, bool) {
	ended, ok := e.(agent.OfferEnded)
	if !ok || ended.Cause != leg.TrunkBusy && ended.Cause != leg.Overload ||
		workflow.GetVersion(ctx, changeDelay, workflow.DefaultVersion, 1) >= 1 {
		return e, true
	}
	ended.Cause = leg.Rescinded
	return ended, true
}

// agentStory carries out the effects of a session.
type agentStory struct{ *desk }

// records names the activities of the shared task queue.
var records *activities.Records

func (agentStory) Messages() (commands, facts []string) {
	return names(AgentCommands), names(AgentFacts)
}

func (agentStory) Decode(kind string, data []byte) (agent.Event, error) {
	return agent.Decode(agent.Kind(kind), data)
}

func (agentStory) Together(effects []agent.Effect) []agent.Effect { return effects }

func (agentStory) Number(f agent.Effect) int { return f.Seq }

func (agentStory) Lane(f agent.Effect) bool { return f.Save != nil }

// Join lets a Save replace one before it that has not begun: it holds all that the
// older one was to write.
func (agentStory) Join(_, newer agent.Effect) (agent.Effect, bool) { return newer, true }

func (agentStory) Done(seq int) agent.Event { return agent.Done{Seq: seq} }

func (agentStory) Close() agent.Event {
	return agent.SignOut{Actor: agent.Actor{User: "operator", Forced: true}}
}

func (agentStory) Wake(s agent.State) wake {
	at, event := s.Deadline()
	if at.IsZero() {
		return wake{}
	}
	w := wake{at: at, summary: "safety net: looks whether all is well"}
	switch event.Kind() {
	case agent.KindLeaseExpired:
		w.slack = leaseSlack
	case agent.KindCheckDue:
		w.slack = checkSlack
	case agent.KindWrapUpElapsed:
		w.summary = "wrap-up ends at " + clock(at)
	case agent.KindIdleElapsed:
		w.slack, w.summary = min(idleSlack, s.Profile.IdleLogout/idleShare), "signs out if nobody gives a sign of life until "+clock(at)
	case agent.KindTerminalsGone:
		w.summary = "signs out if no window is opened again until " + clock(at)
	case agent.KindLimitElapsed:
		w.summary = "the reason for not ready allows it until " + clock(at)
	case agent.KindShiftEnded:
		w.summary = "the shift ends at " + clock(at)
	case agent.KindDelayElapsed:
		w.summary = "may be offered calls again at " + clock(at)
	case agent.KindStuck:
		w.summary = "tries again what failed"
	}
	return w
}

func (a agentStory) Carry(ctx workflow.Context, s agent.State, f agent.Effect) []agent.Event {
	return []agent.Event{a.carry(ctx, s, f)}
}

func (a agentStory) carry(ctx workflow.Context, s agent.State, f agent.Effect) agent.Event {
	switch {
	case f.Save != nil:
		return a.save(ctx, f)
	case f.Refuse != nil:
		return a.refuse(ctx, s, f)
	case f.Verify != nil:
		return a.verify(ctx, s, f)
	}
	return agent.Failed{Seq: f.Seq, Error: "this build does not know the effect"}
}

// save writes the session. The call that it matched is told beside, while the session
// goes on.
func (a agentStory) save(ctx workflow.Context, f agent.Effect) agent.Event {
	var saved activities.Saved
	err := a.record(ctx, f.Words(), &saved, records.SaveAgent, *f.Save)
	if err == nil && saved.Matched != nil {
		p := f.Save.Presence
		a.besides(ctx, func(ctx workflow.Context) error {
			summary := "Tell call " + string(saved.Matched.Offer.Call()) + " of its match"
			return a.record(ctx, summary, nil, records.TellMatched, agent.Ref{Tenant: p.Tenant, Agent: p.Agent}, *saved.Matched)
		})
	}
	if err == nil && len(saved.Lost) > 0 {
		p := f.Save.Presence
		a.besides(ctx, func(ctx workflow.Context) error {
			summary := "Tell agent " + string(saved.Lost[0].Agent) + " that device " + string(saved.Lost[0].Device) + " was taken over"
			return a.record(ctx, summary, nil, records.TellTaken, agent.Ref{Tenant: p.Tenant, Agent: p.Agent}, saved.Lost)
		})
	}
	return a.answer(agent.Done{Seq: f.Seq, Reserved: saved.Reserved, Taken: saved.Taken}, f, err)
}

func (a agentStory) refuse(ctx workflow.Context, s agent.State, f agent.Effect) agent.Event {
	to := id.CallWorkflow(s.Tenant, f.Refuse.Offer.Call())
	m, err := note(ctx, string(call.KindOfferRefused), call.OfferRefused{Offer: f.Refuse.Offer, Agent: s.Agent, Cause: f.Refuse.Cause})
	if err == nil {
		err = a.record(ctx, f.Words(), nil, records.Tell, to, m)
	}
	return a.answer(agent.Done{Seq: f.Seq}, f, err)
}

func (a agentStory) verify(ctx workflow.Context, s agent.State, f agent.Effect) agent.Event {
	alive := false
	options := verifying(f.Words())
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), records.Verify, s.Ref(), *f.Verify).Get(ctx, &alive)
	if err == nil && !alive {
		return agent.Failed{Seq: f.Seq, Error: "the call is over", Gone: true}
	}
	return a.answer(agent.Done{Seq: f.Seq}, f, err)
}

func (agentStory) answer(done agent.Done, f agent.Effect, err error) agent.Event {
	if err == nil {
		return done
	}
	return agent.Failed{Seq: f.Seq, Error: err.Error(), Gone: activities.KindOf(err) == fault.NotFound}
}

// note wraps an event that this workflow tells another one.
func note(ctx workflow.Context, kind string, event any) (Message, error) {
	m, err := activities.NewMessage(workflow.Now(ctx), kind, event)
	m.From = workflow.GetInfo(ctx).WorkflowExecution.ID
	return m, err
}

// names turns kinds into the names of updates and signals.
func names[K ~string](kinds []K) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}
