package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
