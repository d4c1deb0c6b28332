package db

import (
	"context"
	"net/netip"

	"github.com/uptrace/bun"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

// Trunks lists the trunks of all tenants, to recognise them by address.
func (d *DB) Trunks(ctx context.Context) ([]device.Trunk, error) {
	var trunks []device.Trunk
	err := d.asSystem(ctx, "list trunks", func(ctx context.Context, tx bun.Tx) error {
		var rows []struct {
			TenantID  id.Tenant `bun:"tenant_id"`
			Name      string    `bun:"name"`
			Host      string    `bun:"host"`
			Transport string    `bun:"transport"`
			UserName  string    `bun:"user_name"`
			Realm     string    `bun:"realm"`
			MD5       string    `bun:"carrier_md5"`
			SHA256    string    `bun:"carrier_sha256"`
			CallLimit int       `bun:"call_limit"`
			CallerID  string    `bun:"caller_id"`
			Identity  string    `bun:"identity"`
			Addresses []string  `bun:"addresses,array"`
		}
		err := tx.NewRaw(`
SELECT tenant_id, name, host, transport, user_name, realm, carrier_md5, carrier_sha256, call_limit, caller_id, identity,
       ARRAY (SELECT address::text FROM trunk_addresses a WHERE a.tenant_id = t.tenant_id AND a.trunk = t.name ORDER BY address) AS addresses
  FROM trunks t ORDER BY tenant_id, name`).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		for _, r := range rows {
			addresses, err := prefixesOf(r.Addresses)
			if err != nil {
				return err
			}
			trunks = append(trunks, device.Trunk{Tenant: r.TenantID, Name: r.Name, Addresses: addresses,
				Host: r.Host, Transport: r.Transport, User: r.UserName, Realm: r.Realm, MD5: r.MD5, SHA256: r.SHA256, Limit: r.CallLimit, CallerID: r.CallerID, Identity: r.Identity})
		}
		return nil
	})
	return trunks, err
}

func prefixesOf(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(texts))
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}
