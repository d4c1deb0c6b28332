package db_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// The provider of a tenant is one; its role for new users is one that its author can give;
// its secret is never shown.
func TestOIDC_SettingsAreRuledAndSecretsStay(t *testing.T) {
	t.Parallel()
	w, _ := loginWorld(t)
	set := func(by directory.Author, fields map[string]any) error {
		_, err := w.SetOIDC(t.Context(), by, directory.Change{Kind: directory.OIDC, Name: "oidc", Set: fields, Secrets: []string{"client_secret"}})
		return err
	}
	_, err := w.Provider(t.Context(), acme)
	requireNotFound(t, err)
	base := map[string]any{"issuer": "https://id.example", "client_id": "x", "client_secret": "sealed-secret"}
	require.NoError(t, set(w.ada(), base))
	requireRefused(t, set(w.ada(), map[string]any{"new_users": true}), fault.Invalid, "invalid")
	requireRefused(t, set(w.ada(), map[string]any{"role": "none"}), fault.Invalid, "invalid")
	requireRefused(t, set(w.ada(), map[string]any{"role": "system_administrator"}), fault.Forbidden, "grant")
	require.NoError(t, set(w.ada(), map[string]any{"new_users": true, "role": "regular_agent", "passwords": false}))
	p, err := w.Provider(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, account.Provider{Tenant: acme, Issuer: "https://id.example", ClientID: "x", Secret: "sealed-secret", Scopes: []string{"openid", "profile", "email"},
		Claim: "preferred_username", NewUsers: true, Role: account.Regular, Vouched: w.ada().Permissions}, p)
	thing, err := w.Thing(t.Context(), w.ada(), directory.OIDC, "oidc")
	require.NoError(t, err)
	require.NotContains(t, string(thing.Body), "sealed-secret")
	_, err = w.Provider(t.Context(), "other.example")
	requireNotFound(t, err)
}

// A provider vouches for what those might who set it as it is: together, while it stays the
// same; who names another provider, client or claim stands alone.
func TestOIDC_VouchesForWhatThoseMayWhoSetIt(t *testing.T) {
	t.Parallel()
	w, _ := loginWorld(t)
	as := func(r account.Role, fields map[string]any) account.Provider {
		by := w.ada()
		by.Permissions = r.Permissions()
		_, err := w.SetOIDC(t.Context(), by, directory.Change{Kind: directory.OIDC, Name: "oidc", Set: fields})
		require.NoError(t, err)
		p, err := w.Provider(t.Context(), acme)
		require.NoError(t, err)
		return p
	}
	vouches := func(p account.Provider, want ...account.Role) {
		t.Helper()
		for _, r := range []account.Role{account.BusinessAdmin, account.ITAdmin, account.Supervisor, account.Regular, account.SystemAdmin} {
			require.Equal(t, slices.Contains(want, r), p.Vouches(r.Permissions()), r)
		}
	}
	base := map[string]any{"issuer": "https://id.example", "client_id": "x"}
	vouches(as(account.ITAdmin, maps.Clone(base)), account.ITAdmin, account.Regular)
	both := []account.Role{account.BusinessAdmin, account.ITAdmin, account.Supervisor, account.Regular}
	vouches(as(account.BusinessAdmin, maps.Clone(base)), both...)
	vouches(as(account.ITAdmin, map[string]any{"issuer": "https://id.example", "scopes": []string{"openid"}}), both...)
	for field, other := range map[string]string{"issuer": "https://evil.example", "client_id": "y", "claim": "nickname"} {
		as(account.BusinessAdmin, map[string]any{"issuer": "https://id.example", "client_id": "x", "claim": "email"})
		vouches(as(account.ITAdmin, map[string]any{field: other}), account.ITAdmin, account.Regular)
	}
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.OIDC, Name: "oidc"}))
	vouches(as(account.ITAdmin, base), account.ITAdmin, account.Regular)
}

// A subject is bound to one user, and a user to one subject of an issuer, until the user
// is deleted.
func TestLink_OneSubjectOneUser(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	w.make(directory.User, "bob", map[string]any{"roles": []string{"regular_agent"}})
	s := account.Subject{Tenant: acme, Issuer: "https://id.example", Name: "s-1"}
	_, err := w.Linked(t.Context(), s)
	requireNotFound(t, err)
	link := func(name string, to id.User) (id.User, error) {
		return w.Link(t.Context(), account.Subject{Tenant: acme, Issuer: s.Issuer, Name: name}, to)
	}
	is, err := link("s-1", "anna")
	require.NoError(t, err)
	require.EqualValues(t, "anna", is)
	is, err = link("s-1", "bob")
	require.NoError(t, err)
	require.EqualValues(t, "anna", is, "it stays who it is")
	_, err = link("s-2", "anna")
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"}))
	_, err = w.Linked(t.Context(), s)
	requireNotFound(t, err)

	first, err := w.Once(t.Context(), acme, "oidc:state", now.Add(time.Minute))
	require.NoError(t, err)
	again, err := w.Once(t.Context(), acme, "oidc:state", now.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, first && !again)
}
