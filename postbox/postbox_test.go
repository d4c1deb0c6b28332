package postbox_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"holdfast/db/cluster"
	"holdfast/domain/event"
	"holdfast/domain/seal"
	"holdfast/domain/webhook"
	"holdfast/fence"
	"holdfast/postbox"
)

// outbox is a double of the database: subjects with their messages in order.
type outbox struct {
	mu      sync.Mutex
	target  webhook.Target
	lines   map[event.Stream][]webhook.Message
	flying  map[event.Stream]bool
	most    int // under way at one time
	settled []webhook.Result
	refuse  error
}

func (o *outbox) TakeWork(_ context.Context, _ webhook.Ref, free int) (webhook.Work, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := webhook.Work{Target: o.target, Next: -1}
	for s, line := range o.lines {
		if len(line) == 0 {
			continue
		}
		w.Next = time.Hour
		if !o.flying[s] && len(w.Messages) < free {
			o.flying[s] = true
			line[0].Claim++
			w.Messages = append(w.Messages, line[0])
		}
	}
	under := 0
	for _, f := range o.flying {
		if f {
			under++
		}
	}
	o.most = max(o.most, under)
	return w, o.refuse
}

func (o *outbox) Settle(_ context.Context, _ webhook.Ref, r webhook.Result) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := r.Message.Event.Stream
	o.settled = append(o.settled, r)
	o.flying[s] = r.Verdict.State == webhook.Pending // what is to be tried again is not due in these tests
	if !o.flying[s] {
		o.lines[s] = o.lines[s][1:]
	}
	return o.refuse
}

func (o *outbox) results() []webhook.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]webhook.Result{}, o.settled...)
}

var crm = webhook.Ref{Tenant: "acme.example", Name: "crm"}

// house is a Postbox with a receiver.
type house struct {
	*postbox.Postbox
	*outbox
	secret string
}

func newHouse(t *testing.T, subjects, each int, receive http.HandlerFunc, change ...func(*postbox.Config)) *house {
	t.Helper()
	server := httptest.NewServer(receive)
	t.Cleanup(server.Close)
	h := &house{secret: webhook.NewSecret()}
	h.outbox = &outbox{
		target: webhook.Target{URL: server.URL + "/hook", Timeout: 5 * time.Second, Secrets: []string{h.secret}, Headers: map[string]string{"X-Key": "k", "Webhook-Id": "forged"}},
		lines:  map[event.Stream][]webhook.Message{}, flying: map[event.Stream]bool{},
	}
	for s := range subjects {
		stream := event.Stream(fmt.Sprintf("call:%d", s))
		for n := range each {
			seq := int64(s*100 + n + 1)
			h.lines[stream] = append(h.lines[stream], webhook.Message{Delivery: seq, ID: fmt.Sprint("evt_", seq), Type: "call.held", Cause: webhook.ByEvent,
				Event: event.Event{Seq: seq, Tenant: crm.Tenant, Stream: stream, View: json.RawMessage(`{}`)}})
		}
	}
	c := postbox.Config{Outbox: h.outbox, Fence: fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Linger: -1, Version: "test"}
	for _, f := range change {
		f(&c)
	}
	var err error
	h.Postbox, err = postbox.New(c)
	require.NoError(t, err)
	return h
}

// What arrives is signed, carries our headers whatever the webhook sets, and each
// subject's messages come one after the other.
func TestDrain_SendsEachSubjectInOrder_Signed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	last, problems := map[string]int64{}, []string{}
	h := newHouse(t, 20, 5, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // an error shows as a wrong signature
		mu.Lock()
		defer mu.Unlock()
		var p webhook.Payload
		if err := json.Unmarshal(body, &p); err != nil || p.ID != r.Header.Get("webhook-id") || r.Header.Get("x-key") != "k" || r.Header.Get("holdfast-attempt") != "1" {
			problems = append(problems, fmt.Sprint(err, r.Header, string(body)))
		}
		if p.Sequence <= last[string(p.Subject)] {
			problems = append(problems, "order of "+string(p.Subject))
		}
		last[string(p.Subject)] = p.Sequence
		w.Header().Set("X-Body", "signed")
		_, _ = w.Write(body) // so that the test can verify it
	})
	done, err := h.Drain(t.Context(), crm, nil)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Equal(t, webhook.Drained{Delivered: 100, Next: -1}, done)
	require.LessOrEqual(t, h.most, 8)
	require.Equal(t, http.StatusOK, h.results()[0].Status)
	wh, err := standardwebhooks.NewWebhook(h.secret)
	require.NoError(t, err)
	require.Error(t, wh.Verify(h.results()[0].Response, http.Header{}), "without headers nothing verifies")
}

