package account

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// SEED-9: a supervisor agent can do everything a regular agent can.
// SEED-8: a regular agent has no supervisor operation.
func TestRoles_SupervisorMayAllThatARegularAgentMay_NotTheOtherWayRound(t *testing.T) {
	t.Parallel()
	require.Subset(t, Supervisor.Permissions(), Regular.Permissions())
	for _, p := range []Permission{CallsDisconnect, CallsMonitor, AgentsCommand, PresenceRead, CallsReadAll, TeamsAll} {
		require.NotContains(t, Regular.Permissions(), p)
	}
}

// SEED-5, SEED-6: only the two agent roles make an agent and may handle calls.
func TestRoles_OnlyAgentRolesMakeAnAgent(t *testing.T) {
	t.Parallel()
	for role, agent := range map[Role]bool{BusinessAdmin: false, ITAdmin: false, Supervisor: true, Regular: true, "auditor": false} {
		require.Equal(t, agent, role.Agent(), role)
		require.Equal(t, agent, len(role.Permissions()) > 0 && User{Permissions: role.Permissions()}.May(SessionUse), role)
	}
}

func TestRoles_EveryPermissionIsResourceColonAction(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[a-z_]+:[a-z_]+$`)
	for _, r := range BuiltIn() {
		require.NotEmpty(t, r.Permissions())
		for _, p := range r.Permissions() {
			require.Regexp(t, word, string(p))
		}
	}
	require.Nil(t, Role("nobody").Permissions())
}

// SEED-2, SEED-110: a user may what any of its roles may, each once.
func TestPermissionsOf_SeveralRoles_AddUp(t *testing.T) {
	t.Parallel()
	both := PermissionsOf(BusinessAdmin, ITAdmin)
	require.Subset(t, both, BusinessAdmin.Permissions())
	require.Subset(t, both, ITAdmin.Permissions())
	require.IsIncreasing(t, both, "sorted, none twice")
	require.NotContains(t, both, SessionUse, "SEED-5: no agent, however many roles of other kinds")
	require.Empty(t, PermissionsOf())
	require.Empty(t, PermissionsOf("auditor"))
}

// SEED-8: the tenant's directory and its audit trail are the administrators'.
func TestRoles_DirectoryAndAuditAreTheAdministrators(t *testing.T) {
	t.Parallel()
	for _, p := range []Permission{TenantsApply, TenantsExport, AuditRead} {
		require.Contains(t, BusinessAdmin.Permissions(), p)
		require.Contains(t, ITAdmin.Permissions(), p)
		require.NotContains(t, Supervisor.Permissions(), p)
		require.NotContains(t, Regular.Permissions(), p)
	}
	require.NotContains(t, BusinessAdmin.Permissions(), OpsTemporal)
}
