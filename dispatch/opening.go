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
//
// ctx ends when the caller hangs up. Then nobody is looked for any more, who was found is
// told that the offer is over, and the call, if its number led somewhere, is recorded as
// abandoned.
func (d *Dispatcher) Incoming(ctx context.Context, in call.Incoming) error {
	const op = "open call"
	left := newLeaving(ctx, d.conf.Now)
	defer left.stop()
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
	in, route.CallerReady = d.seated(ctx, in)
	s, _, err := call.New(in).Step(in.At, call.Arrived{Route: route})
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	defer d.opens(s.Ref())()
	reached, err := d.open(ctx, s, 0)
	if at, gone := left.at(); gone {
		d.takeBackOpening(s, reached, err, at)
		return fault.E(fault.Unavailable, op, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	o := newOpening(d, reached)
	if !d.enter(o) {
		return fault.E(fault.Unavailable, op, errors.New("a former try of this caller is being ended"))
	}
	if !d.run(o.drive) {
		return fault.E(fault.Unavailable, op, errors.New("the process is stopping"))
	}
	return nil
}

// seated names the agent whose session is bound to the device that calls, else the
// device's owner: the node may remember who sat there before (SEED-117). If that can't be
// looked up now, it is who the node says, who may dial out. kept is whether the tenant
// keeps this agent from that (SEED-80).
func (d *Dispatcher) seated(ctx context.Context, in call.Incoming) (_ call.Incoming, kept bool) {
	if d.conf.Desks == nil || in.Device == "" {
		return in, false
	}
	seat, err := d.conf.Desks.Seat(ctx, in.Tenant, in.Device)
	if err != nil {
		return in, false
	}
	if seat.Agent != in.Agent && (in.From == string(in.Agent) || in.From == string(in.Device)) {
		in.From = cmp.Or(string(seat.Agent), string(in.Device))
	}
	in.Agent = seat.Agent
	return in, seat.MayNotDialOut
}

// enter notes that a call is driven here; false if it is already.
func (d *Dispatcher) enter(o *opening) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.openings[o.ref] != nil {
		return false
	}
	d.openings[o.ref] = o
	return true
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
	if away(err) && ctx.Err() == nil {
		d.outage.note(d.conf.Now(), err)
	}
	return route, err
}

// open writes the call, and tries again while the database is away and ctx lasts. A try
// whose outcome is unknown may have been committed all the same: if no later one says so,
// the call is forsaken. tries is how many were made before.
func (d *Dispatcher) open(ctx context.Context, s call.State, tries int) (call.State, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, d.conf.OpenPatience)
	defer cancel()
	for ; ; tries++ {
		reached, _, err := d.conf.Ledger.Open(ctx, d.conf.Now(), s)
		if err != nil && caller.Err() != nil {
			return reached, err
		}
		d.outage.note(d.conf.Now(), err)
		switch {
		case codeOf(err) == "already_open" && tries > 0:
			return reached, nil // an earlier try was committed, only its answer was lost
		case codeOf(err) == "already_open":
			// A former try of this caller was given up after it was committed. That call is
			// forsaken and ends within seconds; then the caller may come again.
			return s, fault.E(fault.Unavailable, "open call", err)
		case err == nil:
			return reached, nil
		case !away(err):
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
