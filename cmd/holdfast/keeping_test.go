package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/cluster"
	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/seal"
	"holdfast/domain/tenancy"
	"holdfast/domain/webhook"
	"holdfast/httpapi"
)

// ofAcme is a ground with a database of its own and tenant acme.example.
func ofAcme(t *testing.T) *ground {
	t.Helper()
	postgres, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir(), Database: "holdfast"})
	require.NoError(t, err)
	d, err := db.New(db.Config{URL: postgres.DSN()})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.NoError(t, postgres.Stop(context.WithoutCancel(t.Context())))
	})
	require.NoError(t, d.Migrate(t.Context()))
	_, err = d.Apply(t.Context(), tenancy.Document{Organization: tenancy.Unit{Name: "acme"}, Division: tenancy.Unit{Name: "main"}, Tenant: tenancy.Tenant{Domain: "acme.example"},
		Users: []tenancy.User{{Name: "ada", Password: "secret-secret", Roles: []account.Role{account.BusinessAdmin, account.ITAdmin}}}}, false)
	require.NoError(t, err)
	return &ground{env: environment{}, log: slog.New(slog.DiscardHandler), db: d}
}

// What is wrong in a file is named cell by cell, and nothing is changed; a right one is
// imported, a dry run only counts, and repeated it changes nothing.
func TestImportCommand_NamesBadCells_AndImportsTheRest(t *testing.T) {
	g := ofAcme(t)
	run := func(what, file string, dry bool) (string, error) {
		var out bytes.Buffer
		err := bring(t.Context(), g, httpapi.Bringing{Tenant: "acme.example", What: what, File: []byte(file), DryRun: dry}, &out)
		return out.String(), err
	}
	said, err := run("users", "name;roles;disabled\nanna;regular_agent;maybe\nbob;king;no\n", false)
	require.ErrorContains(t, err, "nothing was imported: 2 faults found")
	require.Equal(t, exitUsage, exitCode(err))
	require.Contains(t, said, "row 2, disabled: must be true or false\n")
	require.Contains(t, said, "row 3, roles: ")
	users := "name,roles,password\nanna,regular_agent,a long password\nbob,regular_agent,another password\n"
	said, err = run("users", users, true)
	require.NoError(t, err)
	require.Equal(t, "acme.example, users: 2 made, 0 changed, 0 as the file says already (dry run: nothing was changed).\n", said)
	said, err = run("users", users, false)
	require.NoError(t, err)
	require.Equal(t, "acme.example, users: 2 made, 0 changed, 0 as the file says already.\n", said)
	said, err = run("users", users, false)
	require.NoError(t, err)
	require.Equal(t, "Passwords of users who are there already were left as they are: 2.\nacme.example, users: 0 made, 0 changed, 2 as the file says already.\n", said)
	for what, file := range map[string]string{"contacts": "display_name,numbers\nCarla,+493012345678\n", "devices": "name,kind\ndesk-1,sip\n"} {
		said, err = run(what, file, false)
		require.NoError(t, err, "%s: %s", what, said)
		require.Contains(t, said, what+": 1 made")
	}
	said, err = run("agents", "user,number\nada,1009\n", false)
	require.Equal(t, exitUsage, exitCode(err), "who administers is no agent")
	require.Contains(t, said, "row 2")
	_, err = run("queues", "name\nx\n", false)
	require.Equal(t, exitUsage, exitCode(err))
}

// reseal says what it did and whether an old key is still needed; doctor says the same.
func TestResealCommand_AndDoctor_SayWhetherAnOldKeyIsNeeded(t *testing.T) {
	g := ofAcme(t)
	var keys []ed25519.PrivateKey
	for range 2 {
		_, k, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		keys = append(keys, k)
	}
	old, err := seal.New(keys[:1])
	require.NoError(t, err)
	crm := webhook.Ref{Tenant: "acme.example", Name: "crm"}
	ada := directory.Author{User: account.User{Tenant: crm.Tenant, Name: "ada", Permissions: account.PermissionsOf(account.Given()...)}}
	_, err = g.db.Create(t.Context(), ada, directory.Change{Kind: directory.Webhook, Name: crm.Name, Set: map[string]any{"url": "https://crm.example.com/", "secret": webhook.Seal(old, crm, webhook.NewSecret())}})
	require.NoError(t, err)
	both, alone := environment{TokenKeys: tokenKeys{keys[1], keys[0]}}, environment{TokenKeys: tokenKeys{keys[1]}}
	require.True(t, checkSealed(t.Context(), alone, g.db).wrong)
	require.Contains(t, checkSealed(t.Context(), both, g.db).sentence, "1 of 1 secrets are sealed with an old key")
	var out bytes.Buffer
	require.Error(t, reseal(t.Context(), g.db, alone.TokenKeys, &out))
	require.Contains(t, out.String(), "acme.example: webhook crm, secret")
	out.Reset()
	require.NoError(t, reseal(t.Context(), g.db, both.TokenKeys, &out))
	require.Contains(t, out.String(), "acme.example: 1 of 1 secrets sealed anew\n1 of 1 secrets sealed anew. No secret needs another key than the first any more.\n")
	now := checkSealed(t.Context(), alone, g.db)
	require.False(t, now.warning || now.wrong)
	require.Equal(t, "1 secret, all sealed with the first key", now.sentence)
}
