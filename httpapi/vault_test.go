package httpapi

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// vault is a double of what the processes share.
type vault struct {
	mu      sync.Mutex
	revoked map[string]time.Time
	tallies map[string]account.Tally
	answers map[string]record.Answer
	away    error
}

func newVault() *vault {
	return &vault{revoked: map[string]time.Time{}, tallies: map[string]account.Tally{}, answers: map[string]record.Answer{}}
}

func (v *vault) lock() func() {
	v.mu.Lock()
	return v.mu.Unlock
}

func (v *vault) revoke(t id.Tenant, login string, expires time.Time) {
	defer v.lock()()
	v.revoked[string(t)+"/"+login] = expires
}

func (v *vault) Revoked(_ context.Context, t id.Tenant, login string) (bool, error) {
	defer v.lock()()
	_, ok := v.revoked[string(t)+"/"+login]
	return ok, v.away
}

func (v *vault) Tallies(context.Context, ...string) (map[string]account.Tally, error) {
	defer v.lock()()
	return maps.Clone(v.tallies), v.away
}

func (v *vault) Tally(_ context.Context, _ []string, change func(map[string]account.Tally) map[string]account.Tally, _ time.Time) error {
	defer v.lock()()
	maps.Copy(v.tallies, change(v.tallies))
	return v.away
}

func (v *vault) Answer(_ context.Context, a record.Answer) (record.Answer, error) {
	defer v.lock()()
	known, ok := v.answers[fmt.Sprint(a.Tenant, a.User, a.Operation, a.Key)]
	if v.away == nil && !ok {
		return a, fault.E(fault.NotFound, "look up an answer", fmt.Errorf("no row"))
	}
	return known, v.away
}

func (v *vault) KeepAnswer(_ context.Context, a record.Answer) error {
	defer v.lock()()
	v.answers[fmt.Sprint(a.Tenant, a.User, a.Operation, a.Key)] = a
	return v.away
}
