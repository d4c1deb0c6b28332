package httpapi

import (
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// knownLogin is a login of the double.
type knownLogin struct {
	account.Login
	turn  int64
	ended account.Ended
}

// logins is a double of the logins, without the grace: what the database does with
// tokens that are used twice is proven in package db.
type logins struct {
	mu      sync.Mutex
	vault   *vault
	now     func() time.Time
	known   map[string]*knownLogin
	authors []directory.Author

	policy       account.PasswordPolicy
	passwords    map[id.User]account.Passwords
	set, renewed [][3]string // user, hash before, hash after

	keys map[string]account.Key // by hash
	used []string

	provider *account.Provider
	settings []directory.Change
	links    map[account.Subject]id.User
	once     map[string]bool
}

func (l *logins) lock() func() {
	l.mu.Lock()
	return l.mu.Unlock
}

func (l *logins) BeginLogin(_ context.Context, n account.Login) error {
	defer l.lock()()
	n.Used = n.Begun
	l.known[n.ID] = &knownLogin{Login: n, turn: 1}
	return nil
}

func (l *logins) Refresh(_ context.Context, use account.Refresh) (account.Refreshed, error) {
	defer l.lock()()
	k, ok := l.known[use.Login]
	switch {
	case !ok && use.Turn == 0: // one whose access token a test made
		return account.Refreshed{Turn: 1, Expires: l.now().Add(use.Life)}, l.begun(use)
	case !ok:
		return account.Refreshed{}, fault.E(fault.NotFound, "refresh", fmt.Errorf("no row"))
	case k.ended == "" && use.Turn != 0 && use.Turn != k.turn:
		k.ended = account.EndedReuse
	}
	if k.ended != "" {
		return account.Refreshed{Ended: k.ended}, nil
	}
	k.turn++
	return account.Refreshed{Turn: k.turn, Expires: l.now().Add(use.Life)}, nil
}

func (l *logins) begun(use account.Refresh) error {
	l.known[use.Login] = &knownLogin{Login: account.Login{Tenant: use.Tenant, ID: use.Login}, turn: 1}
	return nil
}

func (l *logins) Revoke(_ context.Context, t id.Tenant, login string, expires time.Time) error {
	defer l.lock()()
	if k, ok := l.known[login]; ok {
		k.ended = account.EndedLogout
	}
	l.vault.revoke(t, login, expires)
	return nil
}

func (l *logins) Logins(_ context.Context, by directory.Author, of id.User) (list []account.Login, _ error) {
	defer l.lock()()
	l.authors = append(l.authors, by)
	for _, k := range l.known {
		if k.User == of && k.ended == "" {
			list = append(list, k.Login)
		}
	}
	return list, nil
}

func (l *logins) EndLogins(_ context.Context, by directory.Author, of id.User, login, keep string) error {
	defer l.lock()()
	l.authors = append(l.authors, by)
	found := login == ""
	for _, k := range l.known {
		if k.User == of && k.ID != keep && (login == "" || k.ID == login) {
			k.ended, found = account.EndedRevoked, true
			l.vault.revoke(k.Tenant, k.ID, k.Expires)
		}
	}
	if !found {
		return fault.E(fault.NotFound, "end login", fmt.Errorf("no row"))
	}
	return nil
}

func (l *logins) Passwords(_ context.Context, _ id.Tenant, of id.User) (account.Passwords, error) {
	defer l.lock()()
	p := l.passwords[of]
	p.Policy = l.policy
	return p, nil
}

func (l *logins) SetPassword(_ context.Context, by directory.Author, was, is string) error {
	defer l.lock()()
	l.set = append(l.set, [3]string{string(by.Name), was, is})
	return nil
}

func (l *logins) RenewPassword(_ context.Context, by directory.Author, was, is string) error {
	defer l.lock()()
	l.renewed = append(l.renewed, [3]string{string(by.Name), was, is})
	return nil
}

func (l *logins) Key(_ context.Context, hash []byte) (account.Key, error) {
	defer l.lock()()
	k, ok := l.keys[string(hash)]
	if !ok {
		return k, fault.E(fault.NotFound, "find key", fmt.Errorf("no row"))
	}
	return k, nil
}

func (l *logins) UsedKey(_ context.Context, _ id.Tenant, name, address string) error {
	defer l.lock()()
	l.used = append(l.used, name+" "+address)
	return nil
}

func (l *logins) Provider(_ context.Context, t id.Tenant) (account.Provider, error) {
	defer l.lock()()
	if l.provider == nil || t != tenant {
		return account.Provider{}, fault.E(fault.NotFound, "read provider", fmt.Errorf("no row"))
	}
	return *l.provider, nil
}

func (l *logins) SetOIDC(_ context.Context, _ directory.Author, c directory.Change) (directory.Thing, error) {
	defer l.lock()()
	l.settings = append(l.settings, c)
	return thingOf(directory.OIDC, c.Name), nil
}

func (l *logins) Linked(_ context.Context, s account.Subject) (id.User, error) {
	defer l.lock()()
	u, ok := l.links[s]
	if !ok {
		return "", fault.E(fault.NotFound, "find subject", fmt.Errorf("no row"))
	}
	return u, nil
}

func (l *logins) Link(_ context.Context, s account.Subject, to id.User) (id.User, error) {
	defer l.lock()()
	for other, u := range l.links {
		if u == to && other != s {
			return "", fault.E(fault.Conflict, "link", fmt.Errorf("another's"))
		}
	}
	if l.links == nil {
		l.links = map[account.Subject]id.User{}
	}
	l.links[s] = to
	return to, nil
}

func (l *logins) Once(_ context.Context, _ id.Tenant, what string, _ time.Time) (bool, error) {
	defer l.lock()()
	first := !l.once[what]
	if l.once == nil {
		l.once = map[string]bool{}
	}
	l.once[what] = true
	return first, nil
}