// Sealed secrets and headers are opened to send, with whichever key sealed them; with none
// that did nothing is sent, and the reason is told.
func TestDrain_OpensWhatIsSealed(t *testing.T) {
	t.Parallel()
	var keys []ed25519.PrivateKey
	for range 2 {
		_, key, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	former, err := seal.New(keys[1:])
	require.NoError(t, err)
	both, err := seal.New(keys)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		keys seal.Keys
		of   webhook.Ref
		sent bool
	}{"key rotated": {both, crm, true}, "key gone": {both[:1], crm, false}, "no key": {nil, crm, false}, "of another webhook": {both, webhook.Ref{Tenant: crm.Tenant, Name: "other"}, false}} {
		var got atomic.Pointer[http.Header]
		var body atomic.Pointer[[]byte]
		h := newHouse(t, 1, 1, func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body) // an error shows as a wrong signature
			body.Store(&b)
			got.Store(&r.Header)
		}, func(p *postbox.Config) { p.Keys = c.keys })
		h.target.Secrets = []string{webhook.Seal(former, c.of, h.secret), webhook.NewSecret()}
		h.target.Headers = webhook.SealHeaders(former, c.of, map[string]string{"Authorization": "Bearer x"})
		_, err := h.Drain(t.Context(), crm, nil)
		require.NoError(t, err, name)
		if !c.sent {
			require.Nil(t, got.Load(), name)
			require.Equal(t, webhook.Pending, h.results()[0].Verdict.State, name)
			require.Contains(t, h.results()[0].Error, "HOLDFAST_TOKEN_KEY", name)
			continue
		}
		require.Equal(t, "Bearer x", got.Load().Get("Authorization"), name)
		wh, err := standardwebhooks.NewWebhook(h.secret)
		require.NoError(t, err)
		require.NoError(t, wh.Verify(*body.Load(), *got.Load()), name)
	}
}

// A subject whose message hangs holds up no other.
func TestDrain_OneHangs_OthersGoOn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var others atomic.Int32
	h := newHouse(t, 6, 3, func(_ http.ResponseWriter, r *http.Request) {
		var p webhook.Payload
		if json.NewDecoder(r.Body).Decode(&p) == nil && p.Subject == "call:0" {
			<-release
		} else if others.Add(1) == 15 {
			close(release) // only now may the first one go on
		}
	})
	done, err := h.Drain(t.Context(), crm, nil)
	require.NoError(t, err)
	require.Equal(t, 18, done.Delivered)
}

// A webhook that fails has few tries under way.
func TestDrain_AFailingWebhook_HasFewUnderWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	h.target.Failing = true
	h.lines["call:0"] = nil
	done, err := h.Drain(t.Context(), crm, nil)
	require.NoError(t, err)
	require.Positive(t, done.Refused)
	require.Zero(t, done.Delivered)
}

