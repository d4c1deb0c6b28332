package db_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// ada is the administrator of acme: she holds what both administrators' roles hold.
func (w *world) ada(needs ...account.Permission) directory.Author {
	return w.author(needs, account.BusinessAdmin, account.ITAdmin)
}

// author is somebody with these roles.
func (w *world) author(needs []account.Permission, roles ...account.Role) directory.Author {
	return directory.Author{Source: "192.0.2.7", Needs: needs, User: account.User{Tenant: w.tenant, Name: "ada", Permissions: account.PermissionsOf(roles...)}}
}

func (w *world) make(k directory.Kind, name string, set map[string]any) directory.Thing {
	w.Helper()
	made, err := w.Create(w.Context(), w.ada(), directory.Change{Kind: k, Name: name, Set: set})
	require.NoError(w, err)
	return made
}

func fieldsOf(t *testing.T, thing directory.Thing) map[string]any {
	t.Helper()
	fields := map[string]any{}
	require.NoError(t, json.Unmarshal(thing.Body, &fields))
	return fields
}

func requireRefused(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	var e *fault.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, err)
	require.Equal(t, code, e.Code, err)
	require.NotEmpty(t, e.Sentence)
}

// What could not be fetched by its name, for the API has something else there, is not made.
func TestThings_NamedAsAWordOfTheAPI_AreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, k := range []directory.Kind{directory.User, directory.Device} {
		for _, name := range []string{"export", "import"} {
			_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: k, Name: name, Set: map[string]any{}})
			var refused *fault.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, fault.Invalid, refused.Kind)
			require.Equal(t, []fault.Field{{Name: "name", Sentence: `"` + name + `" is a word of the API: take another name`}}, refused.Fields)
		}
	}
	w.make(directory.Team, "export", nil) // under which there is nothing else
}

// SEED-6: an agent is made with the role, and with no other role.
// SEED-15: a user has at most one.
// SEED-16: it ends with the role, and with the user.
// SEED-39: its number is the tenant's only one.
func TestUsers_AgentBeginsAndEndsWithTheRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Team, "blue", nil)
	boss := w.make(directory.User, "boss", map[string]any{"roles": []account.Role{account.BusinessAdmin}})
	require.Empty(t, fieldsOf(t, boss)["agent"], "SEED-5: no agent without the role")
	anna := w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.Regular}, "team": "blue"})
	require.Equal(t, "1001", fieldsOf(t, anna)["agent"], "the first free number")
	bob := w.make(directory.User, "2002", map[string]any{"roles": []account.Role{account.Supervisor}, "teams": []string{"blue"}})
	require.Equal(t, "2002", fieldsOf(t, bob)["agent"], "a user whose name is a number")
	carl := w.make(directory.User, "carl", map[string]any{"roles": []account.Role{account.Regular}, "agent": "1005"})
	require.Equal(t, "1005", fieldsOf(t, carl)["agent"])

	_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "dan", Set: map[string]any{"roles": []account.Role{account.Regular}, "agent": "1005"}})
	requireRefused(t, err, fault.Conflict, "number_taken")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1006", Set: map[string]any{"user_name": "carl"}})
	requireRefused(t, err, fault.Conflict, "agent_exists")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1006", Set: map[string]any{"user_name": "boss"}})
	requireRefused(t, err, fault.Conflict, "no_agent_role")

	told(t, w.DB)
	anna, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna", Set: map[string]any{"roles": []account.Role{account.ITAdmin}}})
	require.NoError(t, err)
	require.Empty(t, fieldsOf(t, anna)["agent"])
	require.Equal(t, []string{"1001"}, told(t, w.DB), "its session is told")
	_, err = w.Thing(t.Context(), w.ada(), directory.Agent, "1001")
	requireNotFound(t, err)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "carl", Set: map[string]any{"disabled": true}})
	require.NoError(t, err)
	require.Equal(t, []string{"1005"}, told(t, w.DB), "SEED-17: a disabled user's session is told, and ends")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "carl"}))
	_, err = w.Thing(t.Context(), w.ada(), directory.Agent, "1005")
	requireNotFound(t, err)
}

