package db

import (
	"time"

	"holdfast/domain/id"
)

// Keeps reports whether the route of a number is kept.
func (d *DB) Keeps(t id.Tenant, number string) bool {
	_, _, kept := d.routes.get(t, number)
	return kept
}

// SetClock replaces the clock. Nothing else may use d meanwhile.
func (d *DB) SetClock(now func() time.Time) { d.now = now }
