package telephony

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

const (
	// lookupTime bounds the search for contacts of one ring.
	lookupTime = 5 * time.Second
	// dialTime bounds the making of one connection, so that the next way can be tried. A SYN that is lost is repeated
	// within it (after 1 s, RFC 6298 §2.1).
	dialTime = 1200 * time.Millisecond
)

// finding are contacts of one of a ring's addresses.
type finding struct {
	at       int // which of the addresses
	contacts []contact
	last     bool // it has no more
}

// search looks for the contacts of a ring that near does not know. The ring gets each when it is found: nobody waits for
// another one's node or carrier that is gone. When the ring ends, nobody is connected to any more, and nothing more is
// asked of the directory; what it was asked is heard to the end (see reading).
func (n *Node) search(ctx context.Context, a *actor, r *ring) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	news := make(chan finding)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		defer close(news)
		n.far(ctx, a.ref.Tenant, r.targets, func(f finding) { news <- f })
	})
	ended := r.done
	for {
		select {
		case f, more := <-news:
			if !more {
				return
			}
			a.ask(func() { a.found(r, f) })
		case <-ended:
			ended = nil
			cancel()
		}
	}
}

// far finds those that only the directory knows: registered at another node, or here before a restart; and numbers behind
// a trunk. It asks the directory for one after the other, and connects to all side by side. Each address is told to its
// last.
func (n *Node) far(ctx context.Context, t id.Tenant, targets []leg.Address, tell func(finding)) {
	var work sync.WaitGroup
	defer work.Wait()
	for i, ad := range targets {
		if ctx.Err() != nil {
			return
		}
		one := func(c contact) { tell(finding{at: i, contacts: []contact{c}}) }
		if ad.Kind == leg.PSTN {
			work.Go(func() {
				if c, err := n.carrier(ctx, t, ad); err != nil {
					n.log.Warn("a number can't be dialled", "tenant", string(t), "err", err)
				} else {
					one(c)
				}
				tell(finding{at: i, last: true})
			})
			continue
		}
		v, err := n.calledAs(ctx, t, ad.Device)
		var ways []contact
		if err != nil {
			n.log.Warn("a device can't be called without its settings", "device", string(ad.Device), "err", err)
		} else {
			ways = arranged(v, append(n.here(t, ad.Device), n.elsewhere(ctx, v)...))
		}
		work.Go(func() {
			if !n.connectAll(ctx, v, ways, one) && err == nil && v.Fixed() {
				n.connectAll(ctx, v, n.fixed(v), one)
			}
			tell(finding{at: i, last: true})
		})
	}
}

// reading bounds a question to the directory that is not given up with ctx: a connection to the database whose question
// is given up is lost, and the next one who needs it pays for a new one.
func (n *Node) reading(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
	stop := context.AfterFunc(n.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// calledAs finds the settings of a device that is to be called.
func (n *Node) calledAs(ctx context.Context, t id.Tenant, name id.Device) (device.Device, error) {
	ctx, done := n.reading(ctx)
	defer done()
	return n.settings.of(ctx, t, name)
}

// elsewhere are the ways to a device that only the directory knows. Nothing is connected yet.
func (n *Node) elsewhere(ctx context.Context, v device.Device) (ways []contact) {
	ctx, done := n.reading(ctx)
	defer done()
	list, err := n.dir.Registrations(ctx, v.Tenant, v.Name)
	if err != nil {
		n.log.Warn("the registrations of a device could not be read", "device", string(v.Name), "err", err)
	}
	for _, reg := range list {
		if !reg.Expires.After(n.now()) {
			continue
		}
		c, err := n.peers.plan(ctx, reg)
		if err != nil {
			n.log.Info("a registration can't be reached", "device", string(v.Name), "node", string(reg.Node), "err", err)
			continue
		}
		ways = append(ways, c)
	}
	return ways
}

// connectAll connects to a device's phones side by side and tells each that can be called; false if none can.
func (n *Node) connectAll(ctx context.Context, v device.Device, ways []contact, tell func(contact)) bool {
	var found atomic.Bool
	var work sync.WaitGroup
	for _, c := range ways {
		work.Go(func() {
			c, err := n.firstOf(ctx, c)
			if err != nil {
				n.log.Info("a phone can't be reached", "device", string(v.Name), "addr", c.peer, "err", err)
				return
			}
			found.Store(true)
			tell(c)
		})
	}
	work.Wait()
	return found.Load()
}

// firstOf connects to a contact; if that fails, to the next of its ways, and so on. Those after it are its next ones: they
// are connected when they are needed.
func (n *Node) firstOf(ctx context.Context, c contact) (contact, error) {
	var problems error
	for {
		ready, err := n.connect(ctx, c)
		if err == nil {
			return ready, nil
		}
		problems = errors.Join(problems, err)
		if len(c.next) == 0 {
			return c, problems
		}
		c = c.afterThis()
	}
}

// connect makes the connection that a contact needs, if any.
func (n *Node) connect(ctx context.Context, c contact) (contact, error) {
	if c.ready() {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.conf.dial)
	defer cancel()
	if c.holder != "" {
		return n.peers.through(ctx, c)
	}
	flow, err := n.layer.Connect(ctx, c.flow.Transport, c.flow.Remote, nil)
	if err != nil {
		return c, err
	}
	c.flow, c.unconnected = flow, false
	return c, nil
}

// ready reports that a contact can be called as it is.
func (c contact) ready() bool { return c.holder == "" && !c.unconnected }

// afterThis is the next way, with those that follow.
func (c contact) afterThis() contact {
	next := c.next[0]
	next.next = c.next[1:]
	return next
}