// Every way in which a receiver fails is told in words and judged.
func TestDrain_TellsHowItEnded(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(elsewhere.Close)
	closed, err := cluster.ReservePort("127.0.0.1", 0) // nobody listens there, nor can
	require.NoError(t, err)
	t.Cleanup(closed.Release)
	for name, c := range map[string]struct {
		receive http.HandlerFunc
		target  func(*webhook.Target)
		status  int
		says    string
		state   webhook.State
		pause   time.Duration
	}{
		"redirected":    {receive: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, status: 302, state: webhook.Pending},
		"gone":          {receive: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, status: 410, state: webhook.Failed},
		"busy":          {receive: busy("120"), status: 429, state: webhook.Pending, pause: 2 * time.Minute},
		"busy in words": {receive: busy("soon"), status: 429, state: webhook.Pending},
		"silent":        {receive: hang, target: func(t *webhook.Target) { t.Timeout = 50 * time.Millisecond }, says: "no answer in time", state: webhook.Pending},
		"refused":       {target: func(t *webhook.Target) { t.URL = fmt.Sprint("http://127.0.0.1:", closed.Port) }, says: "connection refused", state: webhook.Pending},
		"inside":        {target: func(t *webhook.Target) { t.URL = "http://10.1.2.3/" }, says: "no public address", state: webhook.Pending},
		"talkative":     {receive: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) }, status: 200, state: webhook.Delivered},
		"no secret":     {target: func(t *webhook.Target) { t.Secrets = []string{"whsec_%"} }, says: "secret", state: webhook.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receive := c.receive
			if receive == nil {
				receive = func(http.ResponseWriter, *http.Request) {}
			}
			h := newHouse(t, 1, 1, receive)
			if c.target != nil {
				c.target(&h.target)
			}
			_, err := h.Drain(t.Context(), crm, nil)
			require.NoError(t, err)
			r := h.results()[0]
			require.Equal(t, c.status, r.Status, r.Error)
			require.Contains(t, r.Error, c.says)
			require.Equal(t, c.state, r.Verdict.State)
			require.Equal(t, c.pause, r.Verdict.Pause)
			require.LessOrEqual(t, len(r.Response), webhook.ResponseKept)
		})
	}
	require.False(t, followed.Load(), "nobody is followed elsewhere")
}

// hang lasts until the client leaves, which is seen only when its body was read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func busy(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// A name that leads inside when it is called is refused then, though it was not when the
// webhook was saved; the connection is never made.
func TestDrain_ANameThatLeadsInside_IsNotDialled(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	h := newHouse(t, 1, 1, func(http.ResponseWriter, *http.Request) { reached.Store(true) }, func(c *postbox.Config) {
		c.Fence = fence.Fence{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	})
	h.target.URL = strings.Replace(h.target.URL, "127.0.0.1", "ip6-localhost-or-none.localdomain", 1)
	if _, err := net.LookupHost("ip6-loopback"); err == nil {
		h.target.URL = strings.Replace(h.target.URL, "ip6-localhost-or-none.localdomain", "ip6-loopback", 1)
	}
	_, err := h.Drain(t.Context(), crm, nil)
	require.NoError(t, err)
	require.Zero(t, h.results()[0].Status)
	require.NotEmpty(t, h.results()[0].Error)
	require.False(t, reached.Load())
}

// What comes while it lingers is sent by the same run; enough ends it when what is under
// way has ended; a poke reaches only who drains.
func TestDrain_LingersForMore_UntilItIsEnough(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	h := newHouse(t, 1, 1, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }, func(c *postbox.Config) { c.Linger = time.Hour })
	require.False(t, h.Poke(crm))
	enough, ended := make(chan struct{}), make(chan webhook.Drained)
	go func() {
		done, err := h.Drain(context.WithoutCancel(t.Context()), crm, enough)
		if err != nil {
			t.Error(err)
		}
		ended <- done
	}()
	<-arrived
	h.mu.Lock()
	h.lines["call:9"] = []webhook.Message{{Delivery: 9, Event: event.Event{Seq: 9, Stream: "call:9", View: json.RawMessage(`{}`)}}}
	h.mu.Unlock()
	require.Eventually(t, func() bool { return h.Poke(crm) }, 20*time.Second, time.Millisecond)
	<-arrived
	close(enough)
	require.Equal(t, 2, (<-ended).Delivered)
	require.False(t, h.Poke(crm))
}

// When the context ends, what is under way is broken off; when the database is away, the
// run ends with that.
func TestDrain_ContextEndsOrDatabaseIsAway_ItEnds(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	h := newHouse(t, 1, 1, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		hang(nil, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	_, err := h.Drain(ctx, crm, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, h.results())
	h.refuse = errors.New("away")
	_, err = h.Drain(t.Context(), crm, nil)
	require.ErrorIs(t, err, h.refuse)
	_, err = postbox.New(postbox.Config{Schedule: webhook.Schedule{First: -1}})
	require.Error(t, err)
}
