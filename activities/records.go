package activities

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// Records holds the activities of the shared task queue: what writes the journal
// and what tells other workflows.
type Records struct {
	Journal Journal
	Client  client.Client
	// StartCall gives the options by which the workflow of a call is started; it
	// stands on a higher floor.
	StartCall func(call.State) client.StartWorkflowOptions
	// Prompter hurries rings; nil: they are rung when the call's workflow asks.
	Prompter Prompter
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (r *Records) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// SaveAgent writes a session and matches it; see Journal.SaveAgent. Whoever calls it
// must let TellMatched tell what it matched.
func (r *Records) SaveAgent(ctx context.Context, s agent.Save) (Saved, error) {
	saved, err := r.Journal.SaveAgent(ctx, s)
	return Saved(saved), Carry(err)
}

// TellMatched signals the call that a session's transaction matched. A call whose
// workflow was never started is started from its stored state; if the call is over,
// the session is told that the offer is.
func (r *Records) TellMatched(ctx context.Context, a agent.Ref, m call.Matched) error {
	return Carry(r.tellMatched(ctx, a, m))
}

// TellTaken tells sessions that agent a took devices of theirs. A session that is over
// need not know. They are told by signal: two sessions may take from each other.
func (r *Records) TellTaken(ctx context.Context, a agent.Ref, lost []record.Lost) error {
	for _, l := range lost {
		e := agent.DeviceTaken{Device: l.Device, By: a.Agent}
		m, err := NewMessage(r.now(), string(e.Kind()), e)
		if err == nil {
			err = r.Client.SignalWorkflow(ctx, id.AgentWorkflow(a.Tenant, l.Agent), "", m.Kind, m)
		}
		if err != nil && !missing(err) {
			return Carry(unavailable("tell session that its device is taken", err))
		}
	}
	return nil
}

func (r *Records) tellMatched(ctx context.Context, a agent.Ref, m call.Matched) error {
	ref := call.Ref{Tenant: a.Tenant, Call: m.Offer.Call()}
	defer r.prompt(ctx, ref, m)()
	session := id.AgentWorkflow(a.Tenant, a.Agent)
	told, err := NewMessage(r.now(), string(call.KindMatched), m)
	if err != nil {
		return err
	}
	told.From = session
	err = r.Client.SignalWorkflow(ctx, id.CallWorkflow(ref.Tenant, ref.Call), "", string(call.KindMatched), told)
	if !missing(err) {
		return unavailable("tell call of its match", err)
	}
	err = r.wake(ctx, ref, told)
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	over, err := NewMessage(r.now(), string(agent.KindOfferEnded), agent.OfferEnded{Offer: m.Offer, Cause: leg.Abandoned})
	if err != nil {
		return err
	}
	return unavailable("tell session that its offer is over", r.Client.SignalWorkflow(ctx, session, "", string(agent.KindOfferEnded), over))
}

// wake signals a call and starts its workflow from the stored state if it has none.
// fault.NotFound: the call is over.
func (r *Records) wake(ctx context.Context, ref call.Ref, m Message) error {
	s, err := r.Journal.CallState(ctx, ref)
	if err != nil {
		return err
	}
	options := r.StartCall(s)
	_, err = r.Client.SignalWithStartWorkflow(ctx, options.ID, m.Kind, m, options, "Call", s)
	if over := (*serviceerror.WorkflowExecutionAlreadyStarted)(nil); errors.As(err, &over) {
		return &fault.Error{Kind: fault.NotFound, Op: "wake call", Err: err}
	}
	return unavailable("wake call", err)
}

// Place puts a call into line and matches it; the answer is call.Matched or
// call.Waiting.
func (r *Records) Place(ctx context.Context, ref call.Ref, p call.Place) (Placed, error) {
	placed, err := r.Journal.Place(ctx, ref, p)
	if err == nil && placed.Matched != nil {
		r.prompt(ctx, ref, *placed.Matched)()
	}
	return Placed(placed), Carry(err)
}

// SaveCall writes view and event of a call.
func (r *Records) SaveCall(ctx context.Context, ref call.Ref, s call.Save) error {
	return Carry(r.Journal.SaveCall(ctx, ref, s))
}

// CloseCall writes the record of an ended call.
func (r *Records) CloseCall(ctx context.Context, ref call.Ref, c call.Close) error {
	return Carry(r.Journal.CloseCall(ctx, ref, c))
}

// Tell tells a workflow a fact: a session by Inform, any other by signal.
// fault.NotFound: it is over, or never was.
func (r *Records) Tell(ctx context.Context, workflow string, m Message) (err error) {
	if _, _, session := id.SessionOf(workflow); session {
		err = Inform(ctx, r.Client, workflow, m)
	} else {
		err = r.Client.SignalWorkflow(ctx, workflow, "", m.Kind, m)
	}
	if missing(err) {
		return Carry(&fault.Error{Kind: fault.NotFound, Op: "tell " + workflow, Err: err})
	}
	return Carry(unavailable("tell "+workflow, err))
}

// Verify asks whether the call of v still lives and has the agent on it. The
// answer is agent.Done if so; else the agent's part is over.
func (r *Records) Verify(ctx context.Context, a agent.Ref, v agent.Verify) (alive bool, err error) {
	workflow := id.CallWorkflow(a.Tenant, v.Call)
	answer, err := r.Client.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
		WorkflowID:           workflow,
		QueryType:            QueryView,
		QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
	})
	if missing(err) || err == nil && answer.QueryRejected != nil {
		return false, nil
	}
	if err != nil {
		return false, Carry(unavailable("ask call", err))
	}
	var view call.View
	if err := answer.QueryResult.Get(&view); err != nil {
		return false, Carry(fault.E(fault.Internal, "read call's answer", err))
	}
	return carries(view, a.Agent), nil
}

func carries(v call.View, a id.Agent) bool {
	if v.Phase == call.Ended {
		return false
	}
	if v.Agent == a {
		return true
	}
	for _, l := range v.Legs {
		if l.Agent == a && l.State != leg.Ended {
			return true
		}
	}
	return false
}

// unavailable marks a failure to reach Temporal as one that passes. Nil stays nil.
func unavailable(op string, err error) error { return fault.E(fault.Unavailable, op, err) }
