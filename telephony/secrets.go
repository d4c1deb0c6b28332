package telephony

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// secretsFresh is how long credentials are used without asking again: a changed password counts after this.
	secretsFresh = 15 * time.Second
	// secretsStale is how long they are used when the directory is away, so that phones stay registered meanwhile.
	secretsStale = 12 * time.Hour
	// secretsLimit bounds the users remembered.
	secretsLimit = 50_000
)

// secrets are the credentials that were used lately. It is the digest server's store.
type secrets struct {
	dir Directory
	now func() time.Time

	mu    sync.Mutex
	known map[secretKey]secret
}

type secretKey struct {
	tenant id.Tenant
	user   string
}

type secret struct {
	device.Credentials
	read time.Time
}

func newSecrets(dir Directory, now func() time.Time) *secrets {
	return &secrets{dir: dir, now: now, known: map[secretKey]secret{}}
}

// Credentials implements digest.Credentials.
func (s *secrets) Credentials(ctx context.Context, user, realm string) (ha1MD5, ha1SHA256 string, ok bool, err error) {
	c, err := s.of(ctx, id.Tenant(strings.ToLower(realm)), user)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return "", "", false, nil
	case err != nil:
		return "", "", false, err
	}
	return c.MD5, c.SHA256, true, nil
}

// of finds a user's credentials; fault.NotFound.
func (s *secrets) of(ctx context.Context, t id.Tenant, user string) (device.Credentials, error) {
	k := secretKey{t, user}
	now := s.now()
	s.mu.Lock()
	old, found := s.known[k]
	s.mu.Unlock()
	if found && now.Sub(old.read) < secretsFresh {
		return old.Credentials, nil
	}
	c, err := s.dir.Credentials(ctx, t, user)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.makeRoom(now)
		s.known[k] = secret{c, now}
		return c, nil
	case fault.KindOf(err) == fault.NotFound:
		delete(s.known, k)
	case found && now.Sub(old.read) < secretsStale:
		return old.Credentials, nil
	}
	return device.Credentials{}, fmt.Errorf("read credentials: %w", err)
}

// doubt has a tenant's credentials read anew when they are next used, all tenants' if t is empty. Until the directory
// answers they serve as before.
func (s *secrets) doubt(t id.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.known {
		if t == "" || k.tenant == t {
			v.read = v.read.Add(-secretsFresh)
			s.known[k] = v
		}
	}
}

// makeRoom forgets what is old, and if all is fresh anything. The lock is held.
func (s *secrets) makeRoom(now time.Time) {
	if len(s.known) < secretsLimit {
		return
	}
	for k, v := range s.known {
		if now.Sub(v.read) > secretsFresh {
			delete(s.known, k)
		}
	}
	for k := range s.known {
		if len(s.known) < secretsLimit {
			return
		}
		delete(s.known, k)
	}
}

// peek returns a user's credentials if they were read before, however long ago.
func (s *secrets) peek(t id.Tenant, user string) (device.Credentials, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[secretKey{t, user}]
	return known.Credentials, found
}
