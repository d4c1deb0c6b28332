package httpapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// rightsLife is how long a user's rights are believed before they are read
	// again: a disabled user is out after at most this long.
	rightsLife = 5 * time.Second
	// maxPersons bounds the memory of the cache of rights.
	maxPersons = 10_000
)

// person is who is signed in, as the context of a request carries it.
type person struct {
	account.User
	expires time.Time // of the access token
	login   string    // the sign-in that the access token goes back to
	address string
	key     string // the API key itself, if one acts
}

type personKey struct{}

func withPerson(ctx context.Context, p person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// personOf returns who is signed in; routes that everyone may use have nobody.
func personOf(ctx context.Context) person {
	p, _ := ctx.Value(personKey{}).(person)
	return p
}

// ref names the person's own agent session. A user without agent is refused every
// call-handling operation (SEED-5).
func (p person) ref() (agent.Ref, error) {
	if p.Agent == "" {
		return agent.Ref{}, forbidden("no_agent", "Your account has no agent: it can't handle calls.")
	}
	return agent.Ref{Tenant: p.Tenant, Agent: p.Agent}, nil
}

// watches reports whether the person may see sessions of team (SEED-101).
func (p person) watches(team id.Team) bool {
	return p.MayFor(account.PresenceRead, team)
}

// leads reports whether agents of team are the person's subordinates.
func (p person) leads(team id.Team) bool {
	return p.MayFor(account.AgentsCommand, team)
}

// personID names somebody at work: in which tenant, and whose user it is if that is
// another one (SEED-40).
type personID struct {
	tenant id.Tenant
	name   id.User
	home   id.Tenant
}

// id names the person among all.
func (p person) id() personID { return personID{p.Tenant, p.Name, p.Home} }

// origin is the tenant whose user it is.
func (w personID) origin() id.Tenant {
	if w.home != "" {
		return w.home
	}
	return w.tenant
}

type rights struct {
	user account.User
	read time.Time
}

// persons knows who is behind a token: rights are the user's present ones (SEED-3),
// never those of the time of signing in.
type persons struct {
	reader    Reader
	directory Directory
	vault     Vault
	tokens    *tokens
	keys      Keys
	throttle  *throttle
	uses      uses
	now       func() time.Time

	mu    sync.Mutex
	known map[personID]rights
}

func newPersons(c Config, t *tokens) *persons {
	return &persons{reader: c.Reader, directory: c.Directory, vault: c.Vault, tokens: t, keys: c.APIKeys, throttle: &throttle{vault: c.Vault, now: c.Now}, now: c.Now, known: map[personID]rights{}}
}

// bearer is the token of an Authorization header (RFC 6750 §2.1); false: it has none.
func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// identify returns who sent the Authorization header, from that address; fault.Unauthenticated if nobody
// we know, fault.Unavailable if that can't be found out now.
func (s *persons) identify(ctx context.Context, header, address string) (person, error) {
	token, ok := bearer(header)
	if !ok {
		return person{}, &fault.Error{Kind: fault.Unauthenticated, Op: "identify", Sentence: "Send the access token, or an API key, as Authorization: Bearer."}
	}
	if strings.HasPrefix(token, keyMark) {
		return s.byKey(ctx, token, address)
	}
	c, err := s.tokens.verify(token, forAccess)
	if err != nil {
		return person{}, err
	}
	u, err := s.present(ctx, c.person(), c.login())
	if err != nil {
		return person{}, err
	}
	return person{User: u, expires: c.ExpiresAt.Time, login: c.login(), address: address}, nil
}

// again returns the present rights of somebody who was identified before.
func (s *persons) again(ctx context.Context, p person) (account.User, error) {
	if p.key != "" {
		now, err := s.byKey(ctx, p.key, p.address)
		return now.User, err
	}
	return s.present(ctx, p.id(), p.login)
}

// present returns the present rights of a user by a sign-in; fault.Unauthenticated when
// that was given up, or the user is gone or disabled.
func (s *persons) present(ctx context.Context, who personID, login string) (account.User, error) {
	revoked, err := s.vault.Revoked(ctx, who.origin(), login)
	if err != nil {
		return account.User{}, unavailable("look up login", err)
	}
	if revoked {
		return account.User{}, signedOut("identify")
	}
	return s.user(ctx, who)
}

// user returns the present rights of a user; fault.Unauthenticated when it is gone or disabled.
func (s *persons) user(ctx context.Context, who personID) (account.User, error) {
	now := s.now()
	s.mu.Lock()
	r, ok := s.known[who]
	s.mu.Unlock()
	if !ok || now.Sub(r.read) > rightsLife {
		u, err := s.read(ctx, who)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return account.User{}, unavailable("read account", err)
		}
		if err != nil {
			u = account.User{Disabled: true}
		}
		r = rights{u, now}
		s.remember(who, r)
	}
	if r.user.Disabled {
		return account.User{}, &fault.Error{Kind: fault.Unauthenticated, Op: "identify", Sentence: "This account is no longer in use."}
	}
	return r.user, nil
}

// read reads an account anew. Of somebody who works in another tenant it keeps what
// reaches there (SEED-40); nothing, and it is disabled there.
func (s *persons) read(ctx context.Context, who personID) (account.User, error) {
	u, err := s.reader.User(ctx, who.origin(), who.name)
	if err != nil || who.home == "" {
		return u, err
	}
	there, err := s.directory.Neighbor(ctx, who.home, who.tenant)
	if err != nil {
		return u, err
	}
	return visiting(u, there), nil
}

// visiting is a user at work in another tenant than its own: it has no agent there, and
// leads no teams.
func visiting(u account.User, there directory.Neighbor) account.User {
	u.Permissions = account.Visiting(u.Permissions, there.Shared)
	u.Disabled = u.Disabled || len(u.Permissions) == 0
	u.Home, u.Tenant, u.Agent, u.Teams = u.Tenant, there.Tenant, "", nil
	return u
}

func (s *persons) remember(who personID, r rights) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxPersons {
		clear(s.known) // all are read again: costs a moment, bounds the memory
	}
	s.known[who] = r
}

// forget makes all rights be read again: some of them changed.
func (s *persons) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

// unavailable makes a failure of something we stand on one, unless it has a kind already.
func unavailable(op string, err error) error {
	if k := fault.KindOf(err); k != fault.Internal {
		return err
	}
	return fault.E(fault.Unavailable, op, err)
}
