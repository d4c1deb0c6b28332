package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

// Beat writes the node's row of the registry; a node that was lost and beats again
// is there again.
func (d *DB) Beat(ctx context.Context, n device.Node) error {
	return d.asSystem(ctx, "write a node's heartbeat", func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, `
INSERT INTO nodes (name, boot, address, started_at, seen_at, calls, drain) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET boot = excluded.boot, address = excluded.address, started_at = excluded.started_at,
       seen_at = excluded.seen_at, calls = excluded.calls, drain = excluded.drain, lost_at = NULL
 WHERE nodes.started_at <= excluded.started_at`,
			n.Name, n.Boot, n.Address, n.Started, n.Seen, n.Calls, n.Drain)
		return err
	})
}

// LoseNode marks a boot of a node as gone: its row of the registry, if no later
// boot has taken it, and the registrations whose connections it held. A phone that
// registered over UDP is reached at its address again by the node's next boot.
func (d *DB) LoseNode(ctx context.Context, n id.Node, boot string) error {
	return d.asSystem(ctx, "give a node up", func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE nodes SET lost_at = ? WHERE name = ? AND boot = ? AND lost_at IS NULL`,
			d.now(), n, boot); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM registrations WHERE node = ? AND (boot = ? OR boot IS NULL) AND lower(transport) <> 'udp'`, n, boot)
		return err
	})
}

// Nodes lists the registry, lost nodes excepted.
func (d *DB) Nodes(ctx context.Context) ([]device.Node, error) {
	var nodes []device.Node
	err := d.asSystem(ctx, "list the nodes", func(ctx context.Context, tx bun.Tx) error {
		var rows []nodeRow
		err := tx.NewSelect().Model(&rows).Where("lost_at IS NULL").Order("name").Scan(ctx)
		for _, r := range rows {
			nodes = append(nodes, device.Node{Name: r.Name, Boot: r.Boot, Address: r.Address,
				Started: r.StartedAt, Seen: r.SeenAt, Calls: r.Calls, Drain: r.Drain})
		}
		return err
	})
	return nodes, err
}

// nodeRow is a row of nodes.
type nodeRow struct {
	bun.BaseModel `bun:"table:nodes"`

	Name      id.Node   `bun:"name"`
	Boot      string    `bun:"boot"`
	Address   string    `bun:"address"`
	StartedAt time.Time `bun:"started_at"`
	SeenAt    time.Time `bun:"seen_at"`
	Calls     int       `bun:"calls"`
	Drain     bool      `bun:"drain"`
}
