package mainjob

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// asked is what a request brought, and the status that it must have.
func asked(t *testing.T, c *stage.Client, status int, method, path string, body any) map[string]any {
	t.Helper()
	ans, err := c.Do(t.Context(), method, path, body)
	require.NoError(t, err)
	require.Equal(t, status, ans.Status, "%s %s: %s", method, path, ans.Body)
	out := map[string]any{}
	if len(ans.Body) > 0 {
		require.NoError(t, json.Unmarshal(ans.Body, &out), string(ans.Body))
	}
	return out
}

// trail waits until the tenant's trail has a line, as "user home action object result".
func trail(t *testing.T, c *stage.Client, want string) {
	t.Helper()
	var lines []string
	require.Eventually(t, func() bool {
		lines = nil
		for _, i := range asked(t, c, http.StatusOK, http.MethodGet, "/v1/audit?limit=200", nil)["items"].([]any) {
			l := i.(map[string]any)
			home, _ := l["home"].(string)
			line := fmt.Sprintf("%s@%s %s %s %s", l["user"], home, l["action"], l["object"], l["result"])
			lines = append(lines, line)
			if line == want {
				return true
			}
		}
		return false
	}, stage.Patience, 50*time.Millisecond, "%s", want)
}

// SEED-6, SEED-15, SEED-16, SEED-17: a user is made by the API with the role of
// an agent, signs in, and has its one agent; disabled, its session ends and it is out;
// deleted, the agent is gone, and comes back with the user.
func TestSEED6_UserMadeByTheAPI_HasItsAgentForAsLongAsTheRole(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	made := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{
		"name": "nina", "display_name": "Nina New", "password": stage.Password, "roles": []string{"regular_agent"}, "team": "service", "agent": "1077"})
	require.Equal(t, "1077", made["agent"])
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "ida", "password": stage.Password, "roles": []string{"it_administrator"}})
	require.Empty(t, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/users/ida", nil)["agent"], "SEED-5")
	require.Equal(t, "agent_exists", asked(t, admin, http.StatusConflict, http.MethodPost, "/v1/agents", map[string]any{"number": "1078", "user": "nina"})["code"])
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "otto", "password": stage.Password, "roles": []string{"business_administrator"}})
	require.Equal(t, "no_agent_role", asked(t, admin, http.StatusConflict, http.MethodPost, "/v1/agents", map[string]any{"number": "1078", "user": "otto"})["code"])

	nina, err := hall.Login(t.Context(), ten.Domain, "nina", stage.Password)
	require.NoError(t, err)
	asked(t, nina, http.StatusCreated, http.MethodPost, "/v1/agent-session", map[string]any{"interface": "phone"})
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/users/nina", map[string]any{"disabled": true})
	_, err = ten.Watch.WaitSession(ten.Context(), "1077", "be signed out", func(s stage.Session) bool { return s.State == "LoggedOff" })
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ans, err := nina.Do(t.Context(), http.MethodGet, "/v1/me", nil)
		return err == nil && ans.Status == http.StatusUnauthorized
	}, stage.Patience, 100*time.Millisecond)
	asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/users/nina", nil)
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/agents/1077", nil)
	require.Equal(t, "1077", asked(t, admin, http.StatusOK, http.MethodPost, "/v1/users/nina/restore", nil)["agent"])
	asked(t, admin, http.StatusOK, http.MethodGet, "/v1/agents/1077", nil)
	trail(t, admin, "admin@ user.restore user:nina ok")
	require.Equal(t, "last_administrator", lastOne(t, ten, admin))
}

// lastOne takes away every administrator but the one who asks, and then that one.
func lastOne(t *testing.T, ten *stage.Tenant, admin *stage.Client) any {
	t.Helper()
	for _, name := range []string{"ida", "otto"} {
		asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/users/"+name, nil)
	}
	asked(t, ten.Login("admin"), http.StatusConflict, http.MethodPatch, "/v1/users/admin", map[string]any{"disabled": true})
	return asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/users/admin", nil)["code"]
}

