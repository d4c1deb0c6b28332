package db

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/seal"
	"holdfast/domain/webhook"
)

// sealing goes through the sealed secrets of a tenant.
type sealing struct {
	keys   seal.Keys
	tenant id.Tenant
	done   record.Resealed
}

// Reseal seals the secrets of a tenant anew with the first of keys, those that another key
// sealed or none, in one transaction with a line of the audit trail; looking only counts
// them. Repeated it does nothing more. What no key opens stays as it is and is named.
func (d *DB) Reseal(ctx context.Context, t id.Tenant, keys seal.Keys, looking bool) (record.Resealed, error) {
	s := &sealing{keys: keys, tenant: t}
	err := d.inTenant(ctx, "seal secrets anew", t, func(ctx context.Context, tx bun.Tx) error {
		s.done = record.Resealed{}
		// It is no change that people see, nor a rotation (migration 0019).
		if _, err := tx.ExecContext(ctx, `SELECT set_config('holdfast.resealing', 'on', true)`); err != nil {
			return err
		}
		for _, part := range []func(context.Context, bun.Tx, bool) error{s.webhooks, s.provider, s.removed} {
			if err := part(ctx, tx, looking); err != nil {
				return err
			}
		}
		if looking || s.done.Old == 0 {
			return nil
		}
		detail, _ := json.Marshal(map[string]int{"secrets": s.done.Secrets, "sealed": s.done.Old}) // numbers always marshal
		return appendAudit(ctx, tx, record.AuditEntry{Tenant: t, User: system, Action: "secrets.reseal", Object: "tenant:" + string(t), Detail: detail, Source: "reseal", Result: "ok"})
	})
	return s.done, err
}

// again is what a secret is to be kept as; name says whose it is.
func (s *sealing) again(name, kept string, by func() (string, bool, error)) string {
	if kept == "" {
		return kept
	}
	s.done.Secrets++
	now, changed, err := by()
	switch {
	case err != nil:
		s.done.Lost = append(s.done.Lost, name)
		return kept
	case changed:
		s.done.Old++
		return now
	}
	return kept
}

// hookSecrets are what is sealed of a webhook.
type hookSecrets struct {
	Name    string            `bun:"name" json:"name"`
	Secret  string            `bun:"secret" json:"secret"`
	Former  string            `bun:"former_secret" json:"former_secret"`
	Headers map[string]string `bun:"headers,type:jsonb" json:"headers"`
}

// renew seals the secrets of a webhook anew, and reports whether any was.
func (s *sealing) renew(h *hookSecrets) bool {
	before, of := s.done.Old, webhook.Ref{Tenant: s.tenant, Name: h.Name}
	one := func(what, header, kept string) string {
		return s.again("webhook "+h.Name+", "+what, kept, func() (string, bool, error) { return webhook.SealAgain(s.keys, of, header, kept) })
	}
	h.Secret, h.Former = one("secret", "", h.Secret), one("former secret", "", h.Former)
	for name, kept := range h.Headers {
		h.Headers[name] = one("header "+name, name, kept)
	}
	return s.done.Old > before
}

func (s *sealing) webhooks(ctx context.Context, tx bun.Tx, looking bool) error {
	var rows []hookSecrets
	if err := tx.NewRaw(`SELECT name, secret, former_secret, headers FROM webhooks WHERE tenant_id = ? ORDER BY name FOR UPDATE`, s.tenant).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, h := range rows {
		if !s.renew(&h) || looking {
			continue
		}
		headers, err := json.Marshal(h.Headers)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE webhooks SET secret = ?, former_secret = ?, headers = coalesce(nullif(?::jsonb, 'null'), '{}') WHERE tenant_id = ? AND name = ?`,
			h.Secret, h.Former, string(headers), s.tenant, h.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealing) provider(ctx context.Context, tx bun.Tx, looking bool) error {
	var rows []struct {
		Issuer string `bun:"issuer"`
		Secret string `bun:"client_secret"`
	}
	if err := tx.NewRaw(`SELECT issuer, client_secret FROM oidc WHERE tenant_id = ? FOR UPDATE`, s.tenant).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		now := s.again("client secret of "+r.Issuer, r.Secret, func() (string, bool, error) {
			return s.keys.Again(r.Secret, account.ClientSecretUse(s.tenant, r.Issuer))
		})
		if now == r.Secret || looking {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE oidc SET client_secret = ? WHERE tenant_id = ?`, now, s.tenant); err != nil {
			return err
		}
	}
	return nil
}

// removed goes through webhooks that were deleted and can be restored.
func (s *sealing) removed(ctx context.Context, tx bun.Tx, looking bool) error {
	var rows []struct {
		Name  string          `bun:"name"`
		Parts json.RawMessage `bun:"parts"`
	}
	if err := tx.NewRaw(`SELECT name, parts FROM removed WHERE tenant_id = ? AND kind = 'webhook' ORDER BY name FOR UPDATE`, s.tenant).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		var parts []keptPart
		if err := json.Unmarshal(r.Parts, &parts); err != nil {
			return err
		}
		before := s.done.Old
		for i, p := range parts {
			if p.Table != "webhooks" {
				continue
			}
			var err error
			if parts[i].Row, err = s.row(p.Row); err != nil {
				return err
			}
		}
		if s.done.Old == before || looking {
			continue
		}
		kept, err := json.Marshal(parts)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE removed SET parts = ? WHERE tenant_id = ? AND kind = 'webhook' AND name = ?`, string(kept), s.tenant, r.Name); err != nil {
			return err
		}
	}
	return nil
}

// row is the row of a deleted webhook with its secrets sealed anew.
func (s *sealing) row(row json.RawMessage) (json.RawMessage, error) {
	var h hookSecrets
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(row, &h); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(row, &fields); err != nil {
		return nil, err
	}
	if !s.renew(&h) {
		return row, nil
	}
	for name, v := range map[string]any{"secret": h.Secret, "former_secret": h.Former, "headers": h.Headers} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		fields[name] = data
	}
	return json.Marshal(fields)
}

// Sealed goes through all tenants by Reseal, each in a transaction of its own, so that it
// can be ended and begun again at any time. told hears of each tenant that has secrets.
func (d *DB) Sealed(ctx context.Context, keys seal.Keys, looking bool, told func(id.Tenant, record.Resealed)) (all record.Resealed, err error) {
	tenants, err := d.Tenants(ctx)
	if err != nil {
		return all, err
	}
	for _, t := range tenants {
		one, err := d.Reseal(ctx, t, keys, looking)
		if err != nil {
			return all, err
		}
		all.Secrets, all.Old = all.Secrets+one.Secrets, all.Old+one.Old
		for _, name := range one.Lost {
			all.Lost = append(all.Lost, string(t)+": "+name)
		}
		if one.Secrets > 0 {
			told(t, one)
		}
	}
	slices.Sort(all.Lost)
	return all, nil
}
