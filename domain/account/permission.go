package account

import "slices"

// The permissions. Each endpoint of the API names the one that it asks for
// (SEED-109, SEED-110).
const (
	SessionUse      Permission = "session:use"      // sign in as agent and command one's own session (SEED-5)
	CallsRead       Permission = "calls:read"       // one's own calls
	CallsReadAll    Permission = "calls:read_all"   // every call of the tenant
	CallsHangUp     Permission = "calls:hang_up"    // end a call; another's needs calls:disconnect as well
	CallsDisconnect Permission = "calls:disconnect" // end a subordinate's call (SEED-13)
	CallsMonitor    Permission = "calls:monitor"    // listen to a subordinate's call (SEED-10)
	QueuesRead      Permission = "queues:read"      // who waits, who serves
	PresenceRead    Permission = "presence:read"    // the sessions of one's teams (SEED-101)
	AgentsCommand   Permission = "agents:command"   // command a subordinate's session (SEED-104)
	TeamsAll        Permission = "teams:all"        // every agent of the tenant counts as one's own teams'
	OpsTemporal     Permission = "ops:temporal"     // links into the Temporal Web UI
	TenantsApply    Permission = "tenants:apply"    // change the tenant's directory as a whole
	TenantsExport   Permission = "tenants:export"   // read the tenant's directory as a whole
	AuditRead       Permission = "audit:read"       // who did what (SEED-4)
)

// builtIn are the permissions of the built-in roles.
var builtIn = map[Role][]Permission{
	BusinessAdmin: {CallsRead, CallsReadAll, CallsHangUp, CallsDisconnect, QueuesRead, PresenceRead, AgentsCommand, TeamsAll,
		TenantsApply, TenantsExport, AuditRead},
	ITAdmin: {CallsRead, CallsReadAll, QueuesRead, PresenceRead, TeamsAll, OpsTemporal,
		TenantsApply, TenantsExport, AuditRead},
	Supervisor: {SessionUse, CallsRead, CallsReadAll, CallsHangUp, CallsDisconnect, CallsMonitor,
		QueuesRead, PresenceRead, AgentsCommand},
	Regular: {SessionUse, CallsRead, CallsHangUp},
}

// BuiltIn lists the built-in roles, most powerful over others first.
func BuiltIn() []Role { return []Role{BusinessAdmin, ITAdmin, Supervisor, Regular} }

// Permissions returns what a built-in role may do, nil for any other role.
func (r Role) Permissions() []Permission { return slices.Clone(builtIn[r]) }

// PermissionsOf returns what a user of these roles may do, sorted: whatever any of
// them may. Roles that are not built in add nothing here.
func PermissionsOf(roles ...Role) []Permission {
	all := []Permission{}
	for _, r := range roles {
		all = append(all, builtIn[r]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Agent reports whether the role makes its user an agent (SEED-6).
func (r Role) Agent() bool { return slices.Contains(builtIn[r], SessionUse) }
