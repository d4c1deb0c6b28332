package api

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/httpapi"
	"holdfast/tests/stage"
)

// The directory: one tenant that is large, and many that are not.
const (
	tenants     = 200
	users       = 10_000
	agents      = 2_000
	largeUsers  = 4_030 // of the first tenant
	largeAgents = 1_005
)

// town is the directory of these benchmarks; it is made once.
var town struct {
	sync.Once
	admins []*stage.Client // one of each tenant
	took   time.Duration
}

// domain is a tenant's.
func domain(n int) string { return fmt.Sprintf("b%d.bench.localhost", n) }

// founded makes the directory, as an operator does: by apply.
func founded(b *testing.B) {
	b.Helper()
	town.Do(func() {
		began := time.Now()
		hash, err := httpapi.HashPassword(stage.Password)
		require.NoError(b, err)
		left, leftAgents := users-largeUsers, agents-largeAgents
		for n := range tenants {
			u, a := largeUsers, largeAgents
			if n > 0 {
				u, a = left/(tenants-n), leftAgents/(tenants-n)
				left, leftAgents = left-u, leftAgents-a
			}
			found(b, n, u, a, hash)
		}
		require.Zero(b, left+leftAgents)
		town.took = time.Since(began)
		b.Logf("%d users, %d agents, %d tenants were applied in %s", users, agents, tenants, town.took.Round(time.Second))
		for n := range tenants {
			admin, err := hall.Login(b.Context(), domain(n), "admin", stage.Password)
			require.NoError(b, err)
			town.admins = append(town.admins, admin)
		}
	})
	if len(town.admins) != tenants {
		b.Fatal("the directory was not made")
	}
}

// found applies a tenant with so many users, of whom so many are agents.
func found(b *testing.B, n, users, agents int, hash string) {
	b.Helper()
	d := tenancy.Document{
		Organization: tenancy.Unit{Name: "bench"}, Division: tenancy.Unit{Name: fmt.Sprintf("d%d", n%20)},
		Tenant: tenancy.Tenant{Domain: id.Tenant(domain(n))}, Teams: []tenancy.Team{{Name: "red"}, {Name: "blue"}},
		Users:  []tenancy.User{{Name: "admin", PasswordHash: hash, Roles: []account.Role{account.BusinessAdmin, account.ITAdmin}}},
		Queues: []tenancy.Queue{{Name: "support"}, {Name: "sales"}}, Numbers: []tenancy.Number{{Number: "8000", Queue: "support"}},
		Trunks: []tenancy.Trunk{{Name: "carrier", Addresses: []string{fmt.Sprintf("127.200.%d.%d", n/256, n%256)}}},
	}
	for i := range users - 1 {
		name := id.User(fmt.Sprintf("u%04d", i))
		u := tenancy.User{Name: name, DisplayName: fmt.Sprintf("Person %d of %s", i, domain(n)), PasswordHash: hash, Roles: []account.Role{account.TeamAdmin}, Teams: []id.Team{"red"}}
		if i < agents {
			number := id.Agent(fmt.Sprint(1001 + i))
			u.Roles, u.Teams = []account.Role{account.Regular}, nil
			d.Devices = append(d.Devices, tenancy.Device{Name: id.Device(number), Agent: number, Password: stage.Password})
			d.Agents = append(d.Agents, tenancy.Agent{Number: number, User: name, Team: "red", Addresses: []id.Device{id.Device(number)}})
			d.Queues[i%2].Members = append(d.Queues[i%2].Members, tenancy.Member{Agent: number})
		}
		d.Users = append(d.Users, u)
	}
	text, err := tenantfile.Write(d)
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), domain(n)+".yaml")
	require.NoError(b, os.WriteFile(file, text, 0o600))
	out, err := hall.Holdfast(b.Context(), "apply", "-f", file)
	require.NoError(b, err, "%.2000s", out)
}
