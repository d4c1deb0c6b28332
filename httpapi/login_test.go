package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// comparisons counts the work that a sign-in costs: it is what takes the time.
type comparisons struct {
	mu     sync.Mutex
	hashes []string
}

func (c *comparisons) with(real func(string, string) (bool, error)) func(string, string) (bool, error) {
	return func(password, hash string) (bool, error) {
		c.mu.Lock()
		c.hashes = append(c.hashes, hash)
		c.mu.Unlock()
		return real(password, hash)
	}
}

func login(t id.Tenant, user, password string) string {
	return fmt.Sprintf(`{"tenant":%q,"username":%q,"password":%q}`, t, user, password)
}

// SEED-56, SEED-65: user name, password and domain sign in; the answer is enough to go on.
func TestLogin_GivesATokenWithWhichIAm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Equal(t, "1001", a.body["user"])
	require.Equal(t, "1001", a.body["agent"])
	require.EqualValues(t, 900, a.body["expires_in"])
	require.Contains(t, a.body["permissions"], "session:use:own")
	c := a.Result().Cookies()[0]
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.Equal(t, "/v1/auth", c.Path)
	me := h.ask("", "GET", "/v1/me", "", "Authorization", "Bearer "+a.body["access_token"].(string))
	require.Equal(t, http.StatusOK, me.Code)
	require.Equal(t, "demo.localhost", me.body["tenant"])
	require.NotContains(t, a.Body.String()+me.Body.String(), "argon2id")

	admin := h.ask("", "POST", "/v1/auth/login", login(tenant, "admin", "holdfast-demo"))
	require.NotContains(t, admin.body, "agent", "SEED-5: an administrator has no agent")
}

// SEED-29: the login activates the user's agent in the same request, if it is asked to;
// where that is refused there is no login either, nor a cookie, nor a token that works.
func TestLogin_ActivatesTheAgent_OrIsRefusedAltogether(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ask := func(user, session string) answer {
		return h.ask("", "POST", "/v1/auth/login", strings.TrimSuffix(login(tenant, user, "holdfast-demo"), "}")+`,"agent_session":`+session+"}")
	}
	a := ask("1001", `{"interface":"phone","terminal_id":"t1"}`)
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	require.Equal(t, "1001", a.body["agent_session"].(map[string]any)["agent"])
	require.Len(t, a.Result().Cookies(), 1)
	e := h.commands.asked[0].(agent.SignIn)
	require.Equal(t, []any{"phone", id.Terminal("t1"), "1001"}, []any{e.Interface, e.Terminal, e.User})
	require.NotEmpty(t, e.From, "the address, for self-adapting phones")

	a = ask("1001", `{"interface":"fax","colour":"red"}`)
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Contains(t, a.fields(), "body:agent_session.interface")
	a = ask("1001", `{"device_id":"1002"}`)
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Contains(t, a.fields()["body:agent_session.device_id"], "1002")
	a = ask("admin", `{}`)
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "action_forbidden", a.body["code"])
	require.Len(t, h.commands.asked, 1, "nobody was activated")

	h.commands.refuse = &fault.Error{Kind: fault.Conflict, Code: "choose_phone", Sentence: "Choose one of desk-1."}
	a = ask("1001", `{}`)
	require.Equal(t, http.StatusConflict, a.Code, a.Body)
	require.Equal(t, "choose_phone", a.body["code"])
	require.Empty(t, a.Result().Cookies())
	require.Len(t, h.logins.known, 1, "nothing was begun")

	h.commands.away = fault.E(fault.Unavailable, "sign in", fmt.Errorf("no Temporal"))
	a = ask("1001", `{}`)
	require.Equal(t, http.StatusServiceUnavailable, a.Code, a.Body)
	require.NotEmpty(t, a.Header().Get("Retry-After"))
	require.Len(t, h.logins.known, 1)
	require.Equal(t, http.StatusOK, h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo")).Code, "without the session there is a login")
}

// SEED-66: wrong tenant, user or password, and a disabled account: the same answer
// after the same work.
func TestLogin_WhateverIsWrong_SameAnswerSameWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var work comparisons
	h.api.passwords.compare = work.with(h.api.passwords.compare)
	var answers []string
	for _, body := range []string{
		login(tenant, "1001", "wrong"),
		login(tenant, "nobody", "holdfast-demo"),
		login("other.localhost", "1001", "holdfast-demo"),
		login("other.localhost", "1001", "nobody has this password"),
		login(tenant, "gone", "holdfast-demo"), // disabled, with the right password
	} {
		a := h.ask("", "POST", "/v1/auth/login", body)
		require.Equal(t, http.StatusUnauthorized, a.Code)
		require.Empty(t, a.Result().Cookies())
		answers = append(answers, a.Body.String())
	}
	require.Len(t, slices.Compact(answers), 1, "%v", answers)
	require.Len(t, work.hashes, len(answers), "each does one verification")
	cost := func(hash string) string { return hash[:strings.LastIndex(hash[:strings.LastIndex(hash, "$")], "$")] }
	for i, hash := range work.hashes {
		require.Equal(t, cost(demoHash(t)), cost(hash), "of the same cost")
		require.Equal(t, i > 0, hash == h.api.passwords.dummy)
	}
	require.Equal(t, fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d", account.PasswordMemoryKiB, account.PasswordPasses, account.PasswordLanes), cost(demoHash(t)))
}

