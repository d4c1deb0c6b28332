package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// loginWorld is acme with its directory, and a clock that the test turns.
func loginWorld(t *testing.T) (*world, *time.Time) {
	t.Helper()
	now := time.Now().Truncate(time.Microsecond) // the database has a clock of its own besides
	url := dbtest.URL(t)
	w := &world{TB: t, DB: dbtest.Open(t, db.Config{URL: url, Now: func() time.Time { return now }}), url: url, super: dbtest.Super(t, url), tenant: acme}
	w.configure()
	return w, &now
}

func (w *world) login(name string, begun time.Time) account.Login {
	w.Helper()
	l := account.Login{Tenant: acme, ID: name, User: "anna", Method: account.ByPassword, UserAgent: "Firefox", Address: "192.0.2.9", Begun: begun, Expires: begun.Add(12 * time.Hour)}
	require.NoError(w, w.BeginLogin(w.Context(), l))
	return l
}

// refresh uses the token number turn of a login.
func (w *world) refresh(name string, turn int64) account.Refreshed {
	w.Helper()
	got, err := w.Refresh(w.Context(), account.Refresh{Tenant: acme, Login: name, Turn: turn, UserAgent: "Chrome", Address: "192.0.2.10",
		Grace: 30 * time.Second, Life: 12 * time.Hour, Longest: 30 * 24 * time.Hour})
	require.NoError(w, err)
	return got
}

func (w *world) isRevoked(name string) bool {
	w.Helper()
	r, err := w.RevokedNow(w.Context(), acme, name)
	require.NoError(w, err)
	return r
}

// RFC 9700 §4.14.2: each refresh token is used once; one that comes again ends the login,
// and the trail tells of it.
func TestRefresh_ATokenThatComesAgain_EndsTheLogin(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	w.login("one", *now)
	w.login("two", *now)
	require.EqualValues(t, 2, w.refresh("one", 1).Turn)
	require.EqualValues(t, 3, w.refresh("one", 2).Turn)
	require.False(t, w.isRevoked("one"))
	got := w.refresh("one", 1)
	require.Equal(t, account.EndedReuse, got.Ended, "its successor was used already: no moment of grace")
	require.Zero(t, got.Turn)
	require.True(t, w.isRevoked("one"))
	require.Equal(t, account.EndedReuse, w.refresh("one", 3).Ended, "the good one is good no more")
	require.EqualValues(t, 2, w.refresh("two", 1).Turn, "another login of the same user goes on")

	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "login.refresh"})
	require.NoError(t, err)
	require.Len(t, lines, 1, "told once")
	require.Equal(t, "refresh_token_reused", lines[0].Result)
	require.Equal(t, "user:anna", lines[0].Object)
	require.Equal(t, "192.0.2.10", lines[0].Source)
	require.Contains(t, string(lines[0].Detail), `"used_up": 1`)
}

// Two tabs refresh at once, or an answer is lost: the same successor for both, for a
// moment, and only as long as it was not used.
func TestRefresh_TheTokenBefore_IsForgivenForAMoment(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	w.login("one", *now)
	require.EqualValues(t, 2, w.refresh("one", 1).Turn)
	*now = now.Add(30 * time.Second)
	require.EqualValues(t, 2, w.refresh("one", 1).Turn, "the same successor, not one more")
	require.EqualValues(t, 3, w.refresh("one", 2).Turn)
	*now = now.Add(30*time.Second + time.Millisecond)
	require.Equal(t, account.EndedReuse, w.refresh("one", 2).Ended)
}

// Of many who use one token at once all get the same successor, and nobody a second one.
func TestRefresh_ManyAtOnce_GetOneSuccessor(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	w.login("one", *now)
	got := make(chan int64, 16)
	for range cap(got) {
		go func() {
			r, err := w.Refresh(w.Context(), account.Refresh{Tenant: acme, Login: "one", Turn: 1, Grace: time.Minute, Life: time.Hour, Longest: time.Hour})
			if err != nil {
				t.Error(err)
			}
			got <- r.Turn
		}()
	}
	for range cap(got) {
		require.EqualValues(t, 2, <-got)
	}
}

