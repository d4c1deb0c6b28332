package db_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// boss is somebody of acme with these permissions, for what needs the last one.
func (w *world) boss(needs account.Permission, held ...account.Permission) directory.Author {
	by := w.author([]account.Permission{needs})
	by.Permissions = held
	return by
}

func (w *world) root(needs account.Permission) directory.Author {
	return w.author([]account.Permission{needs}, account.SystemAdmin)
}

// SEED-37: a tenant is founded as far as one reaches, with the levels that are new; both
// trails begin with it, and one sees what one reaches.
func TestTenants_AreFoundedAsFarAsOneReaches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	near := directory.Change{Kind: directory.Tenant, Name: "near.example", Set: map[string]any{"organization": "acme", "division": "main", "display_name": "Near", "country": "CH",
		"policies": map[string]any{"time_zone": "Europe/Zurich"}}}
	far := directory.Change{Kind: directory.Tenant, Name: "far.example", Set: map[string]any{"organization": "other", "division": "first"}}
	boss := w.boss(account.TenantsCreate, "tenants:create:division", "tenants:switch:division")
	_, err := w.Create(t.Context(), boss, far)
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
	made, err := w.Create(t.Context(), boss, near)
	require.NoError(t, err)
	fields := fieldsOf(t, made)
	require.Equal(t, "division", fields["shared"])
	require.Equal(t, true, fields["may_switch"])
	require.Equal(t, "CH", fields["country"])
	require.Equal(t, "Europe/Zurich", fields["policies"].(map[string]any)["time_zone"])
	require.EqualValues(t, 30000, fields["policies"].(map[string]any)["terminal_grace_ms"], "the default")
	_, err = w.Create(t.Context(), boss, near)
	requireRefused(t, err, fault.Conflict, "name_taken")
	_, err = w.Create(t.Context(), w.root(account.TenantsCreate), far)
	require.NoError(t, err)
	for tenant, home := range map[id.Tenant]id.Tenant{acme: "", "near.example": acme, "far.example": acme} {
		lines, err := w.AuditLines(t.Context(), tenant, record.AuditQuery{Action: "tenant.create"})
		require.NoError(t, err)
		require.NotEmpty(t, lines, tenant)
		require.Equal(t, home, lines[0].Home, tenant)
	}
	for reach, want := range map[account.Scope]int{account.Tenant: 1, account.Division: 2, account.Organization: 2, account.System: 3} {
		by := w.boss(account.TenantsRead, account.TenantsRead.At(reach))
		list, _, err := w.Things(t.Context(), by, directory.Query{Kind: directory.Tenant})
		require.NoError(t, err)
		require.Len(t, list, want, reach)
		_, err = w.Thing(t.Context(), by, directory.Organization, "acme")
		require.NoError(t, err, "one sees the levels that one belongs to")
		_, err = w.Thing(t.Context(), by, directory.Division, "acme:main")
		require.NoError(t, err)
		_, err = w.Thing(t.Context(), by, directory.Tenant, "far.example")
		require.Equal(t, reach == account.System, err == nil)
	}
	one, next, err := w.Things(t.Context(), w.root(account.TenantsRead), directory.Query{Kind: directory.Tenant, Limit: 2, Sort: "-name"})
	require.NoError(t, err)
	require.Equal(t, "near.example", one[0].Name)
	rest, last, err := w.Things(t.Context(), w.root(account.TenantsRead), directory.Query{Kind: directory.Tenant, Limit: 2, Sort: "-name", Cursor: next})
	require.NoError(t, err)
	require.Equal(t, "acme.example", rest[0].Name)
	require.Empty(t, last)
	_, err = w.Neighbor(t.Context(), acme, "no.example")
	requireNotFound(t, err)
}

