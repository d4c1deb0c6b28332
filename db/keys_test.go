package db_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

// A key can be lent what its author holds, no more, and nothing that only a person can do.
func TestKeys_LendWhatTheAuthorHolds(t *testing.T) {
	t.Parallel()
	w, _ := loginWorld(t)
	hash := bytes.Repeat([]byte{0xab}, 32)
	set := func(permissions ...string) map[string]any {
		return map[string]any{"maker": "ada", "prefix": "hf_abc", "secret_hash": `\x` + "abababababababababababababababababababababababababababababababab", "permissions": permissions}
	}
	try := func(by directory.Author, permissions ...string) error {
		_, err := w.Create(t.Context(), by, directory.Change{Kind: directory.Key, Name: "crm", Set: set(permissions...), Secrets: []string{"secret_hash"}})
		return err
	}
	requireRefused(t, try(w.ada(), "users:read:system"), fault.Forbidden, "grant")
	for _, p := range []string{"session:use:own", "keys:write:tenant", "tenants:switch:tenant", "users:read", "x"} {
		requireRefused(t, try(w.ada(), p), fault.Invalid, "invalid")
	}
	byKey, visitor := w.ada(), w.ada()
	byKey.Key, visitor.Home = "other", "else.example"
	requireRefused(t, try(byKey, "users:read:tenant"), fault.Forbidden, "keys_by_users")
	requireRefused(t, try(visitor, "users:read:tenant"), fault.Forbidden, "keys_by_users")
	require.NoError(t, try(w.ada(), "users:read:tenant", "trunks:set_password:tenant"))
	requireRefused(t, try(w.ada(), "users:read:tenant"), fault.Conflict, "name_taken")

	k, err := w.Key(t.Context(), hash)
	require.NoError(t, err)
	require.Equal(t, account.Key{Tenant: acme, Name: "crm", Maker: "ada", Permissions: []account.Permission{"users:read:tenant", "trunks:set_password:tenant"}, Addresses: []string{}}, k)
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	ida := w.author(nil, account.BusinessAdmin) // holds no trunks:set_password
	_, err = w.Update(t.Context(), ida, directory.Change{Kind: directory.Key, Name: "crm", Set: map[string]any{"addresses": []string{}}})
	requireRefused(t, err, fault.Forbidden, "grant")
	thing, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Key, Name: "crm", Set: map[string]any{"expires_at": ends, "addresses": []string{"192.0.2.0/24"}}})
	require.NoError(t, err)
	require.NotContains(t, string(thing.Body), "abab")
	k, err = w.Key(t.Context(), hash)
	require.NoError(t, err)
	require.True(t, ends.Equal(k.Expires))
	require.Equal(t, []string{"192.0.2.0/24"}, k.Addresses)
	require.NoError(t, w.UsedKey(t.Context(), acme, "crm", "192.0.2.9"))
	used, err := w.Thing(t.Context(), w.ada(), directory.Key, "crm")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.9", fieldsOf(t, used)["last_address"])
	require.Equal(t, thing.Version, used.Version, "its use is no change")

	require.NoError(t, w.Delete(t.Context(), ida, directory.Change{Kind: directory.Key, Name: "crm"}), "to take a key away takes no power")
	_, err = w.Key(t.Context(), hash)
	requireNotFound(t, err)
	require.NoError(t, w.UsedKey(t.Context(), acme, "crm", "192.0.2.9"), "one that is gone meanwhile is no failure")
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Key, Name: "crm"})
	requireNotFound(t, err)
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Object: "key:crm"})
	require.NoError(t, err)
	require.Len(t, lines, 3)
	for _, l := range lines {
		require.NotContains(t, string(l.Before)+string(l.After)+string(l.Detail), "abab", "the trail knows no secrets")
	}
}

// With its maker goes the key: somebody else of the same name must not wake it up.
func TestKeys_GoWithTheirMaker(t *testing.T) {
	t.Parallel()
	w, _ := loginWorld(t)
	w.signIns()
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"}))
	_, err := w.Key(t.Context(), bytes.Repeat([]byte{0xab}, 32))
	requireNotFound(t, err)
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
	require.NoError(t, err)
	_, err = w.Key(t.Context(), bytes.Repeat([]byte{0xab}, 32))
	requireNotFound(t, err)
}
