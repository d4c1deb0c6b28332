package mainjob

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// tryLogin signs in by a client, right or wrong.
func tryLogin(t *testing.T, ten *stage.Tenant, c *stage.Client, user, password string) stage.Answer {
	t.Helper()
	ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]string{"tenant": ten.Domain, "username": user, "password": password})
	require.NoError(t, err)
	return ans
}

// pair is what a login gives: the refresh cookie, and the access token.
func pair(t *testing.T, ans stage.Answer) (cookie, token string) {
	t.Helper()
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	var body struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(ans.Body, &body))
	cookie, _, _ = strings.Cut(ans.Header.Get("Set-Cookie"), ";")
	return cookie, body.Token
}

// auth asks a sign-in route with a cookie.
func auth(t *testing.T, ten *stage.Tenant, c *stage.Client, what, cookie string) stage.Answer {
	t.Helper()
	ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/auth/"+what, nil, "Cookie", cookie)
	require.NoError(t, err)
	return ans
}

// Who logs out is out in every api process, with the refresh cookie and with the access
// token, also in a process that starts later; others, and another login of the same
// person, stay in.
func TestLogout_EndsTheLoginInEveryAPIProcess(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	here, there := hall.Anonymous(), hall.Beside(t)
	cookie, token := pair(t, tryLogin(t, ten, here, "1001", stage.Password))
	other, _ := pair(t, tryLogin(t, ten, there, "1001", stage.Password))
	cookie, _ = pair(t, auth(t, ten, there, "refresh", cookie))
	me := func(c *stage.Client) int {
		ans, err := c.With(token).Do(ten.Context(), http.MethodGet, "/v1/me", nil)
		require.NoError(t, err)
		return ans.Status
	}
	require.Equal(t, http.StatusOK, me(here))
	require.Equal(t, http.StatusOK, me(there))

	require.Equal(t, http.StatusNoContent, auth(t, ten, here, "logout", cookie).Status)
	require.Equal(t, "signed_out", refused(t, auth(t, ten, there, "refresh", cookie), http.StatusUnauthorized).Code)
	require.Equal(t, "signed_out", refused(t, auth(t, ten, here, "refresh", cookie), http.StatusUnauthorized).Code)
	require.Equal(t, http.StatusUnauthorized, me(here))
	require.Eventually(t, func() bool { return me(there) == http.StatusUnauthorized }, stage.Patience, 5*time.Millisecond)
	later := hall.Beside(t)
	require.Equal(t, http.StatusUnauthorized, me(later))
	require.Equal(t, http.StatusUnauthorized, auth(t, ten, later, "refresh", cookie).Status)
	require.Equal(t, http.StatusOK, auth(t, ten, later, "refresh", other).Status)

	// A program without cookies logs out by its access token.
	_, token = pair(t, tryLogin(t, ten, here, "1001", stage.Password))
	ans, err := there.With(token).Do(ten.Context(), http.MethodPost, "/v1/auth/logout", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, ans.Status)
	require.Eventually(t, func() bool { return me(here) == http.StatusUnauthorized }, stage.Patience, 5*time.Millisecond)
}

// slowed asserts that a login is refused for being too fast, and says when to try again.
func slowed(t *testing.T, ans stage.Answer) {
	t.Helper()
	require.Equal(t, "too_many_logins", refused(t, ans, http.StatusTooManyRequests).Code)
	require.NotEmpty(t, ans.Header.Get("Retry-After"))
}

// guess tries wrong passwords until it is slowed down, and returns how many were heard.
func guess(t *testing.T, ten *stage.Tenant, most int, next func(n int) (c *stage.Client, user string)) int {
	t.Helper()
	for n := range most {
		c, user := next(n)
		ans := tryLogin(t, ten, c, user, "guess")
		if ans.Status == http.StatusTooManyRequests {
			slowed(t, ans)
			return n
		}
		refused(t, ans, http.StatusUnauthorized)
	}
	require.FailNow(t, "guessing was never slowed down")
	return most
}

// slowedAlike asserts that whoever may not guess now may not try otherwise either: while
// again is refused for being too fast, so is other. Each round makes the wait longer.
func slowedAlike(t *testing.T, again, other func() stage.Answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		return again().Status == http.StatusTooManyRequests && other().Status == http.StatusTooManyRequests
	}, stage.Patience, 10*time.Millisecond)
}

// Brute force slows down: at one account from one address, at many accounts from one
// address, at one account from many addresses; whichever api process is asked. People
// who sign in from where they always do are not locked out by any of it.
func TestLogin_BruteForceSlowsDown_AndLocksNobodyOut(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 3})
	at := func(a netip.Addr) *stage.Client { return hall.From(t, a) }
	office, nat := at(ten.Elsewhere(0)), at(ten.Elsewhere(1))
	for user, c := range map[string]*stage.Client{"1001": office, "1002": nat} {
		pair(t, tryLogin(t, ten, c, user, stage.Password))
	}

	guesser, there := at(ten.Elsewhere(2)), hall.Beside(t)
	wrong := func(c *stage.Client, user string) func() stage.Answer {
		return func() stage.Answer { return tryLogin(t, ten, c, user, "guess") }
	}
	require.LessOrEqual(t, guess(t, ten, 20, func(int) (*stage.Client, string) { return guesser, "1001" }), 5)
	slowedAlike(t, wrong(guesser, "1001"), wrong(guesser.At(there), "1001"))
	pair(t, tryLogin(t, ten, guesser, "1003", stage.Password)) // another account of the same office

	spray := func(n int) (*stage.Client, string) { return nat, fmt.Sprintf("user-%d", n) }
	require.Greater(t, guess(t, ten, 100, spray), 20, "an office where many mistype is not slowed down at once")
	slowedAlike(t, wrong(nat, "user-x"), wrong(nat.At(there), "1003"))
	pair(t, tryLogin(t, ten, nat, "1002", stage.Password)) // who signed in there before

	scatter := func(n int) (*stage.Client, string) { return at(ten.Elsewhere(10 + n)), "1001" }
	guess(t, ten, 60, scatter)
	slowedAlike(t, wrong(at(ten.Elsewhere(100)), "1001"), wrong(at(ten.Elsewhere(101)).At(there), "1001"))
	pair(t, tryLogin(t, ten, office, "1001", stage.Password)) // from where it signed in before
	pair(t, tryLogin(t, ten, at(ten.Elsewhere(100)), "1003", stage.Password))
}

// Wrong password, wrong user and wrong tenant take the same time: the same work is done for each. It is measured as what
// the api computes, since a busy machine makes every answer late.
func TestLogin_WhateverIsWrong_TakesTheSameTime(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Agents: 5})
	c := hall.From(t, ten.Elsewhere(0))
	const tries = 12
	work := func(tenant string, first int) time.Duration {
		before := hall.API.CPU(t)
		for n := range tries {
			ans, err := c.Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]string{"tenant": tenant, "username": fmt.Sprint(first + n%4), "password": "wrong"})
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, ans.Status)
		}
		return hall.API.CPU(t) - before
	}
	password, user, tenant := work(ten.Domain, 1001), work(ten.Domain, 2001), work("elsewhere.localhost", 1001)
	require.Greater(t, password, tries*5*time.Millisecond, "a verification is slow on purpose")
	for _, other := range []time.Duration{user, tenant} {
		require.InDelta(t, 1, float64(other)/float64(password), 0.6, "password %v, user %v, tenant %v", password, user, tenant)
	}
}