// SEED-37, SEED-38, SEED-40: work in another tenant needs a role that reaches it and a
// switch; both trails tell of it; what is only one's own tenant's stays there.
func TestSEED40_WorkInAnotherTenant_NeedsAuthorizationAndASwitch(t *testing.T) {
	t.Parallel()
	there := hall.Tenant(t, stage.Plan{})
	here := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Roles = append(d.Roles, tenancy.Role{Name: "auditor", Permissions: []account.Permission{"tenants:switch:division", "tenants:read:division", "users:read:division", "users:update:tenant"}})
		d.Users = append(d.Users, tenancy.User{Name: "olga", Password: stage.Password, Roles: []account.Role{"auditor"}})
	}})
	to := map[string]any{"tenant": there.Domain, "reason": "yearly audit"}
	asked(t, here.Login("admin"), http.StatusForbidden, http.MethodPost, "/v1/auth/switch-tenant", to)
	olga := here.Login("olga")
	asked(t, olga, http.StatusNotFound, http.MethodGet, "/v1/users/1001@elsewhere", nil)
	asked(t, olga, http.StatusNotFound, http.MethodPost, "/v1/auth/switch-tenant", map[string]any{"tenant": "no.example"})
	listed := false
	cursor := ""
	for !listed {
		page := asked(t, olga, http.StatusOK, http.MethodGet, "/v1/tenants?limit=200&cursor="+cursor, nil)
		for _, i := range page["items"].([]any) {
			n := i.(map[string]any)
			listed = listed || n["tenant"] == there.Domain && n["may_switch"] == true && n["organization"] == "stage" && n["shared"] == "division"
		}
		if cursor, _ = page["next_cursor"].(string); cursor == "" {
			break
		}
	}
	require.True(t, listed)
	granted := asked(t, olga, http.StatusOK, http.MethodPost, "/v1/auth/switch-tenant", to)
	visiting := olga.With(granted["access_token"].(string))
	require.Equal(t, here.Domain, asked(t, visiting, http.StatusOK, http.MethodGet, "/v1/me", nil)["home"])
	asked(t, visiting, http.StatusOK, http.MethodGet, "/v1/users/supervisor", nil)
	asked(t, visiting, http.StatusNotFound, http.MethodGet, "/v1/users/olga", nil)
	asked(t, visiting, http.StatusForbidden, http.MethodPatch, "/v1/users/supervisor", map[string]any{"display_name": "x"})
	trail(t, here.Login("admin"), "olga@ auth.switch-tenant tenant:"+there.Domain+" ok")
	trail(t, there.Login("admin"), "olga@"+here.Domain+" auth.switch-tenant tenant:"+there.Domain+" ok")
	trail(t, here.Login("admin"), "olga@ auth.switch-tenant tenant:no.example no_such_tenant")
}

// SEED-37, SEED-41, SEED-42, SEED-43: the system administrator works everywhere, the
// team administrator in its team only, the user on nobody's account.
func TestSEED41_ThreeKindsOfAccount_ReachSystemTeamAndNobody(t *testing.T) {
	t.Parallel()
	there := hall.Tenant(t, stage.Plan{})
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Organization.Name, d.Division.Name = "apart", "alone"
		d.Teams = append(d.Teams, tenancy.Team{Name: "other"})
		d.Agents[1].Team = "other"
		d.Users = append(d.Users,
			tenancy.User{Name: "root", Password: stage.Password, Roles: []account.Role{account.SystemAdmin}},
			tenancy.User{Name: "ted", Password: stage.Password, Roles: []account.Role{account.TeamAdmin}, Teams: []id.Team{"service"}})
	}})
	ted, root, user := ten.Login("ted"), ten.Login("root"), ten.Login("1001")
	for c, kind := range map[*stage.Client]string{ted: "team_administrator", root: "system_administrator", user: "user"} {
		require.Equal(t, kind, asked(t, c, http.StatusOK, http.MethodGet, "/v1/me", nil)["kind"])
	}
	require.Len(t, asked(t, ted, http.StatusOK, http.MethodGet, "/v1/users", nil)["items"], 1)
	require.Len(t, asked(t, ted, http.StatusOK, http.MethodGet, "/v1/agents", nil)["items"], 1)
	asked(t, ted, http.StatusOK, http.MethodPatch, "/v1/users/1001", map[string]any{"display_name": "Of the team"})
	asked(t, ted, http.StatusOK, http.MethodPatch, "/v1/agents/1001", map[string]any{"wrap_up_ms": 3000})
	asked(t, ted, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "tina", "password": stage.Password, "roles": []string{"regular_agent"}, "team": "service"})
	asked(t, ted, http.StatusNotFound, http.MethodPatch, "/v1/users/1002", map[string]any{"display_name": "x"})
	asked(t, ted, http.StatusNotFound, http.MethodPatch, "/v1/agents/1002", map[string]any{"wrap_up_ms": 3000})
	asked(t, ted, http.StatusForbidden, http.MethodPost, "/v1/users", map[string]any{"name": "tom", "roles": []string{"regular_agent"}, "team": "other"})
	asked(t, ted, http.StatusForbidden, http.MethodPost, "/v1/users", map[string]any{"name": "tom", "roles": []string{"business_administrator"}, "team": "service"})
	asked(t, user, http.StatusForbidden, http.MethodGet, "/v1/users", nil)
	granted := asked(t, root, http.StatusOK, http.MethodPost, "/v1/auth/switch-tenant", map[string]any{"tenant": there.Domain})
	far := root.With(granted["access_token"].(string))
	asked(t, far, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "rescue", "password": stage.Password, "roles": []string{"business_administrator", "it_administrator"}})
	trail(t, there.Login("rescue"), "root@"+ten.Domain+" user.create user:rescue ok")

	branch := map[string]any{"tenant": "branch-of-" + ten.Domain, "organization": "apart", "division": "branch"}
	require.Equal(t, "organization", asked(t, root, http.StatusCreated, http.MethodPost, "/v1/tenants", branch)["shared"])
	asked(t, ted, http.StatusForbidden, http.MethodPost, "/v1/tenants", branch)
	granted = asked(t, root, http.StatusOK, http.MethodPost, "/v1/auth/switch-tenant", map[string]any{"tenant": branch["tenant"]})
	inside := root.With(granted["access_token"].(string))
	asked(t, inside, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "first", "password": stage.Password, "roles": []string{"business_administrator", "it_administrator"}})
	_, err := hall.Login(t.Context(), branch["tenant"].(string), "first", stage.Password)
	require.NoError(t, err)
}

