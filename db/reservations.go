package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// As a rule a reservation is given back by those who hold it: a call goes on to its
// next offer, a session saves itself without. What follows is for the rest: a session
// that an operator terminated never tells its call of the match that it made, and its
// row says Ready for ever.

// mostOverdue is how many reservations are looked at at once; the rest comes next time.
const mostOverdue = 1000

// silentFor bounds how long the offers of a node are left to it that was not given up
// and does not beat: the database may have been away, or its guard.
const silentFor = 5 * time.Minute

// sqlReservations lists the offers that rows are reserved for, first those whose lease
// ends first. Who talks by his offer is about to say so; a call that has no workflow yet
// is driven by its node, or found by the sweeper; and one that another run carries, which
// lives as far as anybody knows, is that run's: it knows whether its phone was answered,
// which the row learns only from the workflow.
const sqlReservations = `
SELECT tenant_id, agent, offer, min(until) AS until FROM (
  SELECT tenant_id, agent, offer, offered_at + ring_ms * interval '1 ms' + ? * interval '1 s' AS until
    FROM waiting WHERE agent IS NOT NULL
  UNION ALL
  SELECT tenant_id, agent, offer, (offer_detail->>'deadline')::timestamptz
    FROM presence WHERE offer IS NOT NULL AND state <> 'LoggedOff'
) AS kept
 WHERE NOT EXISTS (SELECT FROM calls c
        WHERE c.tenant_id = kept.tenant_id AND c.call = split_part(kept.offer, '/', 1) AND c.open
          AND (NOT c.workflow_started OR c.phase = ? AND c.agent = kept.agent
               OR c.boot <> ? AND EXISTS (SELECT FROM nodes n WHERE n.name = c.node AND n.boot = c.boot
                      AND n.lost_at IS NULL AND n.seen_at > clock_timestamp() - ? * interval '1 s')))
 GROUP BY tenant_id, agent, offer ORDER BY 4 LIMIT ?`

// Overdue lists, of all tenants, the reservations whose lease ended before by, and
// returns when the lease of the next one ends; the zero time if there is none. Offers of
// calls that a node's run carries which is not boot are left to it while it lives.
func (d *DB) Overdue(ctx context.Context, by time.Time, boot string) (overdue []record.Reservation, next time.Time, err error) {
	err = d.asSystem(ctx, "list overdue reservations", func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			Tenant id.Tenant `bun:"tenant_id"`
			Agent  id.Agent  `bun:"agent"`
			Offer  id.Offer  `bun:"offer"`
			Until  time.Time `bun:"until"`
		}
		if err := tx.NewRaw(sqlReservations, call.RingGrace.Seconds(), call.Talking, boot, silentFor.Seconds(), mostOverdue).Scan(ctx, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			if !r.Until.Before(by) {
				next = r.Until
				break
			}
			overdue = append(overdue, record.Reservation{Session: agent.Ref{Tenant: r.Tenant, Agent: r.Agent}, Offer: r.Offer, Until: r.Until})
		}
		return nil
	})
	return overdue, next, err
}

const (
	sqlStanding = `SELECT view, coalesce(offer, '') FROM presence
 WHERE tenant_id = $1 AND agent = $2 AND state <> 'LoggedOff' AND version < $3 FOR UPDATE`

	// sqlBury leaves the row of a session that has ended, as its sign-out would have.
	sqlBury = `
UPDATE presence SET state = 'LoggedOff', since = $3, available = false, queues = '{}',
       offer = NULL, offer_detail = NULL, offer_by = NULL, version = $4, view = $5
 WHERE tenant_id = $1 AND agent = $2`
)

// Bury signs an agent out whose session ended without doing so, at closed: its row, its
// places among the candidates, its view and event. It returns the offer that the row was
// reserved for, if any. The row of a session that began after closed is left as it is,
// and so is one that was signed out already: then found is false.
func (d *DB) Bury(ctx context.Context, ref agent.Ref, closed time.Time) (offer id.Offer, found bool, err error) {
	t, a := string(ref.Tenant), string(ref.Agent)
	err = d.fly(ctx, ref.Tenant, func(f *flight) error {
		var v agent.View
		found = false
		// The versions of a session count from the millisecond of its sign-in.
		f.scanOne(&found, []any{&v, &offer}, sqlStanding, t, a, closed.UnixMilli())
		if err := f.send(); err != nil || !found {
			return err
		}
		v = v.Buried(closed)
		f.queue(sqlBury, t, a, closed, v.Version, v)
		f.queue(sqlLeaveStand, t, a)
		f.release(t, a)
		f.addAgentEvent(event.Event{
			Tenant: ref.Tenant, Stream: event.AgentStream(ref.Agent), Version: v.Version, Kind: string(v.State), At: d.now(),
		}, v)
		return nil
	})
	if err == nil && found {
		d.nudge()
	}
	return offer, found, failure("sign an ended session out", err)
}
