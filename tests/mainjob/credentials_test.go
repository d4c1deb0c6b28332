package mainjob

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// SEED-1: the user is the only credential that logs in. A device's name and password, a
// trunk's, and an API key are none, in no field of the login; nor does a user's password
// register a telephone. A user's tokens are of that user, one account per name.
func TestSEED1_OnlyAUserLogsIn(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Devices[0].Name, d.Agents[0].Addresses[0], d.Devices[0].Password = "desk-1", "desk-1", "of the telephone"
		d.Trunks = append(d.Trunks, tenancy.Trunk{Name: "pbx", User: "pbx", Password: "of the exchange"})
	}})
	admin := ten.Login("admin")
	key := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/api-keys", map[string]any{"name": "crm", "permissions": []string{"teams:read:tenant"}})["key"].(string)
	crm := hall.Anonymous().With(key)
	asked(t, crm, http.StatusOK, http.MethodGet, "/v1/teams", nil)
	for _, c := range [][2]string{
		{"desk-1", "of the telephone"}, {"1001", "of the telephone"}, {"pbx", "of the exchange"},
		{"crm", key}, {"key:crm", key}, {"admin", key}, {"1001", key},
	} {
		p := refused(t, tryLogin(t, ten, hall.Anonymous(), c[0], c[1]), http.StatusUnauthorized)
		require.Equal(t, "wrong_login", p.Code, c[0])
	}
	require.Len(t, tryLogin(t, ten, hall.Anonymous(), "1001", stage.Password).Header.Values("Set-Cookie"), 1, "the user does")

	// A key acts for itself: it is no agent, has no logins and works in no other tenant.
	for _, path := range []string{"/v1/agent-session", "/v1/agent-session/ready"} {
		asked(t, crm, http.StatusForbidden, http.MethodPost, path, map[string]any{})
	}
	asked(t, crm, http.StatusForbidden, http.MethodPost, "/v1/auth/switch-tenant", map[string]any{"tenant": ten.Domain})
	_, err := hall.Login(t.Context(), ten.Domain, "1001", "of the telephone")
	require.Error(t, err)

	// And the other way round: who knows the user's password has no telephone by it.
	require.ErrorContains(t, ten.NewPhone("desk-1", softphone.Config{}).Register(ten.Context(), stage.Patience), "the password was not accepted")
	taken := asked(t, admin, http.StatusConflict, http.MethodPost, "/v1/users", map[string]any{"name": "1001", "password": stage.Password, "roles": []string{"regular_agent"}})
	require.Equal(t, "name_taken", taken["code"], "one account per name")
}

// SEED-2: the four roles exist, are assigned by the API, say what their users may from
// then on, and go again.
func TestSEED2_TheFourRoles_AreAssignedAndTakenAway(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	there := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/permissions", nil)["roles"].(map[string]any)
	// What tells each role from the others: an endpoint that it may use, and one that it may not.
	roles := map[string][2]string{
		"business_administrator": {"/v1/contacts", "/v1/agent-session"},
		"it_administrator":       {"/v1/devices", "/v1/contacts"},
		"supervisor_agent":       {"/v1/presence", "/v1/audit"},
		"regular_agent":          {"/v1/calls", "/v1/presence"},
	}
	for role, paths := range roles {
		require.NotEmpty(t, there[role], role)
		asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "one-" + role, "password": stage.Password, "roles": []string{role}})
		one := ten.Login("one-" + role)
		me := asked(t, one, http.StatusOK, http.MethodGet, "/v1/me", nil)
		require.Equal(t, []any{role}, me["roles"])
		require.Equal(t, role == "supervisor_agent" || role == "regular_agent", me["agent"] != nil, "%s: the agent is made with the role", role)
		asked(t, one, http.StatusOK, http.MethodGet, paths[0], nil)
		asked(t, one, http.StatusForbidden, http.MethodGet, paths[1], nil)
	}
	changing := ten.Login("one-regular_agent")
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/users/one-regular_agent", map[string]any{"roles": []string{"it_administrator"}})
	require.Eventually(t, func() bool {
		ans, err := changing.Do(t.Context(), http.MethodGet, "/v1/devices", nil)
		return err == nil && ans.Status == http.StatusOK
	}, stage.Patience, stage.Patience/200, "the new role counts with the token of before")
	asked(t, changing, http.StatusForbidden, http.MethodGet, "/v1/agent-session", nil)
}

