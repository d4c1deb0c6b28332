package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// auditRow is a row of audit; its place and hash are the database's to give.
type auditRow struct {
	bun.BaseModel `bun:"table:audit"`

	TenantID id.Tenant       `bun:"tenant_id"`
	UserName id.User         `bun:"user_name"`
	Home     id.Tenant       `bun:"home"`
	At       time.Time       `bun:"at"`
	Action   string          `bun:"action"`
	Object   string          `bun:"object"`
	Before   json.RawMessage `bun:"before,type:jsonb,nullzero"`
	After    json.RawMessage `bun:"after,type:jsonb,nullzero"`
	Detail   json.RawMessage `bun:"detail,type:jsonb,nullzero"`
	Source   string          `bun:"source"`
	Result   string          `bun:"result"`
	Seq      int64           `bun:"seq,scanonly"`
	Hash     []byte          `bun:"hash,scanonly"`
}

func (r auditRow) entry() record.AuditEntry {
	return record.AuditEntry{Tenant: r.TenantID, User: r.UserName, Home: r.Home, At: r.At, Action: r.Action, Object: r.Object,
		Before: r.Before, After: r.After, Detail: r.Detail, Source: r.Source, Result: r.Result, Seq: r.Seq, Hash: r.Hash}
}

// Audit appends a line to the audit trail (SEED-4). Lines can't be changed.
func (d *DB) Audit(ctx context.Context, a record.AuditEntry) error {
	if a.At.IsZero() {
		a.At = d.now()
	}
	return d.inTenant(ctx, "write the audit trail", a.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return appendAudit(ctx, tx, a)
	})
}

// appendAudit writes a line in the transaction of what it tells of. A line without a
// time gets that of the database. The tenant's trail waits for the transaction's end.
func appendAudit(ctx context.Context, tx bun.Tx, a record.AuditEntry) error {
	row := auditRow{TenantID: a.Tenant, UserName: a.User, Home: a.Home, At: a.At, Action: a.Action, Object: a.Object,
		Before: a.Before, After: a.After, Detail: a.Detail, Source: a.Source, Result: a.Result}
	insert := tx.NewInsert().Model(&row)
	if a.At.IsZero() {
		insert = insert.Value("at", "clock_timestamp()")
	}
	_, err := insert.Exec(ctx)
	return err
}

const (
	// operator is who applies a tenant on the command line: nobody is signed in there.
	operator = "operator"
	// mostApplied is how many differences of one apply stand in its line.
	mostApplied = 500
)

// auditApply writes what an apply changed, as it is shown to who applies: one line.
func auditApply(ctx context.Context, tx bun.Tx, by *directory.Author, t id.Tenant, changes []tenancy.Change) error {
	var words []string
	for _, c := range changes[:min(mostApplied, len(changes))] {
		words = append(words, c.String())
	}
	detail, err := json.Marshal(map[string]any{"count": len(changes), "changes": words})
	if err != nil {
		return err
	}
	line := record.AuditEntry{Tenant: t, User: operator, Action: "tenant.apply", Object: "tenant:" + string(t), Detail: detail, Source: "command line", Result: "ok"}
	if by != nil {
		line.User, line.Home, line.Source = by.Name, by.Home, by.Source
	}
	return appendAudit(ctx, tx, line)
}

// AuditLines reads the trail of a tenant, newest first, at most q.Limit lines (50 when 0).
func (d *DB) AuditLines(ctx context.Context, t id.Tenant, q record.AuditQuery) ([]record.AuditEntry, error) {
	if q.Limit <= 0 || q.Limit > mostThings+1 {
		q.Limit = defaultThings
	}
	var rows []auditRow
	err := d.inTenant(ctx, "read the audit trail", t, func(ctx context.Context, tx bun.Tx) error {
		s := tx.NewSelect().Model(&rows).ColumnExpr("tenant_id, user_name, home, at, action, object, before, after, detail, source, result, seq, hash").
			Where("tenant_id = ?", t).OrderExpr("seq DESC").Limit(int64(q.Limit))
		for column, v := range map[string]string{"user_name": string(q.User), "object": q.Object, "result": q.Result} {
			if v != "" {
				s = s.Where("? = ?", bun.Ident(column), v)
			}
		}
		if q.Action != "" {
			s = s.Where("(action = ? OR starts_with(action, ?))", q.Action, q.Action+".")
		}
		if !q.Since.IsZero() {
			s = s.Where("at >= ?", q.Since)
		}
		if !q.Until.IsZero() {
			s = s.Where("at < ?", q.Until)
		}
		if q.Before > 0 {
			s = s.Where("seq < ?", q.Before)
		}
		return s.Scan(ctx)
	})
	var lines []record.AuditEntry
	for _, r := range rows {
		lines = append(lines, r.entry())
	}
	return lines, err
}

