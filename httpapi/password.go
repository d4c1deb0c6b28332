package httpapi

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"

	"holdfast/domain/account"
	"holdfast/domain/fault"
)

const (
	// verifyWait is how long a sign-in waits for its turn to be verified.
	verifyWait = 5 * time.Second
	// verifyPerAddress is how many sign-ins one address (an office behind one NAT
	// address, at nine in the morning) may have in hand; further ones are refused.
	verifyPerAddress = 64
)

// passwords verifies passwords. Each verification costs memory and time on
// purpose, so that only as many run at once as there are cores.
type passwords struct {
	turns   chan struct{}
	compare func(password, hash string) (bool, error)
	dummy   string // the hash that an unknown user's password is compared with

	mu        sync.Mutex
	addresses map[string]*lane
}

// lane is one address's share of the turns: one less than all, so that a client
// that guesses leaves the others theirs.
type lane struct {
	turns  chan struct{}
	inHand int
}

var dummyHash = sync.OnceValues(func() (string, error) { return HashPassword("nobody has this password") })

func newPasswords() (*passwords, error) {
	dummy, err := dummyHash()
	if err != nil {
		return nil, err
	}
	return &passwords{
		turns:     make(chan struct{}, runtime.GOMAXPROCS(0)),
		compare:   argon2id.ComparePasswordAndHash,
		dummy:     dummy,
		addresses: map[string]*lane{},
	}, nil
}

// presentCost is the cost of a hash that is made today.
var presentCost = argon2id.Params{
	Memory: account.PasswordMemoryKiB, Iterations: account.PasswordPasses, Parallelism: account.PasswordLanes,
	SaltLength: account.PasswordSaltBytes, KeyLength: account.PasswordKeyBytes,
}

// HashPassword returns what is stored of a password: an argon2id string of the
// cost in package account.
func HashPassword(password string) (string, error) {
	cost := presentCost
	hash, err := argon2id.CreateHash(password, &cost)
	return hash, fault.E(fault.Internal, "hash password", err)
}

// turn waits for the turn of an address to verify a password; leave gives it back.
// Refusals: fault.TooMany when the address, or the process, has too many in hand.
func (p *passwords) turn(ctx context.Context, address string) (leave func(), err error) {
	own, ok := p.enter(address)
	if !ok {
		return nil, slowDown(time.Second, "too_many_logins", "Too many sign-ins from your address at once; try again in a second.")
	}
	wait, cancel := context.WithTimeout(ctx, verifyWait)
	defer cancel()
	var taken []chan struct{}
	leave = func() {
		for _, turns := range taken {
			<-turns
		}
		p.leave(address)
	}
	for _, turns := range []chan struct{}{own, p.turns} {
		select {
		case turns <- struct{}{}:
			taken = append(taken, turns)
		case <-wait.Done():
			leave()
			return nil, slowDown(verifyWait, "too_many_logins", "Too many people sign in at this moment; try again in a few seconds.")
		}
	}
	return leave, nil
}

// matches reports whether password is the one of hash. An empty hash (there is no
// such user) is compared with a dummy and never matches: the work is the same. Whoever
// calls it has its turn.
func (p *passwords) matches(password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	same, err := p.compare(password, hash)
	if err != nil {
		return false, fault.E(fault.Internal, "verify password", fmt.Errorf("stored hash: %w", err))
	}
	return same && known, nil
}

func (p *passwords) enter(address string) (chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.addresses[address]
	if l == nil {
		l = &lane{turns: make(chan struct{}, max(1, cap(p.turns)-1))}
		p.addresses[address] = l
	}
	if l.inHand >= verifyPerAddress {
		return nil, false
	}
	l.inHand++
	return l.turns, true
}

func (p *passwords) leave(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.addresses[address]; l != nil {
		if l.inHand--; l.inHand == 0 {
			delete(p.addresses, address)
		}
	}
}
