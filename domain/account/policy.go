package account

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of what a tenant can ask of passwords.
const (
	// ShortestPassword is the least that any tenant may ask for, in characters (NIST SP
	// 800-63B §3.1.1.2), DefaultPassword what those ask for that say nothing.
	ShortestPassword = 8
	DefaultPassword  = 10
	// LongestMinimum is the longest minimum: beyond it nobody finds a password.
	LongestMinimum = 64
	// MostHistory is how many passwords before the present one are remembered at most.
	MostHistory = 24
)

// PasswordPolicy is what a tenant asks of its users' passwords. There are no rules about
// kinds of characters: they make passwords worse (NIST SP 800-63B §3.1.1.2).
type PasswordPolicy struct {
	MinLength int           // in characters; 0: DefaultPassword
	History   int           // how many passwords before the present one can't be taken again
	MaxAge    time.Duration // 0: passwords don't age, which NIST SP 800-63B recommends
}

// Passwords is what is known of a user's passwords. The zero value is that of a new user.
type Passwords struct {
	Policy  PasswordPolicy
	Hash    string
	History []string // hashes of the passwords before, newest first
	Set     time.Time
	Off     bool // the tenant's users sign in by OpenID Connect only
}

// Expired reports whether the password must be changed before it signs in again.
func (p Passwords) Expired(now time.Time) bool {
	return p.Policy.MaxAge > 0 && !p.Set.IsZero() && now.Sub(p.Set) >= p.Policy.MaxAge
}

// Remembered are the hashes of passwords that can't be taken again.
func (p Passwords) Remembered() []string {
	if p.Policy.History <= 0 {
		return nil
	}
	all := append([]string{p.Hash}, p.History...)
	if p.Hash == "" {
		all = all[1:]
	}
	return all[:min(len(all), p.Policy.History)]
}

// Refuse says which rule a password of somebody of that name breaks; empty: none. common
// reports whether a password, in lower case, is among the most used ones.
func (p PasswordPolicy) Refuse(password, name string, common func(string) bool) string {
	shortest := p.MinLength
	if shortest == 0 {
		shortest = DefaultPassword
	}
	lower := strings.ToLower(password)
	// What people put around a common password is the first that is tried.
	stem := strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	own := strings.ToLower(name)
	switch {
	case utf8.RuneCountInString(password) < shortest:
		return fmt.Sprintf("has fewer than %d characters", shortest)
	case common(lower) || stem != "" && common(stem) && utf8.RuneCountInString(lower)-utf8.RuneCountInString(stem) <= affix:
		return "is one of the most used passwords, or close to one; several unrelated words are better"
	case len(own) >= 3 && strings.Contains(lower, own) && len(lower)-len(own) < shortest:
		return "is made of the user's name"
	case monotonous(lower):
		return "repeats one character, or is a sequence such as 12345678"
	}
	return ""
}

// affix is how many digits and signs around a common password change nothing.
const affix = 4

// monotonous reports whether every character follows from the one before by the same step.
func monotonous(s string) bool {
	runes := []rune(s)
	if len(runes) < 2 {
		return true
	}
	step := runes[1] - runes[0]
	for i := 1; i < len(runes); i++ {
		next := runes[i] - runes[i-1]
		wraps := runes[i-1] == '9' && runes[i] == '0' || runes[i-1] == '0' && runes[i] == '9'
		if next != step && !wraps || step < -1 || step > 1 {
			return false
		}
	}
	return true
}
