package account

import (
	"maps"
	"slices"
)

// The permissions, without their scopes. Each endpoint of the API names the one that
// it asks for, and each action within it that asks for more (SEED-109 to SEED-111).
const (
	SessionUse      Permission = "session:use"      // sign in as agent and command one's own session (SEED-5)
	CallsRead       Permission = "calls:read"       // see calls and their records
	CallsHangUp     Permission = "calls:hang_up"    // end a call; another's needs calls:disconnect as well
	CallsDisconnect Permission = "calls:disconnect" // end a subordinate's call (SEED-13)
	CallsMonitor    Permission = "calls:monitor"    // listen to a subordinate's call (SEED-10)
	QueuesWatch     Permission = "queues:watch"     // who waits, who serves
	PresenceRead    Permission = "presence:read"    // see sessions (SEED-101)
	AgentsCommand   Permission = "agents:command"   // command a subordinate's session (SEED-104)
	OpsTemporal     Permission = "ops:temporal"     // links into the Temporal Web UI
	TenantsApply    Permission = "tenants:apply"    // change the tenant's directory as a whole
	TenantsExport   Permission = "tenants:export"   // read the tenant's directory as a whole
	TenantsRead     Permission = "tenants:read"     // see organizations, divisions and tenants
	TenantsCreate   Permission = "tenants:create"   // found a tenant
	TenantsSwitch   Permission = "tenants:switch"   // work in another tenant (SEED-40)
	AuditRead       Permission = "audit:read"       // who did what (SEED-4)

	UsersRead      Permission = "users:read"
	UsersCreate    Permission = "users:create"
	UsersUpdate    Permission = "users:update"
	UsersDelete    Permission = "users:delete"
	UsersAssign    Permission = "users:assign_roles" // give and take roles and the scope of a supervisor
	UsersPassword  Permission = "users:set_password"
	UsersDisable   Permission = "users:disable"
	LoginsRead     Permission = "logins:read" // where a user is signed in
	LoginsEnd      Permission = "logins:end"  // sign a user out
	KeysRead       Permission = "keys:read"
	KeysWrite      Permission = "keys:write"    // make, change and delete API keys
	SignInRead     Permission = "sign_in:read"  // how the tenant's users sign in
	SignInWrite    Permission = "sign_in:write" // and sign in by password, however it is set
	RolesRead      Permission = "roles:read"
	RolesWrite     Permission = "roles:write" // create and delete the tenant's roles, and name them
	RolesGrant     Permission = "roles:grant" // say what a role permits
	TeamsRead      Permission = "teams:read"
	TeamsWrite     Permission = "teams:write"
	AgentsRead     Permission = "agents:read"
	AgentsCreate   Permission = "agents:create"
	AgentsUpdate   Permission = "agents:update"
	AgentsMove     Permission = "agents:move" // to another team
	AgentsDelete   Permission = "agents:delete"
	QueuesRead     Permission = "queues:read"
	QueuesWrite    Permission = "queues:write"
	QueuesStaff    Permission = "queues:staff" // who serves a queue
	NumbersRead    Permission = "numbers:read"
	NumbersWrite   Permission = "numbers:write"
	TrunksRead     Permission = "trunks:read"
	TrunksWrite    Permission = "trunks:write"
	TrunksPassword Permission = "trunks:set_password"
	DevicesRead    Permission = "devices:read"
	DevicesWrite   Permission = "devices:write"
	DevicesSecret  Permission = "devices:set_password"

	ContactsRead   Permission = "contacts:read"  // see customers; own: those of one's calls, and made by oneself
	ContactsWrite  Permission = "contacts:write" // make and change them, write notes
	ContactsDelete Permission = "contacts:delete"
	ContactsMerge  Permission = "contacts:merge"
	ContactsErase  Permission = "contacts:erase" // remove somebody's personal data for good
	ContactsImport Permission = "contacts:import"
	ContactsExport Permission = "contacts:export"
	FieldsRead     Permission = "contact_fields:read"
	FieldsWrite    Permission = "contact_fields:write"
	LogsRead       Permission = "client_logs:read"    // what browsers report (SEED-129)
	WebhooksRead   Permission = "webhooks:read"       // see webhooks, and what was sent to them
	WebhooksWrite  Permission = "webhooks:write"      // make, change and delete them
	WebhooksSecret Permission = "webhooks:set_secret" // give a webhook a new secret
	WebhooksSend   Permission = "webhooks:send"       // send again, and test
)

// What is said of agents, queues and calls besides.
const (
	ReasonsRead       Permission = "reasons:read"
	ReasonsWrite      Permission = "reasons:write"
	SkillsRead        Permission = "skills:read"
	SkillsWrite       Permission = "skills:write"
	AgentsSkill       Permission = "agents:assign_skills"  // say what agents can
	QueuesSkill       Permission = "queues:require_skills" // say what queues ask for
	DispositionsRead  Permission = "dispositions:read"
	DispositionsWrite Permission = "dispositions:write"
)

