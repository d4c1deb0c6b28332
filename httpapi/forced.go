package httpapi

import (
	"context"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

type forcedInput struct {
	Keyed
	Agent line `path:"id" minLength:"1" maxLength:"32" doc:"The agent's number."`
	Body  *reasonBody
}

func (in *forcedInput) reason() agent.Reason {
	if in.Body == nil || in.Body.Reason.clean() == "" {
		return agent.ReasonForced
	}
	return agent.Reason(in.Body.Reason.clean())
}

func (a *API) registerForced() {
	register(a, "force-ready", func(ctx context.Context, in *forcedInput) (*sessionOutput, error) {
		return a.force(ctx, "force-ready", in, func(by agent.Actor) agent.Event { return agent.GoReady{Actor: by} })
	})
	register(a, "force-not-ready", func(ctx context.Context, in *forcedInput) (*sessionOutput, error) {
		return a.force(ctx, "force-not-ready", in, func(by agent.Actor) agent.Event {
			return agent.GoNotReady{Actor: by, Reason: in.reason()}
		})
	})
	register(a, "force-sign-out", func(ctx context.Context, in *forcedInput) (*sessionOutput, error) {
		return a.force(ctx, "force-sign-out", in, func(by agent.Actor) agent.Event {
			return agent.SignOut{Actor: by, Reason: in.reason()}
		})
	})
}

// force gives a subordinate's session a command (SEED-104), with a reason that the agent sees.
func (a *API) force(ctx context.Context, operation string, in *forcedInput, command func(agent.Actor) agent.Event) (*sessionOutput, error) {
	p := personOf(ctx)
	ref := agent.Ref{Tenant: p.Tenant, Agent: id.Agent(in.Agent)}
	if err := a.subordinate(ctx, p, ref); err != nil {
		a.audit.add(p, "agent-session."+operation, "agent:"+string(ref.Agent), err)
		return nil, err
	}
	by := agent.Actor{User: string(p.Name), Forced: true, Key: in.keyOf(p, operation), Why: string(in.reason())}
	return a.command(ctx, ref, command(by))
}

// subordinate refuses supervisor operations on agents outside of one's teams (SEED-14).
func (a *API) subordinate(ctx context.Context, p person, ref agent.Ref) error {
	v, err := a.config.Commands.AgentView(ctx, ref)
	if fault.KindOf(err) == fault.NotFound {
		return &fault.Error{Kind: fault.NotFound, Code: "not_signed_in", Sentence: "Agent " + string(ref.Agent) + " is not signed in.", Err: err}
	}
	if err != nil {
		return err
	}
	if !p.leads(v.Team) {
		return forbidden("not_subordinate", "Agent %s is in none of your teams.", ref.Agent)
	}
	return nil
}
