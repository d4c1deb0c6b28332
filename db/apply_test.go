package db_test

import (
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

// Applying is idempotent, shows what it would do, and what was exported applies again.
func TestApply_IsIdempotent_AndExportRoundTrips(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)

	would, err := d.Apply(t.Context(), doc, true)
	require.NoError(t, err)
	require.NotEmpty(t, would)
	_, err = d.Export(t.Context(), "demo.localhost")
	require.Equal(t, fault.NotFound, fault.KindOf(err), "a dry run changes nothing")

	did, err := d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Equal(t, would, did)
	again, err := d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, again)

	exported, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	file, err := tenantfile.Write(exported)
	require.NoError(t, err)
	require.NotContains(t, string(file), "holdfast-demo", "no password in clear")
	read, err := tenantfile.Read(file)
	require.NoError(t, err, string(file))
	same, err := d.Apply(t.Context(), read, false)
	require.NoError(t, err)
	require.Empty(t, same)
}

// What the document no longer names is removed, what differs is changed, and both are said.
func TestApply_ChangesAndRemovesWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	_, err = d.Apply(t.Context(), doc, false)
	require.NoError(t, err)

	doc, err = tenantfile.Read(demo.File)
	require.NoError(t, err)
	doc.Agents[0].WrapUp = 0
	doc.Agents, doc.Users = doc.Agents[:4], doc.Users[:6]
	doc.Devices, doc.Queues[0].Members = doc.Devices[:4], doc.Queues[0].Members[:4]
	doc.Users[0].Password = "another"
	changes, err := d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	require.Contains(t, lines, `~ agent 1001: wrap_up "10s" → none`)
	require.Contains(t, lines, "- agent 1005")
	require.Contains(t, lines, "- user 1005")
	require.Contains(t, lines, "- device 1005")
	require.Contains(t, lines, "~ user admin: password_hash changes")
	now, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	require.Len(t, now.Agents, 4)
}

// A version counts what a thing shows, also what stands in tables of its own: who saw it
// before an apply must not overwrite what that brought.
func TestApply_ChangesOnlyWhatHangsOnAThing_ItsVersionIsRaised(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	read := func() tenancy.Document {
		doc, err := tenantfile.Read(demo.File)
		require.NoError(t, err)
		doc.Skills = []tenancy.Skill{{Name: "german"}}
		doc.Trunks = []tenancy.Trunk{{Name: "carrier", Host: "sip.example.com", Addresses: []string{"192.0.2.0/24"}}}
		doc.Dispositions = []tenancy.Disposition{{Name: "sold"}}
		return doc
	}
	_, err := d.Apply(t.Context(), read(), false)
	require.NoError(t, err)
	by := directory.Author{User: account.User{Tenant: "demo.localhost", Name: "admin"}}
	versions := func() map[string]int64 {
		all := map[string]int64{}
		for kind, names := range map[directory.Kind][]string{
			directory.Agent: {"1001", "1002", "1003"}, directory.Queue: {"support"}, directory.Trunk: {"carrier"}, directory.Disposition: {"sold"},
		} {
			for _, name := range names {
				thing, err := d.Thing(t.Context(), by, kind, name)
				require.NoError(t, err)
				all[string(kind)+" "+name] = thing.Version
			}
		}
		return all
	}
	want := versions()
	for _, change := range []struct {
		of     []string
		change func(*tenancy.Document)
	}{
		{[]string{"agent 1001"}, func(doc *tenancy.Document) { doc.Agents[0].Skills = []tenancy.SkillLevel{{Skill: "german", Level: 3}} }},
		{[]string{"agent 1001"}, func(doc *tenancy.Document) { doc.Agents[0].Skills = []tenancy.SkillLevel{{Skill: "german", Level: 4}} }},
		{[]string{"agent 1001", "queue support"}, func(doc *tenancy.Document) {
			doc.Queues[0].Skills = []tenancy.SkillLevel{{Skill: "german", Level: 2}}
		}},
		{[]string{"queue support", "trunk carrier"}, func(doc *tenancy.Document) { doc.Trunks[0].Addresses = []string{"198.51.100.0/24"} }},
		{[]string{"trunk carrier", "disposition sold"}, func(doc *tenancy.Document) { doc.Dispositions[0].Queues = []string{"support"} }},
		{[]string{"disposition sold", "agent 1002"}, func(doc *tenancy.Document) { doc.Agents[1].Addresses = nil }},
		{[]string{"agent 1002"}, func(*tenancy.Document) {}},
	} {
		doc := read()
		change.change(&doc)
		for range 2 { // what is applied again changes nothing
			_, err := d.Apply(t.Context(), doc, false)
			require.NoError(t, err)
		}
		for _, name := range change.of {
			want[name]++
		}
		require.Equal(t, want, versions(), "%v", change.of)
	}
}

