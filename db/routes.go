package db

import (
	"sync"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

// routeCache keeps the routes of numbers that were looked up. They are true as long as
// the listener is connected and hears of changes; those of before are good enough while
// the database is away, since nothing can change then.
type routeCache struct {
	mu         sync.Mutex
	trusted    bool
	epoch      int // counts the changes that make an answer that was under way worthless
	generation int // counts the listener's connections
	tenants    map[id.Tenant]map[string]keptRoute
	countries  map[id.Tenant]string // as of the last number looked up
	homes      map[id.Tenant]keptHome
}

// keptHome is a tenant's country that is true as its routes are.
type keptHome struct {
	country    string
	generation int
}

// keptRoute is a route, and under which connection it was looked up; 0: none.
type keptRoute struct {
	call.Route
	generation int
}

// asked is when a number was looked up: after which change, under which connection.
type asked struct{ epoch, generation int }

// keptRoutes bounds the numbers kept per tenant: callers can dial anything.
const keptRoutes = 10_000

// trust begins to keep routes: from now on changes are heard of.
func (c *routeCache) trust() { c.reset(true) }

// distrust has every number looked up anew.
func (c *routeCache) distrust() { c.reset(false) }

func (c *routeCache) reset(trusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted = trusted
	c.generation++
}

// forget drops the routes of a tenant whose directory has changed.
func (c *routeCache) forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tenants, id.Tenant(tenant))
	delete(c.homes, id.Tenant(tenant))
	c.epoch++
}

// country is the tenant's; empty if it has none, or no number of it was looked up here.
func (c *routeCache) country(t id.Tenant) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.countries[t]
}

// settle notes the country of a tenant.
func (c *routeCache) settle(t id.Tenant, country string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.countries == nil {
		c.countries = map[id.Tenant]string{}
	}
	c.countries[t] = country
}

// home returns the tenant's country, if it is true; and what to put one with.
func (c *routeCache) home(t id.Tenant) (string, asked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.homes[t]
	return h.country, asked{c.epoch, c.generation}, ok && c.trusted && h.generation == c.generation
}

// putHome keeps a country that was looked up since when, unless a change may have been missed.
func (c *routeCache) putHome(t id.Tenant, country string, since asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.trusted || c.epoch != since.epoch || c.generation != since.generation {
		return
	}
	if c.homes == nil {
		c.homes = map[id.Tenant]keptHome{}
	}
	c.homes[t] = keptHome{country, since.generation}
}

// get returns a route that is true; and what to put one with.
func (c *routeCache) get(t id.Tenant, number string) (call.Route, asked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.tenants[t][number]
	return r.Route, asked{c.epoch, c.generation}, ok && c.trusted && r.generation == c.generation
}

// last returns a route as it was when the number was last looked up.
func (c *routeCache) last(t id.Tenant, number string) (call.Route, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.tenants[t][number]
	return r.Route, ok
}

// put keeps a route that was looked up since when. If the listener came or went meanwhile, a
// change may have been missed: then it is only what was last known.
func (c *routeCache) put(t id.Tenant, number string, r call.Route, since asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != since.epoch {
		return
	}
	if c.tenants == nil {
		c.tenants = map[id.Tenant]map[string]keptRoute{}
	}
	if c.tenants[t] == nil || len(c.tenants[t]) >= keptRoutes {
		c.tenants[t] = map[string]keptRoute{}
	}
	kept := keptRoute{Route: r}
	if c.trusted && c.generation == since.generation {
		kept.generation = c.generation
	}
	c.tenants[t][number] = kept
}
