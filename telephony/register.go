package telephony

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/registrar"
	"holdfast/telephony/transaction"
)

// phones are the devices that are registered here.
type phones struct {
	n     *Node
	reg   *registrar.Registrar
	slots chan struct{} // REGISTERs that may be looked at at one time

	mu   sync.Mutex
	owed map[string]device.Registration // news that the Handler could not take yet, by AOR and binding

	rejections rejections
}

func newPhones(n *Node) (*phones, error) {
	p := &phones{n: n, slots: make(chan struct{}, n.conf.Openings), owed: map[string]device.Registration{}}
	var err error
	p.reg, err = registrar.New(registrar.Config{
		Policy: n.conf.Registrations, Store: noStore{}, Node: string(n.conf.Name), OnChange: p.changed, Log: n.log, Now: n.now,
	})
	return p, err
}

// noStore leaves the keeping to the Handler, which is told of each change: a registration counts here also while the
// database is away.
type noStore struct{}

// SaveBindings implements registrar.Store.
func (noStore) SaveBindings(context.Context, string, []registrar.Binding) error { return nil }

// register takes a REGISTER; it may come on the shard's goroutine.
func (n *Node) register(tx *transaction.Server) {
	p := n.phones
	select {
	case p.slots <- struct{}{}:
	default:
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, errors.New("too many registrations at one time")))
		return
	}
	started := n.start(func() {
		defer func() { <-p.slots }()
		code := p.register(n.life, tx)
		n.metrics.registrations.WithLabelValues(strconv.Itoa(code)).Inc()
	})
	if !started {
		<-p.slots
		n.refuse(tx, refuse(sip.StatusServiceUnavailable, nil))
	}
}

// register authenticates the sender and changes its bindings. It returns the status of its answer.
func (p *phones) register(ctx context.Context, tx *transaction.Server) int {
	req := tx.Request()
	source, err := netip.ParseAddrPort(tx.Flow().Remote)
	if err != nil {
		return p.refuse(tx, refuse(sip.StatusForbidden, err))
	}
	realm, user, r := p.n.verify(ctx, req, source.Addr())
	named, _, _ := strings.Cut(registrar.AOR(req.To().Address), "@")
	if r != nil {
		code := p.refuse(tx, r)
		p.reject(ctx, tx, rejected{realm, cmp.Or(user, named), r.reason})
		return code
	}
	cred, err := p.n.secrets.of(ctx, realm, user)
	if err != nil {
		return p.refuse(tx, refuse(sip.StatusServiceUnavailable, err))
	}
	if cred.Device == "" || named != user && named != string(cred.Device) {
		defer p.reject(ctx, tx, rejected{realm, user, device.OtherDevice})
		return p.refuse(tx, refuse(sip.StatusForbidden, errors.New("a registration for somebody else")))
	}
	if r := p.n.mayRegister(ctx, realm, cred.Device, tx.Flow()); r != nil {
		if r.code == sip.StatusForbidden {
			defer p.reject(ctx, tx, rejected{realm, user, device.NotAllowed})
		}
		return p.refuse(tx, r)
	}
	result, err := p.reg.Register(ctx, req, aorOf(realm, cred.Device), tx.Flow())
	if err != nil {
		return p.refuse(tx, refuse(sip.StatusInternalServerError, err))
	}
	if err := result.Send(tx); err != nil {
		p.n.log.Info("a registration could not be answered", "device", user, "err", err)
	}
	p.reject(ctx, tx, rejected{realm, user, reasonOf(result.Code)})
	return result.Code
}

func (p *phones) refuse(tx *transaction.Server, r *refusal) int {
	p.n.refuse(tx, r)
	return r.code
}

// aorOf is the address of record of a device.
func aorOf(t id.Tenant, d id.Device) string { return string(d) + "@" + strings.ToLower(string(t)) }

// changed tells the Handler of a change, before the phone is answered. What it can't take now is told again later.
func (p *phones) changed(c registrar.Change) {
	b := c.Binding
	r := registrationOf(b)
	switch c.Kind {
	case registrar.Registered, registrar.Refreshed:
	default:
		if now := p.n.now(); r.Expires.After(now) {
			r.Expires = now.Add(-time.Millisecond)
		}
	}
	r.Boot, r.Change = p.n.Boot(), device.Change(c.Kind)
	if c.Moved {
		r.Change = device.Moved
	}
	if cred, err := p.n.secrets.of(p.n.life, r.Tenant, string(r.Device)); err == nil {
		r.Agent = cred.Agent
	}
	if c.Kind != registrar.Refreshed {
		p.n.log.Info("a registration changed", "device", b.AOR, "change", string(c.Kind), "flow", b.Flow.String())
	}
	p.tell(b.AOR+" "+b.Key(), r)
}

