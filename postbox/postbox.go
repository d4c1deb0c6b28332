// Package postbox sends the messages of webhooks: it takes what is due from the
// database, posts it to its receiver, and writes how that ended. Who takes which message
// when is decided in the database; that somebody does is the business of whoever calls
// Drain.
package postbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/seal"
	"holdfast/domain/webhook"
	"holdfast/fence"
)

// Outbox is where messages wait; *db.DB satisfies it.
type Outbox interface {
	// TakeWork takes at most free messages of a webhook for a try each, and says when
	// there is more.
	TakeWork(ctx context.Context, of webhook.Ref, free int) (webhook.Work, error)
	// Settle writes how the try of a message ended.
	Settle(ctx context.Context, of webhook.Ref, r webhook.Result) error
}

const (
	// perWebhook is how many tries of one webhook are under way at most, and perFailing
	// how many of one that accepted nothing lately: a receiver that hangs holds few.
	perWebhook, perFailing = 8, 2
	// inAll bounds the tries of all webhooks of a process.
	inAll = 128
	// linger is how long Drain waits for more before it ends: the next event of a call
	// comes soon, and need not be told by Temporal then.
	linger = 3 * time.Second
	// settleTries and settlePause: how often the end of a try is written while the
	// database is away. Then the message is taken, and sent, again.
	settleTries = 3
	settlePause = 500 * time.Millisecond
)

// Config says what a Postbox is made of. Zero values of optional fields are named.
type Config struct {
	Outbox   Outbox
	Fence    fence.Fence
	Schedule webhook.Schedule // zero: webhook.DefaultSchedule
	// Render turns an event into the data of its message; nil: its view as it is.
	Render  func(event.Event) (json.RawMessage, error)
	Keys    seal.Keys // open secrets and headers that are sealed; none: those are not sent with
	Version string    // of the User-Agent
	Log     *slog.Logger
	Linger  time.Duration // how long Drain waits for more; 0: 3 s, negative: not at all
}

// Postbox sends messages. It is made by New; its methods may be called from any goroutine.
type Postbox struct {
	config Config
	client *http.Client
	slots  chan struct{} // one per try under way, of all webhooks

	mu      sync.Mutex
	drained map[webhook.Ref]chan struct{} // webhooks that are drained here now; poked when there is more
}