// What is to be paid.
const (
	BookingsRead Permission = "bookings:read" // what calls outside are booked to whom (SEED-47, SEED-50)
	TariffsRead  Permission = "tariffs:read"  // what they cost
	TariffsWrite Permission = "tariffs:write"
)

// The levels above what a tenant holds (SEED-37).
const (
	OrganizationsWrite Permission = "organizations:write"
	DivisionsWrite     Permission = "divisions:write"
	TenantsUpdate      Permission = "tenants:update"
	TenantsPolicies    Permission = "tenants:set_policies"
	TenantsMove        Permission = "tenants:move" // to another division
	TenantsDelete      Permission = "tenants:delete"
)

// widest is how far each permission can reach at most, narrowest how little: what is
// of the tenant as a whole can't be held for a team.
var reaches = map[Permission][2]Scope{
	SessionUse: {Own, Own}, CallsRead: {Own, System}, CallsHangUp: {Own, Own}, CallsDisconnect: {Team, System}, CallsMonitor: {Team, System},
	QueuesWatch: {Team, System}, PresenceRead: {Team, System}, AgentsCommand: {Team, System}, OpsTemporal: {Tenant, System},
	TenantsApply: {Tenant, System}, TenantsExport: {Tenant, System}, TenantsRead: {Tenant, System}, TenantsCreate: {Division, System}, TenantsSwitch: {Division, System}, AuditRead: {Tenant, System},
	UsersRead: {Team, System}, UsersCreate: {Team, System}, UsersUpdate: {Team, System}, UsersDelete: {Team, System},
	UsersAssign: {Team, System}, UsersPassword: {Team, System}, UsersDisable: {Team, System},
	LoginsRead: {Team, System}, LoginsEnd: {Team, System},
	KeysRead: {Tenant, System}, KeysWrite: {Tenant, System}, SignInRead: {Tenant, System}, SignInWrite: {Tenant, System},
	RolesRead: {Team, System}, RolesWrite: {Tenant, System}, RolesGrant: {Tenant, System},
	TeamsRead: {Team, System}, TeamsWrite: {Tenant, System},
	AgentsRead: {Team, System}, AgentsCreate: {Team, System}, AgentsUpdate: {Team, System}, AgentsMove: {Tenant, System}, AgentsDelete: {Team, System},
	QueuesRead: {Team, System}, QueuesWrite: {Tenant, System}, QueuesStaff: {Tenant, System},
	NumbersRead: {Tenant, System}, NumbersWrite: {Tenant, System}, TrunksRead: {Tenant, System}, TrunksWrite: {Tenant, System}, TrunksPassword: {Tenant, System},
	DevicesRead: {Tenant, System}, DevicesWrite: {Tenant, System}, DevicesSecret: {Tenant, System},
	ReasonsRead: {Team, System}, ReasonsWrite: {Tenant, System}, SkillsRead: {Team, System}, SkillsWrite: {Tenant, System},
	OrganizationsWrite: {Organization, System}, DivisionsWrite: {Division, System}, TenantsUpdate: {Tenant, System}, TenantsPolicies: {Tenant, System},
	TenantsMove: {Organization, System}, TenantsDelete: {Division, System},
	BookingsRead: {Own, System}, TariffsRead: {Team, System}, TariffsWrite: {Tenant, System}, AgentsSkill: {Team, System}, QueuesSkill: {Tenant, System}, DispositionsRead: {Team, System}, DispositionsWrite: {Tenant, System},
	ContactsRead: {Own, System}, ContactsWrite: {Own, System}, ContactsDelete: {Tenant, System}, ContactsMerge: {Tenant, System}, ContactsErase: {Tenant, System},
	ContactsImport: {Tenant, System}, ContactsExport: {Tenant, System}, FieldsRead: {Own, System}, FieldsWrite: {Tenant, System}, LogsRead: {Tenant, System},
	WebhooksRead: {Tenant, System}, WebhooksWrite: {Tenant, System}, WebhooksSecret: {Tenant, System}, WebhooksSend: {Tenant, System},
}

// All lists every permission that there is, without scopes, in order.
func All() []Permission { return slices.Sorted(maps.Keys(reaches)) }

// Valid reports whether p names a permission that there is, with a scope that it can have.
func (p Permission) Valid() bool {
	r, known := reaches[p.Action()]
	return known && p.Scope().Covers(r[0]) && r[1].Covers(p.Scope())
}

// ScopesOf are the scopes that a permission can have, narrowest first.
func ScopesOf(p Permission) []Scope {
	var can []Scope
	for _, s := range Scopes() {
		if p.At(s).Valid() {
			can = append(can, s)
		}
	}
	return can
}

