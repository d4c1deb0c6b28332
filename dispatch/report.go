package dispatch

import (
	"context"
	"sync"
	"time"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
)

// report is something that the node reported.
type report struct {
	fact
	event call.Event
}

func (d *Dispatcher) report(e call.Event) (report, error) {
	m, err := activities.NewMessage(d.conf.Now(), string(e.Kind()), e)
	m.Source, m.Number = d.source, d.number.Add(1)
	r := report{fact: fact{Message: m}, event: e}
	switch e.(type) {
	case call.Ringing, call.LegHeld:
		r.spare = true
	}
	return r, err
}

// Report delivers a fact about a call; see telephony.Handler.
func (d *Dispatcher) Report(ref call.Ref, e call.Event) {
	r, err := d.report(e)
	if err != nil {
		d.log.Error("A fact could not be written.", "call", ref.Call, "kind", e.Kind(), "err", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noteAnswer(e)
	if o := d.openings[ref]; o != nil {
		o.post(r)
		return
	}
	d.pass(ref, r)
}

// live is what must be remembered of a call of the local node from its handover until it
// is over, as far as the node can tell: the call's own machine, stepped by what the node
// reports. What others told the call it does not know, but the node's facts make up for it.
type live struct {
	state    call.State
	answered *fact // the outcome of its last ring, if that was an answer
}

// follow applies a fact and reports whether the call is over by it.
func (l *live) follow(r report) (over bool) {
	next, _, err := l.state.Step(r.At, r.event)
	if err == nil { // a fact is never refused
		next.Owed = nil // it is for others to carry out
		l.state = next
	}
	return l.state.Phase == call.Ended
}

// pass sends a fact about a call to its workflow, unless the workflow has it anyway:
// a ring's outcome is the answer to whoever asked for the ring, and of a queue call
// nobody needs to hear that it rings. But the next fact after an answer takes the
// answer along: the two travel on different ways, and a call that ends before it is
// answered was abandoned. When the call is over, the end of a leg that no party ended is
// the node's reflex to another leg's end, and nobody would be there to hear the echo.
//
// The caller holds d.mu.
func (d *Dispatcher) pass(ref call.Ref, r report) {
	l := d.live[ref]
	if l == nil { // it is over
		switch e := r.event.(type) {
		case call.RingEnded:
			return
		case call.LegEnded:
			if !e.Remote {
				return
			}
		}
		d.courier.send(id.CallWorkflow(ref.Tenant, ref.Call), ref, r.fact)
		return
	}
	if l.follow(r) {
		delete(d.live, ref)
	}
	switch e := r.event.(type) {
	case call.RingEnded:
		if e.Outcome == call.RingAnswered {
			l.answered = &r.fact
		}
		return
	case call.Ringing:
		if l.state.Route.Kind == call.ToQueue {
			return
		}
	}
	facts := []fact{r.fact}
	if l.answered != nil {
		facts = []fact{*l.answered, r.fact}
		l.answered = nil
	}
	d.courier.send(id.CallWorkflow(ref.Tenant, ref.Call), ref, facts...)
}

// Registered writes a registration and tells the owner's session when a device came
// or went; see telephony.Handler. A refreshed registration is told to nobody, unless
// the session takes the device for unreachable: then older news overtook what it was told.
func (d *Dispatcher) Registered(ctx context.Context, r device.Registration) error {
	owner, reach, err := d.conf.Ledger.SaveRegistration(ctx, r)
	if err != nil {
		return err
	}
	if refreshed := d.known.note(r, d.conf.Now()); refreshed && !reach.Unheard || owner == "" {
		return nil
	}
	return d.deviceChanged(agent.Ref{Tenant: r.Tenant, Agent: owner}, r.Device, reach.Reachable)
}

// Rejected keeps in a device's history that a REGISTER for it was rejected; see
// telephony.Handler.
func (d *Dispatcher) Rejected(ctx context.Context, r device.Rejection) error {
	return d.conf.Ledger.Rejected(ctx, r)
}

// deviceChanged tells an owner's session that a device came or went.
func (d *Dispatcher) deviceChanged(owner agent.Ref, name id.Device, reachable bool) error {
	changed := agent.DeviceChanged{Device: name, Reachable: reachable}
	m, err := activities.NewMessage(d.conf.Now(), string(changed.Kind()), changed)
	if err != nil {
		return err
	}
	d.courier.send(id.AgentWorkflow(owner.Tenant, owner.Agent), call.Ref{}, fact{Message: m})
	return nil
}

// bindings remembers until when each contact is registered, to tell a refresh from a
// new registration. What ran out is forgotten now and then.
type bindings struct {
	mu    sync.Mutex
	until map[binding]time.Time
	swept time.Time
}

type binding struct {
	tenant   id.Tenant
	device   id.Device
	instance string
	boot     string // of the node: its registrations may have been given up with it
}

const sweepBindings = 10 * time.Minute

// note reports whether r only refreshes a contact that is known.
func (b *bindings) note(r device.Registration, now time.Time) (refreshed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until, b.swept = map[binding]time.Time{}, now
	}
	if now.Sub(b.swept) > sweepBindings {
		b.swept = now
		for k, until := range b.until {
			if until.Before(now) {
				delete(b.until, k)
			}
		}
	}
	key := binding{r.Tenant, r.Device, r.Instance, r.Boot}
	lives := r.Expires.After(now)
	refreshed = lives && b.until[key].After(now)
	if lives {
		b.until[key] = r.Expires
	} else {
		delete(b.until, key)
	}
	return refreshed
}
