package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/id"
)

// samples are bodies that the routes accept, where they need one.
var samples = map[string]map[string]any{
	"switch-tenant": {"tenant": "else.example"},
	"set-oidc":      {"issuer": "https://id.example", "client_id": "holdfast"},
	"create-key":    {"name": "crm"}, "update-key": {},
	"create-user": {"name": "new"}, "update-user": {}, "create-role": {"name": "new"}, "update-role": {},
	"create-team": {"name": "new"}, "update-team": {}, "create-agent": {"number": "1009", "user": "new"}, "update-agent": {},
	"create-reason": {"code": "new"}, "update-reason": {}, "create-skill": {"name": "new"}, "update-skill": {}, "create-disposition": {"name": "new"}, "update-disposition": {},
	"create-tariff": {"prefix": "+49", "per_minute": "0.12"}, "update-tariff": {}, "create-music": {"name": "new", "audio": "UklGRg=="}, "update-music": {},
	"create-queue": {"name": "new"}, "update-queue": {}, "create-number": {"number": "8001", "queue": "support"}, "update-number": {"agent": "1001"},
	"create-contact": {"company": "x"}, "update-contact": {}, "create-contact_field": {"key": "rank"}, "update-contact_field": {},
	"upload-client-log": {"entries": []map[string]any{{"time": noon, "level": "warn", "message": "slow"}}},
	"merge-contacts":    {"other": "another"}, "create-note": {"text": "x"}, "update-note": {"text": "x"},
	"create-device": {"name": "new"}, "update-device": {}, "create-trunk": {"name": "new"}, "update-trunk": {},
	"create-webhook": {"name": "crm", "url": "https://crm.example.com/hook"}, "update-webhook": {}, "replay-events": {"from": "2026-11-20T00:00:00Z"},
	"update-tenant": {}, "create-organization": {"name": "new"}, "update-organization": {}, "create-division": {"name": "new", "organization": "acme"}, "update-division": {},
	"create-tenant": {"tenant": "new.example", "organization": "o", "division": "d"},
	"binding":       {"device_ids": []string{"1001"}}, "wrap-up": {"action": "finish"}, "terminal": {"terminal_id": "t"}, "sign-in": {"interface": "phone"},
}

// actions are fields that are actions of their own, with a value that is valid.
var actionSamples = map[string]any{
	"roles": []string{"regular_agent"}, "teams": []string{"first"}, "password": "a long password", "disabled": true, "agent": "1009",
	"skills":      []map[string]any{{"skill": "german", "level": 7}},
	"permissions": []string{"calls:read:own"}, "team": "first", "members": []map[string]any{{"agent": "1001"}},
}

// staff are users of every role that a tenant has without making it, by the role.
func (h *house) staff() []account.Role {
	for _, r := range account.Given() {
		u := h.reader.users["1001"]
		u.Name, u.Roles, u.Permissions, u.Teams = id.User(r), []account.Role{r}, r.Permissions(), []id.Team{"first"}
		if !r.Agent() {
			u.Agent = ""
		}
		h.reader.users[u.Name] = u
	}
	return account.Given()
}

// pathOf is the path of a route with names in it.
func pathOf(r route) string {
	return strings.NewReplacer("{id}", "1001", "{login}", "login", "{tenant}", string(tenant)).Replace(r.path)
}

// call asks a route as somebody, with the fields added to its sample.
func (h *house) call(as id.User, r route, more map[string]any) answer {
	h.t.Helper()
	body := ""
	if sample, ok := samples[r.name]; ok {
		full := map[string]any{}
		for _, fields := range []map[string]any{sample, more} {
			for k, v := range fields {
				full[k] = v
			}
		}
		b, err := json.Marshal(full)
		require.NoError(h.t, err)
		body = string(b)
	}
	return h.ask(as, r.method, pathOf(r), body)
}

