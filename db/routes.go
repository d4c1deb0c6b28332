package db

import (
	"sync"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

// routeCache keeps the routes of numbers that were looked up, as long as the
// listener is connected and hears of changes; otherwise it keeps nothing.
type routeCache struct {
	mu      sync.Mutex
	trusted bool
	epoch   int // counts what makes an answer that was under way worthless
	tenants map[id.Tenant]map[string]call.Route
}

// keptRoutes bounds the numbers kept per tenant: callers can dial anything.
const keptRoutes = 10_000

// trust begins to keep routes: from now on changes are heard of.
func (c *routeCache) trust() { c.reset(true) }

// distrust forgets everything and keeps nothing more.
func (c *routeCache) distrust() { c.reset(false) }

func (c *routeCache) reset(trusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted, c.tenants = trusted, map[id.Tenant]map[string]call.Route{}
	c.epoch++
}

// forget drops the routes of a tenant whose directory has changed.
func (c *routeCache) forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tenants, id.Tenant(tenant))
	c.epoch++
}

// get returns a kept route; and the epoch to put one with.
func (c *routeCache) get(t id.Tenant, number string) (call.Route, int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.tenants[t][number]
	return r, c.epoch, ok
}

// put keeps a route that was looked up since epoch.
func (c *routeCache) put(t id.Tenant, number string, r call.Route, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.trusted || c.epoch != epoch {
		return
	}
	if c.tenants[t] == nil || len(c.tenants[t]) >= keptRoutes {
		c.tenants[t] = map[string]call.Route{}
	}
	c.tenants[t][number] = r
}
