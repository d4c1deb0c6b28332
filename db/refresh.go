package db

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// loginRow is a row of logins.
type loginRow struct {
	bun.BaseModel `bun:"table:logins"`

	Tenant    id.Tenant      `bun:"tenant_id,pk"`
	ID        string         `bun:"login,pk"`
	User      id.User        `bun:"user_name"`
	Method    account.Method `bun:"method"`
	UserAgent string         `bun:"user_agent"`
	Address   string         `bun:"address"`
	Begun     time.Time      `bun:"begun_at"`
	Used      time.Time      `bun:"used_at"`
	Turn      int64          `bun:"turn"`
	Turned    time.Time      `bun:"turned_at"`
	Expires   time.Time      `bun:"expires"`
	Ended     account.Ended  `bun:"ended_by"`
}

func (r loginRow) login() account.Login {
	return account.Login{Tenant: r.Tenant, ID: r.ID, User: r.User, Method: r.Method, UserAgent: r.UserAgent, Address: r.Address,
		Begun: r.Begun, Used: r.Used, Expires: r.Expires}
}

// forgottenLogins is how many expired logins of a tenant are removed with each that
// begins, so that their number falls however many there are.
const forgottenLogins = 20

// BeginLogin keeps a new login; its first refresh token has the number 1.
func (d *DB) BeginLogin(ctx context.Context, l account.Login) error {
	return d.inTenant(ctx, "begin a login", l.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `
DELETE FROM logins WHERE tenant_id = ?0 AND login IN
 (SELECT login FROM logins WHERE tenant_id = ?0 AND expires < ?1 ORDER BY expires LIMIT ?2 FOR UPDATE SKIP LOCKED)`,
			l.Tenant, d.now(), forgottenLogins); err != nil {
			return err
		}
		row := loginRow{Tenant: l.Tenant, ID: l.ID, User: l.User, Method: l.Method, UserAgent: l.UserAgent, Address: l.Address,
			Begun: l.Begun, Used: l.Begun, Turn: 1, Turned: l.Begun, Expires: l.Expires}
		_, err := tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
}

// Refresh uses a refresh token up and gives the number of the next (RFC 9700 §4.14.2). One
// that was used up before ends the login, in all processes, and is told to the audit
// trail; but while its successor was not used either, it is forgiven for a moment and
// gets that same successor: two tabs refreshed at once, or an answer was lost.
// fault.NotFound: there is no such login, or it is over by itself.
func (d *DB) Refresh(ctx context.Context, use account.Refresh) (got account.Refreshed, err error) {
	err = d.inTenant(ctx, "refresh a login", use.Tenant, func(ctx context.Context, tx bun.Tx) error {
		var row loginRow
		if err := tx.NewSelect().Model(&row).Where("tenant_id = ?", use.Tenant).Where("login = ?", use.Login).For("UPDATE").Scan(ctx); err != nil {
			return err
		}
		now := d.now()
		switch {
		case row.Ended != "":
			got = account.Refreshed{Ended: row.Ended}
			return nil
		case !row.Expires.After(now):
			return fault.E(fault.NotFound, "refresh a login", fmt.Errorf("login of %s expired at %s", row.User, row.Expires))
		case use.Turn > row.Turn: // of what a restored database has forgotten
			return fault.E(fault.NotFound, "refresh a login", fmt.Errorf("turn %d of login %s was never given", use.Turn, row.ID))
		case use.Turn == 0 || use.Turn == row.Turn:
			row.Turn, row.Turned = row.Turn+1, now
		case use.Turn != row.Turn-1 || now.Sub(row.Turned) > use.Grace:
			got = account.Refreshed{Ended: account.EndedReuse}
			return reused(ctx, tx, row, use, now)
		}
		row.Used, row.Address, row.UserAgent = now, use.Address, use.UserAgent
		if row.Expires = now.Add(use.Life); row.Expires.After(row.Begun.Add(use.Longest)) {
			row.Expires = row.Begun.Add(use.Longest)
		}
		got = account.Refreshed{Turn: row.Turn, Expires: row.Expires}
		_, err := tx.NewUpdate().Model(&row).Column("turn", "turned_at", "used_at", "address", "user_agent", "expires").WherePK().Exec(ctx)
		return err
	})
	if err == nil && got.Ended == account.EndedReuse {
		d.logins.revoked(loginKey(use.Tenant, use.Login)) // here at once; elsewhere by the news
	}
	return got, err
}

// reused ends a login of which somebody has a copy.
func reused(ctx context.Context, tx bun.Tx, row loginRow, use account.Refresh, now time.Time) error {
	if err := endLogin(ctx, tx, ending{row.Tenant, row.ID, account.EndedReuse, outlives(row.Expires, now)}); err != nil {
		return err
	}
	detail, err := json.Marshal(map[string]any{"login": row.ID, "used_up": use.Turn, "good": row.Turn, "user_agent": use.UserAgent,
		"address_of_login": row.Address, "user_agent_of_login": row.UserAgent})
	if err != nil {
		return err
	}
	return appendAudit(ctx, tx, record.AuditEntry{Tenant: row.Tenant, User: row.User, Action: "login.refresh", Object: "user:" + string(row.User),
		Detail: detail, Source: use.Address, Result: "refresh_token_reused"})
}

// outlives is when the last token of a login has ended by itself. What another process
// gives out at this moment is counted in.
func outlives(expires, now time.Time) time.Time { return later(expires, now).Add(time.Hour) }

