package httpapi

import (
	"net/http"
	"slices"

	"holdfast/domain/account"
)

// access says who may use a route: everyone, whoever is signed in, or who holds a permission.
type access string

const (
	everyone access = "everyone"
	signedIn access = "signed in"
)

// permission returns what the route asks for besides being signed in, if anything.
func (a access) permission() (account.Permission, bool) {
	return account.Permission(a), a != everyone && a != signedIn
}

func may(p account.Permission) access { return access(p) }

// route is one endpoint of the API.
type route struct {
	name    string // operation id
	method  string
	path    string
	access  access
	summary string
	status  int // of success; 0: 200
}

// within names the permissions that actions within an endpoint ask for besides the
// endpoint's own: somebody may be allowed the endpoint and refused the action
// (SEED-111). An action is a field of the body, or described in words.
var within = map[string]map[string]account.Permission{
	"login":          {"agent_session": account.SessionUse},
	"list-calls":     {"calls of others": account.CallsRead.At(account.Tenant)},
	"get-call":       {"calls of others": account.CallsRead.At(account.Tenant), "temporal_url": account.OpsTemporal},
	"get-timeline":   {"calls of others": account.CallsRead.At(account.Tenant), "temporal_url": account.OpsTemporal},
	"hang-up":        {"a call that is not one's own": account.CallsDisconnect},
	"events":         {"sessions of others": account.PresenceRead, "queues": account.QueuesWatch, "calls of others": account.CallsRead.At(account.Tenant)},
	"list-bookings":  {"accounts of others": account.BookingsRead.At(account.Tenant)},
	"get-queue-live": {"sessions of others": account.PresenceRead},

	"create-user":  {"roles": account.UsersAssign, "teams": account.UsersAssign, "password": account.UsersPassword, "disabled": account.UsersDisable, "agent": account.AgentsCreate},
	"update-user":  {"roles": account.UsersAssign, "teams": account.UsersAssign, "password": account.UsersPassword, "disabled": account.UsersDisable, "agent": account.AgentsCreate},
	"create-role":  {"permissions": account.RolesGrant},
	"update-role":  {"permissions": account.RolesGrant},
	"create-agent": {"skills": account.AgentsSkill},
	"update-agent": {"team": account.AgentsMove, "skills": account.AgentsSkill},
	"create-queue": {"members": account.QueuesStaff, "skills": account.QueuesSkill},
	"update-queue": {"members": account.QueuesStaff, "skills": account.QueuesSkill},

	"import-users": {"rows of those who are there": account.UsersUpdate, "columns roles, teams": account.UsersAssign, "column password": account.UsersPassword,
		"column disabled": account.UsersDisable, "column agent": account.AgentsCreate},
	"import-agents":  {"rows of those who are there": account.AgentsUpdate, "column team": account.AgentsMove, "column skills": account.AgentsSkill},
	"import-devices": {"column password": account.DevicesSecret},

	"create-tenant": {"policies": account.TenantsPolicies},
	"update-tenant": {"policies": account.TenantsPolicies, "organization": account.TenantsMove, "division": account.TenantsMove},

	"create-device": {"password": account.DevicesSecret},
	"update-device": {"password": account.DevicesSecret},
	"create-trunk":  {"password": account.TrunksPassword},
	"update-trunk":  {"password": account.TrunksPassword},
}

// The groups in which the reference shows the routes.
const (
	tagSignIn   = "Sign in"
	tagEntrance = "API keys and OpenID Connect"
	tagSession  = "Agent session"
	tagCalls    = "Calls"
	tagWatch    = "Supervision"
	tagPeople   = "People"
	tagService  = "Service"
	tagWebhooks = "Webhooks"
	tagTenants  = "Tenants and audit"
	tagOperator = "Operation"
	tagRecords  = "Records"

	tagCustomers = "Customers"
	tagLogs      = "Client logs"
)

