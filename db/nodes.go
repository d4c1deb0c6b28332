package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Beat writes the node's row of the registry; when it was seen is the database's time.
// It reports whether this run of the node was given up (LoseNode): then it is written
// no more, and the node goes on under another boot, which it writes here again.
func (d *DB) Beat(ctx context.Context, n device.Node) (lost bool, err error) {
	err = d.asSystem(ctx, "write a node's heartbeat", func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.ExecContext(ctx, `
INSERT INTO nodes (name, boot, address, started_at, seen_at, calls, drain) VALUES (?, ?, ?, ?, clock_timestamp(), ?, ?)
ON CONFLICT (name) DO UPDATE SET boot = excluded.boot, address = excluded.address, started_at = excluded.started_at,
       seen_at = excluded.seen_at, calls = excluded.calls, drain = excluded.drain, lost_at = NULL
 WHERE nodes.started_at <= excluded.started_at AND (nodes.boot <> excluded.boot OR nodes.lost_at IS NULL)`,
			n.Name, n.Boot, n.Address, n.Started, n.Calls, n.Drain)
		if err != nil {
			return err
		}
		if written, err := res.RowsAffected(); written > 0 || err != nil {
			return err
		}
		return tx.NewRaw(`SELECT boot = ? AND lost_at IS NOT NULL FROM nodes WHERE name = ?`, n.Boot, n.Name).Scan(ctx, &lost)
	})
	return lost, err
}

// SeeNode tells what the registry says of a node; the zero Sight if it never beat.
func (d *DB) SeeNode(ctx context.Context, n id.Node) (s device.Sight, err error) {
	err = d.asSystem(ctx, "look a node up", func(ctx context.Context, tx bun.Tx) error {
		s, err = sight(ctx, tx, n)
		return err
	})
	return s, err
}

func sight(ctx context.Context, tx bun.Tx, n id.Node) (s device.Sight, err error) {
	err = tx.NewRaw(`SELECT boot, seen_at, lost_at IS NOT NULL FROM nodes WHERE name = ?`, n).Scan(ctx, &s.Boot, &s.Seen, &s.Lost)
	if errors.Is(err, sql.ErrNoRows) {
		return device.Sight{}, nil
	}
	return s, err
}

// LoseNode marks a run of a node as given up, which the node learns from its next
// Beat, and returns the registrations that can't be reached any more; they stay until
// they are removed (Unstrand), so that this may be repeated until their owners were
// told. fault.Conflict: the run has beaten since l.Seen, and nothing is changed.
func (d *DB) LoseNode(ctx context.Context, l device.Loss) (list []device.Stranded, err error) {
	err = d.asSystem(ctx, "give a node up", func(ctx context.Context, tx bun.Tx) error {
		away := false // no later run has taken the node's place
		if l.Boot != "" {
			if _, err := tx.ExecContext(ctx, `
UPDATE nodes SET lost_at = ? WHERE name = ? AND boot = ? AND lost_at IS NULL AND (? OR seen_at <= ?)`,
				d.now(), l.Node, l.Boot, l.Seen.IsZero(), l.Seen); err != nil {
				return err
			}
			s, err := sight(ctx, tx, l.Node)
			if err != nil {
				return err
			}
			if s.Boot == l.Boot && !s.Lost {
				return fault.E(fault.Conflict, "give a node up", fmt.Errorf("node %s beats again", l.Node))
			}
			away = s.Boot == l.Boot || s.Boot == ""
		}
		list, err = d.stranded(ctx, tx, l, away)
		return err
	})
	return list, err
}

// stranded lists the registrations that a loss makes unreachable: those over
// connections, which die with their run; those that have expired, since nobody else
// tells it; and if the node itself is away, those that only its own socket reaches.
func (d *DB) stranded(ctx context.Context, tx bun.Tx, l device.Loss, away bool) ([]device.Stranded, error) {
	var rows []struct {
		device.Stranded
		Transport, Contact, Flow string
	}
	err := tx.NewRaw(`
SELECT tenant_id AS tenant, device, instance, node, coalesce(boot, '') AS boot, expires AS until, transport, contact, flow
  FROM registrations
 WHERE node = ?0 AND CASE WHEN ?1 = '' THEN ?3 OR coalesce(boot, ?2) = ?2 ELSE boot IS DISTINCT FROM ?1 END
 ORDER BY tenant_id, device, instance`, l.Node, l.Alive, l.Boot, away).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	var list []device.Stranded
	for _, r := range rows {
		connected := !strings.EqualFold(r.Transport, "udp")
		if !r.Until.After(d.now()) || connected || away && !direct(r.Contact, r.Flow) {
			list = append(list, r.Stranded)
		}
	}
	return list, nil
}

