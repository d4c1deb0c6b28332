package db

import "holdfast/domain/id"

// Keeps reports whether the route of a number is kept.
func (d *DB) Keeps(t id.Tenant, number string) bool {
	_, _, kept := d.routes.get(t, number)
	return kept
}