// Brute force slows down, for the one who guesses and nobody else.
func TestLogin_GuessingSlowsDownOnlyTheGuesser(t *testing.T) {
	t.Parallel()
	h, now := newGuessing(t)
	for range pairPace.free {
		require.Equal(t, http.StatusUnauthorized, h.from("9", "1001", "wrong").Code)
	}
	a := h.from("9", "1001", "right")
	require.Equal(t, http.StatusTooManyRequests, a.Code, "even with the right password now")
	require.Equal(t, "1", a.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, h.from("9", "1002", "right").Code, "another account of the same office")
	require.Zero(t, h.wait("10", "1001"), "the owner, elsewhere, is not locked out")

	waits := []time.Duration{}
	for range 9 {
		*now = now.Add(h.wait("9", "1001"))
		require.Equal(t, http.StatusUnauthorized, h.from("9", "1001", "wrong").Code)
		waits = append(waits, h.wait("9", "1001"))
	}
	require.Equal(t, []time.Duration{2, 4, 8, 16, 32, 60, 60, 60, 60}, each(waits, func(d time.Duration) time.Duration { return d / time.Second }))
	*now = now.Add(pairPace.most)
	require.Equal(t, http.StatusOK, h.from("9", "1001", "right").Code, "the right password clears the slate")
	require.Equal(t, http.StatusUnauthorized, h.from("9", "1001", "wrong").Code)
	require.Zero(t, h.wait("9", "1001"))

	for range pairPace.free {
		h.from("9", "nobody", "wrong")
	}
	require.Equal(t, http.StatusTooManyRequests, h.from("9", "nobody", "x").Code, "names that do not exist are slowed alike")
	*now = now.Add(forgetAfter + time.Second)
	require.Equal(t, http.StatusUnauthorized, h.from("9", "nobody", "x").Code)
	require.Zero(t, h.wait("9", "nobody"), "forgotten after a while")
}

// One address that tries many accounts is slowed down at all of them, but for those who
// signed in from there before; their own mistakes there count for nobody else.
func TestLogin_GuessingAtManyAccountsFromOneAddressSlowsDown(t *testing.T) {
	t.Parallel()
	h, now := newGuessing(t)
	require.Equal(t, http.StatusOK, h.from("9", "1001", "right").Code)
	for range pairPace.free - 1 {
		require.Equal(t, http.StatusUnauthorized, h.from("9", "1001", "wrong").Code)
	}
	for n := range addressPace.free {
		require.Equal(t, http.StatusUnauthorized, h.from("9", fmt.Sprint("user-", n), "wrong").Code, "%d", n)
	}
	require.Equal(t, http.StatusTooManyRequests, h.from("9", "1002", "right").Code)
	require.Equal(t, http.StatusOK, h.from("9", "1001", "right").Code)
	require.Equal(t, http.StatusOK, h.from("10", "1002", "right").Code)
	for range 10 {
		*now = now.Add(h.wait("9", "user-x"))
		h.from("9", "user-x", "wrong")
	}
	require.Equal(t, addressPace.most, h.wait("9", "1002"))
	*now = now.Add(addressPace.most)
	require.Equal(t, http.StatusOK, h.from("9", "1002", "right").Code)
}

// One account that is tried from many addresses is slowed down at all of them, but for
// those from which its owner signed in before.
func TestLogin_GuessingAtOneAccountFromManyAddressesSlowsDown(t *testing.T) {
	t.Parallel()
	h, now := newGuessing(t)
	require.Equal(t, http.StatusOK, h.from("9", "1001", "right").Code)
	for n := range accountPace.free {
		require.Equal(t, http.StatusUnauthorized, h.from(fmt.Sprint(20+n), "1001", "wrong").Code, "%d", n)
	}
	require.Equal(t, http.StatusTooManyRequests, h.from("10", "1001", "right").Code)
	require.Equal(t, http.StatusOK, h.from("9", "1001", "right").Code, "from where its owner always signs in")
	require.Equal(t, http.StatusOK, h.from("10", "1002", "right").Code, "another account")
	for n := range 10 {
		*now = now.Add(h.wait("10", "1001"))
		h.from(fmt.Sprint(100+n), "1001", "wrong")
	}
	require.Equal(t, accountPace.most, h.wait("10", "1001"), "its owner in a new place waits no longer than that")
	*now = now.Add(accountPace.most)
	require.Equal(t, http.StatusOK, h.from("10", "1001", "right").Code)
}