// A login ends by itself: some hours after it was refreshed last, and some weeks after
// it began, however often it is refreshed.
func TestRefresh_ALoginEndsByItself(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	begun := *now
	w.login("one", begun)
	require.Equal(t, begun.Add(12*time.Hour), w.refresh("one", 0).Expires.Local(), "0: whoever is in it by an access token")
	turn := int64(2)
	for range 65 {
		*now = now.Add(11 * time.Hour)
		got := w.refresh("one", turn)
		turn = got.Turn
		require.False(t, got.Expires.After(begun.Add(30*24*time.Hour)))
	}
	*now = begun.Add(30*24*time.Hour + time.Second)
	_, err := w.Refresh(t.Context(), account.Refresh{Tenant: acme, Login: "one", Turn: turn})
	requireNotFound(t, err)
	_, err = w.Refresh(t.Context(), account.Refresh{Tenant: "other.example", Login: "one", Turn: turn})
	requireNotFound(t, err)
	_, err = w.Refresh(t.Context(), account.Refresh{Tenant: acme, Login: "none", Turn: 1})
	requireNotFound(t, err)
	w.login("two", *now)
	var n int
	w.one(&n, `SELECT count(*) FROM logins`)
	require.Equal(t, 1, n, "what has expired is forgotten with the next that begins")
}

// SEED-16: who is disabled, deleted or has a new password is signed out everywhere,
// whichever way the change comes. A password hashed anew is no new password.
func TestLogins_EndWithTheAccountAndThePassword(t *testing.T) {
	t.Parallel()
	change := func(set map[string]any) func(w *world) error {
		return func(w *world) error {
			_, err := w.Update(w.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna", Set: set})
			return err
		}
	}
	for name, c := range map[string]struct {
		change func(w *world) error
		want   account.Ended
	}{
		"renamed":      {change(map[string]any{"display_name": "Anna"}), ""},
		"disabled":     {change(map[string]any{"disabled": true}), account.EndedDisabled},
		"new password": {change(map[string]any{"password_hash": "$argon2id$new"}), account.EndedPassword},
		"deleted": {func(w *world) error {
			return w.Delete(w.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna"})
		}, account.EndedDeleted},
		"applied": {func(w *world) error {
			doc, err := w.Export(w.Context(), acme)
			if err == nil {
				user(&doc, "anna").PasswordHash, user(&doc, "anna").Password = "", "another secret"
				_, err = w.Apply(w.Context(), doc, false)
			}
			return err
		}, account.EndedPassword},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, now := loginWorld(t)
			w.login("one", *now)
			w.login("two", *now)
			require.NoError(t, c.change(w))
			for _, l := range []string{"one", "two"} {
				require.Equal(t, c.want, w.refresh(l, 1).Ended)
				require.Equal(t, c.want != "", w.isRevoked(l))
			}
		})
	}
}

// Logins are listed and ended by their user, and by who reaches the user and may all
// that the user may.
func TestEndLogins_OwnAndThoseOfSubordinates(t *testing.T) {
	t.Parallel()
	w, now := loginWorld(t)
	anna := directory.Author{User: account.User{Tenant: acme, Name: "anna"}, Source: "192.0.2.9"}
	for _, l := range []string{"one", "two", "three", "four"} {
		w.login(l, *now)
	}
	listed := func(by directory.Author) (names []string) {
		list, err := w.Logins(t.Context(), by, "anna")
		require.NoError(t, err)
		for _, l := range list {
			require.Equal(t, "Firefox", l.UserAgent)
			names = append(names, l.ID)
		}
		return names
	}
	require.Equal(t, []string{"four", "one", "three", "two"}, listed(anna))
	require.NoError(t, w.EndLogins(t.Context(), anna, "anna", "one", ""))
	requireNotFound(t, w.EndLogins(t.Context(), anna, "anna", "one", ""))
	requireNotFound(t, w.EndLogins(t.Context(), anna, "anna", "none", ""))
	require.NoError(t, w.EndLogins(t.Context(), anna, "anna", "", "two"))
	require.Equal(t, []string{"two"}, listed(anna))
	require.True(t, w.isRevoked("four"))
	require.Equal(t, account.EndedRevoked, w.refresh("four", 1).Ended)

	ted := w.author([]account.Permission{account.LoginsEnd}, account.TeamAdmin)
	requireNotFound(t, w.EndLogins(t.Context(), ted, "anna", "", ""))
	ted.Teams = []id.Team{"a-team"}
	require.NoError(t, w.EndLogins(t.Context(), ted, "anna", "", ""))
	require.Equal(t, account.EndedByOther, w.refresh("two", 1).Ended)
	require.Empty(t, listed(w.ada(account.LoginsRead)))
	w.make(directory.User, "boss", map[string]any{"roles": []string{"business_administrator"}, "team": "a-team"})
	err := w.EndLogins(t.Context(), ted, "boss", "", "")
	requireRefused(t, err, fault.Forbidden, "more_powerful")
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "login.end"})
	require.NoError(t, err)
	require.Len(t, lines, 3)
}
