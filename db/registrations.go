package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	sqlRegister = `
INSERT INTO registrations (tenant_id, device, instance, agent, contact, transport, flow, node, boot, user_agent, call_id, cseq, expires, path, since)
SELECT $1, d.name, $3, d.agent, $4, $5, $6, $7,
       coalesce(nullif($12, ''), (SELECT boot FROM nodes WHERE name = $7)), $8, $9, $10, $11, coalesce($13::text[], '{}'), $14
  FROM devices d WHERE d.tenant_id = $1 AND d.name = $2
ON CONFLICT (tenant_id, device, instance) DO UPDATE SET
       agent = excluded.agent, contact = excluded.contact, transport = excluded.transport, flow = excluded.flow,
       node = excluded.node, boot = excluded.boot, user_agent = excluded.user_agent,
       call_id = excluded.call_id, cseq = excluded.cseq, expires = excluded.expires, path = excluded.path,
       since = CASE WHEN registrations.expires <= excluded.since THEN excluded.since ELSE registrations.since END
 WHERE registrations.call_id <> excluded.call_id OR registrations.cseq <= excluded.cseq`

	// sqlUnregister removes a binding, unless it was renewed since (RFC 3261 §10.3,
	// step 7: a lower CSeq of the same Call-ID is out of order).
	sqlUnregister = `
DELETE FROM registrations WHERE tenant_id = $1 AND device = $2 AND instance = $3
   AND (call_id <> $4 OR cseq <= $5)`

	// sqlLeave says for the transaction why a registration goes (migration 0019).
	sqlLeave = `SELECT set_config('holdfast.registration', $1, true)`

	// sqlExpire removes what has expired of a device, so that nothing piles up; not what
	// somebody else writes at this moment, who may be waiting for us.
	sqlExpire = `
DELETE FROM registrations WHERE tenant_id = $1 AND device = $2 AND instance IN (
       SELECT instance FROM registrations WHERE tenant_id = $1 AND device = $2 AND expires <= $3 FOR UPDATE SKIP LOCKED)`

	// sqlReject keeps that a REGISTER was rejected, if there is such a device.
	sqlReject = `
SELECT holdfast_keep_history(ROW(0, $1, $2, $3::timestamptz, 'rejected', $4, $5::int, '', $6, $7, $8, $9)::registration_history)`

	sqlHistory = `
SELECT at, change, reason, times, contact, address, transport, user_agent, node
  FROM registration_history WHERE tenant_id = ?0 AND device = ?1 ORDER BY at DESC, id DESC LIMIT ?2`

	// sqlReach tells, besides whose a device is and whether it is reachable, whether the
	// session that is bound to it takes it for unreachable.
	sqlReach = `
SELECT o.agent, d.at_hand OR EXISTS (
       SELECT FROM registrations r WHERE r.tenant_id = $1 AND r.device = $2 AND r.expires > $3), EXISTS (
       SELECT FROM presence p WHERE p.tenant_id = $1 AND p.agent = o.agent AND p.state <> 'LoggedOff'
          AND p.view->'binding'->'addresses' @> jsonb_build_array(jsonb_build_object('device', $2::text))
          AND NOT coalesce(p.view->'devices' ? $2, false))
  FROM devices d
 CROSS JOIN LATERAL (SELECT coalesce((SELECT b.agent FROM bindings b WHERE b.tenant_id = $1 AND b.device = $2), d.agent, '') AS agent) o
 WHERE d.tenant_id = $1 AND d.name = $2`
)

