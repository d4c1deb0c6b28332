package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	sqlOpenedCall = `SELECT open, state FROM calls WHERE tenant_id = $1 AND call = $2`

	// sqlOpenCall writes a new call with its first event. An existing one is left
	// as it is, and gets no event. Whose the customer's number ($22) is, it looks up
	// itself, so that nothing on the way to the agent's phone waits for that. A number that
	// is longer than any is cut: no index takes what peers may send.
	sqlOpenCall = `
WITH opened AS (
  INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, queue, agent, from_number, to_number, data, ring_ms,
                     state, state_version, view, version, open, workflow_started, arrived_at, queued_at, offers, contact, customer, customer_line)
  VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''), nullif($9, ''), left($10, 256), left($11, 256), $12, $13,
          $14, $15, $16, $15, true, false, $17, $18, $19,
          (SELECT contact FROM contact_numbers WHERE tenant_id = $1 AND number = $22), nullif($22, ''),
          CASE WHEN $22 <> '' THEN hashtextextended($1 || '/' || $22, 0) END)
  ON CONFLICT (tenant_id, call) DO NOTHING
  RETURNING contact)
INSERT INTO events (tenant_id, stream, version, kind, at, view)
SELECT $1, 'call:' || $2, $15, $20, $21, $16::jsonb || CASE WHEN contact IS NULL THEN '{}' ELSE jsonb_build_object('contact', contact) END FROM opened`
)

