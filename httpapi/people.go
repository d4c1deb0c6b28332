package httpapi

import (
	"context"

	"holdfast/domain/account"
	"holdfast/domain/directory"
)

// The resources about people.
var (
	users  = resource{kind: directory.User, path: "/v1/users", plural: "users", consult: hashPassword, secrets: []string{"password_hash"}}
	roles  = resource{kind: directory.Role, path: "/v1/roles", plural: "roles"}
	teams  = resource{kind: directory.Team, path: "/v1/teams", plural: "teams"}
	agents = resource{kind: directory.Agent, path: "/v1/agents", plural: "agents"}
)

type userView struct {
	Name        string   `json:"name" example:"1001"`
	DisplayName string   `json:"display_name" example:"Alice Adams"`
	Roles       []string `json:"roles"`
	Teams       []string `json:"teams" doc:"The scope of a supervisor or team administrator: whose agents are subordinates."`
	Team        string   `json:"team" doc:"The team to which the account belongs."`
	Disabled    bool     `json:"disabled"`
	Agent       string   `json:"agent" doc:"The agent's number, if the user has one."`
	Stamp
}

// UserFields are what can be set of a user.
type UserFields struct {
	DisplayName *line   `json:"display_name,omitempty" maxLength:"200"`
	Roles       *[]line `json:"roles,omitempty" minItems:"1" maxItems:"20" doc:"Given roles, and those of the tenant. With the role of an agent the agent begins, without it it ends."`
	Teams       *[]line `json:"teams,omitempty" maxItems:"100" doc:"The scope of a supervisor or team administrator."`
	Team        *line   `json:"team,omitempty" maxLength:"64" doc:"The team to which the account belongs; empty: none."`
	Disabled    *bool   `json:"disabled,omitempty" doc:"A disabled user can't sign in; its agent's session ends."`
	Password    *string `json:"password,omitempty" column:"password_hash" minLength:"8" maxLength:"256" doc:"As the tenant's policy wants it: 10 characters unless it says otherwise, none of the most used ones, not the user's name."`
}

