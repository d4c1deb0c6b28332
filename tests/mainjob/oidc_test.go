package mainjob

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/httpapi/idptest"
	"holdfast/tests/stage"
)

// byProvider signs somebody in by the tenant's provider: it begins at one api process and
// comes back to another.
func byProvider(t *testing.T, ten *stage.Tenant, idp *idptest.Provider, claims map[string]any) stage.Answer {
	t.Helper()
	begun, err := hall.Anonymous().Step(ten.Context(), "/v1/auth/oidc/"+ten.Domain)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, begun.Status, string(begun.Body))
	back, err := url.Parse(idp.Login(begun.Header.Get("Location"), claims))
	require.NoError(t, err)
	require.Equal(t, hall.HTTP(), back.Scheme+"://"+back.Host, "to where we are for people")
	ended, err := hall.Beside(t).Step(ten.Context(), back.RequestURI(), "Cookie", cookieOf(begun))
	require.NoError(t, err)
	return ended
}

func cookieOf(ans stage.Answer) string {
	c, err := http.ParseSetCookie(ans.Header.Get("Set-Cookie"))
	if err != nil {
		return ""
	}
	return c.Name + "=" + c.Value
}

// SEED-1: a tenant's users sign in by its OpenID Connect provider, known ones and new ones,
// who become users; passwords are off for who can't switch them on again; who is disabled
// stays out.
func TestOIDC_TheTenantsUsersSignInByItsProvider(t *testing.T) {
	t.Parallel()
	ten, idp := hall.Tenant(t, stage.Plan{}), idptest.New(t)
	admin := ten.Login("admin")
	settings := map[string]any{"issuer": idp.URL, "client_id": idptest.ClientID, "client_secret": idptest.ClientSecret, "create_users": true, "role": "regular_agent", "passwords": false}
	asked(t, ten.Login("supervisor"), http.StatusForbidden, http.MethodPut, "/v1/oidc", settings)
	wrong := map[string]any{"issuer": idp.URL, "client_id": idptest.ClientID, "create_users": true}
	require.Contains(t, asked(t, admin, http.StatusUnprocessableEntity, http.MethodPut, "/v1/oidc", wrong)["detail"], "role")
	set := asked(t, admin, http.StatusOK, http.MethodPut, "/v1/oidc", settings)
	require.Equal(t, hall.HTTP()+"/v1/auth/oidc/"+ten.Domain+"/callback", set["redirect_uri"])
	require.Equal(t, true, set["client_secret_set"])
	require.NotContains(t, set, "client_secret")

	ans := byProvider(t, ten, idp, map[string]any{"sub": "s-1", "preferred_username": "1001"})
	require.Equal(t, http.StatusFound, ans.Status, string(ans.Body))
	_, token := pair(t, auth(t, ten, hall.Anonymous(), "refresh", cookieOf(ans)))
	me := hall.Anonymous().With(token)
	require.Equal(t, "1001", asked(t, me, http.StatusOK, http.MethodGet, "/v1/me", nil)["user"])
	require.Equal(t, "oidc", asked(t, me, http.StatusOK, http.MethodGet, "/v1/me/logins", nil)["items"].([]any)[0].(map[string]any)["method"])

	ans = byProvider(t, ten, idp, map[string]any{"sub": "s-2", "preferred_username": "newcomer", "name": "Nina New"})
	require.Equal(t, http.StatusFound, ans.Status, string(ans.Body))
	made := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/users/newcomer", nil)
	require.Equal(t, "Nina New", made["display_name"])
	require.NotEmpty(t, made["agent"], "SEED-6: with the role the agent begins")
	require.Equal(t, "oidc_other_subject", refused(t, byProvider(t, ten, idp, map[string]any{"sub": "s-3", "preferred_username": "1001"}), http.StatusUnauthorized).Code)

	require.Equal(t, "password_sign_in_off", refused(t, tryLogin(t, ten, hall.Anonymous(), "1001", stage.Password), http.StatusForbidden).Code)
	pair(t, tryLogin(t, ten, hall.Anonymous(), "admin", stage.Password))
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/users/1001", map[string]any{"disabled": true})
	out(t, hall.Anonymous(), token)
	require.Equal(t, "account_disabled", refused(t, byProvider(t, ten, idp, map[string]any{"sub": "s-1", "preferred_username": "1001"}), http.StatusUnauthorized).Code)
	trail(t, admin, "sign-in:oidc@ user.create user:newcomer ok")
	trail(t, admin, "newcomer@ login user:newcomer ok")
	asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/oidc", nil)
	require.Equal(t, "The tenant has no OpenID Connect provider.", asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/oidc", nil)["detail"])
	pair(t, tryLogin(t, ten, hall.Anonymous(), "supervisor", stage.Password))
}