// Open writes the row of a new call and, when s owes a Place, runs it and applies
// its answer to s, all in one transaction; see dispatch.Ledger. A call that exists
// already is a fault.Conflict, code "already_open" or "already_ended", with the
// state that is stored.
//
// ctx ends when the caller hangs up: what is not on its way to be committed is undone
// then; what is, is waited for as long as ctx's deadline allows, since a call of which
// nobody knows whether it is open would have to be looked for.
func (d *DB) Open(ctx context.Context, at time.Time, s call.State) (call.State, []call.Effect, error) {
	customer := customerOf(s, d.routes.country(s.Tenant))
	run := opening{}
	steady, cancel := unbroken(ctx)
	defer cancel()
	err := d.match(steady, s.Tenant, func(f *flight) error {
		run = opening{state: s, at: at, customer: customer}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := run.open(f); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		if run.exists {
			return run.stored, nil, failure("open a call", err)
		}
		return s, nil, failure("open a call", err)
	}
	d.nudge()
	return run.state, run.effects, nil
}

// unbroken is ctx without its cancellation, but with its deadline.
func unbroken(ctx context.Context) (context.Context, context.CancelFunc) {
	steady := context.WithoutCancel(ctx)
	if until, ok := ctx.Deadline(); ok {
		return context.WithDeadline(steady, until)
	}
	return context.WithCancel(steady)
}

// opening is one run of Open in a transaction.
type opening struct {
	state   call.State
	at      time.Time
	effects []call.Effect
	// customer is the number of the outside party, E.164; empty: unknown.
	customer string
	locked   bool // the queue's lock is ours, and the row was looked for under it
	exists   bool
	isOpen   bool
	stored   call.State
}

func (o *opening) open(f *flight) error {
	p := o.owedPlace()
	if p == nil {
		return o.write(f)
	}
	s := o.state
	run := place{tenant: s.Tenant, at: o.at, caller: callerOf(s.ID, *p)}
	run.caller.from, run.caller.class, run.caller.data, run.caller.ring = s.ShownFrom(), s.Class, s.Data, s.Route.Queue.Ring
	f.lockQueues(s.Tenant, p.Queue)
	o.lookForRow(f)
	o.locked = true
	run.look(f)
	if err := f.send(); err != nil {
		return err
	}
	if o.exists {
		return o.refusal()
	}
	out := o.stepsOut()
	run.candidates = slices.DeleteFunc(run.candidates, func(c candidate) bool { return out != "" && c.Agent == out })
	if err := run.choose(f); err != nil {
		return err
	}
	placed := run.placed()
	var answer call.Event
	if placed.Matched != nil {
		answer = *placed.Matched
	} else {
		answer = *placed.Waiting
	}
	var err error
	if o.state, o.effects, err = s.Step(o.at, answer); err != nil {
		return fmt.Errorf("apply %s: %w", answer.Kind(), err)
	}
	// Two agents who dial at one moment, and are found for each other's call, would wait for
	// each other else.
	if out < run.decision.Agent {
		o.stepOut(f)
		run.write(f)
	} else {
		run.write(f)
		o.stepOut(f)
	}
	return o.write(f)
}

// owedPlace is the Place that the state owes; nil if it owes none.
func (o *opening) owedPlace() *call.Place {
	for _, e := range o.state.Owed {
		if e.Place != nil {
			return e.Place
		}
	}
	return nil
}

func (o *opening) lookForRow(f *flight) {
	f.each(func(rows pgx.Rows) error {
		var stored *call.State // null when the call has ended
		o.exists = true
		err := rows.Scan(&o.isOpen, &stored)
		if stored != nil {
			o.stored = *stored
		}
		return err
	}, sqlOpenedCall, string(o.state.Tenant), string(o.state.ID))
}

func (o *opening) refusal() error {
	refused := fault.Refuse("already_open", "call %s is open already", o.state.ID)
	if !o.isOpen {
		refused = fault.Refuse("already_ended", "call %s has ended already", o.state.ID)
	}
	refused.Op = "open a call"
	return refused
}

// write writes the call's row and its first event. Without the queue's lock, the
// insertion itself says whether the call exists already.
func (o *opening) write(f *flight) error {
	s, v := o.state, o.state.View()
	var written int64
	f.affected(&written, sqlOpenCall, string(s.Tenant), string(s.ID), string(s.Node), s.Boot, string(s.Class), string(s.Direction),
		string(s.Phase), string(s.Route.Queue.Name), string(v.Agent), s.From, s.To, jsonOrNull(s.Data), s.Route.Queue.Ring.Milliseconds(),
		s, s.Version, v, s.ArrivedAt, stamp(s.QueuedAt), s.Offers, openedKind(s), o.at, o.customer)
	if o.locked {
		return nil
	}
	o.stepOut(f)
	o.lookForRow(f)
	if err := f.send(); err != nil {
		return err
	}
	if written == 0 {
		return o.refusal()
	}
	o.exists = false
	return nil
}

// sqlStepOut keeps the match from an agent who dials. Like whoever takes something away
// (match.go) it needs no lock: a match that saw the agent before begins again.
const sqlStepOut = `
WITH gone AS (DELETE FROM candidates WHERE tenant_id = $1 AND agent = $2)
UPDATE presence SET available = false WHERE tenant_id = $1 AND agent = $2 AND available`

// stepsOut is the agent who dials, and leaves its queues (SEED-80) before its session hears
// of the call; "" is nobody. The session is told both that the call began and that it ended,
// and puts itself back; a call that is turned away is not told, and takes nobody out.
func (o *opening) stepsOut() id.Agent {
	for _, e := range o.state.Owed {
		if e.Tell != nil && e.Tell.What == call.TellStarted && e.Tell.Agent == o.state.FromAgent {
			return o.state.FromAgent
		}
	}
	return ""
}

// stepOut takes who dials out of its queues.
func (o *opening) stepOut(f *flight) {
	if a := o.stepsOut(); a != "" {
		f.queue(sqlStepOut, string(o.state.Tenant), string(a))
	}
}

// openedKind names the first event of a call after what became of it.
func openedKind(s call.State) string {
	switch s.Phase {
	case call.Queued:
		return "Queued"
	case call.Offering:
		return "Offered"
	case call.Ended:
		for _, e := range s.Owed {
			if e.Close != nil {
				return closedKind(e.Close.Record)
			}
		}
	}
	return "Initiated"
}

// sqlAdvance writes a newer state and view of a call without a workflow.
const sqlAdvance = `
UPDATE calls SET state = $3, state_version = $4, phase = $5, agent = nullif($6, ''),
       view = $7, version = greatest(version, $4), offers = $8, answered_at = coalesce($9, answered_at)
 WHERE tenant_id = $1 AND call = $2 AND open AND NOT workflow_started AND state_version < $4`

// Advance overwrites the stored state of a call that has no workflow yet. An older
// state than the stored one, and one of a call that has its workflow, is ignored.
// What others may see of it is told by the saves that it owes; only its end is told
// at once, for its Close waits for the workflow.
func (d *DB) Advance(ctx context.Context, s call.State) error {
	v := s.View()
	err := d.fly(ctx, s.Tenant, func(f *flight) error {
		f.queue(sqlAdvance, string(s.Tenant), string(s.ID), s, s.Version, string(s.Phase), string(v.Agent), v, s.Offers,
			stamp(s.AnsweredAt))
		for _, e := range s.Owed {
			if e.Close != nil {
				f.queue(sqlLeaveLine, string(s.Tenant), string(s.ID))
				f.addClosed(s.Ref(), e.Close.Record)
			}
		}
		return nil
	})
	if err == nil {
		d.nudge()
	}
	return failure("advance a call", err)
}

// Started marks that the call's workflow exists.
func (d *DB) Started(ctx context.Context, ref call.Ref) error {
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		f.queue(sqlStarted, string(ref.Tenant), string(ref.Call))
		return nil
	})
	return failure("mark a call as started", err)
}

