package httpapi

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

type listCallsInput struct {
	Queue  line      `query:"queue" maxLength:"128"`
	Agent  line      `query:"agent" maxLength:"32" doc:"Who was offered the call, or talked."`
	Phase  string    `query:"phase" enum:"Arriving,InFlow,Queued,Offering,Talking,Ended"`
	Live   string    `query:"live" enum:"true,false" doc:"Only calls that have not ended, or only those that have."`
	Since  time.Time `query:"since" doc:"Arrived at or after."`
	Until  time.Time `query:"until" doc:"Arrived before."`
	Sort   string    `query:"sort" enum:"-arrived_at" default:"-arrived_at" doc:"Newest first is the one order there is."`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor line      `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before."`
}

type callList struct {
	Items      []callView `json:"items"`
	NextCursor string     `json:"next_cursor,omitempty" doc:"Absent on the last page."`
}

type callListOutput struct{ Body callList }

type callInput struct {
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

type callOutput struct{ Body callView }

type timelineEntry struct {
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind" doc:"A past participle: Queued, Offered, Established …, or Decision." example:"Established"`
	Sentence string          `json:"sentence" doc:"For people."`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

type timeline struct {
	Items       []timelineEntry `json:"items"`
	TemporalURL string          `json:"temporal_url,omitempty" doc:"The call's workflow, for those with ops:temporal."`
}

type timelineOutput struct{ Body timeline }

type hangUpInput struct {
	Keyed
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body *reasonBody
}

func (a *API) registerCalls() {
	register(a, "list-calls", a.listCalls)
	register(a, "get-call", a.getCall)
	register(a, "get-timeline", a.getTimeline)
	register(a, "hang-up", a.hangUp)
}

// listCalls lists the tenant's calls; who may read only own calls gets only those.
func (a *API) listCalls(ctx context.Context, in *listCallsInput) (*callListOutput, error) {
	p := personOf(ctx)
	q := record.CallQuery{
		Queue: id.Queue(in.Queue.clean()), Agent: id.Agent(in.Agent.clean()), Phase: call.Phase(in.Phase),
		Since: in.Since, Until: in.Until, Limit: in.Limit, Cursor: in.Cursor.clean(),
	}
	if in.Live != "" {
		q.Live = ptr(in.Live == "true")
	}
	if !p.May(account.CallsRead.At(account.Tenant)) {
		if _, err := p.ref(); err != nil {
			return nil, err
		}
		if q.Agent != "" && q.Agent != p.Agent {
			return nil, forbidden("", "You may list only your own calls.")
		}
		q.Agent = p.Agent
	}
	calls, next, err := a.config.Reader.Calls(ctx, p.Tenant, q)
	if err != nil {
		return nil, unavailable("list calls", err)
	}
	out := &callListOutput{Body: callList{Items: []callView{}, NextCursor: next}}
	for _, v := range calls {
		out.Body.Items = append(out.Body.Items, callOf(v))
	}
	return out, nil
}

func (a *API) getCall(ctx context.Context, in *callInput) (*callOutput, error) {
	v, err := a.visibleCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &callOutput{Body: callOf(v)}
	out.Body.TemporalURL = a.temporalURL(personOf(ctx), v.ID)
	return out, nil
}

func (a *API) getTimeline(ctx context.Context, in *callInput) (*timelineOutput, error) {
	v, err := a.visibleCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p := personOf(ctx)
	entries, err := a.config.Reader.Timeline(ctx, call.Ref{Tenant: p.Tenant, Call: v.ID})
	if err != nil {
		return nil, unavailable("read time line", err)
	}
	out := &timelineOutput{Body: timeline{Items: []timelineEntry{}, TemporalURL: a.temporalURL(p, v.ID)}}
	for _, e := range entries {
		out.Body.Items = append(out.Body.Items, timelineEntry{At: e.At.UTC(), Kind: e.Kind, Sentence: e.Sentence, Detail: e.Detail})
	}
	return out, nil
}

// visibleCall reads a call that the person may see; what it may not see does not
// exist for it, like another tenant's (SEED-38).
func (a *API) visibleCall(ctx context.Context, name line) (call.View, error) {
	p := personOf(ctx)
	v, err := a.config.Reader.Call(ctx, call.Ref{Tenant: p.Tenant, Call: id.Call(name)})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return call.View{}, unavailable("read call", err)
	}
	if err != nil || !p.May(account.CallsRead.At(account.Tenant)) && !has(v, p.Agent) {
		return call.View{}, notFound("no_such_call", "There is no call %s.", name)
	}
	return v, nil
}

// hangUp ends a call: one's own, or with calls:disconnect a subordinate's (SEED-13).
func (a *API) hangUp(ctx context.Context, in *hangUpInput) (*callOutput, error) {
	p := personOf(ctx)
	v, err := a.visibleCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ref := call.Ref{Tenant: p.Tenant, Call: v.ID}
	if err := a.mayEnd(ctx, p, v); err != nil {
		a.audit.add(p, "call.hang-up", "call:"+string(v.ID), err)
		return nil, err
	}
	if v.Phase == call.Ended {
		return &callOutput{Body: callOf(v)}, nil // what is asked for is so already
	}
	e := call.HangUp{User: string(p.Name), Key: in.keyOf(p, "hang-up")}
	if in.Body != nil {
		e.Reason = in.Body.Reason.clean()
	}
	after, err := a.config.Commands.HangUp(ctx, ref, e)
	a.audit.add(p, "call.hang-up", "call:"+string(v.ID), err)
	if fault.KindOf(err) == fault.Conflict {
		refused := problemOf(err)
		if after.ID == "" {
			after = v
		}
		refused.View = callOf(after)
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	return &callOutput{Body: callOf(after)}, nil
}

func (a *API) mayEnd(ctx context.Context, p person, v call.View) error {
	if has(v, p.Agent) {
		return nil
	}
	if !p.May(account.CallsDisconnect) {
		return forbidden("", "You need the permission %s to end a call that is not yours.", account.CallsDisconnect)
	}
	if v.Agent == "" || p.MayFor(account.CallsDisconnect, "") {
		return nil
	}
	session, err := a.config.Commands.AgentView(ctx, agent.Ref{Tenant: p.Tenant, Agent: v.Agent})
	if err != nil {
		return err
	}
	if !p.MayFor(account.CallsDisconnect, session.Team) {
		return forbidden("not_subordinate", "Agent %s is in none of your teams.", v.Agent)
	}
	return nil
}

// temporalURL leads to the call's workflow in the Temporal Web UI.
func (a *API) temporalURL(p person, c id.Call) string {
	if a.config.TemporalUI == "" || !p.May(account.OpsTemporal) {
		return ""
	}
	return strings.TrimSuffix(a.config.TemporalUI, "/") + "/namespaces/" + url.PathEscape(a.config.Namespace) +
		"/workflows/" + url.PathEscape(id.CallWorkflow(p.Tenant, c))
}