func at(s Scope, actions ...Permission) []Permission {
	scoped := make([]Permission, 0, len(actions))
	for _, a := range actions {
		scoped = append(scoped, a.At(s))
	}
	return scoped
}

// agentWork is what every agent may; it is about nobody else but its customers.
var agentWork = at(Own, SessionUse, CallsRead, CallsHangUp, ContactsRead, ContactsWrite, FieldsRead, BookingsRead)

// customers is the administration of customers.
var customers = at(Tenant, ContactsRead, ContactsWrite, ContactsDelete, ContactsMerge, ContactsErase, ContactsImport, ContactsExport, FieldsRead, FieldsWrite)

// accounts is the administration of people.
var accounts = []Permission{UsersRead, UsersCreate, UsersUpdate, UsersDelete, UsersAssign, UsersPassword, UsersDisable, LoginsRead, LoginsEnd,
	AgentsRead, AgentsCreate, AgentsUpdate, AgentsDelete, TeamsRead, RolesRead}

// entrance is the administration of how people and programs come in.
var entrance = []Permission{KeysRead, KeysWrite, SignInRead, SignInWrite}

// builtIn are the permissions of the roles that every tenant has. An administrator of
// the business holds what supervisors hold over others: nobody can give a role who
// doesn't hold what it permits.
var builtIn = map[Role][]Permission{
	BusinessAdmin: slices.Concat(at(Tenant, accounts...), at(Tenant, entrance...), customers, at(Tenant, CallsRead, CallsDisconnect, CallsMonitor, QueuesWatch, PresenceRead, AgentsCommand,
		TeamsWrite, RolesWrite, RolesGrant, AgentsMove, ReasonsRead, ReasonsWrite, SkillsRead, SkillsWrite, AgentsSkill, QueuesSkill, DispositionsRead, DispositionsWrite, BookingsRead, TariffsRead, TariffsWrite, TenantsUpdate, TenantsPolicies, QueuesRead, QueuesWrite, QueuesStaff, NumbersRead, NumbersWrite, TrunksRead,
		DevicesRead, DevicesWrite, DevicesSecret, WebhooksRead, WebhooksWrite, WebhooksSecret, WebhooksSend, TenantsRead, TenantsApply, TenantsExport, AuditRead, LogsRead), at(Own, CallsHangUp)),
	ITAdmin: slices.Concat(at(Tenant, accounts...), at(Tenant, entrance...), at(Tenant, CallsRead, QueuesWatch, PresenceRead, OpsTemporal,
		QueuesRead, NumbersRead, NumbersWrite, TrunksRead, TrunksWrite, TrunksPassword, DevicesRead, DevicesWrite, DevicesSecret,
		WebhooksRead, WebhooksWrite, WebhooksSecret, WebhooksSend, ReasonsRead, SkillsRead, DispositionsRead, TenantsRead, TenantsApply, TenantsExport, AuditRead, LogsRead, FieldsRead, FieldsWrite)),
	Supervisor: slices.Concat(agentWork, at(Tenant, CallsRead, ContactsRead, ContactsWrite, ContactsMerge), at(Team, BookingsRead, TariffsRead, CallsDisconnect, CallsMonitor, QueuesWatch, PresenceRead, AgentsCommand,
		AgentsRead, TeamsRead, QueuesRead, ReasonsRead, SkillsRead, DispositionsRead)),
	Regular: agentWork,

	SystemAdmin: at(System, slices.DeleteFunc(All(), func(p Permission) bool { return reaches[p][1] != System })...),
	TeamAdmin:   slices.Concat(at(Team, accounts...), at(Team, CallsRead, PresenceRead)),
}

// BuiltIn lists the four roles of a contact center (SEED-2), most powerful over others first.
func BuiltIn() []Role { return []Role{BusinessAdmin, ITAdmin, Supervisor, Regular} }

// Given lists all roles that every tenant has without making them: the four, and those
// of the administrators of AsterCC (SEED-41).
func Given() []Role { return append(BuiltIn(), TeamAdmin, SystemAdmin) }

// Permissions returns what a given role may do, nil for any other role.
func (r Role) Permissions() []Permission { return slices.Clone(builtIn[r]) }

// PermissionsOf returns what a user of these roles may do, sorted: whatever any of
// them may. Roles that are not given add nothing here: see Roles.
func PermissionsOf(roles ...Role) []Permission { return Roles{}.Permissions(roles) }

// Agent reports whether the given role makes its user an agent (SEED-6).
func (r Role) Agent() bool { return MakesAgent(builtIn[r]) }

// MakesAgent reports whether who holds these permissions is an agent (SEED-6).
func MakesAgent(held []Permission) bool { return ReachOf(held, SessionUse) != "" }
