package httpapi

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
)

func newPassword(user, password, wanted string) string {
	return fmt.Sprintf(`{"tenant":%q,"username":%q,"password":%q,"new_password":%q}`, tenant, user, password, wanted)
}

// NIST SP 800-63B §3.1.1.2: the list of what everybody takes is real.
func TestCommonPasswords_AreKnown(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"password", "qwertyuiop", "basketball", "1234567890"} {
		require.True(t, commonPasswords()[word], word)
	}
	require.False(t, commonPasswords()["holdfast-demo"])
	require.Greater(t, len(commonPasswords()), 5000)
}

// A password that the policy refuses is told by the field and the rule, at creation, at
// change by an administrator, and at change by its owner.
func TestPassword_ThePolicyNamesFieldAndRule(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.logins.policy = account.PasswordPolicy{MinLength: 12, History: 2}
	h.logins.passwords = map[id.User]account.Passwords{"1001": {Hash: demoHash(t)}}
	for password, rule := range map[string]string{
		"elevenchars": "fewer than 12 characters", "basketball12": "most used", "aaaaaaaaaaaaaaa": "repeats", "holdfast-demo": "used before",
	} {
		for route, body := range map[[3]string]string{
			{"admin", "PATCH", "/v1/users/1001"}: fmt.Sprintf(`{"password":%q}`, password), {"", "POST", "/v1/auth/password"}: newPassword("1001", "holdfast-demo", password),
		} {
			a := h.ask(id.User(route[0]), route[1], route[2], body)
			require.Equal(t, http.StatusUnprocessableEntity, a.Code, "%s %s", route, a.Body)
			field := map[string]string{"PATCH": "body:password", "POST": "body:new_password"}[route[1]]
			want := rule
			if route[1] == "POST" && password == "holdfast-demo" {
				want = "is the present one"
			}
			require.Contains(t, a.fields()[field], want)
			require.Equal(t, "password_rule", a.body["code"])
			require.NotContains(t, a.Body.String(), password)
		}
	}
	a := h.ask("admin", "POST", "/v1/users", `{"name":"margaret.smith","password":"Margaret.Smith1"}`)
	require.Contains(t, a.fields()["body:password"], "user's name")
	require.Equal(t, http.StatusCreated, h.ask("admin", "POST", "/v1/users", `{"name":"margaret.smith","password":"three dull words"}`).Code)
	require.Empty(t, h.logins.set)
}

// Who knows the present password sets a new one, and is in by it; a wrong one is refused
// and slowed down as at the login.
func TestChangePassword_ProvesThePresentOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("", "POST", "/v1/auth/password", newPassword("1001", "wrong", "three dull words"))
	require.Equal(t, "wrong_login", a.body["code"])
	unknown := h.ask("", "POST", "/v1/auth/password", newPassword("nobody", "wrong", "short one"))
	require.Equal(t, a.Body.String(), unknown.Body.String(), "who doesn't know the password learns no rule and no name")
	a = h.ask("", "POST", "/v1/auth/password", newPassword("1001", "holdfast-demo", "three dull words"))
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Len(t, h.logins.set, 1)
	require.Equal(t, demoHash(t), h.logins.set[0][1])
	same, err := argon2id.ComparePasswordAndHash("three dull words", h.logins.set[0][2])
	require.NoError(t, err)
	require.True(t, same)
	require.Equal(t, http.StatusOK, h.ask("", "GET", "/v1/me", "", "Authorization", "Bearer "+a.body["access_token"].(string)).Code)
	for range pairPace.free {
		h.ask("", "POST", "/v1/auth/password", newPassword("1002", "wrong", "three dull words"))
	}
	require.Equal(t, http.StatusTooManyRequests, h.ask("", "POST", "/v1/auth/password", newPassword("1002", "holdfast-demo", "three dull words")).Code)
	require.Equal(t, http.StatusTooManyRequests, h.ask("", "POST", "/v1/auth/login", login(tenant, "1002", "holdfast-demo")).Code, "they count together")
}

// A password that is too old signs in no more, and says so to its owner only.
func TestLogin_ExpiredPassword_CanOnlyBeChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.logins.policy = account.PasswordPolicy{MaxAge: 24 * time.Hour}
	h.logins.passwords = map[id.User]account.Passwords{"1001": {Set: time.Now().Add(-25 * time.Hour)}}
	require.Equal(t, "wrong_login", h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "wrong")).body["code"])
	a := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "password_expired", a.body["code"])
	require.Empty(t, a.Result().Cookies())
	require.Equal(t, http.StatusOK, h.ask("", "POST", "/v1/auth/password", newPassword("1001", "holdfast-demo", "three dull words")).Code)
}

// Where users sign in by OpenID Connect only, administrators of that are let in by their
// passwords all the same; a wrong password learns nothing of it.
func TestLogin_PasswordsAreOff_ButForWhoCanSwitchThemOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.logins.passwords = map[id.User]account.Passwords{"1001": {Off: true}, "admin": {Off: true}}
	require.Equal(t, "wrong_login", h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "wrong")).body["code"])
	require.Equal(t, "password_sign_in_off", h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo")).body["code"])
	require.Equal(t, http.StatusOK, h.ask("", "POST", "/v1/auth/login", login(tenant, "admin", "holdfast-demo")).Code)
}

// A hash of an older cost is replaced when its password is shown, and not before.
func TestLogin_HashOfAnOlderCost_IsRenewed(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHouse(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	old, err := argon2id.CreateHash("holdfast-demo", &argon2id.Params{Memory: 8 * 1024, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	u := h.reader.users["1001"]
	u.PasswordHash = old
	h.reader.users["1001"] = u
	h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "wrong"))
	h.ask("", "POST", "/v1/auth/login", login(tenant, "1002", "holdfast-demo"))
	require.Empty(t, h.logins.renewed)
	require.Equal(t, http.StatusOK, h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo")).Code)
	require.Len(t, h.logins.renewed, 1)
	require.Equal(t, old, h.logins.renewed[0][1])
	cost, _, _, err := argon2id.DecodeHash(h.logins.renewed[0][2])
	require.NoError(t, err)
	require.Equal(t, presentCost, *cost)
	require.NotContains(t, log.String(), "argon2id")
}
