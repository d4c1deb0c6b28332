package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// longestLine is how many waiting calls are listed.
const longestLine = 1000

// QueueLive is a queue's situation now: who waits, in the order in which they are
// served, and the sessions that are checked in. fault.NotFound if there is no such
// queue.
func (d *DB) QueueLive(ctx context.Context, t id.Tenant, q id.Queue) (record.QueueLive, error) {
	live := record.QueueLive{Queue: q, Waiting: []record.WaitingCall{}, Agents: []agent.View{}}
	err := d.inTenant(ctx, "look at a queue", t, func(ctx context.Context, tx bun.Tx) error {
		var name string
		if err := tx.NewSelect().Table("queues").Column("name").Where("tenant_id = ?", t).Where("name = ?", q).Scan(ctx, &name); err != nil {
			return err
		}
		var waiting []struct {
			Call     id.Call   `bun:"call"`
			From     string    `bun:"from_number"`
			QueuedAt time.Time `bun:"queued_at"`
			Offering bool      `bun:"offering"`
		}
		if err := tx.NewSelect().Table("waiting").Column("call", "from_number", "queued_at").ColumnExpr("offered AS offering").
			Where("line = hashtextextended(? || '/' || ?, 0)", t, q).Where("tenant_id = ?", t).Where("queue = ?", q).
			OrderExpr("priority DESC, queued_at, call").Limit(longestLine).Scan(ctx, &waiting); err != nil {
			return err
		}
		for i, w := range waiting {
			live.Waiting = append(live.Waiting, record.WaitingCall{Call: w.Call, From: w.From, QueuedAt: w.QueuedAt, Position: i + 1, Offering: w.Offering})
		}
		var err error
		live.Agents, err = sessions(ctx, tx, t, q)
		return err
	})
	return live, err
}

// Presence lists the sessions' views of a tenant, by agent number.
func (d *DB) Presence(ctx context.Context, t id.Tenant) ([]agent.View, error) {
	views := []agent.View{}
	err := d.inTenant(ctx, "list sessions", t, func(ctx context.Context, tx bun.Tx) (err error) {
		views, err = sessions(ctx, tx, t, "")
		return err
	})
	return views, err
}

// sessions are the running sessions; with a queue, those that are checked in to it.
func sessions(ctx context.Context, tx bun.Tx, t id.Tenant, q id.Queue) ([]agent.View, error) {
	var rows []struct {
		View agent.View `bun:"view,type:jsonb"`
	}
	list := tx.NewSelect().Table("presence").Column("view").Where("tenant_id = ?", t).Where("state <> 'LoggedOff'").OrderExpr("agent")
	if q != "" {
		list.Where("? = ANY (queues)", q)
	}
	err := list.Scan(ctx, &rows)
	views := make([]agent.View, len(rows))
	for i, r := range rows {
		views[i] = r.View
	}
	return views, err
}
