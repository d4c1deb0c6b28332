package db

import (
	"context"
	"sync"

	"github.com/uptrace/bun"

	"holdfast/domain/id"
)

// channelRevoked tells that a login was given up; the payload is its loginKey.
const channelRevoked = "holdfast_revoked"

// keptLogins bounds the logins kept in memory; beyond it all are looked up anew.
const keptLogins = 50_000

// loginKey names a login among those of all tenants.
func loginKey(t id.Tenant, login string) string { return string(t) + "/" + login }

// loginCache keeps which logins were given up and which not, as far as they were asked
// for. It is true as long as the listener is connected and hears of revocations.
type loginCache struct {
	mu      sync.Mutex
	trusted bool
	epoch   int // counts what makes an answer that was under way worthless
	known   map[string]bool
}

func (c *loginCache) trust()    { c.reset(true) }
func (c *loginCache) distrust() { c.reset(false) }

func (c *loginCache) reset(trusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted, c.known = trusted, nil
	c.epoch++
}

// revoked notes a login that was given up.
func (c *loginCache) revoked(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	if _, asked := c.known[key]; asked {
		c.known[key] = true
	}
}

func (c *loginCache) get(key string) (revoked bool, epoch int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	revoked, ok = c.known[key]
	return revoked, c.epoch, ok && c.trusted
}

func (c *loginCache) put(key string, revoked bool, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch || !c.trusted {
		return
	}
	if c.known == nil || len(c.known) >= keptLogins {
		c.known = map[string]bool{}
	}
	c.known[key] = revoked
}

// Revoked reports whether a login was given up. What was looked up once is kept while
// the listener hears of revocations; else each time is looked up anew.
func (d *DB) Revoked(ctx context.Context, t id.Tenant, login string) (bool, error) {
	d.startListening()
	revoked, epoch, ok := d.logins.get(loginKey(t, login))
	if ok {
		return revoked, nil
	}
	revoked, err := d.RevokedNow(ctx, t, login)
	if err != nil {
		return false, err
	}
	d.logins.put(loginKey(t, login), revoked, epoch)
	return revoked, nil
}

// RevokedNow is Revoked without what is kept in memory, which may be behind by the
// moment that the news of a revocation takes.
func (d *DB) RevokedNow(ctx context.Context, t id.Tenant, login string) (revoked bool, err error) {
	err = d.inTenant(ctx, "look up a login", t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT EXISTS (SELECT FROM revocations WHERE tenant_id = ? AND login = ?)`, t, login).Scan(ctx, &revoked)
	})
	return revoked, err
}
