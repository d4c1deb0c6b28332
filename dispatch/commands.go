package dispatch

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/workflows"
)

// SignIn starts the agent's session, or attaches a terminal to the running one
// (created false); see httpapi.Commands. A session that is just ending is waited
// out, and a new one started.
func (d *Dispatcher) SignIn(ctx context.Context, ref agent.Ref, user id.User, e agent.SignIn) (agent.View, bool, error) {
	const op = "sign in"
	ctx, cancel := context.WithTimeout(ctx, d.conf.Patience)
	defer cancel()
	profile, reachable, err := d.conf.Ledger.Profile(ctx, ref)
	if err != nil {
		return agent.View{}, false, err
	}
	e.Reachable = append([]id.Device{}, reachable...)
	chosen := devicesOf(e.Addresses)
	if err := d.seat(ctx, ref, profile, &e); err != nil {
		return agent.View{}, false, err
	}
	update, err := command(id.AgentWorkflow(ref.Tenant, ref.Agent), string(e.Kind()), e.Key, e)
	if err != nil {
		return agent.View{}, false, fault.E(fault.Internal, op, err)
	}
	for {
		s := agent.New(ref, user, profile, d.conf.Now())
		reply, err := d.signIn(ctx, s, update)
		if err == nil {
			if err := taken(reply.View, chosen); err != nil {
				if reply.Created {
					d.leave(ctx, ref)
				}
				return reply.View, false, err
			}
			if reply.Created {
				d.renew(ctx, ref, profile)
			}
			return reply.View, reply.Created, nil
		}
		var view agent.View
		if !closed(err) && !ends(err) || !pause(ctx, signInAgain) {
			return view, false, failure(op, err, &view)
		}
	}
}

// signInAgain is how long a session that is just ending gets to end.
const signInAgain = 20 * time.Millisecond

func (d *Dispatcher) signIn(ctx context.Context, s agent.State, u client.UpdateWorkflowOptions) (r workflows.Reply[agent.View], err error) {
	start := d.conf.Temporal.NewWithStartWorkflowOperation(workflows.StartAgentSession(s), workflows.TypeAgentSession, s)
	handle, err := d.conf.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start, UpdateOptions: u,
	})
	if err != nil {
		return r, err
	}
	return r, handle.Get(ctx, &r)
}

// Agent gives a running session a command; see httpapi.Commands. With a refusal
// comes the present view.
func (d *Dispatcher) Agent(ctx context.Context, ref agent.Ref, e agent.Event) (agent.View, error) {
	ctx, cancel := context.WithTimeout(ctx, d.conf.Patience)
	defer cancel()
	switch e := e.(type) {
	case agent.Bind:
		return d.bind(ctx, ref, e)
	case agent.Touch:
		return d.touch(ctx, ref, e)
	}
	return d.give(ctx, ref, e)
}

// give gives a running session a command as it is.
func (d *Dispatcher) give(ctx context.Context, ref agent.Ref, e agent.Event) (agent.View, error) {
	op := "command " + string(e.Kind())
	var reply workflows.Reply[agent.View]
	update, err := command(id.AgentWorkflow(ref.Tenant, ref.Agent), string(e.Kind()), keyOf(e), e)
	if err == nil {
		err = d.update(ctx, update, &reply)
	}
	if err == nil || closed(err) && d.answered(ctx, update, &reply) {
		return reply.View, nil
	}
	var view agent.View
	err = failure(op, err, &view)
	if fault.KindOf(err) == fault.NotFound {
		err = notSignedIn(op, ref, err)
	}
	return view, err
}

func notSignedIn(op string, ref agent.Ref, err error) error {
	return &fault.Error{
		Kind: fault.NotFound, Op: op, Code: "not_signed_in",
		Sentence: "Agent " + string(ref.Agent) + " is not signed in: sign in first.", Err: err,
	}
}

// update gives a command. A run that closed just then may have gone on as a new one:
// a second try finds that, or learns that the workflow is over.
func (d *Dispatcher) update(ctx context.Context, u client.UpdateWorkflowOptions, reply any) (err error) {
	for range 2 {
		handle, failed := d.conf.Temporal.UpdateWorkflow(ctx, u)
		if err = failed; err == nil {
			err = handle.Get(ctx, reply)
		}
		if err == nil || !closed(err) && !ends(err) {
			return err
		}
	}
	return err
}

// AgentView reads the view of a running session; fault.NotFound: not signed in.
func (d *Dispatcher) AgentView(ctx context.Context, ref agent.Ref) (agent.View, error) {
	const op = "read session"
	if strings.ContainsFunc(string(ref.Agent), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return agent.View{}, notSignedIn(op, ref, nil) // no agent is called that, and Temporal takes no such id
	}
	ctx, cancel := context.WithTimeout(ctx, d.conf.Patience)
	defer cancel()
	var view agent.View
	answer, err := d.conf.Temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
		WorkflowID:           id.AgentWorkflow(ref.Tenant, ref.Agent),
		QueryType:            workflows.QueryView,
		QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
	})
	switch {
	case err != nil && closed(err), err == nil && answer.QueryRejected != nil:
		return view, notSignedIn(op, ref, err)
	case err != nil:
		return view, failure(op, err, nil)
	}
	if err := answer.QueryResult.Get(&view); err != nil {
		return view, fault.E(fault.Internal, op, err)
	}
	if view.State == agent.LoggedOff {
		return view, notSignedIn(op, ref, nil)
	}
	return view, nil
}

// HangUp ends a call; fault.NotFound: it is over, or never was.
func (d *Dispatcher) HangUp(ctx context.Context, ref call.Ref, e call.HangUp) (call.View, error) {
	const op = "hang up"
	ctx, cancel := context.WithTimeout(ctx, d.conf.Patience)
	defer cancel()
	var reply workflows.Reply[call.View]
	update, err := command(id.CallWorkflow(ref.Tenant, ref.Call), string(e.Kind()), e.Key, e)
	if err == nil {
		err = d.update(ctx, update, &reply)
	}
	if err == nil || closed(err) && d.answered(ctx, update, &reply) {
		return reply.View, nil
	}
	var view call.View
	err = failure(op, err, &view)
	if fault.KindOf(err) == fault.NotFound {
		err = &fault.Error{Kind: fault.NotFound, Op: op, Sentence: "There is no such call in progress.", Err: err}
	}
	return view, err
}

// command is the update that carries a command. Its id is the idempotency key, so
// that a repetition gets the first one's answer.
func command(workflow, kind, key string, e any) (client.UpdateWorkflowOptions, error) {
	m, err := activities.NewMessage(time.Time{}, "", e)
	if err != nil {
		return client.UpdateWorkflowOptions{}, err
	}
	if key == "" {
		key = uuid.NewString()
	}
	return client.UpdateWorkflowOptions{
		WorkflowID:   workflow,
		UpdateID:     kind + "/" + key,
		UpdateName:   kind,
		Args:         []any{m},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}, nil
}

// keyOf is the idempotency key of a command.
func keyOf(e agent.Event) string {
	switch e := e.(type) {
	case agent.SignIn:
		return e.Key
	case agent.GoReady:
		return e.Key
	case agent.GoNotReady:
		return e.Key
	case agent.CheckIn:
		return e.Key
	case agent.CheckOut:
		return e.Key
	case agent.Bind:
		return e.Key
	case agent.WrapUp:
		return e.Key
	case agent.SignOut:
		return e.Key
	case agent.Touch:
		return e.Key
	}
	return ""
}
