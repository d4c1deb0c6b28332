package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/event"
	"holdfast/domain/id"
)

const (
	// sqlAgentEvent adds an event of an agent's session. The caller holds the
	// agent's presence row and knows that the event is new; should a session count
	// from the beginning again, its stream does not.
	sqlAgentEvent = `
INSERT INTO events (tenant_id, stream, version, kind, at, view)
SELECT $1, $2, greatest($3, (SELECT max(version) + 1 FROM events WHERE tenant_id = $1 AND stream = $2)), $4, $5, $6`

	// sqlCallEvent adds an event of a call, once. With the view goes who the customer is.
	sqlCallEvent = `
INSERT INTO events (tenant_id, stream, version, kind, at, view)
SELECT $1, $2, $3, $4, $5, $6::jsonb || coalesce((
       SELECT jsonb_build_object('contact', contact) FROM calls WHERE tenant_id = $1 AND call = substr($2, 6) AND contact IS NOT NULL), '{}')
 WHERE NOT EXISTS (SELECT FROM events WHERE tenant_id = $1 AND stream = $2 AND version = $3)
ON CONFLICT (tenant_id, stream, version) DO NOTHING`
)

func (f *flight) addAgentEvent(e event.Event, view any) {
	f.queue(sqlAgentEvent, string(e.Tenant), string(e.Stream), e.Version, e.Kind, e.At, view)
}

func (f *flight) addCallEvent(e event.Event, view any) {
	f.queue(sqlCallEvent, string(e.Tenant), string(e.Stream), e.Version, e.Kind, e.At, view)
}

// eventRow is a row of events.
type eventRow struct {
	bun.BaseModel `bun:"table:events"`

	Seq      int64           `bun:"seq"`
	TenantID id.Tenant       `bun:"tenant_id"`
	Stream   event.Stream    `bun:"stream"`
	Version  int64           `bun:"version"`
	Kind     string          `bun:"kind"`
	At       time.Time       `bun:"at"`
	View     json.RawMessage `bun:"view,type:jsonb"`
}

func (r eventRow) event() event.Event {
	return event.Event{Seq: r.Seq, Tenant: r.TenantID, Stream: r.Stream, Version: r.Version, Kind: r.Kind, At: r.At, View: r.View}
}

func eventsOf(rows []eventRow) []event.Event {
	events := make([]event.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events
}

// Events lists the tenant's events that streams show after seq, oldest first, at most limit. What is
// returned is complete: nothing appears later at or below the last Seq of it. fault.NotFound
// with the code events_gone: some after it were deleted, for their time was over.
func (d *DB) Events(ctx context.Context, t id.Tenant, after int64, limit int) ([]event.Event, error) {
	settled, err := d.End(ctx)
	if err != nil {
		return nil, err
	}
	var rows []eventRow
	err = d.inTenant(ctx, "list events", t, func(ctx context.Context, tx bun.Tx) error {
		if err := tx.NewSelect().Model(&rows).Where("ledger = hashtextextended(?, 0)", t).Where("tenant_id = ?", t).
			Where("seq > ?", after).Where("seq <= ?", settled).Where(shownInStreams).Order("seq").Limit(int64(limit)).Scan(ctx); err != nil {
			return err
		}
		return noneGone(ctx, tx, t, after)
	})
	return eventsOf(rows), err
}