// SaveRegistration writes a registration or, with Expires in the past, removes it,
// and returns whose the device is (whose session is bound to it, else its owner) and
// whether it is reachable now. What comes out of order (an older CSeq of the same
// Call-ID) changes nothing. fault.NotFound if there is no such device.
func (d *DB) SaveRegistration(ctx context.Context, r device.Registration) (owner id.Agent, reach device.Reach, err error) {
	const op = "save a registration"
	if r.Instance == "" {
		return "", reach, fault.E(fault.Invalid, op, errors.New("the registration has no instance"))
	}
	found, unheard := false, false
	err = d.fly(ctx, r.Tenant, func(f *flight) error {
		t, name, now := string(r.Tenant), string(r.Device), d.now()
		if r.Expires.After(now) {
			f.queue(sqlRegister, t, name, r.Instance, r.Contact, r.Transport, r.Flow, string(r.Node), r.UserAgent,
				r.CallID, int64(r.CSeq), r.Expires, r.Boot, r.Path, now)
		} else {
			f.queue(sqlLeave, string(r.Change))
			f.queue(sqlUnregister, t, name, r.Instance, r.CallID, int64(r.CSeq))
		}
		f.queue(sqlExpire, t, name, now)
		f.scanOne(&found, []any{&owner, &reach.Reachable, &unheard}, sqlReach, t, name, now)
		return nil
	})
	if err == nil && !found {
		err = fault.E(fault.NotFound, op, fmt.Errorf("there is no device %s", r.Device))
	}
	if err == nil && r.Change != device.Refreshed {
		d.nudge()
	}
	reach.Unheard = reach.Reachable && unheard
	return owner, reach, failure(op, err)
}

// Rejected keeps in the device's history that a REGISTER for it was rejected; for what is no
// device there is none.
func (d *DB) Rejected(ctx context.Context, r device.Rejection) error {
	err := d.fly(ctx, r.Tenant, func(f *flight) error {
		f.queue(sqlReject, string(r.Tenant), string(r.Device), r.At, string(r.Reason), max(r.Times, 1), r.Address, r.Transport, r.UserAgent, string(r.Node))
		return nil
	})
	return failure("note a rejected registration", err)
}

// RegistrationHistory lists what happened to a device's registrations, the latest first, at
// most device.MostHistory lines. An unknown device has none.
func (d *DB) RegistrationHistory(ctx context.Context, t id.Tenant, name id.Device) (list []device.HistoryLine, err error) {
	err = d.inTenant(ctx, "read the history of registrations", t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(sqlHistory, t, name, device.MostHistory).Scan(ctx, &list)
	})
	return list, err
}

// mostHeld is how many devices are told of at once; the rest comes next time.
const mostHeld = 1000

// TellHeld tells, as one event of each device, what was held back for age or longer
// because there was too much of it (migration 0025).
func (d *DB) TellHeld(ctx context.Context, age time.Duration) error {
	const op = "tell what was held back"
	var held []struct {
		Tenant id.Tenant `bun:"tenant"`
		Device id.Device `bun:"device"`
	}
	err := d.asSystem(ctx, op, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT tenant_id AS tenant, device FROM registration_held WHERE since <= ?0 ORDER BY since LIMIT ?1`,
			d.now().Add(-age), mostHeld).Scan(ctx, &held)
	})
	if err != nil {
		return failure(op, err)
	}
	for _, h := range held {
		told := d.fly(ctx, h.Tenant, func(f *flight) error {
			f.queue(`SELECT holdfast_tell_held($1, $2)`, string(h.Tenant), string(h.Device))
			return nil
		})
		if err == nil {
			err = told // the others are told all the same
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(held) > 0 {
		d.nudge()
	}
	return failure(op, err)
}

const sqlRegistrations = `
SELECT coalesce(agent, ''), contact, instance, transport, flow, node, coalesce(boot, ''), user_agent, call_id, cseq, expires, nullif(path, '{}')
  FROM registrations WHERE tenant_id = $1 AND device = $2 AND expires > $3 ORDER BY expires DESC, instance`

// Registrations lists the live registrations of a device, the freshest first.
func (d *DB) Registrations(ctx context.Context, t id.Tenant, name id.Device) ([]device.Registration, error) {
	var list []device.Registration
	err := d.fly(ctx, t, func(f *flight) error {
		list = nil
		f.each(func(rows pgx.Rows) error {
			r := device.Registration{Tenant: t, Device: name}
			var cseq int64
			err := rows.Scan(&r.Agent, &r.Contact, &r.Instance, &r.Transport, &r.Flow, &r.Node, &r.Boot, &r.UserAgent, &r.CallID, &cseq, &r.Expires, &r.Path)
			r.CSeq = uint32(cseq) // written from a uint32
			list = append(list, r)
			return err
		}, sqlRegistrations, string(t), string(name), d.now())
		return nil
	})
	return list, failure("list registrations", err)
}