// What was deleted comes back with what belonged to it.
func TestDelete_WhatIsUsedStays_WhatIsDeletedCanComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Team, "blue", nil)
	w.make(directory.User, "ada", map[string]any{"roles": []account.Role{account.BusinessAdmin}})
	w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.Regular}, "team": "blue", "agent": "1001", "password_hash": "x"})
	w.make(directory.Queue, "support", map[string]any{"ring_ms": 15000, "members": []map[string]any{{"agent": "1001", "penalty": 2}}})
	w.exec(`INSERT INTO devices (tenant_id, name, kind, agent) VALUES ('acme.example', '1001', 'sip', '1001')`)
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1001", Set: map[string]any{"addresses": []string{"1001"}}})
	require.NoError(t, err)
	w.make(directory.Number, "8001", map[string]any{"agent": "1001"})

	err = w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
	requireRefused(t, err, fault.Conflict, "in_use")
	var use *directory.InUse
	require.ErrorAs(t, err, &use)
	require.Equal(t, []directory.Ref{{Kind: directory.Number, Name: "8001"}}, use.By)
	err = w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "blue"})
	require.ErrorAs(t, err, &use)
	require.Equal(t, []directory.Ref{{Kind: directory.Agent, Name: "1001"}, {Kind: directory.User, Name: "anna"}}, use.By)

	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Number, Name: "8001"}))
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"}))
	gone, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.User, Deleted: true})
	require.NoError(t, err)
	require.Len(t, gone, 1)
	require.NotContains(t, string(gone[0].Body), "password")
	require.False(t, gone[0].Deleted.IsZero())

	back, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
	require.NoError(t, err)
	require.Equal(t, "1001", fieldsOf(t, back)["agent"])
	u, err := w.User(t.Context(), acme, "anna")
	require.NoError(t, err)
	require.Equal(t, "x", u.PasswordHash)
	agent, err := w.Thing(t.Context(), w.ada(), directory.Agent, "1001")
	require.NoError(t, err)
	require.Equal(t, []any{"1001"}, fieldsOf(t, agent)["addresses"])
	queue, err := w.Thing(t.Context(), w.ada(), directory.Queue, "support")
	require.NoError(t, err)
	require.Len(t, fieldsOf(t, queue)["members"], 1)
	var owner string
	w.one(&owner, `SELECT agent FROM devices`)
	require.Equal(t, "1001", owner)
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
	requireNotFound(t, err)

	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"}))
	w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.ITAdmin}})
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
	requireRefused(t, err, fault.Conflict, "name_taken")
}

// The last administrator can't be removed, disabled or stripped.
func TestAdministrators_TheLastOneStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Role, "boss", map[string]any{"permissions": []string{"users:update:tenant", "users:assign_roles:tenant"}})
	w.make(directory.User, "last", map[string]any{"roles": []string{"boss"}})
	w.make(directory.User, "regular", map[string]any{"roles": []account.Role{account.Regular}})
	for _, set := range []map[string]any{{"disabled": true}, {"roles": []account.Role{account.Regular}}} {
		_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "last", Set: set})
		requireRefused(t, err, fault.Conflict, "last_administrator")
	}
	requireRefused(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "last"}), fault.Conflict, "last_administrator")
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Role, Name: "boss", Set: map[string]any{"permissions": []string{"users:update:tenant"}}})
	requireRefused(t, err, fault.Conflict, "last_administrator")

	w.make(directory.User, "second", map[string]any{"roles": []account.Role{account.ITAdmin}})
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "last", Set: map[string]any{"disabled": true}})
	require.NoError(t, err)
	requireRefused(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "second"}), fault.Conflict, "last_administrator")
}

