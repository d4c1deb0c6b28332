package telephony

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/telephony/hop"
	"holdfast/telephony/registrar"
	"holdfast/telephony/transaction"
)

// peers are the other nodes: how the phones are reached whose connections they hold.
type peers struct {
	n     *Node
	relay atomic.Pointer[hop.Relay]

	mu    sync.Mutex
	read  time.Time
	nodes map[id.Node]device.Node
	addrs map[netip.Addr]bool
	lines map[string]*line // connections to nodes, by their address
}

// line is a connection to another node that is kept, because dialogs go by it.
type line struct {
	node         string // the node's address as the registry has it
	used, pinged time.Time
	dialling     bool
	failed       int       // dials in a row
	next         time.Time // no dial before
}

const (
	// peersFresh is how old the list of nodes may be for a ring: a node may be lost, or come back with another address.
	peersFresh = 2 * time.Second
	// lineKept is how long after the last ring a connection to another node is kept: no call is longer.
	lineKept = 24 * time.Hour
	// redialMost is the longest pause between two dials of a node that does not answer. Who needs the connection meanwhile
	// dials by himself.
	redialMost = 30 * time.Second
)

func newPeers(n *Node) *peers {
	return &peers{n: n, nodes: map[id.Node]device.Node{}, addrs: map[netip.Addr]bool{}, lines: map[string]*line{}}
}

// hopLayer is the transaction layer as package hop sees it.
type hopLayer struct{ *transaction.Layer }

// Connect implements hop.Layer: nodes talk without TLS.
func (l hopLayer) Connect(ctx context.Context, transport, addr string) (transaction.Flow, error) {
	return l.Layer.Connect(ctx, transport, addr, nil)
}

// take implements transaction.Relay.
func (p *peers) take(msg sip.Message, from transaction.Flow) bool {
	r := p.relay.Load()
	return r != nil && r.Take(msg, from)
}

