package httpapi

import (
	"context"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

type queueInput struct {
	ID line `path:"id" minLength:"1" maxLength:"128"`
}

type queueOutput struct{ Body queueView }

type presenceInput struct {
	State string `query:"state" enum:"LoggedOff,NotReady,Ready,Reserved,Busy,WorkingAfterCall"`
	Team  line   `query:"team" maxLength:"128"`
}

type presenceList struct {
	Items []presenceView `json:"items"`
}

type presenceOutput struct{ Body presenceList }

func (a *API) registerWatch() {
	register(a, "get-queue-live", a.getQueueLive)
	register(a, "list-presence", a.listPresence)
}

func (a *API) getQueueLive(ctx context.Context, in *queueInput) (*queueOutput, error) {
	p := personOf(ctx)
	q, err := a.config.Reader.QueueLive(ctx, p.Tenant, id.Queue(in.ID))
	if fault.KindOf(err) == fault.NotFound {
		return nil, notFound("no_such_queue", "There is no queue %s.", in.ID)
	}
	if err != nil {
		return nil, unavailable("read queue", err)
	}
	visible := func(v agent.View) bool { return v.Agent == p.Agent || p.watches(v.Team) }
	return &queueOutput{Body: queueOf(q, a.now(), visible)}, nil
}

// listPresence lists the sessions of the person's teams (SEED-101).
func (a *API) listPresence(ctx context.Context, in *presenceInput) (*presenceOutput, error) {
	p := personOf(ctx)
	all, err := a.config.Reader.Presence(ctx, p.Tenant)
	if err != nil {
		return nil, unavailable("list presence", err)
	}
	out := &presenceOutput{Body: presenceList{Items: []presenceView{}}}
	for _, v := range all {
		wanted := (in.State == "" || string(v.State) == in.State) && (in.Team == "" || string(v.Team) == in.Team.clean())
		if wanted && p.watches(v.Team) {
			out.Body.Items = append(out.Body.Items, presenceOf(v))
		}
	}
	return out, nil
}