// A tenant's policies are changed one by one, checked, and told to the sessions whose
// profiles they are part of.
func TestTenants_PoliciesReachRunningSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.make(directory.Reason, "LUNCH", map[string]any{})
	told(t, w.DB)
	by := w.boss(account.TenantsUpdate, "tenants:update:tenant", "tenants:set_policies:tenant")
	change := func(policies map[string]any) directory.Change {
		return directory.Change{Kind: directory.Tenant, Name: string(acme), Set: map[string]any{"policies": policies}}
	}
	was, err := w.Thing(t.Context(), by, directory.Tenant, string(acme))
	require.NoError(t, err)
	is, err := w.Update(t.Context(), by, change(map[string]any{"terminal_grace_ms": 5000, "device_conflict": "take_over", "transfer_to_not_ready": "drop", "wrapup_early_exit": true}))
	require.NoError(t, err)
	require.Equal(t, was.Version+1, is.Version)
	require.Equal(t, []string{"1001"}, told(t, w.DB))
	p, _, err := w.Profile(t.Context(), agent.Ref{Tenant: acme, Agent: "1001"})
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, p.TerminalGap)
	require.Equal(t, agent.ConflictTakeOver, p.Conflict)
	require.True(t, p.EarlyExit)
	require.Len(t, p.Reasons, 1, "the reasons stay")
	is, err = w.Update(t.Context(), by, change(map[string]any{"monitor_visible_to_agent": true}))
	require.NoError(t, err)
	require.Empty(t, told(t, w.DB), "nothing of a profile")
	require.Equal(t, "drop", fieldsOf(t, is)["policies"].(map[string]any)["transfer_to_not_ready"], "what is left out stays")
	for field, value := range map[string]any{"time_zone": "Mars", "transfer_to_not_ready": "lose", "terminal_grace_ms": -1, "device_conflict": "fight", "idle_logout_ms": -5, "password_min_length": 1} {
		_, err := w.Update(t.Context(), by, change(map[string]any{field: value}))
		var e *fault.Error
		require.ErrorAs(t, err, &e, field)
		require.Equal(t, "policies."+field, e.Fields[0].Name)
	}
	late := change(map[string]any{"wrapup_early_exit": false})
	late.Version = was.Version
	_, err = w.Update(t.Context(), by, late)
	requireRefused(t, err, fault.Conflict, "version_changed")
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	changes, err := w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, changes, "an apply of what is so changes nothing")
}

// SEED-26: another country is refused when a number would mean nothing there or could not
// be reached; else numbers are dialled as from there.
func TestTenants_AnotherCountry_KeepsExternalDevicesReachable(t *testing.T) {
	t.Parallel()
	w := booking(t)
	by := w.root(account.TenantsUpdate)
	to := func(country string) directory.Change {
		return directory.Change{Kind: directory.Tenant, Name: string(demoTenant), Set: map[string]any{"country": country}}
	}
	_, err := w.Update(t.Context(), by, to("XX"))
	requireRefused(t, err, fault.Invalid, "invalid")
	w.make(directory.Trunk, "other", map[string]any{"host": "sip.other.example"})
	w.make(directory.Number, "04*", map[string]any{"trunk": "carrier"})
	w.make(directory.Number, "0049*", map[string]any{"trunk": "carrier"})
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Number, Name: "0*"}))
	_, err = w.Update(t.Context(), by, to("US"))
	requireRefused(t, err, fault.Conflict, "device_unreachable")
	var use *directory.InUse
	require.ErrorAs(t, err, &use)
	require.Equal(t, []directory.Ref{{Kind: directory.Device, Name: "carrier"}, {Kind: directory.Device, Name: "mobile-1002"}}, use.By)
	w.exec(`UPDATE devices SET number = '041139735857' WHERE name = 'carrier'`) // as numbers were kept once
	_, err = w.Update(t.Context(), by, to("US"))
	requireRefused(t, err, fault.Conflict, "country_in_use")
	require.Contains(t, fault.Sentence(err), "device carrier")
	w.exec(`UPDATE devices SET number = '+8641139735857' WHERE name = 'carrier'`)
	w.make(directory.Number, "0*", map[string]any{"trunk": "carrier"})
	told(t, w.DB)
	_, err = w.Update(t.Context(), by, to("DE"))
	require.NoError(t, err)
	var dial string
	w.one(&dial, `SELECT dial FROM devices WHERE name = 'mobile-1002'`)
	require.Equal(t, "01701234567", dial, "at home in Germany")
	require.Equal(t, []string{"1002"}, told(t, w.DB))
}

