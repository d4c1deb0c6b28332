package dispatch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/fault"
)

// Incoming opens a call: its number is looked up, its row written and its agent
// matched in one transaction, and the first effects are carried out, before its
// workflow exists; see telephony.Handler. While the database is away the caller
// hears music and the opening is tried again; if the database stays away, the call
// and, from then on, new ones are refused as fault.Unavailable at once.
func (d *Dispatcher) Incoming(ctx context.Context, in call.Incoming) error {
	const op = "open call"
	if d.phone.Load() == nil {
		return fault.E(fault.Unavailable, op, errors.New("no telephony node is connected"))
	}
	route, err := d.route(ctx, in)
	if err != nil {
		return err
	}
	if route.Kind == call.ToNobody {
		return &fault.Error{Kind: fault.NotFound, Op: op, Code: "no_route", Sentence: "The number leads nowhere."}
	}
	s, _, err := call.New(d.seated(ctx, in)).Step(in.At, call.Arrived{Route: route})
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	s, err = d.open(ctx, s)
	if err != nil {
		return err
	}
	o := newOpening(d, s)
	d.mu.Lock()
	d.openings[s.Ref()] = o
	d.mu.Unlock()
	if !d.run(o.drive) {
		return fault.E(fault.Unavailable, op, errors.New("the process is stopping"))
	}
	return nil
}

// seated names the agent whose session is bound to the device that calls, else the
// device's owner: the node may remember who sat there before (SEED-117). If that can't be
// looked up now, it is who the node says.
func (d *Dispatcher) seated(ctx context.Context, in call.Incoming) call.Incoming {
	if d.conf.Desks == nil || in.Device == "" {
		return in
	}
	holder, err := d.conf.Desks.Holder(ctx, in.Tenant, in.Device)
	if err != nil || holder == in.Agent {
		return in
	}
	if in.From == string(in.Agent) || in.From == string(in.Device) {
		in.From = cmp.Or(string(holder), string(in.Device))
	}
	in.Agent = holder
	return in
}

// route looks the number up; one more try bridges a broken connection.
func (d *Dispatcher) route(ctx context.Context, in call.Incoming) (call.Route, error) {
	if err := d.outage.lasts(d.conf.Now()); err != nil {
		return call.Route{}, err
	}
	route, err := d.conf.Ledger.Route(ctx, in.Tenant, in.To)
	if away(err) && pause(ctx, firstPause) {
		route, err = d.conf.Ledger.Route(ctx, in.Tenant, in.To)
	}
	if away(err) {
		d.outage.note(d.conf.Now(), err)
	}
	return route, err
}

// open writes the call, and tries again while the database is away.
func (d *Dispatcher) open(ctx context.Context, s call.State) (call.State, error) {
	ctx, cancel := context.WithTimeout(ctx, d.conf.OpenPatience)
	defer cancel()
	for tries := 0; ; tries++ {
		reached, _, err := d.conf.Ledger.Open(ctx, d.conf.Now(), s)
		d.outage.note(d.conf.Now(), err)
		switch {
		case codeOf(err) == "already_open" && tries > 0:
			return reached, nil // an earlier try was committed, only its answer was lost
		case codeOf(err) == "already_open":
			// A former try of this caller was given up after it was committed. That call
			// finds nobody and ends within seconds; then the caller may come again.
			return s, fault.E(fault.Unavailable, "open call", err)
		case err == nil || !away(err):
			return reached, err
		case tries == 0:
			d.log.Warn("A call can't be opened yet: the database is away.", "call", s.ID, "err", err)
			d.console(ctx, s)
		}
		if !pause(ctx, min(firstPause<<min(tries, 10), time.Second)) {
			return s, fault.E(fault.Unavailable, "open call", err)
		}
	}
}

// codeOf is the stable code of a refusal; none: "".
func codeOf(err error) string {
	var refused *fault.Error
	for errors.As(err, &refused) {
		if refused.Code != "" {
			return refused.Code
		}
		err = refused.Err
	}
	return ""
}

// console lets a caller hear music who can't be placed yet.
func (d *Dispatcher) console(ctx context.Context, s call.State) {
	if s.Route.Kind != call.ToQueue {
		return
	}
	treat := call.Treat{Leg: call.CallerLeg, With: call.TreatMusic, Music: s.Route.Queue.Music}
	if err := d.phone.Load().Treat(ctx, s.Ref(), treat); err != nil {
		d.log.Info("A caller could not be given music.", "call", s.ID, "err", err)
	}
}
