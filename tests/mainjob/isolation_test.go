package mainjob

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// named are things of a tenant: where they are made, of what, and under which path they
// are then. They are made in this order.
var named = []struct {
	made string
	of   map[string]any
	path string
}{
	{"/v1/teams", map[string]any{"name": "777001"}, "/v1/teams/777001"},
	{"/v1/roles", map[string]any{"name": "777001", "permissions": []string{"audit:read:tenant"}}, "/v1/roles/777001"},
	{"/v1/users", map[string]any{"name": "777001", "password": stage.Password, "roles": []string{"regular_agent"}, "agent": "777001"}, "/v1/users/777001"},
	{"", nil, "/v1/agents/777001"},
	{"/v1/queues", map[string]any{"name": "777001"}, "/v1/queues/777001"},
	{"/v1/numbers", map[string]any{"number": "777002", "queue": "777001"}, "/v1/numbers/777002"},
	{"/v1/devices", map[string]any{"name": "777001", "password": stage.Password}, "/v1/devices/777001"},
	{"/v1/trunks", map[string]any{"name": "777001"}, "/v1/trunks/777001"},
	{"/v1/reasons", map[string]any{"code": "777001"}, "/v1/reasons/777001"},
	{"/v1/skills", map[string]any{"name": "777001"}, "/v1/skills/777001"},
	{"/v1/dispositions", map[string]any{"name": "777001"}, "/v1/dispositions/777001"},
	{"/v1/tariffs", map[string]any{"prefix": "+777001", "per_minute": "1"}, "/v1/tariffs/+777001"},
	{"/v1/music", map[string]any{"name": "777001", "audio": tune(700)}, "/v1/music/777001"},
	{"/v1/contact-fields", map[string]any{"key": "k777001"}, "/v1/contact-fields/k777001"},
	{"/v1/contacts", map[string]any{"id": "777001777002", "display_name": "Zoë"}, "/v1/contacts/777001777002"},
	{"/v1/contacts", map[string]any{"id": "777001777001", "display_name": "Zoé"}, "/v1/contacts/777001777001"},
	{"/v1/api-keys", map[string]any{"name": "777001", "permissions": []string{"audit:read:tenant"}}, "/v1/api-keys/777001"},
	{"/v1/webhooks", map[string]any{"name": "777001", "url": "http://127.0.0.1:9/", "enabled": false}, "/v1/webhooks/777001"},
}

// bodies are what a request needs, by method and path; others need nothing.
var bodies = map[string]map[string]any{
	"patch /v1/numbers/{id}": {"queue": "support"}, "post /v1/contacts/{id}/merge": {"other": "777001777002"},
	"post /v1/contacts/{id}/notes": {"text": "x"}, "patch /v1/contacts/{id}/notes/{note}": {"text": "x"},
	"post /v1/webhooks/{id}/replay": {"from": time.Now().Add(-time.Hour).UTC()},
}

// SEED-38: every endpoint that names a thing, from the description that is served, asked
// by an administrator of another tenant: what is there does not exist for it.
func TestSEED38_EveryEndpointThatNamesAThing_FromTheWrongTenant_Is404(t *testing.T) {
	t.Parallel()
	one, two := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	owner, seen, at := one.Login("admin"), map[string]any{}, map[string]string{}
	for _, n := range named {
		if n.made != "" {
			asked(t, owner, http.StatusCreated, http.MethodPost, n.made, n.of)
		}
		seen[n.path] = asked(t, owner, http.StatusOK, http.MethodGet, n.path, nil)["version"]
		at[n.path[:strings.LastIndexByte(n.path, '/')]] = n.path
	}
	note := asked(t, owner, http.StatusCreated, http.MethodPost, "/v1/contacts/777001777001/notes", map[string]any{"text": "y"})["id"].(string)
	log := asked(t, owner, http.StatusCreated, http.MethodPost, "/v1/client-logs", map[string]any{"entries": []map[string]any{{"time": time.Now().UTC(), "level": "error", "message": "x"}}})["id"].(string)
	customer := one.Call("4930777", "8000")
	live := one.WaitCall("be known", func(v stage.CallView) bool { return v.From == "4930777" })
	at["/v1/calls"], at["/v1/client-logs"] = "/v1/calls/"+live.ID, "/v1/client-logs/"+log
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, hall.Anonymous().Into(t.Context(), &doc, http.MethodGet, "/openapi.json", nil))
	stranger := two.Login("admin")
	for path, methods := range doc.Paths {
		kind, rest, names := strings.Cut(path, "/{id}")
		// The levels above belong to no tenant: TestSEED37_LevelsAreAdministeredFromAbove.
		if !names || kind == "/v1/organizations" || kind == "/v1/divisions" || kind == "/v1/tenants" || kind == "/v1/me/logins" {
			continue
		}
		require.NotEmpty(t, at[kind], "make a thing of %s for this test", kind)
		rest = strings.NewReplacer("{note}", note, "{login}", "1", "{delivery}", "1").Replace(rest)
		for method := range methods {
			var body any
			if b, needed := bodies[method+" "+path]; needed {
				body = b
			} else if method == "patch" {
				body = map[string]any{}
			}
			ans, err := stranger.Do(t.Context(), strings.ToUpper(method), at[kind]+rest, body)
			require.NoError(t, err)
			require.Equal(t, http.StatusNotFound, ans.Status, "%s %s: %s", method, path, ans.Body)
		}
	}
	for path, before := range seen {
		require.Equal(t, before, asked(t, owner, http.StatusOK, http.MethodGet, path, nil)["version"], "%s: nothing changed", path)
	}
	require.NoError(t, customer.HangUp())
}
