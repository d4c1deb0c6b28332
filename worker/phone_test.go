package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// phone is a telephony node's promise, kept by a double: a ring that has begun is
// attached to, and a transcript says what was asked.
type phone struct {
	mu     sync.Mutex
	rings  map[id.Offer]*ringing
	said   []string
	gone   map[id.Call]bool
	begun  chan *ringing
	report func(call.Ref, call.Event)
}

// ringing is one ring that the test answers.
type ringing struct {
	call.Ring
	ref   call.Ref
	at    time.Time
	done  chan struct{}
	ended call.RingEnded
	asked int
}

func newPhone() *phone {
	return &phone{rings: map[id.Offer]*ringing{}, gone: map[id.Call]bool{}, begun: make(chan *ringing, 1000)}
}

func (p *phone) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, fmt.Sprintf(format, args...))
}

func (p *phone) transcript() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.said...)
}

func (p *phone) Ring(ctx context.Context, ref call.Ref, r call.Ring) (call.RingEnded, error) {
	at := time.Now()
	p.mu.Lock()
	if p.gone[ref.Call] {
		p.mu.Unlock()
		return call.RingEnded{}, fault.E(fault.NotFound, "ring", fmt.Errorf("no such leg"))
	}
	g, known := p.rings[r.Offer]
	if !known {
		g = &ringing{Ring: r, ref: ref, at: at, done: make(chan struct{})}
		p.rings[r.Offer] = g
		p.begun <- g
	}
	g.asked++
	p.mu.Unlock()
	timer := time.NewTimer(r.Timeout)
	defer timer.Stop()
	select {
	case <-g.done:
	case <-timer.C:
		p.end(g, call.RingEnded{Outcome: call.RingNoAnswer})
	case <-ctx.Done():
		return call.RingEnded{}, ctx.Err()
	}
	return g.ended, nil
}

func (p *phone) Cancel(_ context.Context, _ call.Ref, c call.Cancel) error {
	p.say("cancel %d", c.Offer.N())
	p.mu.Lock()
	g := p.rings[c.Offer]
	p.mu.Unlock()
	if g != nil {
		p.end(g, call.RingEnded{Outcome: call.RingRescinded})
	}
	return nil
}

func (p *phone) Treat(_ context.Context, _ call.Ref, t call.Treat) error {
	p.say("treat %s %s", t.Leg, t.With)
	return nil
}

func (p *phone) Drop(_ context.Context, ref call.Ref, d call.Drop) error {
	p.say("drop %s %s", d.Leg, d.Cause)
	return nil
}

// end ends a ring: those who wait for it hear of it, and it is reported.
func (p *phone) end(g *ringing, e call.RingEnded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-g.done:
	default:
		e.Offer = g.Offer
		g.ended = e
		close(g.done)
		p.report(g.ref, e)
	}
}

// answer answers the ring on the phone.
func (p *phone) answer(g *ringing) {
	now := time.Now()
	p.end(g, call.RingEnded{Outcome: call.RingAnswered, Leg: g.Leg, Device: g.Targets[0].Device, RangAt: g.at, AnsweredAt: now})
}

// next is the next ring that begins.
func (p *phone) next(t testing.TB) *ringing {
	t.Helper()
	select {
	case g := <-p.begun:
		return g
	case <-time.After(patience):
		t.Fatal("no phone rings")
		return nil
	}
}
