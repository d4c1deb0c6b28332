package mainjob

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// Every endpoint as every role, and as nobody, on the running system: who may, and nobody
// else. Only allowed and refused are compared; what is named does not exist.
func TestPermissions_EveryEndpointAsEveryRole_OnTheRunningSystem(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: func(d *tenancy.Document) {
		for _, r := range account.Given() {
			u := tenancy.User{Name: id.User("as_" + string(r)), Password: stage.Password, Roles: []account.Role{r}}
			d.Users = append(d.Users, u)
		}
	}})
	anybody := hall.Anonymous()
	people := map[account.Role]*stage.Client{}
	for _, r := range account.Given() {
		people[r] = ten.Login("as_" + string(r))
	}
	ans, err := anybody.Do(ten.Context(), http.MethodGet, "/openapi.json", nil)
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			ID     string `json:"operationId"`
			Access string `json:"x-access"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(ans.Body, &doc))
	names := regexp.MustCompile(`\{[^}]*\}`)
	tried := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			permission := account.Permission(op.Access)
			if !strings.Contains(op.Access, ":") {
				continue
			}
			tried++
			ask := func(who *stage.Client) stage.Answer {
				got, err := who.Do(ten.Context(), strings.ToUpper(method), names.ReplaceAllString(path, "nothing"), nil)
				require.NoError(t, err, op.ID)
				return got
			}
			require.Equal(t, http.StatusUnauthorized, ask(anybody).Status, "%s as nobody", op.ID)
			for role, who := range people {
				got := ask(who)
				may := slices.ContainsFunc(role.Permissions(), func(p account.Permission) bool { return p.Covers(permission) })
				refused := got.Status == http.StatusForbidden && strings.Contains(string(got.Body), `"code":"forbidden"`) && strings.Contains(string(got.Body), string(permission))
				require.Equal(t, may, !refused, "%s as %s: %d %s", op.ID, role, got.Status, got.Body)
				require.NotEqual(t, http.StatusUnauthorized, got.Status, "%s as %s", op.ID, role)
				require.Less(t, got.Status, 500, "%s as %s: %s", op.ID, role, got.Body)
			}
		}
	}
	require.Greater(t, tried, 100)
}
