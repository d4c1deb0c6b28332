package tenancy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
)

func withRoles(roles ...Role) Document {
	return Document{
		Organization: Unit{Name: "acme"}, Division: Unit{Name: "main"}, Tenant: Tenant{Domain: "acme.example"}, Roles: roles,
		Users: []User{{Name: "anna", Roles: []account.Role{"listener"}}},
	}
}

// SEED-110: a tenant makes roles that fit the work, from the permissions that there are.
func TestRoles_OfTheTenant_AreBuiltFromPermissions(t *testing.T) {
	t.Parallel()
	d := withRoles(Role{Name: "listener", Permissions: []account.Permission{"calls:read:team", "calls:monitor:team"}})
	require.Empty(t, d.Validate())
	require.Equal(t, []account.Permission{"calls:monitor:team", "calls:read:team"}, d.Complete().Roles[0].Permissions)
	require.False(t, d.Administered())
	d.Users = append(d.Users, User{Name: "boss", Roles: []account.Role{account.ITAdmin}})
	require.True(t, d.Administered())
	d.Users[1].Disabled = true
	require.False(t, d.Administered())
}

// SEED-6: a role with session:use makes an agent, whoever made the role.
func TestRoles_OfTheTenant_WithSessionUse_MakeAnAgent(t *testing.T) {
	t.Parallel()
	d := withRoles(Role{Name: "listener", Permissions: []account.Permission{"calls:read:team"}})
	d.Agents = []Agent{{Number: "1001", User: "anna"}}
	require.Len(t, d.Validate(), 1)
	d.Roles[0].Permissions = append(d.Roles[0].Permissions, "session:use:own")
	require.Empty(t, d.Validate())
}

func TestRoles_WrongOnes_AreNamedEach(t *testing.T) {
	t.Parallel()
	d := withRoles(Role{Name: "listener", Permissions: []account.Permission{"calls:read", "calls:fly:team", "session:use:tenant", "calls:read:team", "calls:read:team"}},
		Role{Name: account.Regular})
	wrong := map[string]string{}
	for _, f := range d.Validate() {
		wrong[f.Name] = f.Sentence
	}
	require.Equal(t, map[string]string{
		"roles[0].permissions[0]": `"calls:read" needs a scope that it can have: [own team tenant division organization system]`,
		"roles[0].permissions[1]": `there is no permission "calls:fly:team"`,
		"roles[0].permissions[2]": `"session:use:tenant" needs a scope that it can have: [own]`,
		"roles[0].permissions[4]": "stands twice",
		"roles[1].name":           `"regular_agent" is given to every tenant and stays as it is; take another name`,
	}, wrong)
	d = withRoles()
	require.Len(t, d.Validate(), 1, "anna has a role that there is not")
}
