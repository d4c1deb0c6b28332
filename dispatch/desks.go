package dispatch

import (
	"context"
	"slices"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// Desks is where it is looked up which devices an agent may be bound to, and where the
// leases of terminals are kept; *db.DB satisfies it.
type Desks interface {
	// Candidates lists the devices that an agent may be bound to, those of its profile
	// first, and says whether it is signed in.
	Candidates(ctx context.Context, ref agent.Ref) (list []agent.Candidate, signedIn bool, err error)
	// Seat is who sits at a device, and whether it may dial out.
	Seat(ctx context.Context, t id.Tenant, device id.Device) (record.Seat, error)
	// OpenTerminal begins or prolongs the lease of a terminal, which ends at until.
	OpenTerminal(ctx context.Context, ref agent.Ref, t id.Terminal, until time.Time) error
	// TerminalAlive prolongs the lease of a terminal of a running session and returns the
	// session's view; known is false if there is no such lease any more.
	TerminalAlive(ctx context.Context, ref agent.Ref, t id.Terminal, until time.Time) (v agent.View, known bool, err error)
	// CloseTerminal ends the lease of a terminal; of one that lapsed only if it has not
	// come back. gone says whether it was ended.
	CloseTerminal(ctx context.Context, ref agent.Ref, t id.Terminal, lapsed bool) (gone bool, err error)
	// LapsedTerminals lists terminals whose lease ran out, each to one caller, who tells
	// its session and closes it.
	LapsedTerminals(ctx context.Context) ([]record.Terminal, error)
}

// usualLease is how long a terminal may be silent that does not say how long.
const usualLease = 90 * time.Second

func (d *Dispatcher) leaseEnd(lease time.Duration) time.Time {
	orElse(&lease, usualLease)
	return d.conf.Now().Add(lease)
}

// seat finds the devices of a sign-in, and begins the lease of its terminal. Who attaches
// to a running session without choosing a device keeps the binding.
func (d *Dispatcher) seat(ctx context.Context, ref agent.Ref, p agent.Profile, e *agent.SignIn) error {
	if d.conf.Desks == nil {
		return nil
	}
	all, signedIn, err := d.conf.Desks.Candidates(ctx, ref)
	if err != nil {
		return err
	}
	if !signedIn || len(e.Addresses) > 0 {
		c, err := p.Choose(agent.Ask{Interface: e.Interface, Devices: devicesOf(e.Addresses), From: e.From}, all)
		if err != nil {
			return err
		}
		e.Interface, e.Addresses, e.Claim, e.Standard = c.Interface, c.Addresses, c.Claim, c.Standard
	}
	e.Reachable = reachable(all)
	if e.Terminal == "" {
		return nil
	}
	e.Leased = true
	// First the lease: of a terminal without one nobody would see that it is gone.
	return d.conf.Desks.OpenTerminal(ctx, ref, e.Terminal, d.leaseEnd(e.Lease))
}

// bind gives a session other devices.
func (d *Dispatcher) bind(ctx context.Context, ref agent.Ref, e agent.Bind) (agent.View, error) {
	chosen := devicesOf(e.Addresses)
	if d.conf.Desks != nil && len(chosen) > 0 {
		p, _, err := d.conf.Ledger.Profile(ctx, ref)
		if err != nil {
			return agent.View{}, err
		}
		all, _, err := d.conf.Desks.Candidates(ctx, ref)
		if err != nil {
			return agent.View{}, err
		}
		c, err := p.Choose(agent.Ask{Interface: e.Interface, Devices: chosen}, all)
		if err != nil {
			return agent.View{}, err
		}
		e.Addresses, e.Claim, e.Reachable = c.Addresses, c.Claim, reachable(all)
	}
	v, err := d.give(ctx, ref, e)
	if err == nil {
		err = taken(v, chosen)
	}
	return v, err
}

// taken is the refusal to an agent whose chosen device another one took in the same
// moment; nil if that did not happen.
func taken(v agent.View, chosen []id.Device) error {
	for _, t := range v.Binding.Taken {
		if slices.Contains(chosen, t.Device) {
			return fault.Refuse("device_in_use", "Device %s is in use by agent %s: choose another one, or ask for it to be released.", t.Device, t.By)
		}
	}
	return nil
}

// leave signs out who signed in only to find its device taken.
func (d *Dispatcher) leave(ctx context.Context, ref agent.Ref) {
	if _, err := d.give(ctx, ref, agent.SignOut{Actor: agent.Actor{User: "system"}}); err != nil {
		d.log.Warn("A session without its device could not be ended.", "agent", ref.Agent, "err", err)
	}
}

// touch keeps a terminal's lease. The session hears only of one that comes or goes, or
// asks for the phone: a sign of life costs no event of its workflow.
func (d *Dispatcher) touch(ctx context.Context, ref agent.Ref, e agent.Touch) (agent.View, error) {
	if d.conf.Desks == nil {
		return d.give(ctx, ref, e)
	}
	if e.Gone {
		v, err := d.give(ctx, ref, e)
		if err == nil {
			_, err = d.conf.Desks.CloseTerminal(ctx, ref, e.Terminal, false)
		}
		return v, err
	}
	if e.Phone == "" {
		v, known, err := d.conf.Desks.TerminalAlive(ctx, ref, e.Terminal, d.leaseEnd(e.Lease))
		if err != nil || known {
			return v, err
		}
	}
	if err := d.conf.Desks.OpenTerminal(ctx, ref, e.Terminal, d.leaseEnd(e.Lease)); err != nil {
		return agent.View{}, err
	}
	e.Leased = true
	return d.give(ctx, ref, e)
}

// watchTerminals tells sessions of terminals that show no life any more, until the
// dispatcher stops.
func (d *Dispatcher) watchTerminals(ctx context.Context) {
	for pause(ctx, d.conf.LeaseEvery) {
		lapsed, err := d.conf.Desks.LapsedTerminals(ctx)
		if err != nil {
			continue // readyz tells that the database is away
		}
		for _, t := range lapsed {
			d.lapse(ctx, t)
		}
	}
}

// lapse tells a session that a terminal is gone; and if it came back meanwhile, that it
// did. What can't be told now is tried again by whoever finds it next.
func (d *Dispatcher) lapse(ctx context.Context, t record.Terminal) {
	ctx, cancel := context.WithTimeout(ctx, d.conf.Patience)
	defer cancel()
	by := agent.Actor{User: "system", Forced: true}
	_, err := d.give(ctx, t.Session, agent.Touch{Actor: by, Terminal: t.Terminal, Gone: true})
	over := fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Conflict
	if err != nil && !over {
		return
	}
	gone, err := d.conf.Desks.CloseTerminal(ctx, t.Session, t.Terminal, true)
	if err == nil && !gone && !over {
		_, err = d.give(ctx, t.Session, agent.Touch{Actor: by, Terminal: t.Terminal, Leased: true})
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("It could not be told that a terminal is gone.", "agent", t.Session.Agent, "err", err)
	}
}

func devicesOf(addresses []leg.Address) (names []id.Device) {
	for _, a := range addresses {
		names = append(names, a.Device)
	}
	return names
}

func reachable(all []agent.Candidate) []id.Device {
	names := []id.Device{}
	for _, c := range all {
		if c.Reachable {
			names = append(names, c.Device)
		}
	}
	return names
}
