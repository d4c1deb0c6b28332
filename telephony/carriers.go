package telephony

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

// carriersPause is the least time between two look-ups that unknown addresses cause: a trunk that was added just now
// works at once, and a flood of strangers costs ten look-ups per second, however many they are.
const carriersPause = 100 * time.Millisecond

// carriers is the node's view of the tenants and trunks, so that most INVITEs are recognised without a look-up.
type carriers struct {
	dir Directory
	now func() time.Time

	load sync.Mutex // one look-up at a time
	mu   sync.RWMutex
	read time.Time
	list []device.Trunk
	ours []id.Tenant
}

// refresh reads trunks and tenants if the view is older than age; on failure the old view stays.
func (c *carriers) refresh(ctx context.Context, age time.Duration) error {
	c.load.Lock()
	defer c.load.Unlock()
	c.mu.RLock()
	fresh := !c.read.IsZero() && c.now().Sub(c.read) < age
	c.mu.RUnlock()
	if fresh {
		return nil
	}
	tenants, err := c.dir.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("read tenants: %w", err)
	}
	trunks, err := c.dir.Trunks(ctx)
	if err != nil {
		return fmt.Errorf("read trunks: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.ours, c.read = trunks, tenants, c.now()
	return nil
}

// from recognises a trunk by its address. Of several, the one of the called domain wins, then the narrowest.
func (c *carriers) from(addr netip.Addr, host string) (device.Trunk, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	best, found, score := device.Trunk{}, false, -1
	for _, t := range c.list {
		for _, p := range t.Addresses {
			if !p.Contains(addr.Unmap()) {
				continue
			}
			s := p.Bits()
			if strings.EqualFold(string(t.Tenant), host) {
				s += 1000
			}
			if s > score {
				best, found, score = t, true, s
			}
		}
	}
	return best, found
}

// knows reports that an address is a trunk's.
func (c *carriers) knows(addr netip.Addr) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, t := range c.list {
		for _, p := range t.Addresses {
			if p.Contains(addr.Unmap()) {
				return true
			}
		}
	}
	return false
}

// look reads trunks and tenants anew for somebody who is unknown: the view is then not older than the question.
// Whoever asks meanwhile shares one look-up.
func (c *carriers) look(ctx context.Context) error {
	asked := c.now()
	c.mu.RLock()
	wait := carriersPause - asked.Sub(c.read)
	c.mu.RUnlock()
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.refresh(ctx, max(0, c.now().Sub(asked)))
}

// named finds a trunk by its name.
func (c *carriers) named(t id.Tenant, name string) (device.Trunk, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.list {
		if k.Tenant == t && k.Name == name {
			return k, true
		}
	}
	return device.Trunk{}, false
}

// only finds the trunk of a tenant by which calls can go out, if there is just one.
func (c *carriers) only(t id.Tenant) (found device.Trunk, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.list {
		if k.Tenant == t && k.Host != "" {
			if ok {
				return device.Trunk{}, false
			}
			found, ok = k, true
		}
	}
	return found, ok
}

// realm is the tenant whose domain a peer means: the first of the hosts that is one of ours, or the only tenant that
// there is.
func (c *carriers) realm(hosts ...string) (id.Tenant, bool) {
	hosts = slices.DeleteFunc(hosts, func(h string) bool { return strings.EqualFold(h, nowhere) })
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, h := range hosts {
		for _, t := range c.ours {
			if strings.EqualFold(string(t), h) {
				return t, true
			}
		}
	}
	if len(c.ours) == 1 && !slices.ContainsFunc(hosts, isDomain) {
		return c.ours[0], true
	}
	return "", false
}

// isDomain reports that a host is a name of somebody, and not just the address of a machine: a phone that was told only
// our address belongs to the only tenant there is, but one that names a domain belongs to that domain or to nobody.
func isDomain(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "" && !strings.EqualFold(host, "localhost")
}
