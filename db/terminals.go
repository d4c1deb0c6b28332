package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

const (
	sqlOpenTerminal = `
INSERT INTO terminals (tenant_id, agent, terminal, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, agent, terminal) DO UPDATE SET expires_at = excluded.expires_at, lapsed = false`

	// sqlTerminalAlive prolongs a lease, and reads the session's view.
	sqlTerminalAlive = `
UPDATE terminals t SET expires_at = $4 FROM presence p
 WHERE t.tenant_id = $1 AND t.agent = $2 AND t.terminal = $3 AND NOT t.lapsed
   AND p.tenant_id = $1 AND p.agent = $2 AND p.state <> 'LoggedOff'
RETURNING p.view`

	sqlCloseTerminal = `DELETE FROM terminals WHERE tenant_id = $1 AND agent = $2 AND terminal = $3`

	sqlForgetTerminal = sqlCloseTerminal + ` AND lapsed`

	// mostLapsed is how many terminals are told of at once; the rest comes next time.
	mostLapsed = 200
	// lapseAgain is when a terminal is told of again, should who tells it die.
	lapseAgain = 30 * time.Second
)

// OpenTerminal begins or prolongs the lease of a terminal, which ends at until.
func (d *DB) OpenTerminal(ctx context.Context, ref agent.Ref, t id.Terminal, until time.Time) error {
	err := d.fly(ctx, ref.Tenant, func(f *flight) error {
		f.queue(sqlOpenTerminal, string(ref.Tenant), string(ref.Agent), string(t), until)
		return nil
	})
	return failure("open a terminal", err)
}

// TerminalAlive prolongs the lease of a terminal of a running session and returns the
// session's view; known is false if there is no such lease any more.
func (d *DB) TerminalAlive(ctx context.Context, ref agent.Ref, t id.Terminal, until time.Time) (v agent.View, known bool, err error) {
	err = d.fly(ctx, ref.Tenant, func(f *flight) error {
		known = false
		f.scanOne(&known, []any{&v}, sqlTerminalAlive, string(ref.Tenant), string(ref.Agent), string(t), until)
		return nil
	})
	return v, known, failure("prolong a terminal's lease", err)
}

// CloseTerminal ends the lease of a terminal. One that lapsed is ended only if it has
// not come back: gone says whether it was.
func (d *DB) CloseTerminal(ctx context.Context, ref agent.Ref, t id.Terminal, lapsed bool) (gone bool, err error) {
	sql := sqlCloseTerminal
	if lapsed {
		sql = sqlForgetTerminal
	}
	var n int64
	err = d.fly(ctx, ref.Tenant, func(f *flight) error {
		f.affected(&n, sql, string(ref.Tenant), string(ref.Agent), string(t))
		return nil
	})
	return n > 0, failure("close a terminal", err)
}

// LapsedTerminals lists terminals of all tenants whose lease ran out. Each is given to
// one caller, who tells its session and closes it; if that does not happen, it is given
// to another one.
func (d *DB) LapsedTerminals(ctx context.Context) (lapsed []record.Terminal, err error) {
	err = d.asSystem(ctx, "list terminals that are gone", func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			Tenant   id.Tenant   `bun:"tenant_id"`
			Agent    id.Agent    `bun:"agent"`
			Terminal id.Terminal `bun:"terminal"`
		}
		now := d.now()
		err := tx.NewRaw(`
UPDATE terminals t SET lapsed = true, expires_at = ?1
  FROM (SELECT tenant_id, agent, terminal FROM terminals WHERE expires_at < ?0 ORDER BY expires_at LIMIT ?2 FOR UPDATE SKIP LOCKED) o
 WHERE t.tenant_id = o.tenant_id AND t.agent = o.agent AND t.terminal = o.terminal
RETURNING t.tenant_id, t.agent, t.terminal`, now, now.Add(lapseAgain), mostLapsed).Scan(ctx, &rows)
		lapsed = nil
		for _, r := range rows {
			lapsed = append(lapsed, record.Terminal{Session: agent.Ref{Tenant: r.Tenant, Agent: r.Agent}, Terminal: r.Terminal})
		}
		return err
	})
	return lapsed, err
}