// A level is deleted when nothing is in it, and comes back; one's own can't be deleted.
func TestLevels_AreDeletedEmpty_AndComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	of := func(k directory.Kind, name string) directory.Change { return directory.Change{Kind: k, Name: name} }
	_, err := w.Create(t.Context(), w.root(account.OrganizationsWrite), directory.Change{Kind: directory.Organization, Name: "new", Set: map[string]any{"display_name": "New"}})
	require.NoError(t, err)
	_, err = w.Create(t.Context(), w.boss(account.DivisionsWrite, "divisions:write:organization"), directory.Change{Kind: directory.Division, Name: "north", Set: map[string]any{"organization": "new"}})
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
	north, err := w.Create(t.Context(), w.root(account.DivisionsWrite), directory.Change{Kind: directory.Division, Name: "north", Set: map[string]any{"organization": "new"}})
	require.NoError(t, err)
	require.Equal(t, "new:north", north.Name)
	_, err = w.Create(t.Context(), w.root(account.DivisionsWrite), directory.Change{Kind: directory.Division, Name: "south", Set: map[string]any{"organization": "nowhere"}})
	requireRefused(t, err, fault.Invalid, "invalid")
	_, err = w.Create(t.Context(), w.root(account.TenantsCreate), directory.Change{Kind: directory.Tenant, Name: "n.example", Set: map[string]any{"organization": "new", "division": "north"}})
	require.NoError(t, err)
	there := w.root(account.UsersCreate)
	there.Tenant, there.Home = "n.example", acme
	for _, name := range []string{"first", "second"} {
		_, err = w.Create(t.Context(), there, directory.Change{Kind: directory.User, Name: name, Set: map[string]any{"roles": []account.Role{account.BusinessAdmin}}})
		require.NoError(t, err)
	}
	_, err = w.Create(t.Context(), there, directory.Change{Kind: directory.Team, Name: "blue"})
	require.NoError(t, err)

	requireRefused(t, w.Delete(t.Context(), w.root(account.TenantsDelete), of(directory.Tenant, string(acme))), fault.Conflict, "own_tenant")
	var use *directory.InUse
	for _, c := range []struct {
		of   directory.Change
		need account.Permission
		by   []directory.Ref
	}{
		{of(directory.Organization, "new"), account.OrganizationsWrite, []directory.Ref{{Kind: directory.Division, Name: "new:north"}}},
		{of(directory.Division, "new:north"), account.DivisionsWrite, []directory.Ref{{Kind: directory.Tenant, Name: "n.example"}}},
		{of(directory.Tenant, "n.example"), account.TenantsDelete, []directory.Ref{{Kind: directory.User, Name: "first"}, {Kind: directory.User, Name: "second"}}},
	} {
		require.ErrorAs(t, w.Delete(t.Context(), w.root(c.need), c.of), &use)
		require.Equal(t, c.by, use.By)
		list, err := w.UsedBy(t.Context(), w.root(account.TenantsRead), directory.Ref{Kind: c.of.Kind, Name: c.of.Name})
		require.NoError(t, err)
		require.Equal(t, c.by, list)
	}
	require.NoError(t, w.Delete(t.Context(), there, of(directory.User, "second")))
	require.NoError(t, w.Delete(t.Context(), w.root(account.TenantsDelete), of(directory.Tenant, "n.example")))
	_, err = w.User(t.Context(), "n.example", "first")
	requireNotFound(t, err)
	require.NoError(t, w.Delete(t.Context(), w.root(account.DivisionsWrite), of(directory.Division, "new:north")))
	_, err = w.Restore(t.Context(), w.root(account.TenantsDelete), of(directory.Tenant, "n.example"))
	requireRefused(t, err, fault.Conflict, "reference_gone")
	gone, _, err := w.Things(t.Context(), w.root(account.TenantsRead), directory.Query{Kind: directory.Tenant, Deleted: true})
	require.NoError(t, err)
	require.Len(t, gone, 1)
	require.NotContains(t, string(gone[0].Body), "parts")
	_, err = w.Restore(t.Context(), w.boss(account.TenantsDelete, "tenants:delete:organization"), of(directory.Tenant, "n.example"))
	requireNotFound(t, err)
	_, err = w.Restore(t.Context(), w.root(account.DivisionsWrite), of(directory.Division, "new:north"))
	require.NoError(t, err)
	back, err := w.Restore(t.Context(), w.root(account.TenantsDelete), of(directory.Tenant, "n.example"))
	require.NoError(t, err)
	require.Equal(t, "system", fieldsOf(t, back)["shared"])
	u, err := w.User(t.Context(), "n.example", "first")
	require.NoError(t, err)
	require.Equal(t, []account.Role{account.BusinessAdmin}, u.Roles)
	teams, _, err := w.Things(t.Context(), there, directory.Query{Kind: directory.Team})
	require.NoError(t, err)
	require.Len(t, teams, 1)
	lines, err := w.AuditLines(t.Context(), "n.example", record.AuditQuery{Action: "tenant"})
	require.NoError(t, err)
	require.Len(t, lines, 3, "made, deleted, restored")
}

// A tenant moves to a division that is there, as far as the author reaches both.
func TestTenants_MoveWithinReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO divisions (organization, name) VALUES ('acme', 'south')`)
	w.exec(`INSERT INTO organizations (name) VALUES ('other')`)
	w.exec(`INSERT INTO divisions (organization, name) VALUES ('other', 'one')`)
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('n.example', 'acme', 'main')`)
	by := w.boss(account.TenantsMove, "tenants:move:organization", "tenants:update:organization")
	move := func(set map[string]any) (map[string]any, error) {
		done, err := w.Update(t.Context(), by, directory.Change{Kind: directory.Tenant, Name: "n.example", Set: set})
		if err != nil {
			return nil, err
		}
		fields := map[string]any{}
		return fields, json.Unmarshal(done.Body, &fields)
	}
	is, err := move(map[string]any{"division": "south"})
	require.NoError(t, err)
	require.Equal(t, "south", is["division"])
	require.Equal(t, "organization", is["shared"])
	_, err = move(map[string]any{"division": "nowhere"})
	requireRefused(t, err, fault.Invalid, "invalid")
	_, err = move(map[string]any{"organization": "other", "division": "one"})
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
}
