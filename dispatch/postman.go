package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"holdfast/domain/id"
	"holdfast/domain/webhook"
	"holdfast/workflows"
)

// Post is where messages of webhooks wait; *db.DB satisfies it.
type Post interface {
	// Nudges receives when something new may be there, until ctx ends. It may miss some.
	Nudges(ctx context.Context) <-chan struct{}
	// OnDirectoryChange has fn called when a tenant's directory changed. fn must not block.
	OnDirectoryChange(fn func(id.Tenant))
	// Unhanded lists the webhooks with messages that no workflow knows of.
	Unhanded(ctx context.Context) ([]webhook.Ref, error)
	// WithPending lists the webhooks of a tenant, or of all (""), with something to send.
	WithPending(ctx context.Context, t id.Tenant) ([]webhook.Ref, error)
}

const (
	// postGather is how long whoever sends already may take to see by itself what is new.
	postGather = 40 * time.Millisecond
	// postLook is how often it is looked without a nudge: one is missing only if its
	// sender died between the commit and the nudge.
	postLook = 30 * time.Second
	// postWithin bounds one look, and the waking of one webhook.
	postWithin = 5 * time.Second
)

// Postman wakes the workflows of webhooks that have something new to send. Where none
// has, it does nothing but look at an empty index after a nudge.
type Postman struct {
	temporal client.Client
	post     Post
	poke     func(webhook.Ref) bool // true: it is sent for in this process now
	log      *slog.Logger

	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	once    sync.Once

	mu      sync.Mutex
	changed map[id.Tenant]bool // whose webhooks may send again; "": anybody's
	wake    chan struct{}
}

// NewPostman is a Postman that does not run yet. poke tells whoever sends in this process
// that a webhook may have more.
func NewPostman(c client.Client, p Post, poke func(webhook.Ref) bool, log *slog.Logger) *Postman {
	m := &Postman{temporal: c, post: p, poke: poke, log: log, changed: map[id.Tenant]bool{"": true}, wake: make(chan struct{}, 1)}
	m.life, m.end = context.WithCancel(context.Background())
	return m
}

// Start begins to wake, whoever has something to send at first. It is safe twice.
func (m *Postman) Start() {
	m.once.Do(func() {
		if m.life.Err() != nil {
			return
		}
		m.running.Go(m.run)
		m.post.OnDirectoryChange(m.note)
	})
}

// Stop ends it and waits; what was not woken is by another process, or the next run. It
// is safe twice and before Start.
func (m *Postman) Stop() {
	m.end()
	m.running.Wait()
}

// note remembers that a tenant's webhooks may have changed.
func (m *Postman) note(t id.Tenant) {
	if t == "" {
		return // of changes that were missed, the hourly care makes up for
	}
	m.mu.Lock()
	m.changed[t] = true
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Postman) run() {
	nudges := m.post.Nudges(m.life)
	cared := false
	pauseAfter, failing := firstPause, false
	for {
		err := m.round()
		if err == nil && !cared {
			err = m.care()
			cared = err == nil
		}
		wait := postLook
		if err == nil {
			pauseAfter, failing = firstPause, false
		} else {
			if !failing && m.life.Err() == nil {
				m.log.Warn("Webhooks can't be woken yet; they wait.", "err", err)
			}
			wait, pauseAfter, failing = pauseAfter, min(2*pauseAfter, longPause), true
		}
		tick := time.NewTimer(wait)
		select {
		case <-m.life.Done():
			tick.Stop()
			return
		case <-nudges:
		case <-m.wake:
		case <-tick.C:
		}
		tick.Stop()
	}
}

// round wakes whoever has something to send that nobody knows of, and whoever may send
// again after a change.
func (m *Postman) round() error {
	refs, err := m.unhanded()
	if err != nil {
		return err
	}
	if len(refs) > 0 {
		for _, of := range refs {
			m.poke(of)
		}
		if !pause(m.life, postGather) {
			return nil
		}
		if refs, err = m.unhanded(); err != nil {
			return err
		}
		if err := m.wakeThese(m.life, refs); err != nil {
			return err
		}
	}
	return m.wakeChanged()
}

func (m *Postman) unhanded() ([]webhook.Ref, error) {
	ctx, cancel := context.WithTimeout(m.life, postWithin)
	defer cancel()
	return m.post.Unhanded(ctx)
}

func (m *Postman) wakeChanged() error {
	for {
		t, any := m.nextChanged()
		if !any {
			return nil
		}
		refs, err := m.pending(m.life, t)
		if err == nil {
			err = m.wakeThese(m.life, refs)
		}
		if err != nil {
			m.mu.Lock()
			m.changed[t] = true
			m.mu.Unlock()
			return err
		}
	}
}

func (m *Postman) nextChanged() (t id.Tenant, any bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t = range m.changed {
		delete(m.changed, t)
		return t, true
	}
	return "", false
}

func (m *Postman) pending(ctx context.Context, t id.Tenant) ([]webhook.Ref, error) {
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	return m.post.WithPending(ctx, t)
}

func (m *Postman) wakeThese(ctx context.Context, refs []webhook.Ref) error {
	for _, of := range refs {
		if err := m.wakeOne(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

func (m *Postman) wakeOne(ctx context.Context, of webhook.Ref) error {
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	options := workflows.StartWebhook(of)
	_, err := m.temporal.SignalWithStartWorkflow(ctx, options.ID, workflows.SignalMore, nil, options, workflows.TypeWebhook, of)
	return err
}

// care starts the care of all webhooks, unless it runs.
func (m *Postman) care() error {
	ctx, cancel := context.WithTimeout(m.life, postWithin)
	defer cancel()
	_, err := m.temporal.ExecuteWorkflow(ctx, workflows.StartWebhookCare(), workflows.TypeWebhookCare)
	return err
}

// WakeAll wakes the workflow of every webhook that has something to send, and returns how
// many there are.
func (m *Postman) WakeAll(ctx context.Context) (int, error) {
	refs, err := m.pending(ctx, "")
	if err != nil {
		return 0, err
	}
	return len(refs), m.wakeThese(ctx, refs)
}