// SEED-109, SEED-110, SEED-111: a role of the tenant allows an endpoint and not every
// action within it; nobody gives what they don't hold.
func TestSEED111_RoleOfTheTenant_AllowsUsersButNotTheirPasswords(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/roles", map[string]any{"name": "clerk", "permissions": []string{"users:read:tenant", "users:update:tenant"}})
	asked(t, admin, http.StatusForbidden, http.MethodPost, "/v1/roles", map[string]any{"name": "king", "permissions": []string{"users:update:system"}})
	wrong := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPost, "/v1/roles", map[string]any{"name": "odd", "permissions": []string{"users:fly:tenant"}})
	require.Equal(t, "permissions[0]", wrong["errors"].([]any)[0].(map[string]any)["name"])
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "carl", "password": stage.Password, "roles": []string{"clerk"}})
	carl, err := hall.Login(t.Context(), ten.Domain, "carl", stage.Password)
	require.NoError(t, err)
	now := asked(t, carl, http.StatusOK, http.MethodPatch, "/v1/users/1001", map[string]any{"display_name": "Renamed"})
	for field, value := range map[string]any{"password": "another password", "roles": []string{"clerk"}, "disabled": true} {
		refusal := asked(t, carl, http.StatusForbidden, http.MethodPatch, "/v1/users/1001", map[string]any{field: value})
		require.Equal(t, "action_forbidden", refusal["code"], field)
	}
	asked(t, carl, http.StatusForbidden, http.MethodDelete, "/v1/users/1001", nil)
	ans, err := admin.Do(t.Context(), http.MethodPatch, "/v1/users/1001", map[string]any{"display_name": "Late"}, "If-Match", `"1"`)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, ans.Status)
	require.Contains(t, string(ans.Body), fmt.Sprintf(`"version":%v`, now["version"]))
	used := asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/roles/clerk", nil)
	require.Equal(t, "in_use", used["code"])
	asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/queues/support", nil)
}

// SEED-39: agent numbers are unique within a tenant, and repeat in another one; another
// tenant's things do not exist (SEED-38).
func TestSEED39_NumbersAreATenantsOwn(t *testing.T) {
	t.Parallel()
	one, two := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	for _, ten := range []*stage.Tenant{one, two} {
		asked(t, ten.Login("admin"), http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "twin", "password": stage.Password, "roles": []string{"regular_agent"}, "agent": "1500"})
		taken := asked(t, ten.Login("admin"), http.StatusConflict, http.MethodPost, "/v1/users", map[string]any{"name": "other", "password": stage.Password, "roles": []string{"regular_agent"}, "agent": "1500"})
		require.Equal(t, "number_taken", taken["code"])
	}
	asked(t, one.Login("admin"), http.StatusCreated, http.MethodPost, "/v1/teams", map[string]any{"name": "secret"})
	for _, path := range []string{"/v1/teams/secret", "/v1/teams/secret/restore"} {
		method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[path == "/v1/teams/secret"]
		asked(t, two.Login("admin"), http.StatusNotFound, method, path, nil)
	}
	asked(t, two.Login("admin"), http.StatusNotFound, http.MethodDelete, "/v1/teams/secret", nil)
}
