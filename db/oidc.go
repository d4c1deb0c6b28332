package db

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

var oidcKind = kind{
	table: "oidc", key: "name", final: true,
	body: `jsonb_build_object('issuer', x.issuer, 'client_id', x.client_id, 'client_secret_set', x.client_secret <> '', 'scopes', x.scopes,
	  'claim', x.claim, 'create_users', x.new_users, 'role', x.role, 'passwords', x.passwords)`,
	columns: []string{"issuer", "client_id", "client_secret", "scopes", "claim", "new_users", "role", "passwords", "vouched"},
	search:  []string{"x.issuer"},
}

// completeOIDC notes what the author may: the provider lets in nobody who may more. While
// it stays the same provider, what those might who set it before counts as well, so that
// two administrators of whom neither may all can set it together.
func completeOIDC(ctx context.Context, tx bun.Tx, c *changing) error {
	var was []struct {
		Issuer   string               `bun:"issuer"`
		ClientID string               `bun:"client_id"`
		Claim    string               `bun:"claim"`
		Vouched  []account.Permission `bun:"vouched,array"`
	}
	if err := tx.NewRaw(`SELECT issuer, client_id, claim, vouched FROM oidc WHERE tenant_id = ?`, c.by.Tenant).Scan(ctx, &was); err != nil {
		return err
	}
	vouched := slices.Clone(c.by.Permissions)
	for _, w := range was {
		other := false
		for field, before := range map[string]string{"issuer": w.Issuer, "client_id": w.ClientID, "claim": w.Claim} {
			now, given := part[string](c, field)
			other = other || given && now != before
		}
		if !other {
			vouched = append(vouched, account.Added(vouched, w.Vouched)...)
		}
	}
	c.Set["vouched"] = vouched
	return nil
}

// oidcRules refuses a role for new users that its author could not give them.
func oidcRules(ctx context.Context, tx bun.Tx, c *changing) error {
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err
	}
	var is struct {
		NewUsers bool         `json:"create_users"`
		Role     account.Role `json:"role"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	if is.NewUsers && is.Role == "" {
		return wrongField("role", "is needed for users who are created")
	}
	own, err := tenantRoles(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	if is.Role != "" && !own.Knows(is.Role) {
		return wrongField("role", "there is no role %q", is.Role)
	}
	if is.Role == "" {
		return nil
	}
	return c.mayGive(own.Permissions([]account.Role{is.Role}))
}

// Provider reads how a tenant's users sign in by OpenID Connect; fault.NotFound: they
// don't, or there is no such tenant.
func (d *DB) Provider(ctx context.Context, t id.Tenant) (account.Provider, error) {
	if t == "" {
		return account.Provider{}, fault.E(fault.NotFound, "read the sign-in of a tenant", errNoTenant)
	}
	var row struct {
		Issuer   string       `bun:"issuer"`
		ClientID string       `bun:"client_id"`
		Secret   string       `bun:"client_secret"`
		Scopes   []string     `bun:"scopes,array"`
		Claim    string       `bun:"claim"`
		NewUsers bool         `bun:"new_users"`
		Role     account.Role `bun:"role"`
		Password bool         `bun:"passwords"`

		Vouched []account.Permission `bun:"vouched,array"`
	}
	err := d.inTenant(ctx, "read the sign-in of a tenant", t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT issuer, client_id, client_secret, scopes, claim, new_users, role, passwords, vouched FROM oidc WHERE tenant_id = ?`, t).Scan(ctx, &row)
	})
	return account.Provider{Tenant: t, Issuer: row.Issuer, ClientID: row.ClientID, Secret: row.Secret, Scopes: row.Scopes, Claim: row.Claim,
		NewUsers: row.NewUsers, Role: row.Role, Password: row.Password, Vouched: row.Vouched}, err
}

// Linked is the user that a subject of a provider is; fault.NotFound: it never signed in.
func (d *DB) Linked(ctx context.Context, s account.Subject) (user id.User, err error) {
	err = d.inTenant(ctx, "find a subject", s.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT user_name FROM oidc_links WHERE tenant_id = ? AND issuer = ? AND subject = ?`, s.Tenant, s.Issuer, s.Name).Scan(ctx, &user)
	})
	return user, err
}

// Link binds a subject of a provider to a user, once and for all: the answer is the user
// that it is. fault.Conflict: the user is another subject's.
func (d *DB) Link(ctx context.Context, s account.Subject, to id.User) (user id.User, err error) {
	err = d.inTenant(ctx, "link a subject", s.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO oidc_links (tenant_id, issuer, subject, user_name) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			s.Tenant, s.Issuer, s.Name, to); err != nil {
			return err
		}
		var found []id.User
		if err := tx.NewRaw(`SELECT user_name FROM oidc_links WHERE tenant_id = ? AND issuer = ? AND subject = ?`, s.Tenant, s.Issuer, s.Name).Scan(ctx, &found); err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.E(fault.Conflict, "link a subject", fmt.Errorf("user %s is another subject of %s", to, s.Issuer))
		}
		user = found[0]
		return nil
	})
	return user, err
}

// Once notes what may be used once only, until it expires by itself: first reports
// whether this was the first use of all processes.
func (d *DB) Once(ctx context.Context, t id.Tenant, what string, expires time.Time) (first bool, err error) {
	err = d.inTenant(ctx, "use something once", t, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM revocations WHERE tenant_id = ? AND expires < ?`, t, d.now()); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO revocations (tenant_id, login, expires) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, t, what, expires)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		first = n == 1
		return err
	})
	return first, err
}
