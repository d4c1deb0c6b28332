package httpapi

import (
	"context"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Vault keeps what all API processes must know together, over their restarts; *db.DB
// satisfies it.
type Vault interface {
	// Revoked reports whether a login was given up. It is cheap, and may be behind by
	// the moment that the news takes.
	Revoked(ctx context.Context, t id.Tenant, login string) (bool, error)
	// Tallies reads tallies by name; what is not there was never counted.
	Tallies(ctx context.Context, names ...string) (map[string]account.Tally, error)
	// Tally changes tallies in one transaction: change gets what is known of all names
	// and returns those to be written. They are forgotten at expires.
	Tally(ctx context.Context, names []string, change func(known map[string]account.Tally) map[string]account.Tally, expires time.Time) error
	// Answer fills in what was answered under a key; fault.NotFound: nothing.
	Answer(ctx context.Context, a record.Answer) (record.Answer, error)
	// KeepAnswer keeps what was answered under a key until it expires; the first stays.
	KeepAnswer(ctx context.Context, a record.Answer) error
}

// Logins keeps the logins of users, and their passwords; *db.DB satisfies it.
type Logins interface {
	// BeginLogin keeps a new login, whose first refresh token has the number 1.
	BeginLogin(ctx context.Context, l account.Login) error
	// Refresh uses a refresh token up; fault.NotFound: there is no such login.
	Refresh(ctx context.Context, use account.Refresh) (account.Refreshed, error)
	// Revoke gives a login up until expires, when its tokens end by themselves.
	Revoke(ctx context.Context, t id.Tenant, login string, expires time.Time) error
	// Logins lists the logins of a user within reach: the author's own, if it needs nothing.
	Logins(ctx context.Context, by directory.Author, of id.User) ([]account.Login, error)
	// EndLogins ends the login named, or all but the one to keep.
	EndLogins(ctx context.Context, by directory.Author, of id.User, login, keep string) error
	// Passwords is what the tenant asks of passwords, and what is known of a user's;
	// fault.NotFound: there is no such tenant.
	Passwords(ctx context.Context, t id.Tenant, of id.User) (account.Passwords, error)
	// SetPassword replaces the author's own password by another: was and is are hashes.
	// All its logins end. fault.Conflict: it is not that one any more.
	SetPassword(ctx context.Context, by directory.Author, was, is string) error
	// RenewPassword replaces the hash of a password by another one of the same password.
	RenewPassword(ctx context.Context, by directory.Author, was, is string) error
}
