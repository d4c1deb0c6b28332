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
)

var keyKind = kind{
	table: "api_keys", key: "name", final: true,
	body: `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'made_by', x.maker, 'prefix', x.prefix, 'permissions', x.permissions,
	  'addresses', x.addresses, 'expires_at', x.expires_at)
	  || coalesce((SELECT jsonb_build_object('last_used_at', u.used_at, 'last_address', u.address) FROM api_key_uses u WHERE u.tenant_id = x.tenant_id AND u.name = x.name), '{}')`,
	columns: []string{"display_name", "maker", "prefix", "secret_hash", "permissions", "addresses", "expires_at"},
	search:  []string{"x.name", "x.display_name", "x.prefix"},
	filters: map[string]string{"made_by": `x.maker = ?`},
	sorts:   map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at"},
}

// keyRules refuses a key that may more than who makes or changes it. Whoever changes
// one must hold all that it is given: else they could lend themselves another's power.
func keyRules(ctx context.Context, tx bun.Tx, c *changing) error {
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err // to take a key away is no power
	}
	if c.by.Key != "" || c.by.Home != "" {
		return &fault.Error{Kind: fault.Forbidden, Code: "keys_by_users", Sentence: "API keys are made and changed by the tenant's own users only."}
	}
	var is struct {
		Permissions []account.Permission `json:"permissions"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	for i, p := range is.Permissions {
		if !account.Lendable(p) {
			return wrongField(fmt.Sprintf("permissions[%d]", i), "%q is no permission that an API key can have; see GET /v1/permissions, and take a scope from team on", p)
		}
	}
	return c.mayGive(is.Permissions)
}

// Key finds an API key by its hash (SHA-256). It takes nothing from memory: a key that was
// deleted is not found from that moment on. fault.NotFound: there is none.
func (d *DB) Key(ctx context.Context, hash []byte) (account.Key, error) {
	var row struct {
		Tenant      id.Tenant            `bun:"tenant_id"`
		Name        string               `bun:"name"`
		Maker       id.User              `bun:"maker"`
		Permissions []account.Permission `bun:"permissions,array"`
		Addresses   []string             `bun:"addresses,array"`
		Expires     time.Time            `bun:"expires_at"`
	}
	err := d.asSystem(ctx, "find an API key", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT tenant_id, name, maker, permissions, addresses, expires_at FROM api_keys WHERE secret_hash = ?`, hash).Scan(ctx, &row)
	})
	return account.Key{Tenant: row.Tenant, Name: row.Name, Maker: row.Maker, Permissions: row.Permissions, Addresses: row.Addresses, Expires: row.Expires}, err
}

// UsedKey notes that a key is in use, and from where.
func (d *DB) UsedKey(ctx context.Context, t id.Tenant, name, address string) error {
	return d.inTenant(ctx, "note the use of an API key", t, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, `
INSERT INTO api_key_uses (tenant_id, name, used_at, address) SELECT tenant_id, name, ?, ? FROM api_keys WHERE tenant_id = ? AND name = ?
ON CONFLICT (tenant_id, name) DO UPDATE SET used_at = excluded.used_at, address = excluded.address`, d.now(), address, t, name)
		return err
	})
}

// SetOIDC is Update of the tenant's OpenID Connect provider, or Create if there is none.
func (d *DB) SetOIDC(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
	t, err := d.Update(ctx, by, c)
	if fault.KindOf(err) == fault.NotFound && c.Version == 0 {
		return d.Create(ctx, by, c)
	}
	return t, err
}
