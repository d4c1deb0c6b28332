package mainjob

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// A tenant is taken out as a document, changed, and brought back by the API: what is wrong
// is named with line and field, what exceeds the author is refused, the trail names it.
func TestTenantsDocument_IsExportedChangedAndAppliedByTheAPI(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	path := "/v1/tenants/" + ten.Domain
	do := func(method, path string, body any) stage.Answer {
		t.Helper()
		ans, err := admin.Do(ten.Context(), method, path, body, "Content-Type", "application/yaml")
		require.NoError(t, err)
		return ans
	}
	apply := func(document, query string) (status int, changes []string) {
		t.Helper()
		ans := do(http.MethodPost, path+"/apply"+query, document)
		var told struct {
			Changes []struct{ Sign, Object string } `json:"changes"`
		}
		_ = json.Unmarshal(ans.Body, &told) // a refusal has none
		for _, c := range told.Changes {
			changes = append(changes, c.Sign+" "+c.Object)
		}
		return ans.Status, changes
	}
	exported := do(http.MethodGet, path+"/export", nil)
	require.Equal(t, http.StatusOK, exported.Status)
	document := string(exported.Body)
	status, changes := apply(document, "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, changes, "it is as it says")

	more := strings.Replace(document, "\nteams:\n", "\nteams:\n  - name: night\n", 1)
	status, changes = apply(more, "?dry_run=true")
	require.Equal(t, http.StatusOK, status)
	require.Len(t, changes, 1)
	status, changes = apply(more, "")
	require.Equal(t, http.StatusOK, status)
	require.Len(t, changes, 1)
	status, changes = apply(more, "?dry_run=true")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, changes)

	wrong := do(http.MethodPost, path+"/apply", strings.Replace(document, `user: "1001"`, "user: nobody", 1))
	require.Equal(t, http.StatusUnprocessableEntity, wrong.Status, string(wrong.Body))
	require.Contains(t, string(wrong.Body), "line ")
	require.Contains(t, string(wrong.Body), "agents[0].user")
	status, _ = apply(strings.Replace(document, "      - regular_agent\n", "      - regular_agent\n      - system_administrator\n", 1), "")
	require.Equal(t, http.StatusForbidden, status, "nobody gives what they don't hold")
	status, _ = apply(strings.Replace(document, "name: stage", "name: elsewhere", 1), "")
	require.Equal(t, http.StatusForbidden, status, "the levels above stay")

	ten.Until("the trail tells of it", func() bool {
		trail := string(do(http.MethodGet, "/v1/audit?action=tenant.apply&user=admin", nil).Body)
		return strings.Contains(trail, `"result":"ok"`) && strings.Contains(trail, `"result":"more_powerful"`)
	})
	trail := string(do(http.MethodGet, "/v1/audit?action=tenant.apply&user=admin", nil).Body)
	require.Contains(t, trail, `"result":"ok"`)
	require.Contains(t, trail, `"result":"more_powerful"`)
}
