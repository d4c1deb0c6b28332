package db

import (
	"context"
	"maps"
	"slices"
	"time"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

const (
	// sqlPulses writes the pulses of a tenant's phones.
	sqlPulses = `
INSERT INTO pulses (tenant_id, device, instance, round_trip, measured_at)
SELECT $1, p.device, p.instance, p.micros * interval '1 microsecond', p.measured
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[]) AS p (device, instance, micros, measured)
ON CONFLICT (tenant_id, device, instance) DO UPDATE SET round_trip = excluded.round_trip, measured_at = excluded.measured_at
 WHERE pulses.measured_at < excluded.measured_at`

	// sqlOldPulses removes those of phones that are long gone.
	sqlOldPulses = `DELETE FROM pulses WHERE tenant_id = $1 AND measured_at < $2`

	// pulseKept is how long a phone that is asked no more is remembered.
	pulseKept = 24 * time.Hour
)

// SavePulses writes how long phones took to answer, one transaction per tenant. There
// must be at most one pulse per registration.
func (d *DB) SavePulses(ctx context.Context, list []device.Pulse) error {
	of := map[id.Tenant][]device.Pulse{}
	for _, p := range list {
		of[p.Tenant] = append(of[p.Tenant], p)
	}
	for _, t := range slices.Sorted(maps.Keys(of)) {
		var devices, instances []string
		var micros []int64
		var measured []time.Time
		for _, p := range of[t] {
			devices, instances = append(devices, string(p.Device)), append(instances, p.Instance)
			micros, measured = append(micros, p.RoundTrip.Microseconds()), append(measured, p.At)
		}
		err := d.fly(ctx, t, func(f *flight) error {
			f.queue(sqlPulses, string(t), devices, instances, micros, measured)
			f.queue(sqlOldPulses, string(t), d.now().Add(-pulseKept))
			return nil
		})
		if err != nil {
			return failure("save the pulses of phones", err)
		}
	}
	return nil
}
