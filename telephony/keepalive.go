package telephony

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/device"
	"holdfast/telephony/dialog"
	"holdfast/telephony/registrar"
	"holdfast/telephony/transaction"
)

const (
	// deadAfter is how many OPTIONS in a row a phone may leave unanswered.
	deadAfter = 3
	// patience is the share of the interval that a phone has for its answer.
	patience = 3
)

// pulses ask the phones behind NAT, and those on connections, whether they are still there (RFC 5626 §4.4): it keeps
// what lies between open, and tells us of phones that went without a word.
type pulses struct {
	n *Node

	mu      sync.Mutex
	of      map[string]*pulse // by AOR and binding
	writeAt time.Time         // when the directory hears of round trips again
}

// pulse is what is known of one phone.
type pulse struct {
	flow    transaction.Flow
	heard   time.Time // its latest REGISTER
	due     time.Time // the next question
	asked   time.Time // the open one; zero if none is
	attempt int       // which question it is: a late answer to an earlier one says nothing
	missed  int       // in a row

	rtt     time.Duration // of the latest answer …
	rttAt   time.Time
	written bool // … which the directory has
}

// newPulses makes them.
func newPulses(n *Node) *pulses { return &pulses{n: n, of: map[string]*pulse{}} }

// run asks until ctx ends.
func (p *pulses) run(ctx context.Context) {
	ticker := time.NewTicker(min(time.Second, p.n.conf.KeepAlive/8))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.look()
		}
	}
}

// question is an OPTIONS that is due.
type question struct {
	key     string
	attempt int
	binding registrar.Binding
}

// look asks whom it is time to ask, and gives up who answers no more.
func (p *pulses) look() {
	var due []question
	var dead []registrar.Binding
	now := p.n.now()
	live := map[string]bool{}
	bindings := p.n.phones.reg.All()
	p.mu.Lock()
	for _, b := range bindings {
		if !b.NAT && !b.Flow.Reliable() {
			continue
		}
		key := b.AOR + " " + b.Key()
		live[key] = true
		q := p.pulse(key, b, now)
		if !q.asked.IsZero() && now.Sub(q.asked) >= p.n.conf.KeepAlive/patience {
			q.miss(now)
		}
		switch {
		case q.missed >= deadAfter:
			dead = append(dead, b)
			delete(p.of, key)
		case q.asked.IsZero() && !now.Before(q.due):
			q.asked = now
			q.attempt++
			due = append(due, question{key, q.attempt, b})
		}
	}
	for key := range p.of {
		if !live[key] {
			delete(p.of, key)
		}
	}
	news := p.news(bindings, now)
	p.mu.Unlock()
	if len(news) > 0 {
		p.n.start(func() { p.write(news) })
	}
	for _, q := range due {
		p.ask(q)
	}
	for _, b := range dead {
		p.lost(b)
	}
}

// news are the round trips that the directory has not heard of, once in two rounds of questions. The lock is held.
func (p *pulses) news(bindings []registrar.Binding, now time.Time) (list []device.Pulse) {
	if now.Before(p.writeAt) {
		return nil
	}
	p.writeAt = now.Add(2 * p.n.conf.KeepAlive)
	for _, b := range bindings {
		q := p.of[b.AOR+" "+b.Key()]
		if q == nil || q.rttAt.IsZero() || q.written {
			continue
		}
		q.written = true
		r := registrationOf(b)
		list = append(list, device.Pulse{Tenant: r.Tenant, Device: r.Device, Instance: r.Instance, RoundTrip: q.rtt, At: q.rttAt})
	}
	return list
}

// write tells the directory. What it can't take now is measured again.
func (p *pulses) write(news []device.Pulse) {
	ctx, cancel := context.WithTimeout(p.n.life, lookupTime)
	defer cancel()
	if err := p.n.dir.SavePulses(ctx, news); err != nil && ctx.Err() == nil {
		p.n.log.Info("the round trips of phones could not be written", "err", err)
	}
}

// pulse finds that of a binding; a REGISTER is as good as an answer. The lock is held.
func (p *pulses) pulse(key string, b registrar.Binding, now time.Time) *pulse {
	q := p.of[key]
	if q == nil || q.flow != b.Flow {
		first := time.Duration(rand.Int64N(int64(p.n.conf.KeepAlive))) // so that not all are asked in one moment
		q = &pulse{flow: b.Flow, heard: b.RefreshedAt, due: now.Add(first)}
		p.of[key] = q
	}
	if b.RefreshedAt.After(q.heard) {
		q.heard, q.missed = b.RefreshedAt, 0
	}
	return q
}

// miss notes that a question was not answered; the next follows at once.
func (q *pulse) miss(now time.Time) {
	q.missed++
	q.asked, q.due = time.Time{}, now
}

// ask sends the OPTIONS. Any final response is good: the phone is there.
func (p *pulses) ask(q question) {
	n, b := p.n, q.binding
	d, err := dialog.New(dialog.Call{
		Target: b.Contact, From: n.contact("UDP"), To: "sip:" + b.AOR, Contact: n.contact(b.Flow.Transport), Flow: b.Flow, Route: b.Path,
	})
	if err == nil {
		_, err = n.layer.Request(d.Request(sip.OPTIONS), func(res *sip.Response, err error) {
			if err != nil || res.StatusCode >= 200 {
				p.answered(q, err)
			}
		})
	}
	if err != nil {
		p.answered(q, err)
	}
}

// answered takes the answer, or its lack.
func (p *pulses) answered(q question, err error) {
	now := p.n.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of[q.key]
	if k == nil || k.attempt != q.attempt || k.asked.IsZero() || errors.Is(err, transaction.ErrStopped) {
		return
	}
	if err != nil {
		k.miss(now)
		return
	}
	p.n.metrics.keepalive.Observe(now.Sub(k.asked).Seconds())
	spread := p.n.conf.KeepAlive / 10
	k.rtt, k.rttAt, k.written = now.Sub(k.asked), now, false
	k.missed, k.asked, k.due = 0, time.Time{}, now.Add(p.n.conf.KeepAlive-rand.N(spread+1))
}

// lost gives a phone up. A connection that nobody answers on is closed: a phone that lives notices, and registers anew.
func (p *pulses) lost(b registrar.Binding) {
	n := p.n
	n.metrics.lost.Inc()
	n.log.Info("a phone answers no more", "device", b.AOR, "flow", b.Flow.String())
	if err := n.phones.reg.Remove(n.life, b.AOR, b.Key()); err != nil {
		n.log.Warn("a lost registration could not be removed", "device", b.AOR, "err", err)
	}
	if b.Flow.Reliable() {
		n.layer.Disconnect(b.Flow)
	}
}
