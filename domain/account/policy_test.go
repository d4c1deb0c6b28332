package account

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// NIST SP 800-63B §3.1.1.2: length and a list of what everybody takes, and no rules about
// kinds of characters.
func TestPasswordPolicy_RefusesShortCommonAndOwnNames(t *testing.T) {
	t.Parallel()
	common := func(s string) bool { return s == "password" || s == "basketball" || s == "qwertyuiop" }
	for password, want := range map[string]string{
		"short":                  "fewer than 10 characters",
		"ninechars":              "fewer than 10 characters",
		"πάσσορδπά":              "fewer than 10 characters", // characters, not bytes
		"basketball":             "most used",
		"BasketBall":             "most used",
		"basketball1!":           "most used",
		"12password34":           "most used",
		"anna.smith":             "user's name",
		"Anna.Smith1":            "user's name",
		"aaaaaaaaaaaa":           "repeats",
		"1234567890":             "repeats",
		"abcdefghijkl":           "repeats",
		"987654321098":           "repeats",
		"a long password":        "",
		"correct horse":          "",
		"lower case only":        "",
		"holdfast-demo":          "",
		"basketball is fun":      "",
		"anna.smith eats figs":   "",
		strings.Repeat("ä ", 60): "",
	} {
		got := PasswordPolicy{}.Refuse(password, "anna.smith", common)
		if want == "" {
			require.Empty(t, got, password)
		} else {
			require.Contains(t, got, want, password)
		}
	}
	require.Empty(t, PasswordPolicy{}.Refuse("1001-has-a-dog", "1001", common), "a short name may stand in a long password")
	require.NotEmpty(t, PasswordPolicy{}.Refuse("1001100110", "1001", func(string) bool { return false }))
	require.Contains(t, PasswordPolicy{MinLength: 15}.Refuse("a long password"[:14], "", common), "fewer than 15")
}

func TestPasswords_AgeAndHistory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := Passwords{Hash: "now", History: []string{"before", "older", "oldest"}, Set: now.Add(-time.Hour)}
	require.False(t, p.Expired(now), "passwords don't age unless the tenant says so")
	require.Empty(t, p.Remembered())
	p.Policy = PasswordPolicy{History: 2, MaxAge: time.Hour}
	require.True(t, p.Expired(now))
	require.False(t, p.Expired(now.Add(-time.Second)))
	require.Equal(t, []string{"now", "before"}, p.Remembered())
	require.Empty(t, Passwords{Policy: p.Policy}.Remembered(), "who is new has none")
}

// What a key lends is what its maker holds now, as far as both reach.
func TestLent_AsFarAsBothReach(t *testing.T) {
	t.Parallel()
	held := []Permission{"users:read:tenant", "calls:read:team", "audit:read:system"}
	require.Equal(t, []Permission{"users:read:team", "calls:read:team", "audit:read:tenant"},
		Lent(held, []Permission{"users:read:team", "calls:read:system", "audit:read:tenant", "roles:read:tenant"}))
	require.Empty(t, Lent(nil, held))
	for p, want := range map[Permission]bool{"users:read:team": true, "session:use:own": false, "tenants:switch:system": false, "keys:write:tenant": false, "users:read": false, "no:thing:tenant": false} {
		require.Equal(t, want, Lendable(p), p)
	}
}
