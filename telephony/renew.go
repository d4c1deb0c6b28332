package telephony

import (
	"crypto/rand"
	"sync/atomic"

	"holdfast/domain/leg"
	"holdfast/telephony/registrar"
)

// run is the node's run as others know it. A run that was given up, because neither Temporal nor the database heard it
// for a while, is over for good: its calls are closed and its agents free. The process goes on as a new run.
type run struct {
	boot    atomic.Pointer[string]
	renewed atomic.Bool // the registry does not know this run's registrations yet
}

// Boot names the node's present run: the one that new calls and registrations belong to.
func (n *Node) Boot() string { return *n.run.boot.Load() }

// registered takes the registry's answer to the heartbeat of a run.
func (n *Node) registered(beaten string, lost bool) {
	switch {
	case lost:
		n.Renew(beaten)
	case beaten == n.Boot() && n.run.renewed.CompareAndSwap(true, false):
		n.start(n.phones.tellAll)
	}
}

// Renew begins a new run if old is the present one: every call of old is ended, since its record is closed, and the
// registry hears at once that there is another.
func (n *Node) Renew(old string) {
	boot := rand.Text()
	now := n.run.boot.Load()
	if *now != old || !n.run.boot.CompareAndSwap(now, &boot) {
		return
	}
	n.run.renewed.Store(true)
	live := n.index.live()
	n.log.Warn("this node was cut off and given up: its calls are closed; it goes on under another boot",
		"given_up", old, "boot", boot, "calls", len(live))
	for _, a := range live {
		a.box.post(func() {}) // it looks each time it wakes; a full mailbox wakes it as well
	}
	select {
	case n.beatNow <- struct{}{}:
	default: // one is coming
	}
}

// outlived ends the call if its run is over: both parties get BYE, phones that ring get CANCEL.
func (a *actor) outlived() {
	if a.in.Boot != a.node.Boot() {
		a.step(a.customer, wantEnd, evidence{cause: leg.NodeLost})
	}
}

// tellAll tells of every registration again: with the run that was given up, those that only this node reaches went.
func (p *phones) tellAll() {
	for _, b := range p.reg.All() {
		if p.n.life.Err() == nil && p.n.layer.Alive(b.Flow) {
			p.changed(registrar.Change{Kind: registrar.Refreshed, Binding: b})
		}
	}
}