// Webhooks are part of the document without their secrets, which stay; a document that
// does not speak of webhooks leaves them alone, one with an empty list removes them.
func TestApply_Webhooks_KeepTheirSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.make(directory.Webhook, "crm", map[string]any{"url": "https://crm.example.com/", "secret": "whsec_eA==", "headers": map[string]string{"X-Key": "k"}, "queue": "support"})
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Len(t, doc.Webhooks, 1)
	file, err := tenantfile.Write(doc)
	require.NoError(t, err)
	require.NotContains(t, string(file), "whsec_")
	apply := func(change func(*tenancy.Document)) (lines []string) {
		next, err := tenantfile.Read(file)
		require.NoError(t, err, string(file))
		change(&next)
		changes, err := w.Apply(t.Context(), next, false)
		require.NoError(t, err)
		for _, c := range changes {
			lines = append(lines, c.String())
		}
		return lines
	}
	require.Empty(t, apply(func(*tenancy.Document) {}))
	require.Empty(t, apply(func(d *tenancy.Document) { d.Webhooks = nil }), "it does not speak of them")
	require.Equal(t, []string{`~ webhook crm: url "https://crm.example.com/" → "https://new.example.com/"`, "+ webhook lake"}, apply(func(d *tenancy.Document) {
		d.Webhooks[0].URL = "https://new.example.com/"
		d.Webhooks = append(d.Webhooks, tenancy.Webhook{Name: "lake", URL: "https://lake.example.com/"})
	}))
	var kept, made string
	w.one(&kept, `SELECT secret || headers::text || queue FROM webhooks WHERE name = 'crm'`)
	require.Equal(t, `whsec_eA=={"X-Key": "k"}support`, kept)
	w.one(&made, `SELECT events::text || timeout_ms || enabled || (secret ~ '^whsec_.{40}')::text FROM webhooks WHERE name = 'lake'`)
	require.Equal(t, `{*}10000truetrue`, made)
	require.Equal(t, []string{"- webhook crm", "- webhook lake"}, apply(func(d *tenancy.Document) { d.Webhooks = []tenancy.Webhook{} }))
}

func TestApply_RefusesABrokenDocumentWhole(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	doc.Numbers = append(doc.Numbers, tenancy.Number{Number: "8001", Queue: "nowhere"})
	_, err = d.Apply(t.Context(), doc, false)
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	_, err = d.Export(t.Context(), "demo.localhost")
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

// The tenant's own roles and the last administrator: by file as through the API.
func TestApply_OwnRoles_AndTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	doc.Roles = []tenancy.Role{{Name: "listener", DisplayName: "Listens", Permissions: []account.Permission{"calls:monitor:team", "calls:read:team"}}}
	doc.Users = append(doc.Users, tenancy.User{Name: "lea", Roles: []account.Role{"listener"}, Team: "service"})
	_, err = d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	again, err := d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, again)
	lea, err := d.User(t.Context(), "demo.localhost", "lea")
	require.NoError(t, err)
	require.Equal(t, []account.Permission{"calls:monitor:team", "calls:read:team"}, lea.Permissions)
	exported, err := d.Export(t.Context(), "demo.localhost")
	require.NoError(t, err)
	require.Equal(t, doc.Roles, exported.Roles)

	for i := range doc.Users {
		doc.Users[i].Disabled = doc.Users[i].Name == "admin"
	}
	_, err = d.Apply(t.Context(), doc, false)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.Contains(t, fault.Sentence(err), "Nobody could administer")
}