// chainPage is how many lines are checked with one query.
const chainPage = 2000

// chainRow is a line as the chain counts it: every field as the text that was hashed.
type chainRow struct {
	Tenant string  `bun:"tenant_id"`
	Seq    int64   `bun:"seq"`
	User   string  `bun:"user_name"`
	Home   string  `bun:"home"`
	At     int64   `bun:"at"`
	Action string  `bun:"action"`
	Object string  `bun:"object"`
	Before *string `bun:"before"`
	After  *string `bun:"after"`
	Detail *string `bun:"detail"`
	Source string  `bun:"source"`
	Result string  `bun:"result"`
	Hash   []byte  `bun:"hash"`
}

// link is the hash that the line has after previous: reckoned here, so that a database
// whose functions were changed as well is found out.
func (r chainRow) link(previous []byte) []byte {
	h := sha256.New()
	h.Write(previous)
	text := func(s string) *string { return &s }
	for _, f := range []*string{text(r.Tenant), text(strconv.FormatInt(r.Seq, 10)), &r.User, &r.Home, text(strconv.FormatInt(r.At, 10)),
		&r.Action, &r.Object, r.Before, r.After, r.Detail, &r.Source, &r.Result} {
		if f == nil {
			h.Write([]byte("-"))
			continue
		}
		h.Write([]byte(strconv.Itoa(len(*f)) + ":" + *f))
	}
	return h.Sum(nil)
}

// CheckAudit walks the trail of every tenant from its beginning and reports for each
// whether any line was changed, removed or put between. What was cut off at the end
// shows only against a Head that was noted elsewhere.
func (d *DB) CheckAudit(ctx context.Context) ([]record.AuditChain, error) {
	tenants, err := d.auditedTenants(ctx)
	if err != nil {
		return nil, err
	}
	var chains []record.AuditChain
	for _, t := range tenants {
		chain, err := d.checkChain(ctx, t)
		if err != nil {
			return nil, err
		}
		chains = append(chains, chain)
	}
	return chains, nil
}

func (d *DB) auditedTenants(ctx context.Context) (tenants []id.Tenant, err error) {
	err = d.asSystem(ctx, "list audit trails", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT DISTINCT tenant_id FROM audit ORDER BY 1`).Scan(ctx, &tenants)
	})
	return tenants, err
}

func (d *DB) checkChain(ctx context.Context, t id.Tenant) (record.AuditChain, error) {
	chain := record.AuditChain{Tenant: t}
	for {
		var rows []chainRow
		err := d.inTenant(ctx, "check an audit trail", t, func(ctx context.Context, tx bun.Tx) error {
			return tx.NewRaw(`
SELECT tenant_id, seq, user_name, home, (extract(epoch FROM at) * 1000000)::bigint AS at, action, object, before::text, after::text, detail::text, source, result, hash
  FROM audit WHERE tenant_id = ? AND seq > ? ORDER BY seq LIMIT ?`, t, chain.Lines, chainPage).Scan(ctx, &rows)
		})
		if err != nil {
			return chain, err
		}
		for _, r := range rows {
			switch {
			case r.Seq != chain.Lines+1:
				chain.Broken, chain.Why = chain.Lines+1, "is missing"
				return chain, nil
			case !bytes.Equal(r.link(chain.Head), r.Hash):
				chain.Broken, chain.Why = r.Seq, "is not what was written"
				return chain, nil
			}
			chain.Lines, chain.Head = r.Seq, r.Hash
		}
		if len(rows) < chainPage {
			return chain, nil
		}
	}
}
