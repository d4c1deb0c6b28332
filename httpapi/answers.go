package httpapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"holdfast/domain/fault"
	"holdfast/domain/record"
	"holdfast/domain/seal"
)

const (
	// answersLife is how long an answer is kept for a repeat: longer than any client
	// goes on trying.
	answersLife = 10 * time.Minute
	// maxAnswers bounds their memory; beyond it the oldest are forgotten first. The
	// sessions and calls know the keys of their last commands besides.
	maxAnswers = 10_000
	// sharedLife is how long the vault keeps the answers to what begins or ends a
	// session, and shareWithin bounds the writing of one.
	sharedLife  = 24 * time.Hour
	shareWithin = 2 * time.Second
)

// shared are the operations whose answers are kept in the vault as well: a session that
// is over can't know the keys of what began or ended it, once there is another one, and
// the directory knows no keys at all. Those of API keys are not: one of them stands nowhere
// but with its owner.
var shared = map[string]bool{"sign-in": true, "sign-out": true, "force-sign-out": true,
	"end-own-login": true, "end-own-logins": true, "end-login": true, "end-logins": true}

func init() {
	for _, group := range []string{tagPeople, tagService, tagWebhooks, tagTenants, tagCustomers} {
		for _, r := range routes[group] {
			shared[r.name] = r.method != http.MethodGet
		}
	}
}

// answers keeps what was answered to requests with an Idempotency-Key, so that a
// repeat gets the same answer word by word. That a repeat has no second effect
// does not hang on it: the key goes with the command into the workflow.
type answers struct {
	now   func() time.Time
	vault Vault
	log   *slog.Logger
	seal  []byte    // key of the hashes of requests: one of them may hold a password
	seals seal.Keys // of what is kept in the vault: some answers show a secret, once
	mu    sync.Mutex
	kept  map[answerKey]*kept
	age   []answerKey // oldest first
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

func newAnswers(c Config, seals seal.Keys) *answers {
	secret := []byte("holdfast answers\x00")
	for _, k := range c.Keys[:min(1, len(c.Keys))] { // all processes have the same first key
		secret = append(secret, k.Seed()...)
	}
	sum := sha256.Sum256(secret)
	return &answers{now: c.Now, vault: c.Vault, log: c.Log, seal: sum[:], seals: seals, kept: map[answerKey]*kept{}}
}

// reused refuses a key that was used for another request.
func reused() error {
	return &fault.Error{Kind: fault.Invalid, Code: "idempotency_key_reused", Sentence: "This Idempotency-Key was used for another request; take a new one."}
}

// once runs do, unless the same request was answered before under this key. A
// request that comes while the first is under way waits for its answer. Refusals are
// not kept. The same key for another request is refused.
func once[O any](ctx context.Context, a *answers, key answerKey, request any, do func() (*O, error)) (*O, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return nil, fault.E(fault.Internal, "read request", err)
	}
	sum := a.sealed(b)
	for {
		k, first := a.enter(key, sum)
		if k.request != sum {
			return nil, reused()
		}
		if first {
			out, err := remembered(ctx, a, key, sum, do)
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

// sealed is what is kept of a request: nobody without the key can try out what stood in it.
func (a *answers) sealed(request []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, a.seal)
	h.Write(request)
	h.Sum(sum[:0])
	return sum
}

// remembered runs do, unless the vault has its answer.
func remembered[O any](ctx context.Context, a *answers, key answerKey, sum [sha256.Size]byte, do func() (*O, error)) (*O, error) {
	if !shared[key.operation] {
		return do()
	}
	asked := record.Answer{Tenant: key.person.tenant, User: key.person.name, Operation: key.operation, Key: key.key, Request: sum[:]}
	known, err := a.vault.Answer(ctx, asked)
	if err == nil && !bytes.Equal(known.Request, sum[:]) {
		return nil, reused()
	}
	if err == nil {
		out := new(O)
		return out, fault.E(fault.Internal, "read answer", a.open(known, out))
	}
	if fault.KindOf(err) != fault.NotFound {
		return nil, unavailable("look up answer", err)
	}
	out, err := do()
	if err == nil {
		err = a.close(&asked, out)
	}
	if err != nil {
		return out, err
	}
	asked.Expires = a.now().Add(sharedLife)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shareWithin)
	defer cancel()
	if err := a.vault.KeepAnswer(late, asked); err != nil {
		a.log.Warn("An answer could not be kept for repeats; the session's workflow has it for as long as there is no other.", "err", err)
	}
	return out, nil
}

// close seals an answer: whoever reads the database finds no secret that was shown once.
func (a *answers) close(into *record.Answer, out any) error {
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	into.Body, err = json.Marshal(a.seals.Close(string(b), useOf(*into)))
	return err
}

// open reads an answer that close sealed.
func (a *answers) open(known record.Answer, out any) error {
	var sealed string
	if err := json.Unmarshal(known.Body, &sealed); err != nil {
		return err
	}
	b, err := a.seals.Open(sealed, useOf(known))
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(b), out)
}

func useOf(a record.Answer) string {
	return fmt.Sprintf("answer %q %q %q %q", a.Tenant, a.User, a.Operation, a.Key)
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
	key := answerKey{p.id(), r.name, k.given()}
	return once(ctx, a.answers, key, in, func() (*O, error) { return h(ctx, in) })
}
