package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// sqlBook books the answered legs of a closed call that led outside: through an external
// device to that device's account (SEED-50), else to that of the device that dialled
// (SEED-47). A device's account is its owner, or its agent's user. A leg led through an
// external device if an agent was reached on it, or if its extension was dialled.
const sqlBook = `
INSERT INTO bookings (tenant_id, call, leg, kind, account, device, trunk, number, answered_at, ended_at)
SELECT $1, $2, l.leg, CASE WHEN x.name IS NULL THEN 'dialled' ELSE 'external' END,
       coalesce(x.owner, CASE WHEN x.name IS NULL THEN d.owner END, a.user_name, ''), coalesce(x.name, f.device, ''),
       CASE WHEN x.name IS NULL THEN coalesce(l.device, '') ELSE '' END, coalesce(x.number, l.party), l.answered_at, coalesce(l.ended_at, $3)
  FROM legs l
  LEFT JOIN LATERAL (SELECT * FROM legs WHERE tenant_id = $1 AND call = $2 AND leg = 'customer' LIMIT 1) f ON true
  LEFT JOIN LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = l.device AND kind = 'external'
                        AND (l.role = 'agent' OR extension = $4) LIMIT 1) x ON true
  LEFT JOIN LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = f.device LIMIT 1) d ON true
  LEFT JOIN LATERAL (SELECT * FROM agents WHERE tenant_id = $1
                        AND number = CASE WHEN x.name IS NULL THEN coalesce(d.agent, f.agent) ELSE x.agent END LIMIT 1) a ON true
 WHERE l.tenant_id = $1 AND l.call = $2 AND l.leg <> 'customer' AND l.answered_at IS NOT NULL
   AND (x.name IS NOT NULL OR l.role = 'external' AND f.device IS NOT NULL)
ON CONFLICT (tenant_id, call, leg) DO NOTHING`

// book queues the bookings of a record, after its legs. Most calls have none.
func (f *flight) book(ref call.Ref, r call.Record) {
	for _, l := range r.View.Legs {
		if l.ID != call.CallerLeg && !l.AnsweredAt.IsZero() && (l.Role == leg.External || l.Device != "") {
			f.queue(sqlBook, string(ref.Tenant), string(ref.Call), r.EndedAt, r.View.To)
			return
		}
	}
}

// mostBookings bounds one answer.
const mostBookings = 10_000

// where filters a query of bookings.
func bookingsWhere(q *bun.SelectQuery, t id.Tenant, by record.BookingQuery) *bun.SelectQuery {
	q = q.Where("tenant_id = ?", t)
	if by.Account != "" {
		q = q.Where("account = ?", by.Account)
	}
	if by.Device != "" {
		q = q.Where("device = ?", by.Device)
	}
	if !by.Since.IsZero() {
		q = q.Where("answered_at >= ?", by.Since)
	}
	if !by.Until.IsZero() {
		q = q.Where("answered_at < ?", by.Until)
	}
	if by.Teams != nil {
		q = q.Where(`(account = ? OR EXISTS (SELECT FROM users u LEFT JOIN agents a ON a.tenant_id = u.tenant_id AND a.user_name = u.name
			WHERE u.tenant_id = bookings.tenant_id AND u.name = bookings.account AND coalesce(u.team, a.team) = ANY (?)))`,
			by.Self, keys(by.Teams, func(t id.Team) string { return string(t) }))
	}
	if !by.After.At.IsZero() {
		q = q.Where("(answered_at, call, leg) < (?, ?, ?)", by.After.At, by.After.Call, by.After.Leg)
	}
	if by.Limit <= 0 {
		by.Limit = 100
	}
	return q.Limit(int64(min(by.Limit, mostBookings)))
}

// Bookings lists bookings, the newest first (SEED-47, SEED-50).
func (d *DB) Bookings(ctx context.Context, t id.Tenant, by record.BookingQuery) ([]record.Booking, error) {
	list := []record.Booking{}
	err := d.inTenant(ctx, "list bookings", t, func(ctx context.Context, tx bun.Tx) error {
		return bookingsWhere(tx.NewSelect().Table("bookings"), t, by).
			ColumnExpr("tenant_id AS tenant, call, leg, kind, account, device, trunk, number, answered_at, ended_at").
			OrderExpr("answered_at DESC, call DESC, leg DESC").Scan(ctx, &list)
	})
	return list, err
}

// BookingDays sums bookings up per account, day and kind, the latest day first.
func (d *DB) BookingDays(ctx context.Context, t id.Tenant, by record.BookingQuery) ([]record.BookingDay, error) {
	zone := by.Zone
	if zone == nil {
		zone = time.UTC
	}
	if zone.String() == "Local" {
		return nil, &fault.Error{Kind: fault.Invalid, Op: "sum bookings up", Code: "zone", Sentence: "a time zone must be named, such as Europe/Berlin"}
	}
	days := []record.BookingDay{}
	err := d.inTenant(ctx, "sum bookings up", t, func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			record.BookingDay
			TalkMS int64 `bun:"talk_ms"`
		}
		err := bookingsWhere(tx.NewSelect().Table("bookings"), t, by).
			ColumnExpr("account, to_char(answered_at AT TIME ZONE ?, 'YYYY-MM-DD') AS day, kind, count(*) AS calls", zone.String()).
			ColumnExpr("sum(round(extract(epoch FROM ended_at - answered_at) * 1000))::bigint AS talk_ms").
			GroupExpr("1, 2, 3").OrderExpr("2 DESC, 1, 3").Scan(ctx, &rows)
		for _, r := range rows {
			r.Talk = milliseconds(r.TalkMS)
			days = append(days, r.BookingDay)
		}
		return err
	})
	return days, err
}
