package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// out waits until an api process refuses an access token.
func out(t *testing.T, c *stage.Client, token string) {
	t.Helper()
	require.Eventually(t, func() bool {
		ans, err := c.With(token).Do(t.Context(), http.MethodGet, "/v1/me", nil)
		return err == nil && ans.Status == http.StatusUnauthorized
	}, stage.Patience, 5*time.Millisecond)
}

// RFC 9700 §4.14.2: who uses a refresh token that was used up has a copy of it: the whole
// login ends, in all api processes, and the answer says why.
func TestRefresh_ATokenUsedTwiceEndsTheLoginEverywhere(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	here, there := hall.Anonymous(), hall.Beside(t)
	stolen, first := pair(t, tryLogin(t, ten, here, "1001", stage.Password))
	other, _ := pair(t, tryLogin(t, ten, here, "1001", stage.Password))
	second, _ := pair(t, auth(t, ten, there, "refresh", stolen))
	third, last := pair(t, auth(t, ten, here, "refresh", second))
	require.Len(t, map[string]bool{stolen: true, second: true, third: true}, 3)

	require.Equal(t, "refresh_token_reused", refused(t, auth(t, ten, there, "refresh", stolen), http.StatusUnauthorized).Code)
	for _, c := range []*stage.Client{here, there} {
		out(t, c, first)
		out(t, c, last)
		for _, cookie := range []string{stolen, second, third} {
			require.Equal(t, "refresh_token_reused", refused(t, auth(t, ten, c, "refresh", cookie), http.StatusUnauthorized).Code)
		}
	}
	pair(t, auth(t, ten, there, "refresh", other))
	trail(t, ten.Login("admin"), "1001@ login.refresh user:1001 refresh_token_reused")
}

// Two tabs of one browser refresh at the same instant, or an answer gets lost: both get
// on, and the login is not taken for a stolen one.
func TestRefresh_TwoTabsAtOnce_BothGoOn(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	here, there := hall.Anonymous(), hall.Beside(t)
	cookie, _ := pair(t, tryLogin(t, ten, here, "1001", stage.Password))
	answers := make(chan stage.Answer, 2)
	for _, c := range []*stage.Client{here, there} {
		go func() {
			ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/auth/refresh", nil, "Cookie", cookie)
			if err != nil {
				t.Error(err)
			}
			answers <- ans
		}()
	}
	one, token := pair(t, <-answers)
	two, _ := pair(t, <-answers)
	ans, err := there.With(token).Do(ten.Context(), http.MethodGet, "/v1/me", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status)
	next, _ := pair(t, auth(t, ten, here, "refresh", one))
	pair(t, auth(t, ten, there, "refresh", two)) // the same token of the second tab, a moment later
	pair(t, auth(t, ten, here, "refresh", next))
}

// A person sees where they are signed in and ends what is not theirs; an administrator
// does it for them; a new password and a disabled account end them all.
func TestLogins_AreListedAndEndedInEveryAPIProcess(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	here, there := hall.Anonymous(), hall.Beside(t)
	_, laptop := pair(t, tryLogin(t, ten, hall.From(t, ten.Elsewhere(0)), "1001", stage.Password))
	lostCookie, lost := pair(t, tryLogin(t, ten, hall.From(t, ten.Elsewhere(1)), "1001", stage.Password))
	me := there.With(laptop)
	items := asked(t, me, http.StatusOK, http.MethodGet, "/v1/me/logins", nil)["items"].([]any)
	require.Len(t, items, 2)
	for _, i := range items {
		l := i.(map[string]any)
		require.Equal(t, "password", l["method"])
		require.Contains(t, l["user_agent"], "Go-http-client")
		require.Equal(t, l["address"] == ten.Elsewhere(0).String(), l["current"])
		if l["current"] == false {
			asked(t, me, http.StatusNoContent, http.MethodDelete, "/v1/me/logins/"+l["id"].(string), nil)
			asked(t, me, http.StatusNotFound, http.MethodDelete, "/v1/me/logins/"+l["id"].(string), nil)
		}
	}
	out(t, here, lost)
	out(t, there, lost)
	require.Equal(t, "login_ended", refused(t, auth(t, ten, here, "refresh", lostCookie), http.StatusUnauthorized).Code)

	admin := ten.Login("admin")
	asked(t, me, http.StatusForbidden, http.MethodGet, "/v1/users/supervisor/logins", nil)
	require.Len(t, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/users/1001/logins", nil)["items"], 1)
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/users/nobody/logins", nil)
	asked(t, admin, http.StatusNoContent, http.MethodDelete, "/v1/users/1001/logins", nil)
	out(t, here, laptop)
	out(t, there, laptop)

	for code, change := range map[string]map[string]any{"password_changed": {"password": "quite another secret"}, "account_disabled": {"disabled": true}} {
		asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "nina-" + code, "password": stage.Password, "roles": []string{"regular_agent"}})
		cookie, token := pair(t, tryLogin(t, ten, here, "nina-"+code, stage.Password))
		asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/users/nina-"+code, change)
		out(t, here, token)
		out(t, there, token)
		require.Equal(t, code, refused(t, auth(t, ten, there, "refresh", cookie), http.StatusUnauthorized).Code)
	}
	trail(t, admin, "admin@ login.end user:1001 ok")
	trail(t, admin, "1001@ login.end user:1001 ok")
}
