package mainjob

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// A program works by a key of its own, in every api process, as far as it was lent and its
// maker reaches; the trail names it; deleted means refused, everywhere and at once.
func TestAPIKey_ActsForItself_UntilItIsDeletedOrItsMakerIsGone(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin, there := ten.Login("admin"), hall.Beside(t)
	make := func(by *stage.Client, name string, more map[string]any) (*stage.Client, string) {
		body := map[string]any{"name": name, "permissions": []string{"teams:read:tenant", "teams:write:tenant"}}
		for k, v := range more {
			body[k] = v
		}
		key := asked(t, by, http.StatusCreated, http.MethodPost, "/v1/api-keys", body)["key"].(string)
		return there.With(key), key
	}
	crm, secret := make(admin, "crm", nil)
	asked(t, crm, http.StatusCreated, http.MethodPost, "/v1/teams", map[string]any{"name": "blue"})
	asked(t, crm, http.StatusForbidden, http.MethodGet, "/v1/users", nil)
	trail(t, admin, "key:crm@ team.create team:blue ok")
	shown := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/api-keys/crm", nil)
	require.Equal(t, "admin", shown["made_by"])
	require.NotEmpty(t, shown["last_used_at"])
	require.Equal(t, secret[:11], shown["prefix"])
	require.NotContains(t, shown, "key")
	asked(t, ten.Login("supervisor"), http.StatusForbidden, http.MethodGet, "/v1/api-keys", nil)

	near, _ := make(admin, "near", map[string]any{"addresses": []string{ten.Elsewhere(3).String()}})
	require.Equal(t, "key_address", asked(t, near, http.StatusForbidden, http.MethodGet, "/v1/teams", nil)["code"])
	asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/api-keys/crm", nil)
	require.Equal(t, "wrong_key", asked(t, crm, http.StatusUnauthorized, http.MethodGet, "/v1/teams", nil)["code"])
	require.Equal(t, "wrong_key", asked(t, hall.Anonymous().With(secret), http.StatusUnauthorized, http.MethodGet, "/v1/teams", nil)["code"])

	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "ida", "password": stage.Password, "roles": []string{"business_administrator"}})
	ida, _ := make(ten.Login("ida"), "of-ida", nil)
	asked(t, ida, http.StatusOK, http.MethodGet, "/v1/teams", nil)
	asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/users/ida", nil)
	asked(t, ida, http.StatusUnauthorized, http.MethodGet, "/v1/teams", nil)
}

// A person sets their own password by the present one, as the tenant's policy wants it,
// and is signed out everywhere else.
func TestPassword_IsChangedByItsOwner_AsThePolicyWants(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Policies: tenancy.Policies{Password: tenancy.PasswordPolicy{MinLength: 12, History: 2}}})
	c := hall.Anonymous()
	_, before := pair(t, tryLogin(t, ten, c, "1001", stage.Password))
	change := func(status int, old, wanted string) map[string]any {
		return asked(t, c, status, http.MethodPost, "/v1/auth/password", map[string]any{"tenant": ten.Domain, "username": "1001", "password": old, "new_password": wanted})
	}
	for _, bad := range []string{"elevenchars", "Basketball123", "777777777777", stage.Password} {
		require.Equal(t, "password_rule", change(http.StatusUnprocessableEntity, stage.Password, bad)["code"], bad)
	}
	got := change(http.StatusOK, stage.Password, "three dull words")
	out(t, c, before)
	asked(t, c.With(got["access_token"].(string)), http.StatusOK, http.MethodGet, "/v1/me", nil)
	require.Equal(t, "password_rule", change(http.StatusUnprocessableEntity, "three dull words", stage.Password)["code"], "it was used before")
	refused(t, tryLogin(t, ten, c, "1001", stage.Password), http.StatusUnauthorized)
	pair(t, tryLogin(t, ten, c, "1001", "three dull words"))
	trail(t, ten.Login("admin"), "1001@ user.password user:1001 ok")
}
