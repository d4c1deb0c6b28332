package dispatch

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
)

// Report delivers a fact about a call; see telephony.Handler. The outcome of a ring
// is not among what is sent on: whoever asked for the ring has it as its answer.
func (d *Dispatcher) Report(ref call.Ref, e call.Event) {
	if e.Kind() == call.KindRingEnded {
		return
	}
	f, err := d.fact(string(e.Kind()), e)
	if err != nil {
		d.log.Error("A fact could not be written.", "call", ref.Call, "kind", e.Kind(), "err", err)
		return
	}
	switch e := e.(type) {
	case call.LegEnded:
		f.echo = !e.Remote
	case call.Ringing, call.LegHeld:
		f.spare = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.openings[ref]; o != nil {
		o.post(report{f, e})
		return
	}
	if d.passOver(ref, e) {
		return
	}
	d.courier.send(id.CallWorkflow(ref.Tenant, ref.Call), ref, f)
}

// passOver reports whether nobody needs to hear e: that a queue call's offer rings
// says its outcome too, and each signal is a billed action.
func (d *Dispatcher) passOver(ref call.Ref, e call.Event) bool {
	if callerEnded(e) {
		delete(d.queued, ref)
	}
	return e.Kind() == call.KindRinging && d.queued[ref]
}

func callerEnded(e call.Event) bool {
	ended, ok := e.(call.LegEnded)
	return ok && ended.Leg == call.CallerLeg
}

// withoutRinging leaves out what passOver would have.
func withoutRinging(facts []fact) []fact {
	return slices.DeleteFunc(facts, func(f fact) bool { return f.Kind == string(call.KindRinging) })
}

func (d *Dispatcher) fact(kind string, event any) (fact, error) {
	m, err := activities.NewMessage(d.conf.Now(), kind, event)
	return fact{Message: m}, err
}

// Registered writes a registration and tells the owner's session when a device came
// or went; see telephony.Handler. A refreshed registration is told to nobody.
func (d *Dispatcher) Registered(ctx context.Context, r device.Registration) error {
	owner, reachable, err := d.conf.Ledger.SaveRegistration(ctx, r)
	if err != nil {
		return err
	}
	if refreshed := d.known.note(r, d.conf.Now()); refreshed || owner == "" {
		return nil
	}
	f, err := d.fact(string(agent.KindDeviceChanged), agent.DeviceChanged{Device: r.Device, Reachable: reachable})
	if err != nil {
		return err
	}
	d.courier.send(id.AgentWorkflow(r.Tenant, owner), call.Ref{}, f)
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
	key := binding{r.Tenant, r.Device, r.Instance}
	lives := r.Expires.After(now)
	refreshed = lives && b.until[key].After(now)
	if lives {
		b.until[key] = r.Expires
	} else {
		delete(b.until, key)
	}
	return refreshed
}
