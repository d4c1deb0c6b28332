package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/id"
)

// directoryChanged does what follows from a change of a tenant's directory: all
// processes forget its routes when the transaction commits, and agents who are
// ready now stand where the queues' present strategies put them. (A NOTIFY within
// a transaction makes commits queue up; changes of the directory are rare.)
func directoryChanged(ctx context.Context, tx bun.Tx, t id.Tenant) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_notify(?, ?)`, channelDirectory, string(t)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
UPDATE candidates c SET rank = o.rank, tie = o.tie, position = o.position
  FROM (SELECT x.queue, x.agent, coalesce(m.position, 0) AS position,
               holdfast_rank(q.strategy, x.ready_at, x.calls, coalesce(m.position, 0), x.agent) AS rank,
               holdfast_tie(q.strategy, x.ready_at, x.agent) AS tie
          FROM candidates x
          JOIN queues q ON q.tenant_id = x.tenant_id AND q.name = x.queue
          LEFT JOIN memberships m ON m.tenant_id = x.tenant_id AND m.queue = x.queue AND m.agent = x.agent
         WHERE x.tenant_id = ?0) AS o
 WHERE c.tenant_id = ?0 AND c.queue = o.queue AND c.agent = o.agent
   AND (c.rank, c.tie, c.position) IS DISTINCT FROM (o.rank, o.tie, o.position)`, t)
	return err
}