// SEED-3, SEED-109, SEED-110: every endpoint, as every role, as nobody, and as somebody
// of a tenant where one is nobody: who may, and nobody else.
func TestPermissions_EveryEndpointAsEveryRole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	staff := h.staff()
	lost := h.reader.users["1001"]
	lost.Tenant, lost.Name = "else.example", "lost" // a token of a tenant in which there is no such user
	visitor := h.reader.users["admin"]
	visitor.Tenant, visitor.Home = "else.example", tenant // one of another tenant, without authorization
	for _, group := range routes {
		for _, r := range group {
			if r.access == everyone {
				continue
			}
			require.Equal(t, http.StatusUnauthorized, h.call("", r, nil).Code, "%s as nobody", r.name)
			for _, stranger := range []account.User{lost, visitor} {
				token, err := h.api.tokens.issue(stranger, "login", accessLife)
				require.NoError(t, err)
				got := h.ask("", r.method, pathOf(r), "", "Authorization", "Bearer "+token)
				require.Equal(t, http.StatusUnauthorized, got.Code, "%s as %s of %s", r.name, stranger.Name, stranger.Tenant)
			}
			permission, asks := r.access.permission()
			for _, role := range staff {
				if r.name == "events" {
					require.Equal(t, http.StatusOK, h.listen(id.User(role)).resp.StatusCode, "a stream is open to %s", role)
					continue
				}
				got := h.call(id.User(role), r, nil)
				may := !asks || slices.ContainsFunc(role.Permissions(), func(p account.Permission) bool { return p.Covers(permission) })
				refused := got.Code == http.StatusForbidden && got.body["code"] == "forbidden" && strings.Contains(got.body["detail"].(string), string(permission))
				require.Equal(t, may, !refused, "%s as %s: %d %s", r.name, role, got.Code, got.Body)
				require.NotEqual(t, http.StatusUnauthorized, got.Code, "%s as %s", r.name, role)
				require.Less(t, got.Code, 500, "%s as %s: %s", r.name, role, got.Body)
			}
		}
	}
}

// SEED-111: somebody can be allowed an endpoint and refused certain actions within it.
func TestPermissions_EveryActionWithinAnEndpoint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	clerk := h.reader.users["1001"]
	tried := 0
	for name, actions := range within {
		_, r := routeNamed(name)
		permission, _ := r.access.permission()
		for field, action := range actions {
			sample, isField := actionSamples[field]
			if !isField || r.method == http.MethodGet {
				continue
			}
			tried++
			more := map[string]any{field: sample}
			clerk.Name, clerk.Permissions = "clerk", []account.Permission{permission.At(account.Tenant)}
			h.reader.users["clerk"] = clerk
			h.api.persons.forget()
			require.Less(t, h.call("clerk", r, nil).Code, 300, "%s is allowed", name)
			before := len(h.things.changes)
			got := h.call("clerk", r, more)
			require.Equal(t, http.StatusForbidden, got.Code, "%s of %s: %s", field, name, got.Body)
			require.Equal(t, "action_forbidden", got.body["code"])
			require.Contains(t, got.body["detail"], string(action))
			require.Len(t, h.things.changes, before, "nothing was asked of the directory")
			clerk.Permissions = append(clerk.Permissions, action.At(account.Tenant))
			h.reader.users["clerk"] = clerk
			h.api.persons.forget()
			require.Less(t, h.call("clerk", r, more).Code, 300, "%s of %s", field, name)
			require.Contains(t, h.things.authors[len(h.things.authors)-1].Needs, action, "the directory asks whether it reaches the thing")
		}
	}
	require.GreaterOrEqual(t, tried, 12)
}

