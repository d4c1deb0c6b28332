package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"holdfast/domain/fault"
)

const (
	// answersLife is how long an answer is kept for a repeat: longer than any client
	// goes on trying.
	answersLife = 10 * time.Minute
	// maxAnswers bounds their memory; beyond it the oldest are forgotten first. The
	// sessions and calls know the keys of their last commands besides.
	maxAnswers = 10_000
)

// answers keeps what was answered to requests with an Idempotency-Key, so that a
// repeat gets the same answer word by word. That a repeat has no second effect
// does not hang on it: the key goes with the command into the workflow.
type answers struct {
	now  func() time.Time
	mu   sync.Mutex
	kept map[answerKey]*kept
	age  []answerKey // oldest first
}

type answerKey struct {
	person    personID
	operation string
	key       string
}

type kept struct {
	done    chan struct{} // closed when output stands
	request [sha256.Size]byte
	output  any // nil: the request was refused, which has no effect to protect
	until   time.Time
}

func newAnswers(now func() time.Time) *answers {
	return &answers{now: now, kept: map[answerKey]*kept{}}
}

// once runs do, unless the same request was answered before under this key. A
// request that comes while the first is under way waits for its answer. Refusals are
// not kept. The same key for another request is refused.
func once[O any](ctx context.Context, a *answers, key answerKey, request any, do func() (*O, error)) (*O, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return nil, fault.E(fault.Internal, "read request", err)
	}
	sum := sha256.Sum256(b)
	for {
		k, first := a.enter(key, sum)
		if k.request != sum {
			return nil, &fault.Error{Kind: fault.Invalid, Code: "idempotency_key_reused", Sentence: "This Idempotency-Key was used for another request; take a new one."}
		}
		if first {
			out, err := do()
			a.leave(key, k, out, err)
			return out, err
		}
		select {
		case <-k.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if out, ok := k.output.(*O); ok {
			return out, nil
		}
	}
}

// enter returns what is kept under key, or makes the entry and says that the
// caller is the first.
func (a *answers) enter(key answerKey, request [sha256.Size]byte) (k *kept, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for len(a.age) > 0 && (len(a.age) > maxAnswers || a.expired(a.age[0], now)) {
		delete(a.kept, a.age[0])
		a.age = a.age[1:]
	}
	if k, ok := a.kept[key]; ok {
		return k, false
	}
	k = &kept{done: make(chan struct{}), request: request, until: now.Add(answersLife)}
	a.kept[key] = k
	a.age = append(a.age, key)
	return k, true
}

func (a *answers) expired(key answerKey, now time.Time) bool {
	k, ok := a.kept[key]
	return !ok || now.After(k.until)
}

func (a *answers) leave(key answerKey, k *kept, output any, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.kept[key] == k {
			delete(a.kept, key)
		}
	} else {
		k.output = output
	}
	close(k.done)
}

// keyed is a request that may carry an Idempotency-Key.
type keyed interface{ given() string }

// given is the client's key, empty if it sent none.
func (k Keyed) given() string { return k.IdempotencyKey }

// answered runs the handler of a route once per Idempotency-Key.
func answered[I, O any](ctx context.Context, a *API, r route, in *I, h func(context.Context, *I) (*O, error)) (*O, error) {
	k, ok := any(in).(keyed)
	if !ok || k.given() == "" || r.method == http.MethodGet {
		return h(ctx, in)
	}
	p := personOf(ctx)
	key := answerKey{personID{p.Tenant, p.Name}, r.name, k.given()}
	return once(ctx, a.answers, key, in, func() (*O, error) { return h(ctx, in) })
}
