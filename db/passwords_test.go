package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// A new password is remembered among those before, ends all logins, and is told to the
// trail without what it is; one hashed anew does none of that.
func TestSetPassword_IsAChange_RenewPasswordIsNone(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	doc.Tenant.Policies.Password = tenancy.PasswordPolicy{MinLength: 12, History: 3, MaxAge: tenancy.Duration(48 * time.Hour)}
	_, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	anna := directory.Author{User: account.User{Tenant: acme, Name: "anna"}, Source: "192.0.2.9"}
	first, err := w.Passwords(t.Context(), acme, "anna")
	require.NoError(t, err)
	require.Equal(t, account.PasswordPolicy{MinLength: 12, History: 3, MaxAge: 48 * time.Hour}, first.Policy)
	require.Equal(t, []string{first.Hash}, first.Remembered())
	before, err := w.Thing(t.Context(), w.ada(), directory.User, "anna")
	require.NoError(t, err)
	w.login("one", *now)

	require.NoError(t, w.RenewPassword(t.Context(), anna, first.Hash, "$argon2id$renewed"))
	renewed, err := w.Passwords(t.Context(), acme, "anna")
	require.NoError(t, err)
	require.Equal(t, "$argon2id$renewed", renewed.Hash)
	require.Equal(t, first.Set, renewed.Set)
	require.Empty(t, renewed.History)
	require.False(t, w.isRevoked("one"))
	after, err := w.Thing(t.Context(), w.ada(), directory.User, "anna")
	require.NoError(t, err)
	require.Equal(t, before.Version, after.Version, "nobody's If-Match fails by it")

	requireRefused(t, w.SetPassword(t.Context(), anna, first.Hash, "$argon2id$x"), fault.Conflict, "password_changed")
	require.NoError(t, w.SetPassword(t.Context(), anna, "$argon2id$renewed", "$argon2id$new"))
	require.True(t, w.isRevoked("one"))
	second, err := w.Passwords(t.Context(), acme, "anna")
	require.NoError(t, err)
	require.Equal(t, []string{"$argon2id$new", "$argon2id$renewed"}, second.Remembered())
	require.True(t, second.Set.After(first.Set))
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "user.password"})
	require.NoError(t, err)
	require.Len(t, lines, 1)
	require.NotContains(t, string(lines[0].Detail), "argon2id$")
	w.make(directory.OIDC, "oidc", map[string]any{"issuer": "https://id.example", "client_id": "x", "passwords": false})
	off, err := w.Passwords(t.Context(), acme, "nobody")
	require.NoError(t, err)
	require.True(t, off.Off)
	require.Empty(t, off.Hash)
	_, err = w.Passwords(t.Context(), "other.example", "anna")
	requireNotFound(t, err)
}
