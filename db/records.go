package db

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

const (
	// sqlSaveCall writes a newer view. A call that has ended is not changed any more.
	sqlSaveCall = `
UPDATE calls SET view = $3, version = $4, phase = $5, agent = nullif($6, ''), data = $7,
       answered_at = coalesce(answered_at, $8)
 WHERE tenant_id = $1 AND call = $2 AND open AND version < $4`

	sqlLeaveLine = `DELETE FROM waiting WHERE tenant_id = $1 AND call = $2`

	sqlCallRow = `SELECT FROM calls WHERE tenant_id = $1 AND call = $2 FOR NO KEY UPDATE`

	// sqlMatches lists whom a call was matched with, in order.
	sqlMatches = `SELECT offer, agent, at FROM decisions WHERE tenant_id = $1 AND call = $2 AND agent IS NOT NULL AND offer IS NOT NULL ORDER BY id`

	// sqlCloseCall ends a call's row, or makes it should it be missing: a record is
	// never lost. The workflow's state is of no more use. A contact that was made during
	// the call is noted.
	sqlCloseCall = `
INSERT INTO calls (tenant_id, call, node, boot, class, direction, phase, queue, agent, from_number, to_number, data,
                   view, version, open, workflow_started, arrived_at, queued_at, answered_at, ended_at, cause, ended_by, outcome, offers,
                   waited_ms, rang_ms, talked_ms, held_ms)
VALUES ($1, $2, $3, '', $4, $5, $6, nullif($7, ''), nullif($8, ''), left($9, 256), left($10, 256), $11,
        $12, $13, false, true, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
ON CONFLICT (tenant_id, call) DO UPDATE SET
       class = excluded.class, direction = excluded.direction, phase = excluded.phase,
       agent = excluded.agent, data = excluded.data,
       view = excluded.view, version = excluded.version, open = false, workflow_started = true, state = NULL,
       queued_at = excluded.queued_at, answered_at = excluded.answered_at, ended_at = excluded.ended_at,
       cause = excluded.cause, ended_by = excluded.ended_by, outcome = excluded.outcome, offers = excluded.offers,
       waited_ms = excluded.waited_ms, rang_ms = excluded.rang_ms, talked_ms = excluded.talked_ms, held_ms = excluded.held_ms,
       contact = coalesce(calls.contact, (SELECT n.contact FROM contact_numbers n WHERE n.tenant_id = $1 AND n.number = calls.customer))
 WHERE calls.open`

	// sqlKeepAgents notes which agents had to do with the customer.
	sqlKeepAgents = `
INSERT INTO customer_agents (tenant_id, agent, number, at)
SELECT $1, a, c.customer, $4 FROM unnest($3::text[]) a, (SELECT customer FROM calls WHERE tenant_id = $1 AND call = $2 AND customer IS NOT NULL) c
ON CONFLICT (tenant_id, agent, number) DO UPDATE SET at = greatest(excluded.at, customer_agents.at)`

	// sqlKeepCallAgents notes the same for the lists of calls. The row says when the call
	// arrived: a list is read in that order.
	sqlKeepCallAgents = `
INSERT INTO call_agents (tenant_id, agent, arrived_at, call)
SELECT c.tenant_id, a, c.arrived_at, c.call FROM unnest($3::text[]) a, calls c WHERE c.tenant_id = $1 AND c.call = $2
ON CONFLICT DO NOTHING`

	sqlKeepLeg = `
INSERT INTO legs (tenant_id, call, leg, place, role, party, agent, device, node, started_at, rang_at, answered_at, ended_at, cause)
VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8, ''), $9, $10, $11, $12, $13, nullif($14, ''))
ON CONFLICT (tenant_id, call, leg) DO NOTHING`

	sqlKeepSegment = `
INSERT INTO segments (tenant_id, call, place, kind, agent, queue, offer, from_at, to_at, cause, rang_at, outcome, sip_code, device)
VALUES ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), nullif($7, ''), $8, $9, nullif($10, ''), $11, nullif($12, ''), nullif($13, 0), nullif($14, ''))
ON CONFLICT (tenant_id, call, place) DO NOTHING`
)

// SaveCall writes view and event of a call, and takes it out of the line if the
// save says so; see call.Save. An older view than the stored one leaves the row as
// it is. Repetitions are harmless.
func (d *DB) SaveCall(ctx context.Context, ref call.Ref, s call.Save) error {
	t, c, v := string(ref.Tenant), string(ref.Call), s.View
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		f.queue(sqlSaveCall, t, c, v, v.Version, string(v.Phase), string(v.Agent), jsonOrNull(v.Data), stamp(answeredAt(v)))
		if s.Leave {
			f.queue(sqlLeaveLine, t, c)
		}
		f.addCallEvent(event.Event{
			Tenant: ref.Tenant, Stream: event.CallStream(ref.Call), Version: v.Version, Kind: s.Event, At: d.changedAt(s),
		}, v)
		return nil
	})
	if err == nil {
		d.nudge()
	}
	return failure("save a call", err)
}

// changedAt is when that happened which the save tells: the beginning of its
// phase, or, for what happens within a phase, now.
func (d *DB) changedAt(s call.Save) time.Time {
	switch s.Event {
	case "Held", "Retrieved":
		return d.now()
	}
	return s.View.Since
}