// Those who try at once have no more tries than those who try one after the other.
func TestLogin_GuessingAtOnceWinsNothing(t *testing.T) {
	t.Parallel()
	h, _ := newGuessing(t)
	var mu sync.Mutex
	heard, all := 0, sync.WaitGroup{}
	h.api.passwords.compare = func(string, string) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		heard++
		return false, nil
	}
	for range 40 {
		all.Go(func() { h.from("9", "1001", "wrong") })
	}
	all.Wait()
	require.LessOrEqual(t, heard, pairPace.free+cap(h.api.passwords.turns), "each that has its turn is counted before the next")
}

// guessing is a house whose only right password is "right".
type guessing struct{ *house }

func newGuessing(t *testing.T) (guessing, *time.Time) {
	t.Helper()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	h.api.passwords.compare = func(password, _ string) (bool, error) { return password == "right", nil }
	return guessing{h}, &now
}

// from signs in from address 127.0.0.n.
func (g guessing) from(n, user, password string) answer {
	return g.askFrom("127.0.0."+n, "", "POST", "/v1/auth/login", login(tenant, user, password))
}

func (g guessing) wait(n, user string) time.Duration {
	g.t.Helper()
	wait, err := g.api.throttle.wait(g.t.Context(), attempt{tenant, id.User(user), "127.0.0." + n})
	require.NoError(g.t, err)
	return wait
}

func each[T, R any](all []T, f func(T) R) []R {
	var out []R
	for _, v := range all {
		out = append(out, f(v))
	}
	return out
}

func TestSourceOf_IsWhatOneClientHolds(t *testing.T) {
	t.Parallel()
	require.Equal(t, "10.0.0.1", sourceOf("::ffff:10.0.0.1"))
	require.Equal(t, "2001:db8::/64", sourceOf("2001:db8::1"))
}

// One address that signs in (or guesses) at once leaves others their turn.
func TestPasswords_ConcurrencyIsBoundedPerAddressAndInAll(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	require.NoError(t, err)
	p.turns = make(chan struct{}, 2)
	entered, leave := make(chan string, 16), make(chan struct{})
	p.compare = func(password, _ string) (bool, error) {
		entered <- password
		<-leave
		return true, nil
	}
	verify := func(ctx context.Context, address, password, hash string) (bool, error) {
		leave, err := p.turn(ctx, address)
		if err != nil {
			return false, err
		}
		defer leave()
		return p.matches(password, hash)
	}
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() { _, _ = verify(t.Context(), "guesser", "g", "hash") })
	}
	require.Equal(t, "g", <-entered)
	done.Go(func() {
		ok, err := verify(t.Context(), "other", "o", "hash")
		require.NoError(t, err)
		require.True(t, ok)
	})
	require.Equal(t, "o", <-entered, "the guesser holds one of the two turns")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = verify(ctx, "third", "t", "hash")
	require.Equal(t, fault.TooMany, fault.KindOf(err))
	close(leave)
	done.Wait()
	require.Empty(t, p.addresses)
	_, err = verify(t.Context(), "x", "x", "")
	require.NoError(t, err)
}

func TestRefresh_GivesNewTokensUntilLogoutPasswordChangeOrDisabling(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	cookie := func(a answer) string { c := a.Result().Cookies()[0]; return c.Name + "=" + c.Value }
	again := h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookie(first))
	require.Equal(t, http.StatusOK, again.Code, again.Body)
	require.NotEqual(t, cookie(first), cookie(again), "each refresh token is used once")
	require.NotEmpty(t, again.body["access_token"])

	for _, bad := range []string{"", "holdfast_refresh=x", "holdfast_refresh=" + first.body["access_token"].(string)} {
		a := h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", bad)
		require.Equal(t, http.StatusUnauthorized, a.Code)
		require.Equal(t, "signed_out", a.body["code"])
	}
	out := h.ask("", "POST", "/v1/auth/logout", "", "Cookie", cookie(again))
	require.Equal(t, http.StatusNoContent, out.Code)
	require.Less(t, out.Result().Cookies()[0].MaxAge, 0)
	require.Equal(t, http.StatusUnauthorized, h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookie(again)).Code)
	for _, a := range []answer{first, again} {
		me := h.ask("", "GET", "/v1/me", "", "Authorization", "Bearer "+a.body["access_token"].(string))
		require.Equal(t, http.StatusUnauthorized, me.Code, "every token of that login")
		require.Equal(t, "signed_out", me.body["code"])
		require.Equal(t, http.StatusUnauthorized, h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookie(a)).Code)
	}
	require.Equal(t, http.StatusNoContent, h.ask("", "POST", "/v1/auth/logout", "").Code)
	first = h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	first = h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookie(first))
	require.Equal(t, http.StatusOK, first.Code)

	change := func(f func(*account.User)) {
		defer h.reader.lock()()
		u := h.reader.users["1001"]
		f(&u)
		h.reader.users["1001"] = u
	}
	change(func(u *account.User) { u.Disabled = true })
	require.Equal(t, "signed_out", h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", cookie(first)).body["code"])
	change(func(u *account.User) { u.Disabled = false })
}