// Two who take away each other at the same time: one of them stays.
func TestAdministrators_TakenAwayAtOnce_OneStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 4 {
		w.make(directory.User, fmt.Sprint("admin", i), map[string]any{"roles": []account.Role{account.BusinessAdmin}})
	}
	done := make(chan error)
	for i := range 4 {
		go func() {
			done <- w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: fmt.Sprint("admin", i)})
		}()
	}
	refused := 0
	for range 4 {
		if err := <-done; err != nil {
			requireRefused(t, err, fault.Conflict, "last_administrator")
			refused++
		}
	}
	require.Equal(t, 1, refused)
}

// Nobody can grant what they don't hold, by whichever way.
func TestRoles_NobodyGrantsWhatTheyDoNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	it := w.author(nil, account.ITAdmin)
	w.make(directory.User, "chief", map[string]any{"roles": []account.Role{account.BusinessAdmin}})
	w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.Regular}})
	_, err := w.Update(t.Context(), it, directory.Change{Kind: directory.User, Name: "anna", Set: map[string]any{"roles": []account.Role{account.BusinessAdmin}}})
	requireRefused(t, err, fault.Forbidden, "grant")
	_, err = w.Create(t.Context(), it, directory.Change{Kind: directory.Role, Name: "mine", Set: map[string]any{"permissions": []string{"agents:command:tenant"}}})
	requireRefused(t, err, fault.Forbidden, "grant")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Role, Name: "mine", Set: map[string]any{"permissions": []string{"users:read:division"}}})
	requireRefused(t, err, fault.Forbidden, "grant")
	_, err = w.Update(t.Context(), it, directory.Change{Kind: directory.User, Name: "chief", Set: map[string]any{"password_hash": "mine"}})
	requireRefused(t, err, fault.Forbidden, "more_powerful")
	_, err = w.Update(t.Context(), it, directory.Change{Kind: directory.User, Name: "chief", Set: map[string]any{"display_name": "The chief"}})
	require.NoError(t, err, "a name gives nobody power")

	for name, set := range map[string]any{"users:fly:tenant": "permissions[0]", "users:read": "permissions[0]"} {
		_, err = w.Create(t.Context(), w.author(nil, account.SystemAdmin), directory.Change{Kind: directory.Role, Name: "odd", Set: map[string]any{"permissions": []string{name}}})
		require.Error(t, err)
		require.Contains(t, fault.Sentence(err), set)
	}
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Role, Name: "regular_agent", Set: map[string]any{"permissions": []string{}}})
	requireRefused(t, err, fault.Conflict, "role_given")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "eve", Set: map[string]any{"roles": []string{"unheard_of"}}})
	requireRefused(t, err, fault.Invalid, "invalid")

	w.make(directory.Role, "auditor", map[string]any{"permissions": []string{"audit:read:tenant"}})
	w.make(directory.User, "olga", map[string]any{"roles": []string{"auditor"}})
	u, err := w.User(t.Context(), acme, "olga")
	require.NoError(t, err)
	require.Equal(t, []account.Permission{"audit:read:tenant"}, u.Permissions)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Role, Name: "auditor", Set: map[string]any{"permissions": []string{"session:use:own"}}})
	requireRefused(t, err, fault.Conflict, "role_in_use")
	requireRefused(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Role, Name: "auditor"}), fault.Conflict, "in_use")
}

