package db

import (
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Keeps reports whether the route of a number is kept.
func (d *DB) Keeps(t id.Tenant, number string) bool {
	_, _, kept := d.routes.get(t, number)
	return kept
}

// SetClock replaces the clock. Nothing else may use d meanwhile.
func (d *DB) SetClock(now func() time.Time) { d.now = now }

// OnHash calls f before each password that is hashed. Nothing else may use d meanwhile.
func (d *DB) OnHash(f func()) {
	d.hash = func(password string) (string, error) {
		f()
		return hashPassword(password)
	}
}

// The statements of the match whose cost is measured.
const (
	SQLCandidates        = sqlCandidates
	SQLCallers           = sqlCallers
	SQLPresenceForUpdate = sqlPresenceForUpdate
	SQLReserve           = sqlReserve
	SQLTake              = sqlTake
	SQLLeaveStand        = sqlLeaveStand
	SQLLeaveLine         = sqlLeaveLine
	SQLCallForPlace      = sqlCallForPlace
	SQLPosition          = sqlPosition
	SQLOpenedCall        = sqlOpenedCall
	SQLStarted           = sqlStarted
	SQLExcluded          = sqlExcluded
)

// LiveSettings gives c the settings of the live pool.
func LiveSettings(c *pgx.ConnConfig) {
	serve(c, "test")
	liveSettings(c)
}

// CallListSQL are the statements of a list of calls.
func (d *DB) CallListSQL(t id.Tenant, q record.CallQuery) (list []string) {
	q.Limit = defaultPage
	for _, open := range []bool{true, false} {
		if wants(q, open) {
			var part []callRow
			list = append(list, callsWhere(d.bun.NewSelect().Model(&part).ColumnExpr(callShown), t, q, open, nil).Limit(defaultPage+1).String())
		}
	}
	return list
}