const sqlReachableBeside = `
SELECT coalesce((SELECT b.agent FROM bindings b WHERE b.tenant_id = $1 AND b.device = $2), d.agent, ''), d.at_hand OR EXISTS (
       SELECT FROM registrations r WHERE r.tenant_id = $1 AND r.device = $2 AND r.expires > $3
          AND NOT (r.instance = $4 AND r.node = $5 AND coalesce(r.boot, '') = $6 AND r.expires = $7))
  FROM devices d WHERE d.tenant_id = $1 AND d.name = $2`

// Reachable tells whose the device of s is (whose session is bound to it, else its
// owner; "": nobody's) and whether it is reachable now in another way than by s.
func (d *DB) Reachable(ctx context.Context, s device.Stranded) (owner id.Agent, reachable bool, err error) {
	err = d.fly(ctx, s.Tenant, func(f *flight) error {
		found := false
		owner, reachable = "", false
		f.scanOne(&found, []any{&owner, &reachable}, sqlReachableBeside, string(s.Tenant), string(s.Device), d.now(),
			s.Instance, string(s.Node), s.Boot, s.Until)
		return nil
	})
	return owner, reachable, failure("see whether a device is reachable", err)
}

// direct reports whether a contact names the address that its REGISTER came from: then
// any node reaches it, else only the one whose packets the phone's router lets in.
func direct(contact, flow string) bool {
	_, host, found := strings.Cut(contact, "@")
	if !found {
		_, host, _ = strings.Cut(contact, ":")
	}
	if end := strings.IndexAny(host, ";?>"); end >= 0 {
		host = host[:end]
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = netip.AddrPortFrom(addr, 5060).String()
	}
	to, err := netip.ParseAddrPort(host)
	from, err2 := netip.ParseAddrPort(flow)
	return err == nil && err2 == nil && to == from
}

// Unstrand removes registrations that can't be reached, unless they were renewed: those of
// each tenant in a transaction of that tenant, whose events tell of it.
func (d *DB) Unstrand(ctx context.Context, list []device.Stranded) error {
	of := map[id.Tenant][]device.Stranded{}
	for _, s := range list {
		of[s.Tenant] = append(of[s.Tenant], s)
	}
	for t, those := range of {
		if err := d.unstrand(ctx, t, those); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		d.nudge()
	}
	return nil
}

func (d *DB) unstrand(ctx context.Context, t id.Tenant, list []device.Stranded) error {
	columns := make([][]string, 5)
	for _, s := range list {
		for i, v := range []string{string(s.Device), s.Instance, string(s.Node), s.Boot, s.Until.Format(time.RFC3339Nano)} {
			columns[i] = append(columns[i], v)
		}
	}
	args := []any{t}
	for _, c := range columns {
		args = append(args, pgdialect.Array(c))
	}
	return d.inTenant(ctx, "remove unreachable registrations", t, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, `
DELETE FROM registrations r USING unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::timestamptz[]) AS s (device, instance, node, boot, until)
 WHERE r.tenant_id = ?0 AND r.device = s.device AND r.instance = s.instance AND r.node = s.node AND coalesce(r.boot, '') = s.boot AND r.expires = s.until`, args...)
		return err
	})
}

const (
	// owedFor bounds how long what ran out is left to a node that was not given up: it
	// has refreshed it, or taken it out, and owes that to the database since an outage.
	owedFor = time.Hour
	// mostLapsedPhones is how many are listed at once; the rest comes next time.
	mostLapsedPhones = 1000
)

// Lapsed lists registrations that ran out more than age ago, the oldest first: their
// node, which removes what runs out at once, is gone. What a node wrote whose run was
// not given up is left to it for an hour. They stay until they are removed (Unstrand).
func (d *DB) Lapsed(ctx context.Context, age time.Duration) (list []device.Stranded, err error) {
	err = d.asSystem(ctx, "list what ran out", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`
SELECT tenant_id AS tenant, device, instance, node, coalesce(boot, '') AS boot, expires AS until
  FROM registrations r
 WHERE expires <= ?0 AND (expires <= ?1 OR NOT EXISTS (
       SELECT FROM nodes n WHERE n.name = r.node AND n.boot = coalesce(r.boot, n.boot) AND n.lost_at IS NULL))
 ORDER BY expires LIMIT ?2`, d.now().Add(-age), d.now().Add(-owedFor), mostLapsedPhones).Scan(ctx, &list)
	})
	return list, err
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
