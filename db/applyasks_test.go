package db_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/db/dbtest"
	"holdfast/demo"
	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

// SEED-109: a document is no way around the permissions of single requests, nor around
// what keeps contacts and headers from who may not see them.
func TestApplyBy_ChangesOnlyWhatItsAuthorMayChangeAnyway(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	read := func(from, to string) tenancy.Document {
		text := strings.Replace(string(demo.File)+"\nwebhooks:\n  - {name: crm, url: \"https://crm.example/in\", events: [\"call.*\"]}\ntariffs:\n  - {prefix: \"+49\", per_minute: \"0.02\"}\n", from, to, 1)
		doc, err := tenantfile.Read([]byte(text))
		require.NoError(t, err, text)
		return doc
	}
	_, err := d.Apply(t.Context(), read("", ""), false)
	require.NoError(t, err)
	now, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	by := func(roles ...account.Role) directory.Author {
		return directory.Author{Source: "192.0.2.7", User: account.User{Tenant: "demo.localhost", Name: "somebody", Permissions: account.PermissionsOf(roles...)}}
	}
	for from, permission := range map[string]string{
		"ring: 15s": "queues:write", "      - {agent: \"1005\"}\n": "queues:staff", "per_minute: \"0.02\"": "tariffs:write",
		"display_name: Demo}": "tenants:update", "team: service, wrap_up": "agents:move", "display_name: Customer service": "teams:write",
	} {
		to := map[string]string{"ring: 15s": "ring: 16s", "per_minute: \"0.02\"": "per_minute: \"0.03\"", "display_name: Demo}": "display_name: Other}",
			"team: service, wrap_up": "wrap_up", "display_name: Customer service": "display_name: Service"}[from]
		doc := read(from, to)
		doc.Users = now.Users
		all := by(account.ITAdmin, account.BusinessAdmin)
		changes, err := d.ApplyBy(t.Context(), all, doc, true)
		require.NoError(t, err, from)
		require.Len(t, changes, 1, from)
		all.Permissions = slices.DeleteFunc(all.Permissions, func(p account.Permission) bool { return strings.HasPrefix(string(p), permission+":") })
		_, err = d.ApplyBy(t.Context(), all, doc, true)
		requireRefused(t, err, fault.Forbidden, "action_forbidden")
		require.ErrorContains(t, err, permission)
	}
	doc := read("ring: 15s", "ring: 16s")
	doc.Users = now.Users
	_, err = d.ApplyBy(t.Context(), by(account.ITAdmin), doc, true)
	requireRefused(t, err, fault.Forbidden, "action_forbidden")
	its := read("addresses: [127.0.0.0/8, \"::1\"]", "addresses: [127.0.0.0/8]")
	its.Users = now.Users
	_, err = d.ApplyBy(t.Context(), by(account.ITAdmin), its, true)
	require.NoError(t, err, "trunks are its work")

	for _, events := range []string{`["contact.*"]`, `["*"]`} {
		doc := read(`["call.*"]`, events)
		doc.Users = now.Users
		_, err = d.ApplyBy(t.Context(), by(account.ITAdmin), doc, true)
		requireRefused(t, err, fault.Forbidden, "contacts_forbidden")
	}
	_, err = d.Update(t.Context(), by(account.ITAdmin), directory.Change{Kind: directory.Webhook, Name: "crm", Set: map[string]any{"headers": map[string]any{"Authorization": "Bearer x"}}})
	require.NoError(t, err)
	doc = read("crm.example/in", "crm.example/other")
	doc.Users = now.Users
	_, err = d.ApplyBy(t.Context(), by(account.ITAdmin), doc, true)
	require.NoError(t, err, "the same receiver")
	doc = read("crm.example/in", "elsewhere.example/in")
	doc.Users = now.Users
	_, err = d.ApplyBy(t.Context(), by(account.ITAdmin), doc, true)
	requireRefused(t, err, fault.Forbidden, "action_forbidden")
}

// Who may not set somebody's password does not get its hash to try passwords on; the
// document can be applied all the same, and every password stays.
func TestExportBy_HashesOfThoseWhoHoldMore_StayWhereTheyAre(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	apply(t, d)
	whole, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	it := directory.Author{User: account.User{Tenant: "demo.localhost", Name: "somebody", Permissions: account.PermissionsOf(account.ITAdmin)}}
	doc, err := d.ExportBy(t.Context(), it)
	require.NoError(t, err)
	hidden := 0
	for i, u := range doc.Users {
		require.NotEmpty(t, whole.Users[i].PasswordHash)
		if len(account.Ungrantable(it.Permissions, whole.OwnRoles().Permissions(u.Roles))) > 0 {
			require.Equal(t, tenancy.KeptPassword, u.PasswordHash)
			hidden++
		}
	}
	require.Positive(t, hidden, "an administrator holds more")
	changes, err := d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, changes)
	after, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	require.Equal(t, whole, after)

	doc.Users = append(doc.Users, tenancy.User{Name: "newcomer", Roles: []account.Role{account.Regular}, PasswordHash: tenancy.KeptPassword})
	_, err = d.Apply(t.Context(), doc, false)
	require.ErrorContains(t, err, "there is no user newcomer yet whose password could be kept")
}