// New makes a Postbox. fault.Invalid: the schedule is none.
func New(c Config) (*Postbox, error) {
	if c.Schedule == (webhook.Schedule{}) {
		c.Schedule = webhook.DefaultSchedule()
	}
	if err := c.Schedule.Validate(); err != nil {
		return nil, fault.E(fault.Invalid, "configure webhooks", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Render == nil {
		c.Render = func(e event.Event) (json.RawMessage, error) { return e.View, nil }
	}
	if c.Linger == 0 {
		c.Linger = linger
	}
	return &Postbox{config: c, client: c.Fence.Client(), slots: make(chan struct{}, inAll), drained: map[webhook.Ref]chan struct{}{}}, nil
}

// Poke tells that a webhook may have more to send; false: it is not drained here now.
func (p *Postbox) Poke(of webhook.Ref) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	more, here := p.drained[of]
	if here {
		select {
		case more <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
	return here
}

func (p *Postbox) enter(of webhook.Ref) (more chan struct{}, leave func()) {
	more = make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drained[of] = more
	return more, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.drained[of] == more {
			delete(p.drained, of)
		}
	}
}

// drain is one run of Drain.
type drain struct {
	*Postbox
	of      webhook.Ref
	enough  <-chan struct{} // nil once it was heard
	ending  bool            // nothing new is begun
	done    webhook.Drained
	results chan webhook.Result
	flying  int
	limit   int
}

// Drain sends what is due of a webhook, until nothing is due any more, or enough is
// closed; then what is under way comes to its end. It says when something is due. What
// one subject waits for, others don't. When ctx ends, what is under way is broken off, and
// sent again by whoever drains when its time is over.
func (p *Postbox) Drain(ctx context.Context, of webhook.Ref, enough <-chan struct{}) (webhook.Drained, error) {
	more, leave := p.enter(of)
	defer leave()
	d := &drain{Postbox: p, of: of, enough: enough, results: make(chan webhook.Result, perWebhook), limit: perWebhook}
	sending, end := context.WithCancel(ctx)
	defer func() {
		end()
		for ; d.flying > 0; d.flying-- {
			<-d.results
		}
	}()
	for {
		work, err := d.look(sending)
		if err != nil {
			return d.done, err
		}
		d.done.Next = work.Next
		if d.flying == 0 && (d.ending || work.Idle || work.Next > d.config.Linger || work.Next < 0 && d.config.Linger < 0) {
			return d.done, nil
		}
		if over, err := d.await(ctx, work.Next, more); over || err != nil {
			return d.done, err
		}
	}
}

// look takes what is due and begins to send it.
func (d *drain) look(ctx context.Context) (webhook.Work, error) {
	free := max(0, d.limit-d.flying)
	if d.ending {
		free = 0
	}
	work, err := d.config.Outbox.TakeWork(ctx, d.of, free)
	if err != nil {
		return work, err
	}
	d.limit = perWebhook
	if work.Target.Failing {
		d.limit = perFailing
	}
	for _, m := range work.Messages {
		d.flying++
		go func() { d.results <- d.try(ctx, work.Target, m) }()
	}
	return work, nil
}

// await waits until a try has ended, there may be more, or something is due. over:
// nothing came for a while, and nothing is under way.
func (d *drain) await(ctx context.Context, next time.Duration, more <-chan struct{}) (over bool, err error) {
	wait, due := d.config.Linger, false
	switch {
	case d.ending || d.flying >= d.limit:
		wait = time.Hour // nothing can be begun before a try ends
	case next >= 0 && (next <= wait || d.flying > 0):
		wait, due = next, true
	}
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case <-d.enough:
		d.enough, d.ending = nil, true
	case r := <-d.results:
		d.flying--
		if err := ctx.Err(); err != nil {
			return true, err
		}
		if err := d.settle(ctx, r); err != nil {
			return true, err
		}
		for len(d.results) > 0 { // whoever has ended meanwhile is looked after by one look
			r := <-d.results
			d.flying--
			if err := d.settle(ctx, r); err != nil {
				return true, err
			}
		}
	case <-more:
	case <-timer.C:
		return !due && d.flying == 0, nil
	}
	return false, nil
}

// settle writes how a try ended.
func (d *drain) settle(ctx context.Context, r webhook.Result) (err error) {
	switch r.Verdict.State {
	case webhook.Delivered:
		d.done.Delivered++
	case webhook.Failed:
		d.done.Refused++
		d.done.GivenUp++
	default:
		d.done.Refused++
	}
	for try := 1; ; try++ {
		if err = d.config.Outbox.Settle(ctx, d.of, r); err == nil || try == settleTries {
			return err
		}
		timer := time.NewTimer(settlePause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// try sends one message, when a slot is free, and judges how that ended.
func (d *drain) try(ctx context.Context, to webhook.Target, m webhook.Message) webhook.Result {
	r := webhook.Result{Message: m}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		r.Error = ctx.Err().Error()
		return r // nobody settles it
	}
	began := time.Now()
	a := webhook.Attempt{Number: m.Claim, Age: m.Age}
	var answer answer
	to, err := to.Unsealed(d.config.Keys, d.of)
	if err == nil {
		answer, err = d.send(ctx, to, m)
	}
	r.Took = time.Since(began)
	if err != nil {
		r.Error = reason(err)
	}
	a.Status, r.Status, r.Response, a.RetryAfter = answer.status, answer.status, answer.body, answer.retryAfter
	r.Verdict = d.config.Schedule.Judge(a, rand.Float64()) //nolint:gosec // spreads retries
	if m.Cause == webhook.ByTest && r.Verdict.State == webhook.Pending {
		r.Verdict.State = webhook.Failed // who tests looks at the answer now
	}
	return r
}
