package httpapi

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

type listCallsInput struct {
	Queue     line      `query:"queue" maxLength:"128" doc:"The queue that it came to."`
	Agent     line      `query:"agent" maxLength:"32" doc:"Who was offered the call, dialled, or talked."`
	Phase     string    `query:"phase" enum:"Arriving,InFlow,Queued,Offering,Talking,Ended" doc:"Where it stands."`
	Live      string    `query:"live" enum:"true,false" doc:"Only calls that have not ended, or only those that have."`
	From      line      `query:"from" maxLength:"64" doc:"The number that called, exactly as it is shown."`
	To        line      `query:"to" maxLength:"64" doc:"The number that was dialled, exactly as it is shown."`
	Number    line      `query:"number" maxLength:"64" doc:"A number as people write it: calls from or to a number that ends with its digits, without the zeros before them; three digits at least." example:"079 123 45 67"`
	Class     string    `query:"class" enum:"inbound_queue,inbound_direct,internal,outbound_manual,outbound_campaign,consult" doc:"What kind of call it is."`
	Direction string    `query:"direction" enum:"inbound,outbound,internal" doc:"As the tenant sees it."`
	Outcome   string    `query:"outcome" enum:"answered,abandoned,diverted,failed" doc:"What became of it; calls that have ended only."`
	Cause     line      `query:"cause" maxLength:"32" doc:"Why it ended." example:"no_answer"`
	Contact   line      `query:"contact" maxLength:"64" doc:"Calls with this contact."`
	Since     time.Time `query:"since" doc:"Arrived at or after."`
	Until     time.Time `query:"until" doc:"Arrived before."`
	Sort      string    `query:"sort" enum:"-arrived_at,arrived_at,-talk_ms" default:"-arrived_at" doc:"-arrived_at: newest first; -talk_ms: the longest talk first, calls that have ended only."`
	Limit     int       `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	Cursor    line      `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before, with the same sort."`
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

type callRecordOutput struct{ Body callRecord }

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

// listCalls lists the calls that the person may see.
func (a *API) listCalls(ctx context.Context, in *listCallsInput) (*callListOutput, error) {
	p := personOf(ctx)
	q := record.CallQuery{
		Queue: id.Queue(in.Queue.clean()), Agent: id.Agent(in.Agent.clean()), Phase: call.Phase(in.Phase),
		Since: in.Since, Until: in.Until, Limit: in.Limit, Cursor: in.Cursor.clean(), Sort: record.CallSort(in.Sort),
		From: in.From.clean(), To: in.To.clean(), Class: leg.CallClass(in.Class), Direction: call.Direction(in.Direction),
		Outcome: in.Outcome, Cause: leg.Cause(in.Cause.clean()), Contact: id.Contact(in.Contact.clean()),
	}
	if in.Live != "" {
		q.Live = ptr(in.Live == "true")
	}
	if q.Cause != "" && !q.Cause.Valid() {
		return nil, inQuery(invalidField("cause", "is no cause that there is"))
	}
	if in.Number != "" {
		if q.Number = lastDigits(in.Number.clean()); len(q.Number) < leastDigits {
			return nil, inQuery(invalidField("number", "has fewer than three digits"))
		}
	}
	sight, err := a.sightOf(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := sight.limit(&q, p); err != nil {
		return nil, err
	}
	calls, next, err := a.config.Reader.Calls(ctx, p.Tenant, q)
	if fault.KindOf(err) == fault.Invalid {
		return nil, inQuery(err)
	}
	if err != nil {
		return nil, unavailable("list calls", err)
	}
	out := &callListOutput{Body: callList{Items: []callView{}, NextCursor: next}}
	for _, c := range calls {
		out.Body.Items = append(out.Body.Items, listedOf(c))
	}
	return out, nil
}

// leastDigits is how many digits a number must have to be looked for.
const leastDigits = 3

// lastDigits are the digits of a number as people write it that stand in every way to
// write it: without what only leads out, or to another country.
func lastDigits(written string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, strings.ReplaceAll(written, "(0)", ""))
	return strings.TrimLeft(digits, "0")
}

func (a *API) getCall(ctx context.Context, in *callInput) (*callRecordOutput, error) {
	c, _, err := a.visibleCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &callRecordOutput{Body: toldOf(c, a.now())}
	out.Body.TemporalURL = a.temporalURL(personOf(ctx), c.ID)
	return out, nil
}

func (a *API) getTimeline(ctx context.Context, in *callInput) (*timelineOutput, error) {
	v, _, err := a.visibleCall(ctx, in.ID)
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
func (a *API) visibleCall(ctx context.Context, name line) (record.Call, sight, error) {
	p := personOf(ctx)
	c, err := a.config.Reader.Call(ctx, call.Ref{Tenant: p.Tenant, Call: id.Call(name)})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return c, sight{}, unavailable("read call", err)
	}
	s, failed := a.sightOf(ctx, p)
	if failed != nil {
		return c, s, failed
	}
	if err != nil || !s.seesKept(c) {
		return c, s, notFound("no_such_call", "There is no call %s.", name)
	}
	return c, s, nil
}

// hangUp ends a call: one's own, or with calls:disconnect a subordinate's (SEED-13).
func (a *API) hangUp(ctx context.Context, in *hangUpInput) (*callOutput, error) {
	p := personOf(ctx)
	c, _, err := a.visibleCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	v := c.View
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
	agents := agentsIn(v)
	if len(agents) == 0 || p.MayFor(account.CallsDisconnect, "") {
		return nil
	}
	led, err := a.agentsOf(ctx, p.Tenant, p.Teams)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(agents, func(of id.Agent) bool { return slices.Contains(led, of) }) {
		return forbidden("not_subordinate", "Agent %s is in none of your teams.", agents[0])
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
