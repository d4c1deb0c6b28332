package db_test

import (
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
		Claim: "preferred_username", NewUsers: true, Role: account.Regular}, p)
	thing, err := w.Thing(t.Context(), w.ada(), directory.OIDC, "oidc")
	require.NoError(t, err)
	require.NotContains(t, string(thing.Body), "sealed-secret")
	_, err = w.Provider(t.Context(), "other.example")
	requireNotFound(t, err)
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