// routes is every endpoint with who may use it (SEED-109, SEED-110). What is not
// here is not served; a test compares it with what the router knows.
var routes = map[string][]route{
	tagSignIn: {
		{"login", http.MethodPost, "/v1/auth/login", everyone, "Sign in with tenant, user name and password", 0},
		{"refresh", http.MethodPost, "/v1/auth/refresh", everyone, "Get a new access token by the refresh cookie", 0},
		{"logout", http.MethodPost, "/v1/auth/logout", everyone, "Give the refresh cookie up", http.StatusNoContent},
		{"switch-tenant", http.MethodPost, "/v1/auth/switch-tenant", may(account.TenantsSwitch), "Work in another tenant, or again in one's own", 0},
		{"change-password", http.MethodPost, "/v1/auth/password", everyone, "Set a new password by the present one, also when that is too old to sign in", 0},
		{"begin-oidc", http.MethodGet, "/v1/auth/oidc/{tenant}", everyone, "Go to the tenant's OpenID Connect provider to sign in", http.StatusFound},
		{"end-oidc", http.MethodGet, "/v1/auth/oidc/{tenant}/callback", everyone, "Come back from it, and be signed in by the refresh cookie", http.StatusFound},
		{"list-own-logins", http.MethodGet, "/v1/me/logins", signedIn, "List one's own logins, with device and address", 0},
		{"end-own-login", http.MethodDelete, "/v1/me/logins/{id}", signedIn, "End one of one's own logins, with all its tokens", http.StatusNoContent},
		{"end-own-logins", http.MethodDelete, "/v1/me/logins", signedIn, "End all of one's own logins but this one", http.StatusNoContent},
		{"list-logins", http.MethodGet, "/v1/users/{id}/logins", may(account.LoginsRead), "List a user's logins", 0},
		{"end-login", http.MethodDelete, "/v1/users/{id}/logins/{login}", may(account.LoginsEnd), "End one of a user's logins, with all its tokens", http.StatusNoContent},
		{"end-logins", http.MethodDelete, "/v1/users/{id}/logins", may(account.LoginsEnd), "Sign a user out everywhere", http.StatusNoContent},
		{"me", http.MethodGet, "/v1/me", signedIn, "Who am I, what may I do, which devices may I choose", 0},
	},
	tagEntrance: {
		{"get-oidc", http.MethodGet, "/v1/oidc", may(account.SignInRead), "View the tenant's OpenID Connect provider", 0},
		{"set-oidc", http.MethodPut, "/v1/oidc", may(account.SignInWrite), "Set the tenant's OpenID Connect provider; optional fields that are left out stay", 0},
		{"delete-oidc", http.MethodDelete, "/v1/oidc", may(account.SignInWrite), "Have no OpenID Connect provider any more", http.StatusNoContent},
		{"list-keys", http.MethodGet, "/v1/api-keys", may(account.KeysRead), "List API keys", 0},
		{"create-key", http.MethodPost, "/v1/api-keys", may(account.KeysWrite), "Make an API key; it is shown in the answer, and never again", http.StatusCreated},
		{"get-key", http.MethodGet, "/v1/api-keys/{id}", may(account.KeysRead), "View an API key, without the key itself", 0},
		{"update-key", http.MethodPatch, "/v1/api-keys/{id}", may(account.KeysWrite), "Change fields of an API key; what is left out stays", 0},
		{"delete-key", http.MethodDelete, "/v1/api-keys/{id}", may(account.KeysWrite), "Delete an API key: it is refused from then on, and can't be restored", http.StatusNoContent},
	},
	tagSession: {
		{"sign-in", http.MethodPost, "/v1/agent-session", may(account.SessionUse), "Sign in as agent, or attach a terminal to the running session", http.StatusCreated},
		{"get-session", http.MethodGet, "/v1/agent-session", may(account.SessionUse), "View one's own session", 0},
		{"sign-out", http.MethodDelete, "/v1/agent-session", may(account.SessionUse), "Sign out, at once or when the call in hand is over", 0},
		{"ready", http.MethodPost, "/v1/agent-session/ready", may(account.SessionUse), "Ask for queue calls", 0},
		{"not-ready", http.MethodPost, "/v1/agent-session/not-ready", may(account.SessionUse), "Ask for no queue calls", 0},
		{"check-in", http.MethodPost, "/v1/agent-session/check-in", may(account.SessionUse), "Join queues", 0},
		{"check-out", http.MethodPost, "/v1/agent-session/check-out", may(account.SessionUse), "Leave queues", 0},
		{"binding", http.MethodPost, "/v1/agent-session/binding", may(account.SessionUse), "Choose the devices of the session", 0},
		{"wrap-up", http.MethodPost, "/v1/agent-session/wrap-up", may(account.SessionUse), "Finish or extend wrap-up", 0},
		{"terminal", http.MethodPost, "/v1/agent-session/terminal", may(account.SessionUse), "Show that a terminal is alive, or leaves", 0},
	},
	tagCalls: {
		{"list-calls", http.MethodGet, "/v1/calls", may(account.CallsRead), "List live and past calls, newest first", 0},
		{"get-call", http.MethodGet, "/v1/calls/{id}", may(account.CallsRead), "View a call", 0},
		{"get-timeline", http.MethodGet, "/v1/calls/{id}/timeline", may(account.CallsRead), "Everything that happened to a call, in order", 0},
		{"hang-up", http.MethodPost, "/v1/calls/{id}/hang-up", may(account.CallsHangUp), "End a call", 0},
	},
	tagWatch: {
		{"get-queue-live", http.MethodGet, "/v1/queues/{id}/live", may(account.QueuesWatch), "Who waits in a queue, who serves it", 0},
		{"list-presence", http.MethodGet, "/v1/presence", may(account.PresenceRead), "The sessions of one's teams", 0},
		{"events", http.MethodGet, "/v1/events", signedIn, "Follow sessions, calls and queues (server-sent events)", 0},
		{"force-ready", http.MethodPost, "/v1/agents/{id}/session/ready", may(account.AgentsCommand), "Make a subordinate Ready", 0},
		{"force-not-ready", http.MethodPost, "/v1/agents/{id}/session/not-ready", may(account.AgentsCommand), "Make a subordinate NotReady", 0},
		{"force-sign-out", http.MethodPost, "/v1/agents/{id}/session/sign-out", may(account.AgentsCommand), "Sign a subordinate out", 0},
	},
	tagPeople: slices.Concat(
		crud(users, account.UsersRead, account.UsersCreate, account.UsersUpdate, account.UsersDelete),
		crud(roles, account.RolesRead, account.RolesWrite, account.RolesWrite, account.RolesWrite),
		crud(teams, account.TeamsRead, account.TeamsWrite, account.TeamsWrite, account.TeamsWrite),
		crud(agents, account.AgentsRead, account.AgentsCreate, account.AgentsUpdate, account.AgentsDelete),
		importing(users, account.UsersRead, account.UsersCreate),
		importing(agents, account.AgentsRead, account.AgentsCreate),
		[]route{{"list-permissions", http.MethodGet, "/v1/permissions", may(account.RolesRead), "What roles are made of", 0}},
	),
	tagService: slices.Concat(
		crud(queues, account.QueuesRead, account.QueuesWrite, account.QueuesWrite, account.QueuesWrite),
		crud(music, account.QueuesRead, account.QueuesWrite, account.QueuesWrite, account.QueuesWrite),
		[]route{{"get-music-audio", http.MethodGet, "/v1/music/{id}/audio", may(account.QueuesRead), "The sound file", 0}},
		crud(numbers, account.NumbersRead, account.NumbersWrite, account.NumbersWrite, account.NumbersWrite),
		crud(devices, account.DevicesRead, account.DevicesWrite, account.DevicesWrite, account.DevicesWrite),
		importing(devices, account.DevicesRead, account.DevicesWrite),
		[]route{{"list-registrations", http.MethodGet, "/v1/devices/{id}/registrations", may(account.DevicesRead), "Where a device is registered now, and what happened to its registrations", 0}},
		crud(trunks, account.TrunksRead, account.TrunksWrite, account.TrunksWrite, account.TrunksWrite),
		crud(reasons, account.ReasonsRead, account.ReasonsWrite, account.ReasonsWrite, account.ReasonsWrite),
		crud(skills, account.SkillsRead, account.SkillsWrite, account.SkillsWrite, account.SkillsWrite),
		crud(dispositions, account.DispositionsRead, account.DispositionsWrite, account.DispositionsWrite, account.DispositionsWrite),
	),
	tagRecords: slices.Concat(
		[]route{{"list-bookings", http.MethodGet, "/v1/bookings", may(account.BookingsRead), "What calls to the outside are booked to whom and cost, newest first, or summed up per day; as JSON or CSV", 0}},
		crud(tariffs, account.TariffsRead, account.TariffsWrite, account.TariffsWrite, account.TariffsWrite),
		importing(tariffs, account.TariffsRead, account.TariffsWrite),
	),
	tagCustomers: customerRoutes(),
	tagLogs:      clientLogRoutes(),
	tagWebhooks: append(
		crud(webhooks, account.WebhooksRead, account.WebhooksWrite, account.WebhooksWrite, account.WebhooksWrite),
		route{"rotate-webhook-secret", http.MethodPost, "/v1/webhooks/{id}/rotate-secret", may(account.WebhooksSecret), "Make a new secret; the one before stays valid for a while", 0},
		route{"list-deliveries", http.MethodGet, "/v1/webhooks/{id}/deliveries", may(account.WebhooksRead), "What was, and is to be, sent to a webhook, newest first", 0},
		route{"get-delivery", http.MethodGet, "/v1/webhooks/{id}/deliveries/{delivery}", may(account.WebhooksRead), "One message with its body and the last answer", 0},
		route{"redeliver", http.MethodPost, "/v1/webhooks/{id}/deliveries/{delivery}/redeliver", may(account.WebhooksSend), "Send a message again", http.StatusAccepted},
		route{"replay-events", http.MethodPost, "/v1/webhooks/{id}/replay", may(account.WebhooksSend), "Send the events of a stretch of time again", http.StatusAccepted},
		route{"test-webhook", http.MethodPost, "/v1/webhooks/{id}/test", may(account.WebhooksSend), "Send a ping, even while the webhook is disabled", http.StatusAccepted},
	),
	tagTenants: slices.Concat(
		crud(organizations, account.TenantsRead, account.OrganizationsWrite, account.OrganizationsWrite, account.OrganizationsWrite),
		crud(divisions, account.TenantsRead, account.DivisionsWrite, account.DivisionsWrite, account.DivisionsWrite),
		crud(tenants, account.TenantsRead, account.TenantsCreate, account.TenantsUpdate, account.TenantsDelete),
		[]route{
			{"apply-tenant", http.MethodPost, "/v1/tenants/{id}/apply", may(account.TenantsApply), "Make the tenant what a document says, or tell how it differs", 0},
			{"export-tenant", http.MethodGet, "/v1/tenants/{id}/export", may(account.TenantsExport), "The tenant as a document, with the hashes of its passwords", 0},
		},
		[]route{{"list-audit", http.MethodGet, "/v1/audit", may(account.AuditRead), "Who did what, newest first", 0}},
	),
	tagOperator: {
		{"healthz", http.MethodGet, "/healthz", everyone, "Does the process live", 0},
		{"readyz", http.MethodGet, "/readyz", everyone, "Does it have what it needs; names what is missing", 0},
		{"metrics", http.MethodGet, "/metrics", everyone, "Prometheus metrics", 0},
		{"openapi", http.MethodGet, "/openapi.json", everyone, "This description (OpenAPI 3.1)", 0},
		{"docs", http.MethodGet, "/docs", everyone, "The reference for people", 0},
		{"page", http.MethodGet, "/", everyone, "What runs here", 0},
	},
}

// routeNamed finds a route; it panics if there is none: a handler without a route is our defect.
func routeNamed(name string) (tag string, r route) {
	for tag, group := range routes {
		for _, r := range group {
			if r.name == name {
				return tag, r
			}
		}
	}
	panic("httpapi: no route is named " + name)
}
