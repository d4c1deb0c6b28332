package db_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/seal"
	"holdfast/domain/webhook"
)

// A key is rotated as docs/operating.md says: with both keys everything opens; sealed anew
// the old one is needed for nothing; nothing else of the things changes. Deleted webhooks
// that can be restored, former secrets, and what was kept in clear are among it.
func TestReseal_AKeyIsRotated_TheOldOneIsNeededForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var private []ed25519.PrivateKey
	for range 2 {
		_, k, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		private = append(private, k)
	}
	keysOf := func(list ...ed25519.PrivateKey) seal.Keys {
		keys, err := seal.New(list)
		require.NoError(t, err)
		return keys
	}
	old, both, alone := keysOf(private[0]), keysOf(private[1], private[0]), keysOf(private[1])
	for _, name := range []string{"crm", "gone"} {
		of := webhook.Ref{Tenant: acme, Name: name}
		w.hook(name, map[string]any{"secret": webhook.Seal(old, of, "whsec_first"), "headers": webhook.SealHeaders(old, of, map[string]string{"Authorization": "Bearer x"})})
	}
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "crm", Set: map[string]any{"secret": webhook.Seal(old, crm, "whsec_second"), "overlap_ms": 3_600_000}})
	require.NoError(t, err)
	w.hook("clear", map[string]any{"secret": "whsec_clear"})
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "gone"}))
	w.exec(`INSERT INTO oidc (tenant_id, issuer, client_id, client_secret) VALUES ('acme.example', 'https://id.example', 'x', $1)`,
		old.Close("hunter2", account.ClientSecretUse(acme, "https://id.example")))
	before := w.shownHooks()

	look := func(keys seal.Keys) record.Resealed {
		all, err := w.Sealed(t.Context(), keys, true, func(id.Tenant, record.Resealed) {})
		require.NoError(t, err)
		return all
	}
	require.Equal(t, record.Resealed{Secrets: 7, Old: 7}, look(both))
	require.Len(t, look(alone).Lost, 6, "all but the one in clear")
	first, err := w.Reseal(t.Context(), acme, both, false)
	require.NoError(t, err)
	require.Equal(t, record.Resealed{Secrets: 7, Old: 7}, first)
	again, err := w.Reseal(t.Context(), acme, both, false)
	require.NoError(t, err)
	require.Equal(t, record.Resealed{Secrets: 7}, again, "repeated it does nothing more")
	require.Equal(t, record.Resealed{Secrets: 7}, look(alone))
	require.Equal(t, before, w.shownHooks(), "no version, no rotation")
	var lines int
	w.one(&lines, `SELECT count(*) FROM audit WHERE action = 'secrets.reseal'`)
	require.Equal(t, 1, lines)

	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: "gone"})
	require.NoError(t, err)
	for name, secrets := range map[string][]string{"crm": {"whsec_second", "whsec_first"}, "gone": {"whsec_first"}, "clear": {"whsec_clear"}} {
		of := webhook.Ref{Tenant: acme, Name: name}
		work, err := w.TakeWork(t.Context(), of, 1)
		require.NoError(t, err)
		to, err := work.Target.Unsealed(alone, of)
		require.NoError(t, err, name)
		require.Equal(t, secrets, to.Secrets, name)
		if name != "clear" {
			require.Equal(t, "Bearer x", to.Headers["Authorization"], name)
		}
	}
	p, err := w.Provider(t.Context(), acme)
	require.NoError(t, err)
	secret, err := alone.Open(p.Secret, account.ClientSecretUse(acme, "https://id.example"))
	require.NoError(t, err)
	require.Equal(t, "hunter2", secret)
}

// What no key opens is named, and left as it is; the rest is sealed anew all the same.
func TestReseal_WhatNoKeyOpens_IsNamedAndStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, lost, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	_, here, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	gone, err := seal.New([]ed25519.PrivateKey{lost})
	require.NoError(t, err)
	keys, err := seal.New([]ed25519.PrivateKey{here})
	require.NoError(t, err)
	w.hook("crm", map[string]any{"secret": webhook.Seal(gone, crm, "whsec_x"), "headers": map[string]string{"X": "in clear"}})
	all, err := w.Sealed(t.Context(), keys, false, func(id.Tenant, record.Resealed) {})
	require.NoError(t, err)
	require.Equal(t, record.Resealed{Secrets: 2, Old: 1, Lost: []string{"acme.example: webhook crm, secret"}}, all)
	_, err = w.Reseal(t.Context(), acme, nil, true)
	require.NoError(t, err, "without a key nothing opens, and nothing breaks")
}

// shownHooks is what is to be seen of webhooks.
func (w *world) shownHooks() (shown string) {
	w.Helper()
	w.one(&shown, `SELECT string_agg(concat_ws(' ', name, version, updated_at, former_until), '; ' ORDER BY name) FROM webhooks`)
	return shown
}