// ending is the end of a login; until is when its tokens have ended by themselves.
type ending struct {
	tenant id.Tenant
	login  string
	why    account.Ended
	until  time.Time
}

func endLogin(ctx context.Context, tx bun.Tx, e ending) error {
	_, err := tx.ExecContext(ctx, `SELECT holdfast_end_login(?, ?, ?, ?)`, e.tenant, e.login, e.why, e.until)
	return err
}

// Revoke gives a login up: whoever asks from now on, in whichever process, is told so,
// until expires, when its tokens have ended by themselves. It may be repeated.
func (d *DB) Revoke(ctx context.Context, t id.Tenant, login string, expires time.Time) error {
	err := d.inTenant(ctx, "revoke a login", t, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM revocations WHERE tenant_id = ? AND expires < ?`, t, d.now()); err != nil {
			return err
		}
		// The news goes with the commit, so that no process can miss it while it listens. (A
		// NOTIFY within a transaction makes commits queue up; people log out rarely.)
		return endLogin(ctx, tx, ending{t, login, account.EndedLogout, expires})
	})
	if err == nil {
		d.logins.revoked(loginKey(t, login))
	}
	return err
}

// mostLogins is how many logins of a user are listed: the newest.
const mostLogins = 200

// Logins lists the logins of a user that are not over, the last used first. With needs in
// by, fault.NotFound: there is no such user within the author's reach.
func (d *DB) Logins(ctx context.Context, by directory.Author, of id.User) (list []account.Login, err error) {
	err = d.inTenant(ctx, "list logins", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := reachUser(ctx, tx, by, of); err != nil {
			return err
		}
		var rows []loginRow
		err := tx.NewSelect().Model(&rows).Where("tenant_id = ?", by.Tenant).Where("user_name = ?", of).
			Where("ended_at IS NULL").Where("expires > ?", d.now()).OrderExpr("used_at DESC, login").Limit(mostLogins).Scan(ctx)
		for _, r := range rows {
			list = append(list, r.login())
		}
		return err
	})
	return list, err
}

// reachUser refuses a user outside of what the author needs to reach; without needs it
// is the author itself.
func reachUser(ctx context.Context, tx bun.Tx, by directory.Author, of id.User) error {
	if len(by.Needs) == 0 {
		return nil
	}
	_, err := read(ctx, tx, by, directory.Ref{Kind: directory.User, Name: string(of)}, "")
	return err
}

// EndLogins ends logins of a user, in all processes, and tells the audit trail: the one
// named, or if none is, all but the one to keep. fault.NotFound: there is no such login,
// or no such user within reach; fault.Forbidden: the user may more than the author.
func (d *DB) EndLogins(ctx context.Context, by directory.Author, of id.User, login, keep string) error {
	var ended []string
	err := d.inTenant(ctx, "end logins", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if err := reachUser(ctx, tx, by, of); err != nil {
			return err
		}
		why := account.EndedRevoked
		if len(by.Needs) > 0 {
			why = account.EndedByOther
			if err := mayEnd(ctx, tx, by, of); err != nil {
				return err
			}
		}
		var rows []loginRow
		s := tx.NewSelect().Model(&rows).Where("tenant_id = ?", by.Tenant).Where("user_name = ?", of).Where("ended_at IS NULL").
			Where("expires > ?", d.now()).Where("login <> ?", keep).OrderExpr("login").For("UPDATE")
		if login != "" {
			s = s.Where("login = ?", login)
		}
		if err := s.Scan(ctx); err != nil {
			return err
		}
		if login != "" && len(rows) == 0 {
			return &fault.Error{Kind: fault.NotFound, Code: "no_such_login", Sentence: "There is no such login; it may be over already."}
		}
		for _, r := range rows {
			if err := endLogin(ctx, tx, ending{r.Tenant, r.ID, why, outlives(r.Expires, d.now())}); err != nil {
				return err
			}
			ended = append(ended, r.ID)
		}
		detail, err := json.Marshal(map[string]any{"logins": ended})
		if err != nil {
			return err
		}
		return appendAudit(ctx, tx, record.AuditEntry{Tenant: by.Tenant, User: by.Name, Home: by.Home, Action: "login.end", Object: "user:" + string(of),
			Detail: detail, Source: by.Source, Result: "ok"})
	})
	if err != nil {
		return err
	}
	for _, l := range ended {
		d.logins.revoked(loginKey(by.Tenant, l))
	}
	return nil
}

// mayEnd refuses to sign somebody out who may more than the author, as mayTouch does for
// disabling.
func mayEnd(ctx context.Context, tx bun.Tx, by directory.Author, of id.User) error {
	if of == by.Name && by.Home == "" {
		return nil
	}
	own, err := tenantRoles(ctx, tx, by.Tenant)
	if err != nil {
		return err
	}
	var rows []struct {
		Roles []account.Role `bun:"roles,array"`
	}
	if err := tx.NewRaw(`SELECT roles FROM users WHERE tenant_id = ? AND name = ?`, by.Tenant, of).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		if more := account.Ungrantable(by.Permissions, own.Permissions(r.Roles)); len(more) > 0 {
			return &fault.Error{Kind: fault.Forbidden, Code: "more_powerful",
				Sentence: fmt.Sprintf("User %s may what you may not (%s): only somebody who may it too can do this.", of, some(more))}
		}
	}
	return nil
}
