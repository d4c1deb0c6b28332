package httpapi

import (
	"context"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Vault keeps what all API processes must know together, over their restarts; *db.DB
// satisfies it.
type Vault interface {
	// Revoke gives a login up until expires, when its tokens end by themselves.
	Revoke(ctx context.Context, t id.Tenant, login string, expires time.Time) error
	// Revoked reports whether a login was given up. It is cheap, and may be behind by
	// the moment that the news takes; RevokedNow is neither.
	Revoked(ctx context.Context, t id.Tenant, login string) (bool, error)
	RevokedNow(ctx context.Context, t id.Tenant, login string) (bool, error)
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
