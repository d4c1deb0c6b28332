package db

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/dialplan"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// sqlBook books the answered legs of a closed call that led outside: through an external
// device to that device's account (SEED-50), else to that of the device that dialled
// (SEED-47). A device's account is its owner, or its agent's user. A leg led through an
// external device if an agent was reached on it, or if its extension was dialled. $5 are the numbers
// that were dialled, by leg, as E.164: by these, and by those of external devices, the
// tariff of the moment is found, that with the longest prefix.
const sqlBook = `
INSERT INTO bookings (tenant_id, call, leg, kind, account, device, trunk, number, answered_at, ended_at, currency, tariff, price)
SELECT $1, $2, l.leg, CASE WHEN x.name IS NULL THEN 'dialled' ELSE 'external' END,
       coalesce(x.owner, CASE WHEN x.name IS NULL THEN d.owner END, a.user_name, ''), coalesce(x.name, f.device, ''),
       CASE WHEN x.name IS NULL THEN coalesce(l.device, '') ELSE '' END, coalesce(x.number, l.party), l.answered_at, coalesce(l.ended_at, $3),
       coalesce(t.currency, 'EUR'), coalesce(p.prefix, ''), p.price
  FROM legs l
  LEFT JOIN tenants t ON t.tenant_id = $1
  LEFT JOIN LATERAL (SELECT * FROM legs WHERE tenant_id = $1 AND call = $2 AND leg = 'customer' LIMIT 1) f ON true
  LEFT JOIN LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = l.device AND kind = 'external'
                        AND (l.role = 'agent' OR extension = $4) LIMIT 1) x ON true
  LEFT JOIN LATERAL (SELECT * FROM devices WHERE tenant_id = $1 AND name = f.device LIMIT 1) d ON true
  LEFT JOIN LATERAL (SELECT * FROM agents WHERE tenant_id = $1
                        AND number = CASE WHEN x.name IS NULL THEN coalesce(d.agent, f.agent) ELSE x.agent END LIMIT 1) a ON true
  LEFT JOIN LATERAL (SELECT f.prefix, holdfast_price(f, holdfast_talk_ms(l.answered_at, coalesce(l.ended_at, $3))) AS price FROM tariffs f
                      WHERE f.tenant_id = $1 AND f.prefix = ANY (holdfast_prefixes(coalesce(x.number, $5::jsonb ->> l.leg)))
                      ORDER BY length(f.prefix) DESC LIMIT 1) p ON true
 WHERE l.tenant_id = $1 AND l.call = $2 AND l.leg <> 'customer' AND l.answered_at IS NOT NULL
   AND (x.name IS NOT NULL OR l.role = 'external' AND f.device IS NOT NULL)
ON CONFLICT (tenant_id, call, leg) DO NOTHING`

// sqlCountry reads whose national numbers a tenant's people dial.
const sqlCountry = `SELECT country FROM tenants WHERE tenant_id = $1`

// outside are the legs of a record that may have to be booked, with the numbers that were
// dialled among them as E.164, if they have such a form. Most calls have none. It asks for
// the tenant's country, once per tenant and change, if somebody dialled a national number.
func (d *DB) outside(f *flight, t id.Tenant, r call.Record) (legs map[id.Leg]string, err error) {
	for _, l := range r.View.Legs {
		if l.ID == call.CallerLeg || l.AnsweredAt.IsZero() || l.Role != leg.External && l.Device == "" {
			continue
		}
		if legs == nil {
			legs = map[id.Leg]string{}
		}
		if l.Role != leg.External { // an agent's: if it is outside, its device says the number
			legs[l.ID] = ""
			continue
		}
		country := ""
		if !strings.HasPrefix(l.Party, "+") {
			if country, err = d.country(f, t); err != nil {
				return nil, err
			}
		}
		legs[l.ID] = dialplan.International(l.Party, country)
	}
	return legs, nil
}

// country is the tenant's: as it was read before, while changes are heard of.
func (d *DB) country(f *flight, t id.Tenant) (country string, err error) {
	d.startListening()
	country, since, kept := d.routes.home(t)
	if kept {
		return country, nil
	}
	var found bool
	f.scanOne(&found, []any{&country}, sqlCountry, string(t))
	if err := f.send(); err != nil {
		return "", err
	}
	d.routes.putHome(t, country, since)
	return country, nil
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
		than := "<"
		if by.OldestFirst {
			than = ">"
		}
		q = q.Where("(answered_at, call, leg) "+than+" (?, ?, ?)", by.After.At, by.After.Call, by.After.Leg)
	}
	if by.Limit <= 0 {
		by.Limit = 100
	}
	return q.Limit(int64(min(by.Limit, mostBookings)))
}

// Bookings lists bookings, the newest first if not asked otherwise (SEED-47, SEED-50).
func (d *DB) Bookings(ctx context.Context, t id.Tenant, by record.BookingQuery) ([]record.Booking, error) {
	list := []record.Booking{}
	err := d.inTenant(ctx, "list bookings", t, func(ctx context.Context, tx bun.Tx) error {
		return bookingsWhere(tx.NewSelect().Table("bookings"), t, by).
			ColumnExpr("tenant_id AS tenant, call, leg, kind, account, device, trunk, number, answered_at, ended_at, price, currency, tariff").
			OrderExpr(bookingOrder(by)).Scan(ctx, &list)
	})
	return list, err
}

func bookingOrder(by record.BookingQuery) string {
	if by.OldestFirst {
		return "answered_at, call, leg"
	}
	return "answered_at DESC, call DESC, leg DESC"
}

// BookingDays sums bookings up per account, day, kind and currency, the latest day first.
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
			ColumnExpr("account, to_char(answered_at AT TIME ZONE ?, 'YYYY-MM-DD') AS day, kind, currency, count(*) AS calls", zone.String()).
			ColumnExpr("sum(holdfast_talk_ms(answered_at, ended_at))::bigint AS talk_ms").
			ColumnExpr("CASE WHEN sum(price) > ?0 THEN ?0 ELSE sum(price) END::bigint AS price, count(*) FILTER (WHERE price IS NULL) AS unpriced", int64(math.MaxInt64)).
			GroupExpr("1, 2, 3, 4").OrderExpr("2 DESC, 1, 3, 4").Scan(ctx, &rows)
		for _, r := range rows {
			r.Talk = milliseconds(r.TalkMS)
			days = append(days, r.BookingDay)
		}
		return err
	})
	return days, err
}