// The description says what each endpoint and each action within it needs.
func TestOpenAPI_TellsPermissionsAndActions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var doc struct {
		Paths map[string]map[string]struct {
			ID      string            `json:"operationId"`
			Access  string            `json:"x-access"`
			Actions map[string]string `json:"x-actions"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(h.ask("", http.MethodGet, "/openapi.json", "").Body.Bytes(), &doc))
	found := 0
	for _, methods := range doc.Paths {
		for _, op := range methods {
			found++
			_, r := routeNamed(op.ID)
			require.Equal(t, string(r.access), op.Access, op.ID)
			require.Len(t, op.Actions, len(within[op.ID]), op.ID)
			for action, p := range within[op.ID] {
				require.Equal(t, string(p), op.Actions[action], fmt.Sprint(op.ID, " ", action))
			}
		}
	}
	require.Greater(t, found, 60)
}

// SEED-40: work in another tenant needs authorization that reaches there and a switch
// of context, and both tenants' trails tell of it.
func TestSwitchTenant_OnlyWhereOneIsAuthorized_AndBothAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.shared = map[id.Tenant]account.Scope{"near.example": account.Division, "far.example": account.System}
	boss := h.reader.users["admin"]
	boss.Name, boss.Permissions = "boss", []account.Permission{"tenants:switch:division", "users:read:division", "audit:read:tenant", "tenants:read:system"}
	h.reader.users["boss"] = boss

	got := h.ask("admin", http.MethodPost, "/v1/auth/switch-tenant", `{"tenant":"near.example"}`)
	require.Equal(t, http.StatusForbidden, got.Code, "an administrator of the tenant is none of the next")
	for _, closed := range []string{"far.example", "no.example"} {
		got = h.ask("boss", http.MethodPost, "/v1/auth/switch-tenant", `{"tenant":"`+closed+`"}`)
		require.Equal(t, http.StatusNotFound, got.Code)
		require.Equal(t, "no_such_tenant", got.body["code"], "SEED-38: where one may do nothing there is nothing")
	}
	got = h.ask("boss", http.MethodPost, "/v1/auth/switch-tenant", `{"tenant":"near.example","reason":"ticket 7"}`)
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.Equal(t, "near.example", got.body["tenant"])
	there := []string{"Authorization", "Bearer " + got.body["access_token"].(string)}
	me := h.ask("", http.MethodGet, "/v1/me", "", there...)
	require.Equal(t, "near.example", me.body["tenant"])
	require.Equal(t, string(tenant), me.body["home"])
	require.Equal(t, []any{"tenants:switch:division", "users:read:division", "tenants:read:system"}, me.body["permissions"])
	require.Equal(t, http.StatusOK, h.ask("", http.MethodGet, "/v1/users", "", there...).Code)
	require.Equal(t, id.Tenant("near.example"), h.things.authors[len(h.things.authors)-1].Tenant)
	require.Equal(t, http.StatusForbidden, h.ask("", http.MethodGet, "/v1/audit", "", there...).Code, "what reaches only one's own tenant stays there")
	refreshed := h.ask("", http.MethodPost, "/v1/auth/refresh", "", "Cookie", strings.Split(got.Header().Get("Set-Cookie"), ";")[0])
	require.Equal(t, "near.example", refreshed.body["tenant"], "a refresh stays in the tenant")
	back := h.ask("", http.MethodPost, "/v1/auth/switch-tenant", `{"tenant":"demo.localhost"}`, there...)
	require.Equal(t, http.StatusOK, back.Code)
	require.Equal(t, string(tenant), back.body["tenant"])

	boss.Permissions = []account.Permission{"users:read:division"}
	h.reader.users["boss"] = boss
	h.api.persons.forget()
	require.Equal(t, http.StatusUnauthorized, h.ask("", http.MethodGet, "/v1/me", "", there...).Code, "an authorization that is taken away ends the visit")

	var lines []string
	for _, e := range h.audited() {
		if e.Action == "auth.switch-tenant" {
			lines = append(lines, fmt.Sprint(e.Tenant, " ", e.Home, " ", e.Object, " ", e.Result, " ", string(e.Detail)))
		}
	}
	require.Contains(t, lines, `demo.localhost  tenant:near.example ok {"from":"demo.localhost","reason":"ticket 7","to":"near.example"}`)
	require.Contains(t, lines, `near.example demo.localhost tenant:near.example ok {"from":"demo.localhost","reason":"ticket 7","to":"near.example"}`)
	require.Contains(t, lines, `near.example demo.localhost tenant:demo.localhost ok {"from":"near.example","reason":"","to":"demo.localhost"}`)
	require.Contains(t, strings.Join(lines, "\n"), "tenant:far.example no_such_tenant")
}

// SEED-37: tenants are listed with the levels above them, and changed by fields.
func TestTenants_AreThingsAsOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	list := h.ask("admin", http.MethodGet, "/v1/tenants?organization=acme&q=near", "")
	require.Equal(t, http.StatusOK, list.Code, list.Body)
	require.Equal(t, true, list.body["items"].([]any)[0].(map[string]any)["may_switch"])
	require.Equal(t, "acme", h.things.queries[0].Filters["organization"])
	got := h.ask("admin", http.MethodPatch, "/v1/tenants/near.example", `{"country":"CH","policies":{"idle_logout_ms":60000}}`, "If-Match", `"7"`)
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	c := h.things.changes[0]
	require.Equal(t, "CH", c.Set["country"])
	require.EqualValues(t, 60000, *c.Set["policies"].(tenantPolicies).IdleLogoutMS)
	require.EqualValues(t, 7, c.Version)
	for body, field := range map[string]string{
		`{"country":"Swiss"}`: "body:country", `{"policies":{"transfer_to_not_ready":"lose"}}`: "body:policies.transfer_to_not_ready", `{"policies":{"colour":1}}`: "body:policies.colour",
		`{"tenant":"other.example"}`: "body:tenant",
	} {
		got := h.ask("admin", http.MethodPatch, "/v1/tenants/near.example", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.Code, body)
		require.Contains(t, got.fields(), field)
	}
	require.Equal(t, http.StatusForbidden, h.ask("admin", http.MethodPost, "/v1/organizations", `{"name":"new"}`).Code)
	boss := h.reader.users["admin"]
	boss.Name, boss.Permissions = "boss", account.SystemAdmin.Permissions()
	h.reader.users["boss"] = boss
	require.Equal(t, http.StatusCreated, h.ask("boss", http.MethodPost, "/v1/organizations", `{"name":"new"}`).Code)
	require.Equal(t, "system_administrator", h.ask("boss", http.MethodGet, "/v1/me", "").body["kind"], "SEED-41")
}

// What a request gives reaches the directory in its words, and what was there is shown.
func TestThings_ARequestBecomesAChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("admin", http.MethodPost, "/v1/users", `{"name":"anna","roles":["regular_agent"],"password":"a long password","team":""}`, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusCreated, made.Code, made.Body)
	require.Equal(t, `"7"`, made.Header().Get("ETag"))
	require.EqualValues(t, 7, made.body["version"])
	again := h.ask("admin", http.MethodPost, "/v1/users", `{"name":"anna","roles":["regular_agent"],"password":"a long password","team":""}`, "Idempotency-Key", "k1")
	require.Equal(t, made.Body.String(), again.Body.String())
	require.Len(t, h.things.changes, 1, "a repeat has no second effect")
	c := h.things.changes[0]
	require.Equal(t, "anna", c.Name)
	require.Equal(t, []string{"regular_agent"}, c.Set["roles"])
	require.Contains(t, c.Set["password_hash"], "$argon2id$")
	require.Equal(t, []string{"password_hash"}, c.Secrets)
	require.NotContains(t, made.Body.String(), "argon2id")

	require.Equal(t, http.StatusOK, h.ask("admin", http.MethodPatch, "/v1/agents/1001", `{"wrap_up_ms":5000}`, "If-Match", `"3"`).Code)
	c = h.things.changes[1]
	require.EqualValues(t, 3, c.Version)
	require.Equal(t, map[string]any{"wrap_up_ms": int64(5000)}, c.Set)
	require.Equal(t, http.StatusNoContent, h.ask("admin", http.MethodDelete, "/v1/numbers/8000", "").Code)
	require.Equal(t, http.StatusOK, h.ask("admin", http.MethodPost, "/v1/queues/support/restore", "").Code)
	list := h.ask("admin", http.MethodGet, "/v1/agents?q=an&team=blue&sort=-user&limit=2&deleted=true", "")
	require.Equal(t, http.StatusOK, list.Code, list.Body)
	require.Equal(t, "next", list.body["next_cursor"])
	require.Equal(t, directory.Query{Kind: directory.Agent, Search: "an", Sort: "-user", Limit: 2, Deleted: true,
		Filters: map[string]string{"team": "blue", "user": "", "queue": "", "skill": ""}}, h.things.queries[0])
}

// A refusal tells what is now, or what uses the thing, and names the wrong fields.
func TestThings_RefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.refuse = (&directory.Newer{Now: thingOf(directory.Team, "blue")}).Refuse()
	got := h.ask("admin", http.MethodPatch, "/v1/teams/blue", `{"display_name":"x"}`, "If-Match", "3")
	require.Equal(t, http.StatusConflict, got.Code)
	require.EqualValues(t, 7, got.body["view"].(map[string]any)["version"])
	h.things.refuse = (&directory.InUse{By: []directory.Ref{{Kind: directory.Agent, Name: "1001"}}}).Refuse(directory.Team, "blue")
	got = h.ask("admin", http.MethodDelete, "/v1/teams/blue", "")
	require.Equal(t, "in_use", got.body["code"])
	require.Contains(t, got.body["detail"], "agent 1001")
	require.Equal(t, map[string]any{"used_by": []any{map[string]any{"kind": "agent", "name": "1001"}}}, got.body["view"])
	h.things.refuse = nil
	for body, field := range map[string]string{
		`{"name":"a b"}`: "body:name", `{}`: "body:name", `{"name":"x","password":"short"}`: "body:password", `{"name":"x","roles":[]}`: "body:roles",
		`{"name":"x","role":"boss"}`: "body:role", `{"name":"x","teams":["a","b","a"]}`: "body:teams", `{"name":"x","agent":"+49"}`: "body:agent",
	} {
		got = h.ask("admin", http.MethodPost, "/v1/users", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.Code, body)
		require.Contains(t, got.fields(), field, body)
	}
	got = h.ask("admin", http.MethodPost, "/v1/numbers", `{"number":"8001","queue":"a","trunk":"b"}`)
	require.Contains(t, got.fields(), "body:trunk")
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("admin", http.MethodPatch, "/v1/teams/blue", `{}`, "If-Match", "new").Code)
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("admin", http.MethodGet, "/v1/teams?colour=blue", "").Code)
	results := map[string]string{}
	for _, e := range h.audited() {
		results[e.Action+" "+e.Object] = e.Result
	}
	require.Equal(t, "version_changed", results["team.update team:blue"], "SEED-4: refusals are in the trail")
	require.Equal(t, "in_use", results["team.delete team:blue"])
}