// SEED-3: rights hang on the user. The same telephone, and the same agent, give their users
// nothing: of two who use them one after the other, each may what its own role allows.
func TestSEED3_TheUserHasTheRights_NotTheTelephoneNorTheAgent(t *testing.T) {
	t.Parallel()
	plan := desks("dynamic", "", "desk-1")
	base := plan.Change
	plan.Change = func(d *tenancy.Document) {
		base(d)
		d.Users[3].Roles, d.Users[3].Teams = []account.Role{account.Supervisor}, d.Users[1].Teams
	}
	ten := hall.Tenant(t, plan)
	ten.Registered("desk-1", ten.Stranger())
	regular, boss := ten.Person(1), ten.Person(2)
	watch := func(a *stage.Agent) int { return a.Try(http.MethodGet, "/v1/presence", nil).Status }
	force := func(a *stage.Agent, other string) int {
		return a.Try(http.MethodPost, "/v1/agents/"+other+"/session/not-ready", map[string]any{"reason": "X"}).Status
	}
	for _, first := range []*stage.Agent{boss, regular} { // whoever had the telephone before
		sat(t, first.Sit(at("desk-1")), http.StatusCreated)
		require.Equal(t, first == boss, watch(first) == http.StatusOK)
		first.SignOut()
	}
	sat(t, regular.Sit(at("desk-1")), http.StatusCreated)
	require.Equal(t, http.StatusOK, force(boss, "1001"), "by right of the user, without a telephone or a session")
	sat(t, boss.Sit(map[string]any{"device_id": "1002"}), http.StatusCreated)
	require.Equal(t, http.StatusForbidden, force(regular, "1002"))

	// The user loses the right; agent, telephone and session stay as they are.
	admin := ten.Login("admin")
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/users/1002", map[string]any{"roles": []string{"regular_agent"}, "teams": []string{}})
	require.Eventually(t, func() bool { return watch(boss) == http.StatusForbidden }, stage.Patience, stage.Patience/200)
	require.Equal(t, http.StatusForbidden, force(boss, "1001"))
	require.Equal(t, []string{"1002"}, boundTo(boss.View()))
}

// activating is a login that begins the agent's session too.
func activating(t *testing.T, c *stage.Client, ten *stage.Tenant, user string, session map[string]any) stage.Answer {
	t.Helper()
	ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]any{"tenant": ten.Domain, "username": user, "password": stage.Password, "agent_session": session})
	require.NoError(t, err)
	return ans
}

// SEED-29: who logs in as somebody with an agent activates it, in one request: the answer
// has the session, and the agent is called. Where a choice is missing, or nobody can be
// activated, nothing is begun and the answer says why.
func TestSEED29_TheLoginActivatesTheAgent(t *testing.T) {
	t.Parallel()
	plan := desks("hot_desk", "", "hot-1")
	base := plan.Change
	plan.Change = func(d *tenancy.Document) {
		base(d)
		d.Agents[0].Binding = "fixed"
	}
	ten := hall.Tenant(t, plan)
	a := ten.Agent(1)
	hot := ten.Registered("hot-1", ten.Stranger())
	ans := activating(t, hall.Anonymous(), ten, "1001", map[string]any{"interface": "phone", "initial_state": "Ready"})
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	var got struct {
		Token   string         `json:"access_token"`
		Session *stage.Session `json:"agent_session"`
	}
	require.NoError(t, json.Unmarshal(ans.Body, &got))
	require.NotNil(t, got.Session)
	require.Equal(t, []string{"1001", "Ready"}, []string{got.Session.Agent, got.Session.State})
	require.Equal(t, "1001", asked(t, hall.Anonymous().With(got.Token), http.StatusOK, http.MethodGet, "/v1/agent-session", nil)["agent"])
	ten.Rings(a.Phone, "4950290")
	a.Wait("Ready")

	p := refused(t, activating(t, hall.Anonymous(), ten, "1002", map[string]any{}), http.StatusConflict)
	require.Equal(t, "choose_phone", p.Code)
	require.Contains(t, p.Detail, "hot-1", "what there is to choose")
	b := ten.Person(2)
	require.Equal(t, http.StatusNotFound, b.Try(http.MethodGet, "/v1/agent-session", nil).Status, "nothing was begun")
	require.Len(t, asked(t, b.API, http.StatusOK, http.MethodGet, "/v1/me/logins", nil)["items"], 1, "but the login of now")
	p = refused(t, activating(t, hall.Anonymous(), ten, "admin", map[string]any{}), http.StatusForbidden)
	require.Equal(t, "action_forbidden", p.Code)
	wrong, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]any{"tenant": ten.Domain, "username": "1002", "password": "wrong", "agent_session": at("hot-1")})
	require.NoError(t, err)
	require.Equal(t, "wrong_login", refused(t, wrong, http.StatusUnauthorized).Code)
	require.Equal(t, http.StatusNotFound, b.Try(http.MethodGet, "/v1/agent-session", nil).Status)

	require.Equal(t, http.StatusOK, activating(t, hall.Anonymous(), ten, "1002", at("hot-1")).Status)
	require.Equal(t, []string{"hot-1"}, boundTo(b.View()))
	a.SignOut()
	b.Ready()
	ten.Rings(hot, "4950291")
	b.Wait("Ready")
	b.SignOut()
	admin := ten.Login("admin")
	trail(t, admin, "1002@ login user:1002 choose_phone")
	trail(t, admin, "1001@ login user:1001 ok")
}
