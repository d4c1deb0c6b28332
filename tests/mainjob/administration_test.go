package mainjob

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// Reasons made by the API bind a running session at once; one that is in use stays, and
// says who uses it.
func TestReasons_MadeByTheAPI_BindARunningSession(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	a := ten.Agent(1)
	a.SignIn()
	a.NotReady("ANYTHING")
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/reasons", map[string]any{
		"code": "LUNCH", "display_name": "Lunch", "limit_ms": 3_600_000, "names": []map[string]string{{"language": "de", "name": "Mittag"}}})
	require.Eventually(t, func() bool {
		return a.Try(http.MethodPost, "/v1/agent-session/not-ready", map[string]any{"reason": "ELSE"}).Status == http.StatusConflict
	}, stage.Patience, 50*time.Millisecond, "only the tenant's reasons can be given now")
	a.NotReady("LUNCH")
	require.Eventually(t, func() bool {
		return len(asked(t, admin, http.StatusOK, http.MethodGet, "/v1/reasons/LUNCH/used-by", nil)["items"].([]any)) == 1
	}, stage.Patience, 50*time.Millisecond)
	refused := asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/reasons/LUNCH", nil)
	require.Equal(t, map[string]any{"used_by": []any{map[string]any{"kind": "agent", "name": "1001"}}}, refused["view"])
	a.SignOut()
	require.Eventually(t, func() bool {
		ans, err := admin.Do(t.Context(), http.MethodDelete, "/v1/reasons/LUNCH", nil)
		return err == nil && ans.Status == http.StatusNoContent
	}, stage.Patience, 50*time.Millisecond)
}

// SEED-111: somebody may write queues and not say who serves them, or what they ask for;
// that is how somebody will be allowed flows and not to publish them.
func TestSEED111_MayWriteQueues_ButNotStaffThem(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/skills", map[string]any{"name": "german"})
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/roles", map[string]any{"name": "planner", "permissions": []string{"queues:read:tenant", "queues:write:tenant"}})
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "petra", "password": stage.Password, "roles": []string{"planner"}})
	petra, err := hall.Login(t.Context(), ten.Domain, "petra", stage.Password)
	require.NoError(t, err)
	asked(t, petra, http.StatusOK, http.MethodPatch, "/v1/queues/support", map[string]any{"display_name": "Support", "ring_ms": 20_000})
	before := asked(t, petra, http.StatusOK, http.MethodGet, "/v1/queues/support", nil)
	for field, value := range map[string]any{"members": []any{}, "skills": []map[string]any{{"skill": "german", "level": 5}}} {
		refused := asked(t, petra, http.StatusForbidden, http.MethodPatch, "/v1/queues/support", map[string]any{field: value})
		require.Equal(t, "action_forbidden", refused["code"], field)
	}
	require.Equal(t, before, asked(t, petra, http.StatusOK, http.MethodGet, "/v1/queues/support", nil), "nothing changed")
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/queues/support", map[string]any{"skills": []map[string]any{{"skill": "german", "level": 5}}})
	asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/skills/german", nil)
}

// SEED-18: a device with an extension carries the call: it registers, is seen where it is,
// is dialled by its extension, and is where the agent answers; while a session is bound to
// it, it can't be deleted.
func TestSEED18_AnExtension_IsATerminalWithSettingsAndAState(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, WrapUp: time.Second})
	admin := ten.Login("admin")
	made := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/devices", map[string]any{
		"name": "desk-7", "extension": "7007", "agent": "1001", "password": stage.Password, "codecs": []string{"alaw"}})
	require.Equal(t, "friend", made["type"])
	require.Empty(t, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/desk-7/registrations", nil)["items"])
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/agents/1001", map[string]any{"addresses": []string{"desk-7"}})
	desk := ten.NewPhone("desk-7", softphone.Config{})
	require.NoError(t, desk.Register(ten.Context(), time.Minute))
	seen := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/desk-7/registrations", nil)
	require.Equal(t, true, seen["reachable"])
	require.Equal(t, desk.Addr(), seen["items"].([]any)[0].(map[string]any)["address"])
	require.Equal(t, "udp", seen["items"].([]any)[0].(map[string]any)["transport"])

	a := ten.Person(1)
	a.Sit(map[string]any{"interface": "phone"})
	a.Ready()
	refused := asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/devices/desk-7", nil)
	require.Equal(t, "in_use", refused["code"])
	customer := ten.Call("4930718", "8000")
	rung := ten.Offered(desk, "desk-7")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	a.Wait("WorkingAfterCall")
	a.SignOut()

	other := ten.Agent(2)
	call := dials(t, ten, other, "7007")
	rung = ten.Offered(desk, "desk-7 by its extension")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, call.HangUp())
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/agents/1001", map[string]any{"addresses": []string{}})
	require.Eventually(t, func() bool {
		ans, err := admin.Do(t.Context(), http.MethodDelete, "/v1/devices/desk-7", nil)
		return err == nil && ans.Status == http.StatusNoContent
	}, stage.Patience, 50*time.Millisecond)
}

