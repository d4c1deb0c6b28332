package telephony

import (
	"context"
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/id"
	"holdfast/telephony/dialog"
	"holdfast/telephony/digest"
	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// goodbye is a BYE that is to reach its party: a carrier may ask for credentials, and a phone may have come back on
// another connection, or at another node, while it talked.
type goodbye struct {
	n       *Node
	tenant  id.Tenant
	device  id.Device
	phone   string // the registration's instance
	hop     bool   // it goes, or went, through another node: the routes are ours
	account *digest.Client
	dialog  dialog.Dialog // a copy: that of the leg is over
	why     headers.Reason
	tries   int    // credentials shown
	lost    string // the hop that has lost the phone's connection
}

// comeBack are the pauses after which a phone without connection is looked for: most come back within seconds.
var comeBack = []time.Duration{0, 2 * time.Second, 5 * time.Second, 15 * time.Second}

// goodbye is that of a leg. Its dialog must not be ended yet.
func (a *actor) goodbye(l *sipLeg, why headers.Reason) *goodbye {
	return &goodbye{
		n: a.node, tenant: a.ref.Tenant, device: l.device, phone: l.phone, hop: l.hop, account: l.account, dialog: *l.dialog, why: why,
	}
}

// send sends the BYE. It does not block; what it may take more is done by a goroutine of the node.
func (g *goodbye) send() error {
	bye := g.dialog.Bye(g.why)
	plain := sign(bye, g.account)
	_, err := g.n.layer.Request(bye, func(res *sip.Response, err error) { g.answered(plain, res, err) })
	if errors.Is(err, transaction.ErrFlowGone) && g.search() {
		return nil
	}
	return err
}

// answered takes the answer. A peer that gives none has gone as well.
func (g *goodbye) answered(plain *sip.Request, res *sip.Response, err error) {
	switch {
	case disconnected(res, err):
		if err == nil && g.hop {
			g.lost = hopOf(g.dialog.RouteSet)
		}
		g.search()
	case err != nil || !challenges(res) || g.account == nil || g.tries > 0:
	case g.account.Learn(plain, res) == nil:
		g.tries++
		if err := g.send(); err != nil {
			g.n.log.Info("a message could not be sent", "message", "BYE", "err", err)
		}
	}
}

// statusFlowFailed is 430 (RFC 5626 §11.5): the node that held the phone's connection has lost it.
const statusFlowFailed = 430

// search looks for the phone in the directory, and sends it the BYE where it is now; false if nobody can look.
func (g *goodbye) search() bool {
	return g.device != "" && g.n.start(func() {
		for i, pause := range comeBack {
			wait := time.NewTimer(pause)
			select {
			case <-wait.C:
			case <-g.n.life.Done():
				wait.Stop()
				return
			}
			if g.found(i == 0) {
				return
			}
		}
		g.n.log.Info("a phone that lost its connection was not told of the end of its call", "device", string(g.device))
	})
}

// found looks once, and tells the phone; false if that did not reach it. What has said just now that it lost the phone is
// not asked at once again, but later it is: the phone may be back by the same address.
func (g *goodbye) found(first bool) bool {
	ctx, cancel := context.WithTimeout(g.n.life, lookupTime)
	defer cancel()
	list, err := g.n.dir.Registrations(ctx, g.tenant, g.device)
	if err != nil {
		return false
	}
	for _, reg := range list {
		if reg.Instance != g.phone || !reg.Expires.After(g.n.now()) {
			continue
		}
		c, err := g.n.peers.plan(ctx, reg)
		if err == nil {
			c, err = g.n.connect(ctx, c)
		}
		if err != nil || first && c.hop && hopOf(c.route) == g.lost {
			continue
		}
		g.dialog.Moved(c.flow)
		if g.hop || c.hop {
			g.dialog.RouteSet, g.hop = c.route, true
		}
		if g.tell() {
			return true
		}
	}
	return false
}

// tell sends the BYE by the way found and waits for the answer; false if the phone's connection is gone there as well. A
// phone that is connected and gives no answer is told no more.
func (g *goodbye) tell() bool {
	final := make(chan bool, 1)
	_, err := g.n.layer.Request(g.dialog.Bye(g.why), func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			final <- !disconnected(res, err)
		}
	})
	if err != nil {
		return false
	}
	select {
	case reached := <-final:
		return reached
	case <-g.n.life.Done():
		return true
	}
}

// disconnected reports that a request did not get to its party, because the connection is gone here or at another node.
func disconnected(res *sip.Response, err error) bool {
	return errors.Is(err, transaction.ErrFlowGone) || err == nil && res.StatusCode == statusFlowFailed
}

// hopOf is the name of the hop that a route begins with, which is the same however its node is addressed.
func hopOf(route []string) string {
	var uri sip.Uri
	if len(route) == 0 || sip.ParseUri(route[0], &uri) != nil {
		return ""
	}
	return uri.User
}

// challenges reports that a response asks for credentials.
func challenges(res *sip.Response) bool {
	return res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
}