// The answer to the refresh token of a login that is over says what ended it.
func TestRefresh_OfALoginThatIsOver_SaysWhy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	codes := map[account.Ended]string{
		account.EndedLogout: "signed_out", account.EndedRevoked: "login_ended", account.EndedByOther: "login_ended", account.EndedReuse: "refresh_token_reused",
		account.EndedPassword: "password_changed", account.EndedDisabled: "account_disabled", account.EndedDeleted: "account_disabled",
	}
	for why, code := range codes {
		first := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
		for _, l := range h.logins.known {
			l.ended = why
		}
		a := h.ask("", "POST", "/v1/auth/refresh", "", "Cookie", strings.Split(first.Header().Get("Set-Cookie"), ";")[0])
		require.Equal(t, http.StatusUnauthorized, a.Code)
		require.Equal(t, code, a.body["code"], why)
		require.Empty(t, a.Result().Cookies())
	}
}

// What a client says of itself is kept as one line, however it tries.
func TestLogins_AreListedWithWhatTheClientIs_AndEnded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"), "User-Agent", "Firefox\x1b[31m "+strings.Repeat("x", 400))
	bearer := []string{"Authorization", "Bearer " + made.body["access_token"].(string)}
	list := h.ask("", "GET", "/v1/me/logins", "", bearer...)
	require.Equal(t, http.StatusOK, list.Code, list.Body)
	require.Len(t, list.body["items"], 1)
	one := list.body["items"].([]any)[0].(map[string]any)
	require.Equal(t, true, one["current"])
	require.Equal(t, "127.0.0.9", one["address"])
	require.Len(t, one["user_agent"], maxLine)
	require.NotContains(t, one["user_agent"], "\x1b")
	require.Equal(t, http.StatusNotFound, h.ask("1001", "DELETE", "/v1/me/logins/other", "").Code)
	require.Equal(t, http.StatusNoContent, h.ask("", "DELETE", "/v1/me/logins/"+one["id"].(string), "", bearer...).Code)
	require.Equal(t, http.StatusUnauthorized, h.ask("", "GET", "/v1/me", "", bearer...).Code)
	require.Equal(t, http.StatusNoContent, h.ask("admin", "DELETE", "/v1/users/1001/logins", "").Code)
	require.Equal(t, account.LoginsEnd, h.logins.authors[len(h.logins.authors)-1].Needs[0], "the directory asks whether it reaches the user")
}

// SEED-3: rights are the user's present ones. SEED-16: a disabled user is out.
func TestToken_RightsAreReadAnewAndExpiryIsKept(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	bearer := "Bearer " + h.token("1001")
	ask := func() int { return h.ask("", "GET", "/v1/agent-session", "", "Authorization", bearer).Code }
	require.Equal(t, http.StatusOK, ask())
	u := h.reader.users["1001"]
	u.Permissions = nil
	h.reader.users["1001"] = u
	now = now.Add(rightsLife + time.Second)
	require.Equal(t, http.StatusForbidden, ask())
	u.Disabled = true
	h.reader.users["1001"] = u
	now = now.Add(rightsLife + time.Second)
	require.Equal(t, http.StatusUnauthorized, ask())
	h.reader.users["1001"] = account.User{Tenant: tenant, Name: "1001", Agent: "1001", Permissions: account.Regular.Permissions()}
	now = noon.Add(accessLife + clockSkew - time.Second)
	require.Equal(t, http.StatusOK, ask())
	now = noon.Add(accessLife + clockSkew + time.Second)
	require.Equal(t, http.StatusUnauthorized, ask())
}

func TestLogin_DatabaseAwayIs503WithRetryAfter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reader.away = fmt.Errorf("dial tcp 10.1.2.3:5432: refused")
	a := h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo"))
	require.Equal(t, http.StatusServiceUnavailable, a.Code)
	require.Equal(t, "2", a.Header().Get("Retry-After"))
	require.NotContains(t, a.Body.String(), "10.1.2.3", "the chain is for operators")
	a = h.ask("1001", "GET", "/v1/me", "")
	require.Equal(t, http.StatusServiceUnavailable, a.Code)
}