// SEED-37: organization, division and tenant are made, changed, deleted when empty and
// restored from above; a tenant's own administrator changes its policies, which reach a
// running session, and nothing above it.
func TestSEED37_LevelsAreAdministeredFromAbove(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		d.Users = append(d.Users, tenancy.User{Name: "root", Password: stage.Password, Roles: []account.Role{account.SystemAdmin}})
	}})
	admin, root := ten.Login("admin"), ten.Login("root")
	name := "org-" + strings.ReplaceAll(ten.Domain, ".", "-")
	asked(t, admin, http.StatusForbidden, http.MethodPost, "/v1/organizations", map[string]any{"name": name})
	asked(t, root, http.StatusCreated, http.MethodPost, "/v1/organizations", map[string]any{"name": name})
	asked(t, root, http.StatusCreated, http.MethodPost, "/v1/divisions", map[string]any{"name": "north", "organization": name})
	branch := "north." + ten.Domain
	made := asked(t, root, http.StatusCreated, http.MethodPost, "/v1/tenants", map[string]any{"tenant": branch, "organization": name, "division": "north", "country": "CH"})
	require.Equal(t, "CH", made["country"])
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/tenants/"+branch, nil)
	asked(t, admin, http.StatusNotFound, http.MethodPatch, "/v1/tenants/"+branch, map[string]any{"display_name": "Mine"})
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/organizations/"+name, nil)
	for _, path := range []string{"/v1/organizations/" + name, "/v1/divisions/" + name + ":north"} {
		require.Equal(t, "in_use", asked(t, root, http.StatusConflict, http.MethodDelete, path, nil)["code"])
		require.NotEmpty(t, asked(t, root, http.StatusOK, http.MethodGet, path+"/used-by", nil)["items"])
	}
	asked(t, root, http.StatusNoContent, http.MethodDelete, "/v1/tenants/"+branch, nil)
	asked(t, root, http.StatusNoContent, http.MethodDelete, "/v1/divisions/"+name+":north", nil)
	asked(t, root, http.StatusConflict, http.MethodPost, "/v1/tenants/"+branch+"/restore", nil)
	asked(t, root, http.StatusOK, http.MethodPost, "/v1/divisions/"+name+":north/restore", nil)
	require.Equal(t, "CH", asked(t, root, http.StatusOK, http.MethodPost, "/v1/tenants/"+branch+"/restore", nil)["country"])
	require.Equal(t, "own_tenant", asked(t, root, http.StatusConflict, http.MethodDelete, "/v1/tenants/"+ten.Domain, nil)["code"])
	trail(t, admin, "root@ tenant.restore tenant:"+branch+" ok")

	a := ten.Agent(1)
	a.SignIn()
	now := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/tenants/"+ten.Domain, nil)
	ans, err := admin.Do(t.Context(), http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"policies": map[string]any{"idle_logout_ms": 7_200_000}}, "If-Match", fmt.Sprint(now["version"]))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	require.Eventually(t, func() bool { return told(t, ten, "1001", "profile_changed") == 1 }, stage.Patience, 50*time.Millisecond)
	ans, err = admin.Do(t.Context(), http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"display_name": "Late"}, "If-Match", fmt.Sprint(now["version"]))
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, ans.Status)
	wrong := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"policies": map[string]any{"time_zone": "Mars"}})
	require.Equal(t, "policies.time_zone", wrong["errors"].([]any)[0].(map[string]any)["name"])
}

// Users, agents and devices are exported and imported as CSV; what was exported changes
// nothing; a file with anything wrong in it names each cell and changes nothing; who was
// imported signs in.
func TestImport_ExportedFilesComeBack_AndNewPeopleSignIn(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	admin := ten.Login("admin")
	bring := func(status int, path string, file []byte) map[string]any {
		t.Helper()
		ans, err := admin.Do(t.Context(), http.MethodPost, path, file, "Content-Type", "text/csv")
		require.NoError(t, err)
		require.Equal(t, status, ans.Status, "%s", ans.Body)
		out := map[string]any{}
		require.NoError(t, json.Unmarshal(ans.Body, &out))
		return out
	}
	for _, kind := range []string{"users", "agents", "devices"} {
		ans, err := admin.Do(t.Context(), http.MethodGet, "/v1/"+kind+"/export", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status)
		report := bring(http.StatusOK, "/v1/"+kind+"/import", ans.Body)
		require.Empty(t, report["problems"])
		require.EqualValues(t, 0, report["created"])
		require.EqualValues(t, 0, report["changed"], kind)
		require.NotZero(t, report["same"])
	}
	file := "name;display_name;roles;team;agent;password\nnora;=Nora;regular_agent;service;1090;a long password\notto;Otto;%s;service;;another password\n"
	bad := bring(http.StatusOK, "/v1/users/import?dry_run=true", fmt.Appendf(nil, file, "king"))
	require.Equal(t, map[string]any{"row": 3.0, "column": "roles", "detail": `there is no role "king"`}, bad["problems"].([]any)[0])
	bring(http.StatusUnprocessableEntity, "/v1/users/import", fmt.Appendf(nil, file, "king"))
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/users/nora", nil)
	good := fmt.Appendf(nil, file, "it_administrator")
	require.EqualValues(t, 2, bring(http.StatusOK, "/v1/users/import", good)["created"])
	again := bring(http.StatusOK, "/v1/users/import", good)
	require.EqualValues(t, 2, again["same"])
	require.EqualValues(t, 2, again["passwords_left"])
	nora, err := hall.Login(t.Context(), ten.Domain, "nora", "a long password")
	require.NoError(t, err)
	me := asked(t, nora, http.StatusOK, http.MethodGet, "/v1/me", nil)
	require.Equal(t, "1090", me["agent"])
	require.Equal(t, "=Nora", me["name"])
	trail(t, admin, "admin@ user.create user:nora ok")
	ans, err := admin.Do(t.Context(), http.MethodGet, "/v1/users/export", nil)
	require.NoError(t, err)
	require.Contains(t, string(ans.Body), "nora,1090,'=Nora,regular_agent,")
	require.NotContains(t, string(ans.Body), "argon2")
}