const sqlStarted = `UPDATE calls SET workflow_started = true WHERE tenant_id = $1 AND call = $2 AND NOT workflow_started`

const (
	// beatsOn is how long ago a node that lives has beaten at most; it beats each 2 s.
	beatsOn = 10 * time.Second
	// drivenFor bounds how long a call without a workflow is left to its node.
	drivenFor = time.Hour
)

// Orphans lists, oldest first, open calls of all tenants that were opened longer
// than age ago and whose workflow was never marked started; at most 1000 at once.
// Those whose node's run still beats are left out: it drives them until it reaches
// Temporal, and a workflow started by somebody else would ask it in vain.
func (d *DB) Orphans(ctx context.Context, age time.Duration) ([]call.State, error) {
	return d.unstarted(ctx, "list calls without a workflow", age, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where(`NOT EXISTS (SELECT FROM nodes n WHERE n.name = calls.node AND n.boot = calls.boot AND n.lost_at IS NULL
		   AND n.seen_at > clock_timestamp() - make_interval(secs => ?) AND calls.opened_at > now() - make_interval(secs => ?))`,
			beatsOn.Seconds(), drivenFor.Seconds())
	})
}

// Undriven lists, oldest first, open calls of all tenants that a node's run opened longer
// than age ago and whose workflow was never marked started; at most 1000 at once.
func (d *DB) Undriven(ctx context.Context, boot string, age time.Duration) ([]call.State, error) {
	return d.unstarted(ctx, "list calls that a node's run carries", age, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("boot = ?", boot)
	})
}

// unstarted lists open calls without a workflow, oldest first.
func (d *DB) unstarted(ctx context.Context, op string, age time.Duration, which func(*bun.SelectQuery) *bun.SelectQuery) ([]call.State, error) {
	var states []call.State
	err := d.asSystem(ctx, op, func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			State call.State `bun:"state,type:jsonb"`
		}
		q := tx.NewSelect().Table("calls").Column("state").Where("live AND NOT workflow_started").
			Where("opened_at < now() - make_interval(secs => ?)", age.Seconds())
		err := which(q).Order("opened_at").Limit(1000).Scan(ctx, &rows)
		for _, r := range rows {
			states = append(states, r.State)
		}
		return err
	})
	return states, err
}

// CallState returns the stored state of an open call, to start its workflow from;
// fault.NotFound if there is no such open call.
func (d *DB) CallState(ctx context.Context, ref call.Ref) (call.State, error) {
	var o opening
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		o = opening{state: call.State{Tenant: ref.Tenant, ID: ref.Call}}
		o.lookForRow(f)
		return nil
	})
	if err == nil && !o.isOpen {
		return call.State{}, fault.E(fault.NotFound, "read the state of a call", fmt.Errorf("call %s is not open", ref.Call))
	}
	return o.stored, failure("read the state of a call", err)
}

// CallsOf lists the open calls carried by a node's boots other than alive.
func (d *DB) CallsOf(ctx context.Context, n id.Node, alive string) ([]call.Ref, error) {
	var refs []call.Ref
	err := d.asSystem(ctx, "list the calls of a node", func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			TenantID id.Tenant `bun:"tenant_id"`
			Call     id.Call   `bun:"call"`
		}
		err := tx.NewSelect().Table("calls").Column("tenant_id", "call").
			Where("live").Where("node = ?", n).Where("boot <> ?", alive).
			Order("arrived_at").Scan(ctx, &rows)
		for _, r := range rows {
			refs = append(refs, call.Ref{Tenant: r.TenantID, Call: r.Call})
		}
		return err
	})
	return refs, err
}
