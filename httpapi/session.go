package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Keyed is what every mutation takes: with the same key again, it has no second effect.
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"128" pattern:"^[\\x21-\\x7e]*$" patternDescription:"visible ASCII without spaces" doc:"A repeat with the same key has no second effect. Without one, each request is one of its own."`
}

// key is the command's name in the session's or call's history: the operation
// stands before the client's key, so that a key used for two different commands
// does not swallow the second.
func (k Keyed) key(operation string) string {
	if k.IdempotencyKey == "" {
		return operation + ":" + rand.Text()
	}
	return operation + ":" + k.IdempotencyKey
}

// keyOf is key where several people command the same session or call: whose key it is
// belongs to its name.
func (k Keyed) keyOf(p person, operation string) string {
	return k.key(operation + ":" + strconv.Quote(string(p.Name)))
}

type sessionOutput struct {
	Status int
	Body   sessionView
}

// SignInBody is how an agent begins its session, in a request of its own or with the login.
type SignInBody struct {
	Interface string `json:"interface,omitempty" enum:"web,phone,mobile" doc:"By what the agent works: the browser (web, the default), its telephones, or its number outside (mobile). With a hot desk there is no interface to choose."`
	Device    line   `json:"device_id,omitempty" maxLength:"128" doc:"Ring only this device; without, those that the interface means, or the one at the client's address (self_adapting). With a hot desk, the telephone of this session."`
	Terminal  line   `json:"terminal_id,omitempty" maxLength:"64" doc:"The client's own name for this browser tab or program."`
	Initial   string `json:"initial_state,omitempty" enum:"Ready,NotReady" doc:"NotReady if left out."`

	LeaseMS int64  `json:"lease_ms,omitempty" minimum:"1000" maximum:"600000" default:"90000" doc:"For how long the terminal may be silent: POST …/terminal in a third of it."`
	Phone   string `json:"phone,omitempty" enum:"hold,take_over" doc:"This terminal is to be the agent's phone: if no other one is, or whichever is."`
}

type signInInput struct {
	Keyed
	Body SignInBody
}

// nothing is the body of a command without parameters: it may be left out.
type nothing struct{}

type plainInput struct {
	Keyed
	Body *nothing
}

type keyedInput struct{ Keyed }

type reasonBody struct {
	Reason line `json:"reason,omitempty" maxLength:"64" doc:"A reason code, e.g. BREAK."`
}

type reasonInput struct {
	Keyed
	Body *reasonBody
}

type queuesBody struct {
	Queues []line `json:"queues,omitempty" maxItems:"100" doc:"All of the agent's, if left out."`
}

type queuesInput struct {
	Keyed
	Body *queuesBody
}

type bindingInput struct {
	Keyed
	Body struct {
		Interface string `json:"interface,omitempty" enum:"web,phone,mobile"`
		Devices   []line `json:"device_ids" minItems:"1" maxItems:"20" doc:"In the order in which they are tried where the ring method is linear."`
	}
}

type wrapUpInput struct {
	Keyed
	Body struct {
		Action string `json:"action" enum:"finish,extend"`
		ByMS   int64  `json:"by_ms,omitempty" minimum:"1000" maximum:"600000" default:"30000" doc:"By how much to extend."`
	}
}

type terminalInput struct {
	Keyed
	Body struct {
		Terminal line `json:"terminal_id" minLength:"1" maxLength:"64"`
		Gone     bool `json:"gone,omitempty" doc:"The terminal leaves."`

		LeaseMS int64  `json:"lease_ms,omitempty" minimum:"1000" maximum:"600000" default:"90000" doc:"For how long it may be silent from now on."`
		Phone   string `json:"phone,omitempty" enum:"hold,take_over,release" doc:"Be the agent's phone, or no longer."`
	}
}

func (a *API) registerSession() {
	register(a, "sign-in", a.signIn)
	signIn := a.huma.OpenAPI().Paths["/v1/agent-session"].Post.Responses
	signIn["200"] = &huma.Response{Description: "Attached to the running session", Content: signIn["201"].Content}
	register(a, "get-session", a.getSession)
	register(a, "sign-out", func(ctx context.Context, in *keyedInput) (*sessionOutput, error) {
		return a.own(ctx, "sign-out", func(by agent.Actor) agent.Event { return agent.SignOut{Actor: by} }, in.Keyed)
	})
	register(a, "ready", func(ctx context.Context, in *plainInput) (*sessionOutput, error) {
		return a.own(ctx, "ready", func(by agent.Actor) agent.Event { return agent.GoReady{Actor: by} }, in.Keyed)
	})
	register(a, "not-ready", func(ctx context.Context, in *reasonInput) (*sessionOutput, error) {
		return a.own(ctx, "not-ready", func(by agent.Actor) agent.Event {
			return agent.GoNotReady{Actor: by, Reason: in.reason()}
		}, in.Keyed)
	})
	register(a, "check-in", func(ctx context.Context, in *queuesInput) (*sessionOutput, error) {
		return a.own(ctx, "check-in", func(by agent.Actor) agent.Event {
			return agent.CheckIn{Actor: by, Queues: in.queues()}
		}, in.Keyed)
	})
	register(a, "check-out", func(ctx context.Context, in *queuesInput) (*sessionOutput, error) {
		return a.own(ctx, "check-out", func(by agent.Actor) agent.Event {
			return agent.CheckOut{Actor: by, Queues: in.queues()}
		}, in.Keyed)
	})
	register(a, "binding", a.bind)
	register(a, "wrap-up", func(ctx context.Context, in *wrapUpInput) (*sessionOutput, error) {
		return a.own(ctx, "wrap-up", func(by agent.Actor) agent.Event {
			return agent.WrapUp{Actor: by, Action: in.Body.Action, By: time.Duration(in.Body.ByMS) * time.Millisecond}
		}, in.Keyed)
	})
	register(a, "terminal", func(ctx context.Context, in *terminalInput) (*sessionOutput, error) {
		return a.own(ctx, "terminal", func(by agent.Actor) agent.Event {
			return agent.Touch{
				Actor: by, Terminal: id.Terminal(in.Body.Terminal), Gone: in.Body.Gone, Phone: agent.Hold(in.Body.Phone),
				Lease: time.Duration(in.Body.LeaseMS) * time.Millisecond,
			}
		}, in.Keyed)
	})
}

func (in *reasonInput) reason() agent.Reason {
	if in.Body == nil {
		return ""
	}
	return agent.Reason(in.Body.Reason.clean())
}

func (in *queuesInput) queues() []id.Queue {
	if in.Body == nil {
		return nil
	}
	var queues []id.Queue
	for _, q := range in.Body.Queues {
		queues = append(queues, id.Queue(q.clean()))
	}
	return queues
}

// signIn starts the agent's session (201), or attaches a terminal to the running one (200).
func (a *API) signIn(ctx context.Context, in *signInInput) (*sessionOutput, error) {
	return a.activate(ctx, in.key("sign-in"), in.Body, "")
}

// activate begins the session of the person's agent, or attaches a terminal to it; within
// is where how stands in the request, with a full stop behind.
func (a *API) activate(ctx context.Context, key string, how SignInBody, within string) (*sessionOutput, error) {
	p := personOf(ctx)
	ref, err := p.ref()
	if err != nil {
		return nil, err
	}
	e := agent.SignIn{
		Actor:    agent.Actor{User: string(p.Name), Key: key},
		Terminal: id.Terminal(how.Terminal), Interface: how.Interface, Initial: agent.Status(how.Initial),
		From: p.address, Lease: time.Duration(how.LeaseMS) * time.Millisecond, Phone: agent.Hold(how.Phone),
	}
	if how.Device != "" {
		if e.Addresses, err = a.addresses(ctx, ref, []line{how.Device}, within+"device_id"); err != nil {
			return nil, err
		}
	}
	v, created, err := a.config.Commands.SignIn(ctx, ref, p.Name, e)
	a.audit.add(p, "agent-session.sign-in", "agent:"+string(ref.Agent), err)
	if err != nil {
		return nil, a.withSession(ctx, ref, v, err)
	}
	out := &sessionOutput{Status: http.StatusOK, Body: a.withCustomer(ctx, sessionOf(v))}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (a *API) getSession(ctx context.Context, _ *struct{}) (*sessionOutput, error) {
	ref, err := personOf(ctx).ref()
	if err != nil {
		return nil, err
	}
	v, err := a.config.Commands.AgentView(ctx, ref)
	if err != nil {
		return nil, notSignedIn(err)
	}
	return &sessionOutput{Status: http.StatusOK, Body: a.withCustomer(ctx, sessionOf(v))}, nil
}

func (a *API) bind(ctx context.Context, in *bindingInput) (*sessionOutput, error) {
	ref, err := personOf(ctx).ref()
	if err != nil {
		return nil, err
	}
	addresses, err := a.addresses(ctx, ref, in.Body.Devices, "device_ids")
	if err != nil {
		return nil, err
	}
	devices, err := a.config.Reader.Devices(ctx, ref)
	if err != nil {
		return nil, unavailable("list devices", err)
	}
	var reachable []id.Device
	for _, d := range devices {
		if d.Reachable {
			reachable = append(reachable, d.Name)
		}
	}
	return a.own(ctx, "binding", func(by agent.Actor) agent.Event {
		return agent.Bind{Actor: by, Interface: in.Body.Interface, Addresses: addresses, Reachable: reachable}
	}, in.Keyed)
}

// addresses turns names of devices into addresses; fault.Invalid names those that
// the agent may not choose.
func (a *API) addresses(ctx context.Context, ref agent.Ref, names []line, field string) ([]leg.Address, error) {
	devices, err := a.config.Reader.Devices(ctx, ref)
	if err != nil {
		return nil, unavailable("list devices", err)
	}
	var addresses []leg.Address
	for _, name := range names {
		found := false
		for _, d := range devices {
			if string(d.Name) == name.clean() {
				addresses = append(addresses, leg.Address{Device: d.Name, Kind: d.Kind, URI: d.Number})
				found = true
				break
			}
		}
		if !found {
			return nil, invalidField(field, "%q is not one of your devices; see devices in /v1/me.", name.clean())
		}
	}
	return addresses, nil
}

// own gives the person's own session a command.
func (a *API) own(ctx context.Context, operation string, command func(agent.Actor) agent.Event, k Keyed) (*sessionOutput, error) {
	p := personOf(ctx)
	ref, err := p.ref()
	if err != nil {
		return nil, err
	}
	return a.command(ctx, ref, command(agent.Actor{User: string(p.Name), Key: k.key(operation)}))
}

// command gives a session a command and answers with the view reached, or with the
// refusal and the present view.
func (a *API) command(ctx context.Context, ref agent.Ref, e agent.Event) (*sessionOutput, error) {
	v, err := a.config.Commands.Agent(ctx, ref, e)
	if e.Kind() != agent.KindTouch { // a sign of life every few seconds is not an operation
		a.audit.add(personOf(ctx), "agent-session."+string(e.Kind()), "agent:"+string(ref.Agent), err)
	}
	if err != nil {
		return nil, a.withSession(ctx, ref, v, err)
	}
	return &sessionOutput{Status: http.StatusOK, Body: a.withCustomer(ctx, sessionOf(v))}, nil
}

// withSession puts the session's present view beside a refusal by its state.
func (a *API) withSession(ctx context.Context, ref agent.Ref, v agent.View, err error) error {
	if fault.KindOf(err) != fault.Conflict {
		return notSignedIn(err)
	}
	p := problemOf(err)
	if v.Agent == "" {
		if v, err = a.config.Commands.AgentView(ctx, ref); err != nil {
			return p // the refusal matters more than the view
		}
	}
	p.View = sessionOf(v)
	return p
}

// notSignedIn says in words what a missing session means; other failures stay as they are.
func notSignedIn(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return &fault.Error{Kind: fault.NotFound, Code: "not_signed_in", Sentence: "There is no agent session: sign in by POST /v1/agent-session.", Err: err}
	}
	return err
}