func (p *phones) tell(key string, r device.Registration) {
	err := errors.New("the node has no handler yet")
	if h := p.n.handler(); h != nil {
		err = h.Registered(p.n.life, r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.owed, key)
	} else {
		if len(p.owed) == 0 {
			p.n.log.Warn("a registration could not be told; it and those that follow are told again", "device", string(r.Device), "err", err)
		}
		p.owed[key] = r
	}
}

// settle tells again what is owed.
func (p *phones) settle() {
	p.mu.Lock()
	owed := make(map[string]device.Registration, len(p.owed))
	for k, r := range p.owed {
		owed[k] = r
	}
	p.mu.Unlock()
	for k, r := range owed {
		if p.n.life.Err() == nil {
			p.tell(k, r)
		}
	}
}

// flowClosed ends the registrations of a connection.
func (p *phones) flowClosed(f transaction.Flow) {
	p.n.start(func() {
		if err := p.reg.FlowClosed(p.n.life, f); err != nil {
			p.n.log.Warn("the registrations of a closed connection stay", "flow", f.String(), "err", err)
		}
	})
}

// registrationOf is a binding in the domain's words.
func registrationOf(b registrar.Binding) device.Registration {
	user, domain, _ := strings.Cut(b.AOR, "@")
	return device.Registration{
		Tenant: id.Tenant(domain), Device: id.Device(user), Contact: b.Contact, Instance: b.Key(),
		Transport: strings.ToLower(b.Flow.Transport), Flow: b.Flow.Remote, Node: id.Node(b.Node), UserAgent: b.UserAgent, Path: b.Path,
		CallID: b.CallID, CSeq: b.CSeq, Expires: b.ExpiresAt,
	}
}

// isPhone reports that a request without credentials comes from a registered device, so that it has to show them, also
// behind the address of a trunk.
func (n *Node) isPhone(req *sip.Request, from transaction.Flow) bool {
	claim, guessed := claimed(req)
	aor := registrar.AOR(claim)
	user, host, _ := strings.Cut(aor, "@")
	realm, known := n.carriers.realm(host)
	if aor == "" || !known {
		return false
	}
	for _, b := range n.phones.reg.Lookup(aorOf(realm, id.Device(user))) {
		if b.Flow.Transport == from.Transport && b.Flow.Remote == from.Remote {
			return true
		}
	}
	if guessed || !strings.EqualFold(string(realm), host) {
		return false
	}
	cred, err := n.secrets.of(n.life, realm, user)
	return err == nil && cred.Device != ""
}

// wayBack finds the connection by which a phone came back whose own is gone; false when the leg's way is alive, or none
// is known.
func (n *Node) wayBack(t id.Tenant, l *sipLeg) (transaction.Flow, bool) {
	if l.device == "" || n.layer.Alive(l.dialog.Flow) {
		return transaction.Flow{}, false
	}
	for _, b := range n.phones.reg.Lookup(aorOf(t, l.device)) {
		if n.layer.Alive(b.Flow) && b.Key() == l.phone {
			return b.Flow, true
		}
	}
	return transaction.Flow{}, false
}

// mayRegister asks the device's settings.
func (n *Node) mayRegister(ctx context.Context, t id.Tenant, d id.Device, from transaction.Flow) *refusal {
	v, err := n.settings.quick(ctx, t, d)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return refuse(sip.StatusForbidden, err)
	case err != nil:
		return refuse(sip.StatusServiceUnavailable, err)
	}
	return letRegister(v, from)
}

// near lists the contacts of a ring's addresses that are registered here, as far as nothing has to be looked up.
func (n *Node) near(t id.Tenant, r *ring) [][]contact {
	found := make([][]contact, len(r.targets))
	for i, ad := range r.targets {
		if ad.Kind == leg.PSTN {
			continue
		}
		if v, known := n.settings.atHand(t, ad.Device); known && len(v.Transports) < 2 { // an order needs to know all ways
			found[i] = arranged(v, n.here(t, ad.Device))
		}
	}
	return found
}

// here are the ways to a device by its registrations at this node.
func (n *Node) here(t id.Tenant, d id.Device) (ways []contact) {
	for _, b := range n.phones.reg.Lookup(aorOf(t, d)) {
		if n.layer.Alive(b.Flow) {
			ways = append(ways, contact{
				uri: b.Contact, to: toURI(t, d), flow: b.Flow, route: b.Path, instance: b.Key(), peer: b.Flow.Remote,
			})
		}
	}
	return ways
}

func toURI(t id.Tenant, d id.Device) string { return "sip:" + escapeUser(string(d)) + "@" + string(t) }
