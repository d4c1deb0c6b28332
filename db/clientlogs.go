package db

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

const day = 24 * time.Hour

// clientLogRow is a row of client_logs.
type clientLogRow struct {
	record.ClientLog
	SkewMS *int64 `bun:"skew_ms"`
}

const clientLogColumns = `id, user_name, home, agent, at, address, user_agent, program, skew_ms, media, entries, size`

func (r clientLogRow) log(keep time.Duration) record.ClientLog {
	if r.SkewMS != nil {
		r.Skew, r.Told = time.Duration(*r.SkewMS)*time.Millisecond, true
	}
	r.Expires = r.At.Add(keep)
	return r.ClientLog
}

// kept is how long a tenant keeps client logs.
func kept(ctx context.Context, tx bun.Tx, t id.Tenant) (time.Duration, error) {
	var days int
	err := tx.NewRaw(`SELECT coalesce((policies ->> 'client_log_days')::int, 0) FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &days)
	return time.Duration(tenancy.Policies{ClientLogDays: days}.LogDays()) * day, err
}

// KeepClientLog keeps a report of a user, and deletes the tenant's that are past their
// time. fault.TooMany: the user reported as much as it may within a day.
func (d *DB) KeepClientLog(ctx context.Context, t id.Tenant, l record.ClientLog) (record.ClientLog, error) {
	l.At = d.now().UTC()
	l.ID = fmt.Sprintf("%013x%s", l.At.UnixMicro(), id.NewContact()[:6]) // in the order of time
	err := d.inTenant(ctx, "keep a client log", t, func(ctx context.Context, tx bun.Tx) error {
		keep, err := kept(ctx, tx, t)
		if err != nil {
			return err
		}
		l.Expires = l.At.Add(keep)
		if _, err := tx.ExecContext(ctx, `DELETE FROM client_logs WHERE tenant_id = ? AND at <= ?`, t, l.At.Add(-keep)); err != nil {
			return err
		}
		if err := withinQuota(ctx, tx, t, l); err != nil {
			return err
		}
		var skew *int64
		if l.Told {
			ms := l.Skew.Milliseconds()
			skew = &ms
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO client_logs (tenant_id, `+clientLogColumns+`, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t, l.ID, l.User, l.Home, l.Agent, l.At, l.Address, l.UserAgent, l.Program, skew, l.Media, l.Entries, len(l.Body), l.Body)
		return err
	})
	l.Size = len(l.Body)
	return l, err
}

// withinQuota refuses what would be too much of a user within a day. Whoever asks keeps
// other reports of the user waiting until the transaction ends.
func withinQuota(ctx context.Context, tx bun.Tx, t id.Tenant, l record.ClientLog) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('client logs ' || ? || ' ' || ? || ' ' || ?, 0))`, string(t), string(l.Home), string(l.User)); err != nil {
		return err
	}
	var used struct {
		Count int `bun:"count"`
		Bytes int `bun:"bytes"`
	}
	if err := tx.NewRaw(`SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM client_logs WHERE tenant_id = ? AND user_name = ? AND home = ? AND at > ?`,
		t, l.User, l.Home, l.At.Add(-day)).Scan(ctx, &used); err != nil {
		return err
	}
	if used.Count >= record.MaxClientLogs || used.Bytes+len(l.Body) > record.MaxClientLogsBytes {
		return &fault.Error{Kind: fault.TooMany, Code: "client_log_quota", Sentence: fmt.Sprintf(
			"You have reported %d logs of %d bytes within a day; %d logs and %d bytes are allowed.", used.Count, used.Bytes, record.MaxClientLogs, record.MaxClientLogsBytes)}
	}
	return nil
}

// ClientLogs lists a tenant's client logs without their bodies, newest first if not asked otherwise. What is past
// its time is not shown, even if nobody has reported since.
func (d *DB) ClientLogs(ctx context.Context, t id.Tenant, q record.ClientLogQuery) ([]record.ClientLog, error) {
	var list []record.ClientLog
	err := d.inTenant(ctx, "list client logs", t, func(ctx context.Context, tx bun.Tx) error {
		keep, err := kept(ctx, tx, t)
		if err != nil {
			return err
		}
		var rows []clientLogRow
		than, direction := "<", "DESC"
		if q.OldestFirst {
			than, direction = ">", "ASC"
		}
		if err := tx.NewRaw(`SELECT `+clientLogColumns+` FROM client_logs WHERE tenant_id = ?0 AND at > ?1 AND (?2 = '' OR user_name = ?2)
			AND (?3::timestamptz IS NULL OR at >= ?3) AND (?4::timestamptz IS NULL OR at < ?4) AND (?5 = '' OR id `+than+` ?5) ORDER BY id `+direction+` LIMIT ?6`,
			t, d.now().Add(-keep), q.User, stamp(q.From), stamp(q.To), q.After, q.Limit).Scan(ctx, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			list = append(list, r.log(keep))
		}
		return nil
	})
	return list, err
}

// ClientLog reads a client log with its body; fault.NotFound, also if it is past its time.
func (d *DB) ClientLog(ctx context.Context, t id.Tenant, name string) (record.ClientLog, error) {
	var l record.ClientLog
	err := d.inTenant(ctx, "read a client log", t, func(ctx context.Context, tx bun.Tx) error {
		keep, err := kept(ctx, tx, t)
		if err != nil {
			return err
		}
		var row clientLogRow
		err = tx.NewRaw(`SELECT `+clientLogColumns+`, body FROM client_logs WHERE tenant_id = ? AND id = ? AND at > ?`, t, name, d.now().Add(-keep)).Scan(ctx, &row)
		l = row.log(keep)
		return err
	})
	return l, err
}