// SEED-43: a team administrator manages its team's accounts and agents, and nothing outside of it.
func TestTeams_AnAdministratorOfOneReachesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, team := range []string{"blue", "red"} {
		w.make(directory.Team, team, nil)
		w.make(directory.User, "of-"+team, map[string]any{"roles": []account.Role{account.Regular}, "team": team})
	}
	w.make(directory.User, "of-none", map[string]any{"roles": []account.Role{account.ITAdmin}})
	ted := w.author([]account.Permission{account.UsersUpdate}, account.TeamAdmin)
	ted.Name, ted.Teams = "ted", []id.Team{"blue"}
	list, _, err := w.Things(t.Context(), ted, directory.Query{Kind: directory.User})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "of-blue", list[0].Name)
	for _, name := range []string{"of-red", "of-none"} {
		_, err = w.Thing(t.Context(), ted, directory.User, name)
		requireNotFound(t, err)
		_, err = w.Update(t.Context(), ted, directory.Change{Kind: directory.User, Name: name, Set: map[string]any{"display_name": "x"}})
		requireNotFound(t, err)
		requireNotFound(t, w.Delete(t.Context(), ted, directory.Change{Kind: directory.User, Name: name}))
	}
	_, err = w.Update(t.Context(), ted, directory.Change{Kind: directory.User, Name: "of-blue", Set: map[string]any{"team": "red"}})
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
	_, err = w.Update(t.Context(), ted, directory.Change{Kind: directory.User, Name: "of-blue", Set: map[string]any{"teams": []string{"red"}}})
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
	_, err = w.Create(t.Context(), ted, directory.Change{Kind: directory.User, Name: "new", Set: map[string]any{"roles": []account.Role{account.Regular}}})
	requireRefused(t, err, fault.Forbidden, "out_of_reach")
	_, err = w.Create(t.Context(), ted, directory.Change{Kind: directory.User, Name: "new", Set: map[string]any{"roles": []account.Role{account.Regular}, "team": "blue"}})
	require.NoError(t, err)
	agents, _, err := w.Things(t.Context(), ted, directory.Query{Kind: directory.Agent})
	require.NoError(t, err)
	require.Len(t, agents, 2)
}

func TestUpdate_OfWhatWasSeenBefore_IsRefusedWithWhatIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.make(directory.Team, "blue", map[string]any{"display_name": "Blue"})
	require.EqualValues(t, 1, seen.Version)
	now, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "blue", Version: 1, Set: map[string]any{"display_name": "Bluer"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, now.Version)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "blue", Version: 1, Set: map[string]any{"display_name": "x"}})
	requireRefused(t, err, fault.Conflict, "version_changed")
	var newer *directory.Newer
	require.ErrorAs(t, err, &newer)
	require.EqualValues(t, 2, newer.Now.Version)
	requireRefused(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "blue", Version: 1}), fault.Conflict, "version_changed")
	same, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Team, Name: "blue", Set: map[string]any{"display_name": "Bluer"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, same.Version, "what is so already changes nothing")

	w.make(directory.Queue, "q", map[string]any{"ring_ms": 1000})
	w.make(directory.User, "1001", map[string]any{"roles": []account.Role{account.Regular}})
	q, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "q", Set: map[string]any{"members": []map[string]any{{"agent": "1001"}}}})
	require.NoError(t, err)
	require.EqualValues(t, 2, q.Version, "members are a change as well")
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "q", Set: map[string]any{"members": []map[string]any{{"agent": "7"}}}})
	requireRefused(t, err, fault.Invalid, "invalid")
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "1001", Set: map[string]any{"team": "nowhere"}})
	requireRefused(t, err, fault.Invalid, "invalid")
	require.Equal(t, "team: there is no such team.", fault.Sentence(err))
}