// refresh reads the registry, and the nodes' secret if it is not known.
func (p *peers) refresh(ctx context.Context) error {
	if r := p.relay.Load(); r != nil && r.Key() == nil {
		secret, err := p.n.dir.NodeSecret(ctx)
		if err != nil {
			return fmt.Errorf("read the nodes' secret: %w", err)
		}
		r.SetKey(secret)
	}
	list, err := p.n.dir.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("read the nodes: %w", err)
	}
	nodes, addrs := map[id.Node]device.Node{}, map[netip.Addr]bool{}
	for _, d := range list {
		if d.Name == p.n.conf.Name || d.Address == "" {
			continue
		}
		nodes[d.Name] = d
		if ap, err := netip.ParseAddrPort(d.Address); err == nil {
			addrs[ap.Addr().Unmap()] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes, p.addrs, p.read = nodes, addrs, p.n.now()
	return nil
}

// knows reports that an address is another node's.
func (p *peers) knows(addr netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs[addr.Unmap()]
}

// find finds a node as the registry has it now; while that can't be read, as it had it last.
func (p *peers) find(ctx context.Context, name id.Node) (device.Node, error) {
	p.mu.Lock()
	d, found := p.nodes[name]
	fresh := p.n.now().Sub(p.read) < peersFresh
	p.mu.Unlock()
	if found && fresh {
		return d, nil
	}
	if err := p.refresh(ctx); err != nil {
		if found {
			return d, nil // the phone is rung all the same
		}
		return d, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, found = p.nodes[name]; !found {
		return d, fmt.Errorf("node %s, which holds the phone's connection, is not there", name)
	}
	return d, nil
}

// plan is the way to a phone that the directory knows: on its own address, or through the node that holds its
// connection. It has yet to be connected.
func (p *peers) plan(ctx context.Context, reg device.Registration) (contact, error) {
	n := p.n
	flow := transaction.Flow{Transport: strings.ToUpper(reg.Transport), Remote: reg.Flow}
	c := contact{uri: reg.Contact, to: toURI(reg.Tenant, reg.Device), flow: flow, route: reg.Path, instance: reg.Instance, peer: reg.Flow}
	direct := !flow.Reliable() && !registrar.BehindNAT(reg.Contact, flow)
	if reg.Node == n.conf.Name || direct {
		if !n.layer.Alive(flow) {
			return c, transaction.ErrFlowGone
		}
		return c, nil
	}
	holder, err := p.find(ctx, reg.Node)
	if err != nil {
		return c, err
	}
	c.hop, c.transport, c.holder = true, flow.Transport, holder.Address
	return c, nil
}

// through sends a contact's requests by the node that holds its connection.
func (p *peers) through(ctx context.Context, c contact) (contact, error) {
	n, between := p.n, hop.Between(c.flow.Transport)
	ours, err := n.address(ctx, n.Addr(between))
	if err != nil {
		return c, err
	}
	theirs, err := n.address(ctx, c.holder)
	if err != nil {
		return c, err
	}
	route := p.relay.Load().Key().Route(theirs.String(), hop.Way{Phone: c.flow, Call: ours})
	if route == "" {
		return c, errors.New("the nodes' secret is not known yet")
	}
	flow := transaction.Flow{Transport: between, Remote: theirs.String()}
	if flow.Reliable() {
		if flow, err = n.layer.Connect(ctx, between, theirs.String(), nil); err != nil {
			return c, err
		}
		p.hold(theirs.String(), c.holder)
	}
	c.route, c.flow, c.holder = append([]string{route}, c.route...), flow, ""
	return c, nil
}

// hold keeps the connection to a node, which has just been made or found, from now on. node is its address as the registry
// has it.
func (p *peers) hold(addr, node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.n.now()
	l := p.lines[addr]
	if l == nil {
		l = &line{pinged: now}
		p.lines[addr] = l
	}
	l.node, l.used = node, now
	l.failed, l.next = 0, time.Time{}
}

// dialled notes how a dial ended: after each that failed the pause is twice as long.
func (l *line) dialled(err error, now time.Time) {
	l.dialling = false
	if err == nil {
		l.failed, l.next = 0, time.Time{}
		return
	}
	pause := redialMost
	if l.failed < 5 {
		pause = min(pause, time.Second<<l.failed)
	}
	l.failed++
	l.next = now.Add(pause)
}

// forget lets go of the connections that nothing needs: no node is at their address any more, and no leg goes by them.
func (p *peers) forget() {
	idle := map[string]*line{}
	now := p.n.now()
	p.mu.Lock()
	there := map[string]bool{}
	for _, d := range p.nodes {
		there[d.Address] = true
	}
	for addr, l := range p.lines {
		if !there[l.node] && now.Sub(l.used) > lookupTime { // what is younger may be that of a leg which is about to begin
			idle[addr] = l
		}
	}
	p.mu.Unlock()
	if len(idle) == 0 {
		return
	}
	ways := p.n.index.hops()
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, l := range idle {
		if !ways[addr] && !l.used.After(now) && p.lines[addr] == l {
			delete(p.lines, addr)
		}
	}
}

// keep keeps the connections to other nodes alive and makes those anew that broke, so that a dialog finds its way
// also after hours.
func (p *peers) keep() {
	p.forget()
	now := p.n.now()
	var due []string
	p.mu.Lock()
	for addr, l := range p.lines {
		f := transaction.Flow{Transport: "TCP", Remote: addr}
		switch {
		case now.Sub(l.used) > lineKept:
			delete(p.lines, addr)
		case l.dialling:
		case !p.n.layer.Alive(f):
			if !now.Before(l.next) {
				l.dialling = p.n.start(func() { p.dial(addr, l) })
			}
		case now.Sub(l.pinged) >= p.n.conf.KeepAlive:
			l.pinged = now
			due = append(due, addr)
		}
	}
	stale := now.Sub(p.read) >= p.n.conf.Refresh
	p.mu.Unlock()
	for _, addr := range due {
		_ = p.n.layer.Ping(transaction.Flow{Transport: "TCP", Remote: addr}) // it broke just now: dialled next time
	}
	if stale {
		ctx, cancel := context.WithTimeout(p.n.life, p.n.conf.Refresh)
		defer cancel()
		p.n.peersAway.note(p.n, "the other nodes can't be read", p.refresh(ctx))
	}
}

// dial makes a broken connection anew.
func (p *peers) dial(addr string, l *line) {
	ctx, cancel := context.WithTimeout(p.n.life, p.n.conf.dial)
	defer cancel()
	_, err := p.n.layer.Connect(ctx, "TCP", addr, nil)
	if err != nil {
		p.n.log.Debug("another node can't be reached", "addr", addr, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.dialled(err, p.n.now())
}
