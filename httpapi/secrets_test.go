package httpapi

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
)

// Neither log nor trail hold what lets somebody in: passwords, tokens, keys, webhooks'
// secrets and headers, right or wrong ones.
func TestSecrets_AreInNoLogAndInNoTrail(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHouse(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const guess, fresh = "a-wrong-passphrase", "several dull words"
	key := h.keyOf(account.Key{Permissions: []account.Permission{"users:read:tenant"}})
	wrongKey := newSecret()
	secrets := []string{"holdfast-demo", guess, fresh, key[keyShown:], wrongKey[keyShown:], "Bearer hidden", "whsec_", "$argon2id$"}
	h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", guess))
	in := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	require.Equal(t, http.StatusOK, in.Code)
	access, cookie := in.body["access_token"].(string), in.Result().Cookies()[0]
	secrets = append(secrets, access, cookie.Value)
	bear := func(token, method, path, body string) int {
		return h.ask("", method, path, body, "Authorization", "Bearer "+token).Code
	}
	require.Equal(t, http.StatusOK, bear(key, "GET", "/v1/users", ""))
	require.Equal(t, http.StatusUnauthorized, bear(wrongKey, "GET", "/v1/users", ""))
	require.Equal(t, http.StatusUnprocessableEntity, bear(access, "GET", "/v1/me?access_token="+access, ""))
	refreshed := h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", refreshCookie+"="+cookie.Value)
	require.Equal(t, http.StatusOK, refreshed.Code)
	secrets = append(secrets, refreshed.body["access_token"].(string), refreshed.Result().Cookies()[0].Value)
	require.Equal(t, http.StatusUnauthorized, h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", refreshCookie+"="+cookie.Value).Code)
	h.ask("", "POST", "/v1/auth/password", `{"tenant":"`+string(tenant)+`","username":"1001","password":"holdfast-demo","new_password":"`+fresh+`"}`)
	made := h.ask("admin", "POST", "/v1/api-keys", `{"name":"new","permissions":["users:read:tenant"]}`)
	require.Equal(t, http.StatusCreated, made.Code)
	secrets = append(secrets, made.body["key"].(string)[keyShown:])
	h.ask("admin", "POST", "/v1/webhooks", `{"name":"crm","url":"https://crm.example.com/","headers":{"Authorization":"Bearer hidden"}}`)
	h.ask("admin", "POST", "/v1/users", `{"name":"x","password":"`+fresh+`"}`)
	trail, err := json.Marshal(h.audited())
	require.NoError(t, err)
	require.NotEmpty(t, h.audited())
	require.Contains(t, log.String(), "A request was answered.")
	for _, s := range secrets {
		require.NotContains(t, log.String(), s)
		require.NotContains(t, string(trail), s)
	}
}

// Who signed in before logins were kept has a refresh token without number: it is told to
// sign in again, as whoever is signed out, and nothing else happens.
func TestRefresh_ATokenFromBeforeLoginsWereKept_SaysSignInAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, err := h.api.tokens.sign(account.User{Tenant: tenant, Name: "1001"}, forRefresh, ticket{login: "of before", expires: h.now().Add(refreshLife)})
	require.NoError(t, err)
	a := h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", refreshCookie+"="+old)
	require.Equal(t, http.StatusUnauthorized, a.Code)
	require.Equal(t, "signed_out", a.body["code"])
	require.Contains(t, a.body["detail"], "sign in again")
	require.Empty(t, h.logins.known)
	require.Equal(t, http.StatusNoContent, h.ask("", "POST", "/v1/auth/logout", "", "Cookie", refreshCookie+"="+old).Code, "it can be given up all the same")
}