func TestThings_PagesHoldEachOnce_InEveryOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		w.make(directory.User, fmt.Sprint("user", i), map[string]any{"display_name": fmt.Sprint("Name ", i%3), "roles": []account.Role{account.ITAdmin}})
	}
	for _, sort := range []string{"", "name", "-name", "display_name", "-display_name", "updated_at", "-updated_at"} {
		seen := map[string]bool{}
		q := directory.Query{Kind: directory.User, Sort: sort, Limit: 3}
		for {
			list, next, err := w.Things(t.Context(), w.ada(), q)
			require.NoError(t, err, sort)
			for _, x := range list {
				require.False(t, seen[x.Name], "%s: %s twice", sort, x.Name)
				seen[x.Name] = true
			}
			if next == "" {
				break
			}
			q.Cursor = next
		}
		require.Len(t, seen, 7, sort)
		other := q
		other.Sort = map[bool]string{true: "-name", false: "name"}[sort != "-name"]
		_, _, err := w.Things(t.Context(), w.ada(), other)
		requireRefused(t, err, fault.Invalid, "cursor")
	}
	found, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.User, Search: "NAME 1"})
	require.NoError(t, err)
	require.Len(t, found, 2)
	none, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.User, Search: "%"})
	require.NoError(t, err)
	require.Empty(t, none, "a search is for characters, not a pattern")
	filtered, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.User, Filters: map[string]string{"role": "it_administrator", "disabled": "true"}})
	require.NoError(t, err)
	require.Empty(t, filtered)
	_, _, err = w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.User, Sort: "password_hash"})
	require.Equal(t, fault.Invalid, fault.KindOf(err))
}

// Devices and trunks are checked and completed as apply would; what is kept of a
// password is never shown.
func TestLines_AreCompletedAsByApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`UPDATE tenants SET country = 'CN'`)
	w.make(directory.User, "1001", map[string]any{"roles": []account.Role{account.Regular}})
	trunk := w.make(directory.Trunk, "carrier", map[string]any{"host": "sip.carrier.example", "user_name": "us", "password": "secret-secret", "addresses": []string{"192.0.2.9"}})
	require.Equal(t, "sip.carrier.example", fieldsOf(t, trunk)["realm"])
	require.Equal(t, []any{"192.0.2.9/32"}, fieldsOf(t, trunk)["addresses"])
	var kept string
	w.one(&kept, `SELECT carrier_sha256 FROM trunks`)
	require.Len(t, kept, 64)
	w.make(directory.Number, "0*", map[string]any{"trunk": "carrier"})
	outside := w.make(directory.Device, "ordinary", map[string]any{"kind": "external", "number": "041139735857", "extension": "5000", "owner": "1001"})
	require.Equal(t, "+8641139735857", fieldsOf(t, outside)["number"])
	require.Empty(t, fieldsOf(t, outside)["host"])
	phone := w.make(directory.Device, "1001", map[string]any{"kind": "sip", "agent": "1001", "password": "secret-secret", "codecs": []string{"alaw"}})
	require.Equal(t, "dynamic", fieldsOf(t, phone)["host"])
	require.NotContains(t, string(phone.Body), "ha1")
	w.one(&kept, `SELECT ha1_sha256 FROM devices WHERE name = '1001'`)
	require.Len(t, kept, 64)
	phone, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "1001", Set: map[string]any{"nat": "no"}})
	require.NoError(t, err)
	require.Equal(t, "no", fieldsOf(t, phone)["nat"])
	var same string
	w.one(&same, `SELECT ha1_sha256 FROM devices WHERE name = '1001'`)
	require.Equal(t, kept, same)

	for field, set := range map[string]map[string]any{
		"number": {"kind": "sip", "number": "1"}, "nat": {"kind": "sip", "nat": "perhaps"}, "agent": {"kind": "sip", "agent": "7"},
	} {
		_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "odd", Set: set})
		requireRefused(t, err, fault.Invalid, "invalid")
		require.Contains(t, fault.Sentence(err), field+":")
	}
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "twin", Set: map[string]any{"kind": "sip", "extension": "5000"}})
	requireRefused(t, err, fault.Conflict, "number_taken")
	requireRefused(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Trunk, Name: "carrier"}), fault.Conflict, "in_use")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "ordinary"}))
	back, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "ordinary"})
	require.NoError(t, err)
	require.Equal(t, "5000", fieldsOf(t, back)["extension"])

	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	same2, err := w.Apply(t.Context(), doc, true)
	require.NoError(t, err)
	require.Empty(t, same2, "what was made one by one is as a file would make it")
}
