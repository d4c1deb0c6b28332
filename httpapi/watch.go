package httpapi

import (
	"cmp"
	"context"
	"slices"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

type queueInput struct {
	ID line `path:"id" minLength:"1" maxLength:"128"`
}

type queueOutput struct{ Body queueView }

type presenceInput struct {
	State  string `query:"state" enum:"LoggedOff,NotReady,Ready,Reserved,Busy,WorkingAfterCall"`
	Team   line   `query:"team" maxLength:"128"`
	Queue  line   `query:"queue" maxLength:"128" doc:"Checked in to this queue."`
	Sort   string `query:"sort" enum:"agent,-agent" default:"agent" doc:"By the agents' numbers."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
	Cursor line   `query:"cursor" maxLength:"64" doc:"The next_cursor of the page before, with the same sort."`
}

type presenceList struct {
	Items      []presenceView `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"Absent on the last page."`
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
	slices.SortFunc(all, func(x, y agent.View) int { return in.compare(x.Agent, y.Agent) })
	out := &presenceOutput{Body: presenceList{Items: []presenceView{}}}
	after := id.Agent(in.Cursor.clean())
	for _, v := range all {
		if !in.wants(v) || !p.watches(v.Team) || after != "" && in.compare(v.Agent, after) <= 0 {
			continue
		}
		if n := len(out.Body.Items); n == in.Limit {
			out.Body.NextCursor = string(out.Body.Items[n-1].Agent)
			break
		}
		out.Body.Items = append(out.Body.Items, presenceOf(v))
	}
	return out, nil
}

// compare is the order in which agents are listed.
func (in *presenceInput) compare(x, y id.Agent) int {
	if in.Sort == "-agent" {
		return cmp.Compare(y, x)
	}
	return cmp.Compare(x, y)
}

// wants reports whether a session passes the filters.
func (in *presenceInput) wants(v agent.View) bool {
	queue := id.Queue(in.Queue.clean())
	return (in.State == "" || string(v.State) == in.State) && (in.Team == "" || string(v.Team) == in.Team.clean()) &&
		(queue == "" || slices.ContainsFunc(v.Memberships, func(m agent.Membership) bool { return m.Queue == queue && m.CheckedIn }))
}