// answeredAt is when an agent, or the called party, answered.
func answeredAt(v call.View) time.Time {
	if v.Phase != call.Talking {
		return time.Time{}
	}
	for _, l := range v.Legs {
		if l.ID != call.CallerLeg && l.State == leg.Up {
			return l.AnsweredAt
		}
	}
	return time.Time{}
}

// CloseCall writes the record of an ended call: call, legs, segments, timings, bookings,
// and its last event, in one transaction, and takes it out of the line. An agent who was
// matched with it in its last moment, of whom the call did not hear, stands in the record
// as well. Repetitions are harmless.
func (d *DB) CloseCall(ctx context.Context, ref call.Ref, c call.Close) error {
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		r := c.Record
		if !r.QueuedAt.IsZero() && r.AnsweredAt.IsZero() {
			late, err := f.lateOffers(ref, r.Offers)
			if err != nil {
				return err
			}
			r = withLateOffers(r, late)
		}
		outside, err := d.outside(f, ref.Tenant, r)
		if err != nil {
			return err
		}
		f.close(ref, r, outside)
		return nil
	})
	if err == nil {
		d.nudge()
	}
	return failure("close a call", err)
}

// lateOffer is a match of which its call did not hear.
type lateOffer struct {
	offer id.Offer
	agent id.Agent
	at    time.Time
}

// lateOffers takes the call out of the line, so that nobody is matched with it any more,
// and lists the matches after the known-th offer. The call's row comes first, as in every
// transaction.
func (f *flight) lateOffers(ref call.Ref, known int) (late []lateOffer, err error) {
	f.queue(sqlCallRow, string(ref.Tenant), string(ref.Call))
	f.queue(sqlLeaveLine, string(ref.Tenant), string(ref.Call))
	f.each(func(rows pgx.Rows) error {
		var o lateOffer
		err := rows.Scan(&o.offer, &o.agent, &o.at)
		if o.offer.N() > known {
			late = append(late, o)
		}
		return err
	}, sqlMatches, string(ref.Tenant), string(ref.Call))
	return late, f.send()
}

// withLateOffers adds offers to a record as the call itself would have.
func withLateOffers(r call.Record, late []lateOffer) call.Record {
	r.Segments = slices.Clone(r.Segments)
	for _, o := range late {
		from := o.at
		if from.After(r.EndedAt) {
			from = r.EndedAt
		}
		r.Offers = max(r.Offers, o.offer.N())
		r.Segments = append(r.Segments, call.Segment{
			Kind: call.SegmentOffer, Agent: o.agent, Queue: r.View.Queue, Offer: o.offer, From: from, To: r.EndedAt, Cause: r.Cause,
		})
	}
	return r
}

// close queues what is kept of a call; outside are the legs that may have to be booked.
func (f *flight) close(ref call.Ref, r call.Record, outside map[id.Leg]string) {
	v, t, c := r.View, string(ref.Tenant), string(ref.Call)
	agents, sums := agentsOf(r), r.Sums()
	f.queue(sqlCloseCall, t, c, string(v.Node), string(v.Class), string(v.Direction), string(v.Phase), string(v.Queue),
		string(v.Agent), v.From, v.To, jsonOrNull(v.Data), v, v.Version, r.ArrivedAt, stamp(r.QueuedAt),
		stamp(r.AnsweredAt), r.EndedAt, string(r.Cause), r.EndedBy, r.Outcome, r.Offers,
		sums.Wait.Milliseconds(), sums.Ring.Milliseconds(), sums.Talk.Milliseconds(), sums.Hold.Milliseconds())
	f.queue(sqlLeaveLine, t, c)
	for i, l := range v.Legs {
		f.queue(sqlKeepLeg, t, c, string(l.ID), i, string(l.Role), l.Party, string(l.Agent), string(l.Device), string(l.Node),
			l.StartedAt, stamp(l.RangAt), stamp(l.AnsweredAt), stamp(l.EndedAt), string(l.Cause))
	}
	for i, s := range r.Segments {
		f.queue(sqlKeepSegment, t, c, i, s.Kind, string(s.Agent), string(s.Queue), string(s.Offer),
			s.From, stamp(s.To), string(s.Cause), stamp(s.RangAt), string(s.Outcome), s.SIPCode, string(s.Device))
	}
	f.queue(sqlKeepAgents, t, c, agents, r.EndedAt)
	f.queue(sqlKeepCallAgents, t, c, agents)
	if outside != nil {
		f.queue(sqlBook, t, c, r.EndedAt, v.To, outside)
	}
	f.addClosed(ref, r)
}

// addClosed queues the last event of a call.
func (f *flight) addClosed(ref call.Ref, r call.Record) {
	f.addCallEvent(event.Event{
		Tenant: ref.Tenant, Stream: event.CallStream(ref.Call), Version: r.View.Version, Kind: closedKind(r), At: r.EndedAt,
	}, r.View)
}

// closedKind names the last event of a call (vocabulary.md).
func closedKind(r call.Record) string {
	switch r.Outcome {
	case call.OutcomeAbandoned:
		return "Abandoned"
	case call.OutcomeDiverted:
		return "Diverted"
	}
	return "CallCleared"
}