type newUser struct {
	Name  line  `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	Agent *line `json:"agent,omitempty" minLength:"1" maxLength:"32" pattern:"^[0-9]+$" patternDescription:"digits" doc:"The number of the agent that begins with the role; without, the user's name if it is a number, else the next free one."`
	UserFields
}

type changedUser struct {
	Agent *line `json:"agent,omitempty" minLength:"1" maxLength:"32" pattern:"^[0-9]+$" patternDescription:"digits" doc:"The number of the agent that begins with the role."`
	UserFields
}

type listUsers struct {
	Listing
	Role     line   `query:"role" maxLength:"64"`
	Team     line   `query:"team" maxLength:"64"`
	Disabled string `query:"disabled" enum:"true,false"`
}

type roleView struct {
	Name        string   `json:"name" example:"auditor"`
	DisplayName string   `json:"display_name"`
	Permissions []string `json:"permissions" example:"[\"audit:read:tenant\"]"`
	Stamp
}

// RoleFields are what can be set of a role.
type RoleFields struct {
	DisplayName *line   `json:"display_name,omitempty" maxLength:"200"`
	Permissions *[]line `json:"permissions,omitempty" maxItems:"200" doc:"Each with its scope; you can give only what you hold. See GET /v1/permissions."`
}

type newRole struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	RoleFields
}

type listRoles struct {
	Listing
	Permission line `query:"permission" maxLength:"64" doc:"Roles that hold exactly this."`
}

type teamView struct {
	Name        string `json:"name" example:"service"`
	DisplayName string `json:"display_name"`
	Stamp
}

// TeamFields are what can be set of a team.
type TeamFields struct {
	DisplayName *line `json:"display_name,omitempty" maxLength:"200"`
}

type newTeam struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	TeamFields
}

type listTeams struct{ Listing }

type agentView struct {
	Number      string   `json:"number" example:"1001"`
	User        string   `json:"user"`
	DisplayName string   `json:"display_name" doc:"The user's."`
	Team        string   `json:"team"`
	WrapUpMS    int64    `json:"wrap_up_ms" doc:"0: none."`
	RingMethod  string   `json:"ring_method" enum:"all,linear,single"`
	OnNoAnswer  string   `json:"on_no_answer" enum:"not_ready,stay"`
	OnReject    string   `json:"on_reject" enum:"not_ready,stay"`
	BindingMode string   `json:"binding_mode" enum:"fixed,self_adapting,dynamic,hot_desk"`
	ShiftEnd    string   `json:"shift_end" doc:"When the agent is signed out, in the tenant's time zone; empty: never." example:"17:30"`
	Addresses   []string `json:"addresses" doc:"Devices, in the order in which they are tried."`

	Skills []skillLevel `json:"skills" doc:"What the agent can; the match does not look at it yet."`
	Stamp
}

// AgentFields are what can be set of an agent.
type AgentFields struct {
	Team        *line   `json:"team,omitempty" maxLength:"64" doc:"Empty: none."`
	WrapUpMS    *int64  `json:"wrap_up_ms,omitempty" minimum:"0" maximum:"3600000"`
	RingMethod  *string `json:"ring_method,omitempty" enum:"all,linear,single"`
	OnNoAnswer  *string `json:"on_no_answer,omitempty" enum:"not_ready,stay"`
	OnReject    *string `json:"on_reject,omitempty" enum:"not_ready,stay"`
	BindingMode *string `json:"binding_mode,omitempty" enum:"fixed,self_adapting,dynamic,hot_desk"`
	ShiftEnd    *line   `json:"shift_end,omitempty" pattern:"^(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$" patternDescription:"a time of day, such as 17:30; empty: never"`
	Addresses   *[]line `json:"addresses,omitempty" maxItems:"20" doc:"Devices, in order."`

	Skills *[]skillLevel `json:"skills,omitempty" maxItems:"100" doc:"What the agent can: all of it. The match does not look at it yet."`
}

type newAgent struct {
	Number line `json:"number" key:"true" minLength:"1" maxLength:"32" pattern:"^[0-9]+$" patternDescription:"digits"`
	User   line `json:"user" column:"user_name" minLength:"1" maxLength:"64" doc:"Who has the role of an agent and no agent yet."`
	AgentFields
}

type listAgents struct {
	Listing
	Team  line `query:"team" maxLength:"64"`
	User  line `query:"user" maxLength:"64"`
	Queue line `query:"queue" maxLength:"64" doc:"Who is a member of it."`
	Skill line `query:"skill" maxLength:"64" doc:"Who has it."`
}

type permissionView struct {
	Permission string          `json:"permission" example:"calls:monitor"`
	Scopes     []account.Scope `json:"scopes" doc:"With which it can be held, narrowest first."`
	Held       account.Scope   `json:"held,omitempty" doc:"How far you hold it, and can give it."`
}

type permissionsOutput struct {
	Body struct {
		Items []permissionView                      `json:"items"`
		Roles map[account.Role][]account.Permission `json:"roles" doc:"What the roles permit that every tenant has."`
	}
}

// listPermissions shows what roles are made of.
func (a *API) listPermissions(ctx context.Context, _ *struct{}) (*permissionsOutput, error) {
	out := &permissionsOutput{}
	for _, p := range account.All() {
		out.Body.Items = append(out.Body.Items, permissionView{Permission: string(p), Scopes: account.ScopesOf(p), Held: personOf(ctx).Reach(p)})
	}
	out.Body.Roles = map[account.Role][]account.Permission{}
	for _, r := range account.Given() {
		out.Body.Roles[r] = r.Permissions()
	}
	return out, nil
}

func (a *API) registerPeople() {
	administer[userView, *userView, newUser, changedUser, listUsers](a, users)
	administer[roleView, *roleView, newRole, RoleFields, listRoles](a, roles)
	administer[teamView, *teamView, newTeam, TeamFields, listTeams](a, teams)
	administer[agentView, *agentView, newAgent, AgentFields, listAgents](a, agents)
	importable[newUser, changedUser](a, users)
	importable[newAgent, AgentFields](a, agents)
	register(a, "list-permissions", a.listPermissions)
}
