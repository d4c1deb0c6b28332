package account

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
)

// SEED-9: a supervisor agent can do everything a regular agent can.
// SEED-8: a regular agent has no supervisor operation: what it may is about itself.
func TestRoles_SupervisorMayAllThatARegularAgentMay_NotTheOtherWayRound(t *testing.T) {
	t.Parallel()
	require.Empty(t, Added(Supervisor.Permissions(), Regular.Permissions()))
	for _, p := range Regular.Permissions() {
		require.Equal(t, Own, p.Scope(), p)
	}
	regular := User{Permissions: Regular.Permissions(), Teams: nil}
	for _, p := range []Permission{CallsDisconnect, CallsMonitor, AgentsCommand, PresenceRead, UsersRead, CallsRead.At(Team)} {
		require.False(t, regular.May(p), p)
	}
}

// SEED-5, SEED-6: only the two agent roles make an agent and may handle calls.
func TestRoles_OnlyAgentRolesMakeAnAgent(t *testing.T) {
	t.Parallel()
	for role, agent := range map[Role]bool{
		BusinessAdmin: false, ITAdmin: false, Supervisor: true, Regular: true, SystemAdmin: false, TeamAdmin: false, "auditor": false,
	} {
		require.Equal(t, agent, role.Agent(), role)
		require.Equal(t, agent, User{Permissions: role.Permissions()}.May(SessionUse), role)
	}
}

func TestRoles_EveryPermissionIsResourceColonActionColonScope(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[a-z_]+:[a-z_]+:(own|team|tenant|division|organization|system)$`)
	for _, r := range Given() {
		require.NotEmpty(t, r.Permissions())
		for _, p := range r.Permissions() {
			require.Regexp(t, word, string(p))
			require.True(t, p.Valid(), "%s of %s", p, r)
		}
	}
	require.Nil(t, Role("nobody").Permissions())
	for _, p := range All() {
		require.NotEmpty(t, ScopesOf(p), p)
		require.False(t, p.Valid(), "%s needs a scope to be held", p)
	}
	for _, p := range []Permission{"users:fly:tenant", "users:read:own", "roles:write:team", "users:read:galaxy", "session:use:tenant", "a", ""} {
		require.False(t, p.Valid(), p)
	}
}

// SEED-2, SEED-110: a user may what any of its roles may, each once.
func TestPermissionsOf_SeveralRoles_AddUp(t *testing.T) {
	t.Parallel()
	both := PermissionsOf(BusinessAdmin, ITAdmin)
	require.Subset(t, both, BusinessAdmin.Permissions())
	require.Subset(t, both, ITAdmin.Permissions())
	require.IsIncreasing(t, both, "sorted, none twice")
	require.NotContains(t, both, SessionUse.At(Own), "SEED-5: no agent, however many roles of other kinds")
	require.Empty(t, PermissionsOf())
	require.Empty(t, PermissionsOf("auditor"))
	own := Roles{"auditor": {AuditRead.At(Tenant)}}
	require.Equal(t, []Permission{"audit:read:tenant"}, own.Permissions([]Role{"auditor", "unknown"}))
	require.True(t, own.Knows("auditor") && own.Knows(Regular) && !own.Knows("unknown"))
}

// SEED-8: the tenant's directory and its audit trail are the administrators'.
func TestRoles_DirectoryAndAuditAreTheAdministrators(t *testing.T) {
	t.Parallel()
	for _, p := range []Permission{TenantsApply, TenantsExport, AuditRead, UsersUpdate} {
		require.Equal(t, Tenant, ReachOf(BusinessAdmin.Permissions(), p), p)
		require.Equal(t, Tenant, ReachOf(ITAdmin.Permissions(), p), p)
		require.Empty(t, ReachOf(Supervisor.Permissions(), p), p)
		require.Empty(t, ReachOf(Regular.Permissions(), p), p)
	}
	require.Empty(t, ReachOf(BusinessAdmin.Permissions(), OpsTemporal))
}

// SEED-41: three kinds of account, told by how far they administer.
// SEED-42: the system administrator may everything that can be had for the system.
// SEED-43: the team administrator reaches its team, and nothing outside of it.
func TestKinds_SystemTeamAndUser(t *testing.T) {
	t.Parallel()
	require.Equal(t, SystemKind, KindOf(SystemAdmin.Permissions()))
	require.Equal(t, TeamKind, KindOf(TeamAdmin.Permissions()))
	require.Equal(t, UserKind, KindOf(Regular.Permissions()))
	require.Equal(t, UserKind, KindOf(BusinessAdmin.Permissions()))
	for _, p := range All() {
		if p != SessionUse && p != CallsHangUp { // what one does oneself
			require.Equal(t, System, ReachOf(SystemAdmin.Permissions(), p), p)
		}
	}
	for _, p := range TeamAdmin.Permissions() {
		require.Equal(t, Team, p.Scope(), p)
	}
	ted := User{Permissions: TeamAdmin.Permissions(), Teams: []id.Team{"blue"}}
	require.True(t, ted.MayFor(UsersUpdate, "blue"))
	require.False(t, ted.MayFor(UsersUpdate, "red"))
	require.False(t, ted.MayFor(UsersUpdate, ""), "who is in no team is nobody's")
	ada := User{Permissions: BusinessAdmin.Permissions()}
	require.True(t, ada.MayFor(UsersUpdate, "red") && ada.MayFor(UsersUpdate, ""))
}
