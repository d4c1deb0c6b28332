package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/dispatch"
	"holdfast/domain/id"
	"holdfast/domain/webhook"
)

// post is a double of database, Temporal and whoever sends in this process.
type post struct {
	client.Client

	mu       sync.Mutex
	unhanded []webhook.Ref
	pending  []webhook.Ref
	local    map[string]bool // is sent for in this process
	away     bool
	said     []string
	nudges   chan struct{}
	changed  func(id.Tenant)
}

func (p *post) lock() func() {
	p.mu.Lock()
	return p.mu.Unlock
}

func (p *post) Nudges(context.Context) <-chan struct{} { return p.nudges }

func (p *post) OnDirectoryChange(fn func(id.Tenant)) {
	defer p.lock()()
	p.changed = fn
}

func (p *post) Unhanded(context.Context) ([]webhook.Ref, error) {
	defer p.lock()()
	return append([]webhook.Ref{}, p.unhanded...), nil
}

func (p *post) WithPending(_ context.Context, t id.Tenant) ([]webhook.Ref, error) {
	defer p.lock()()
	var refs []webhook.Ref
	for _, r := range p.pending {
		if t == "" || r.Tenant == t {
			refs = append(refs, r)
		}
	}
	return refs, nil
}

// poke lets whoever sends here take what is new.
func (p *post) poke(of webhook.Ref) bool {
	defer p.lock()()
	if p.local[of.Name] {
		p.said = append(p.said, "poked "+of.Name)
		p.hand(of)
		return true
	}
	return false
}

func (p *post) hand(of webhook.Ref) {
	var rest []webhook.Ref
	for _, r := range p.unhanded {
		if r != of {
			rest = append(rest, r)
		}
	}
	p.unhanded = rest
}

func (p *post) SignalWithStartWorkflow(_ context.Context, workflow, signal string, _ any, _ client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	defer p.lock()()
	if p.away {
		return nil, errAway
	}
	p.said = append(p.said, signal+" "+workflow)
	p.hand(args[0].(webhook.Ref))
	return nil, nil
}

func (p *post) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	defer p.lock()()
	if p.away {
		return nil, errAway
	}
	p.said = append(p.said, "started "+o.ID)
	return nil, nil
}

func (p *post) heard(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		defer p.lock()()
		return fmt.Sprint(p.said) == fmt.Sprint(want)
	}, 10*time.Second, time.Millisecond, "%v", want)
}

func hooks(names ...string) (refs []webhook.Ref) {
	for _, n := range names {
		refs = append(refs, webhook.Ref{Tenant: "acme", Name: n})
	}
	return refs
}

// At its start it wakes whoever has something to send; then, after a nudge, those that
// nobody knows of and that are not sent for here already; and when a tenant's webhooks
// changed, those that may send again.
func TestPostman_WakesWhoHasSomethingNewToSend(t *testing.T) {
	t.Parallel()
	p := &post{nudges: make(chan struct{}, 1), pending: hooks("old"), unhanded: hooks("new"), local: map[string]bool{"here": true}}
	m := dispatch.NewPostman(p, p, p.poke, slog.New(slog.DiscardHandler))
	m.Start()
	m.Start()
	t.Cleanup(m.Stop)
	p.heard(t, "more webhook:acme:new", "more webhook:acme:old", "started webhooks")

	func() { defer p.lock()(); p.unhanded = hooks("here", "there") }()
	p.nudges <- struct{}{}
	p.heard(t, "more webhook:acme:new", "more webhook:acme:old", "started webhooks", "poked here", "more webhook:acme:there")

	func() {
		defer p.lock()()
		p.said = nil
		p.pending = append(hooks("again"), webhook.Ref{Tenant: "other", Name: "x"})
	}()
	p.changed("acme")
	p.heard(t, "more webhook:acme:again")
	n, err := m.WakeAll(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// While Temporal is away it tries again, and loses nobody.
func TestPostman_TemporalAway_TriesAgain(t *testing.T) {
	t.Parallel()
	p := &post{away: true, unhanded: hooks("a", "b"), pending: hooks("c")}
	m := dispatch.NewPostman(p, p, p.poke, slog.New(slog.DiscardHandler))
	m.Start()
	_, err := m.WakeAll(t.Context())
	require.ErrorIs(t, err, errAway)
	func() { defer p.lock()(); p.away = false }()
	p.heard(t, "more webhook:acme:a", "more webhook:acme:b", "more webhook:acme:c", "started webhooks")
	m.Stop()
	m.Stop()
	idle := dispatch.NewPostman(p, p, p.poke, slog.New(slog.DiscardHandler))
	idle.Stop()
	idle.Start()
}
