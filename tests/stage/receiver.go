package stage

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// Webhooks is the environment of a stage whose webhooks may call receivers on this
// machine, and try again soon.
var Webhooks = []string{"HOLDFAST_WEBHOOK_NETWORKS=127.0.0.0/8", "HOLDFAST_WEBHOOK_FIRST_RETRY=100ms", "HOLDFAST_WEBHOOK_LONGEST_RETRY=2s"}

// Told is one message as a receiver has it.
type Told struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Tenant   string          `json:"tenant"`
	Subject  string          `json:"subject"`
	Sequence int64           `json:"sequence"`
	Data     json.RawMessage `json:"data"`
	Cause    string          `json:"-"`
	Attempt  string          `json:"-"`
	Status   int             `json:"-"` // what it was answered
	At       time.Time       `json:"-"`
}

// Receiver is an outside system with a webhook of its own, on an address that it keeps
// while it is closed and opened again.
type Receiver struct {
	Name string
	API  *Client // of the tenant's administrator

	ten    *Tenant
	secret string
	addr   string

	mu      sync.Mutex
	server  *http.Server
	answer  func(Told, http.ResponseWriter) int
	told    []Told
	invalid []string // messages that were not signed by us
}

// Receiver makes a webhook of the tenant and opens its receiver. answer says what each
// message is answered; nil: 204.
func (ten *Tenant) Receiver(name string, set map[string]any, answer func(Told, http.ResponseWriter) int) *Receiver {
	ten.t.Helper()
	r := &Receiver{Name: name, ten: ten, answer: answer, API: ten.Login("admin")}
	r.Open()
	ten.keep.Cleanup(r.Close)
	body := map[string]any{"name": name, "url": "http://" + r.addr + "/hook"}
	for k, v := range set {
		body[k] = v
	}
	var made struct {
		Secret string `json:"secret"`
	}
	require.NoError(ten.t, r.API.Into(ten.Context(), &made, http.MethodPost, "/v1/webhooks", body))
	require.NotEmpty(ten.t, made.Secret)
	r.mu.Lock()
	r.secret = made.Secret
	r.mu.Unlock()
	return r
}

// Open lets it listen, at its first address.
func (r *Receiver) Open() {
	r.ten.t.Helper()
	if r.addr == "" {
		r.addr = "127.0.0.1:0"
	}
	var l net.Listener
	r.ten.eventuallyListen(func() (err error) {
		l, err = net.Listen("tcp", r.addr)
		return err
	})
	r.addr = l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: Patience}
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() { _ = server.Serve(l) }() // until Close
}

func (ten *Tenant) eventuallyListen(try func() error) {
	ten.t.Helper()
	require.Eventually(ten.t, func() bool { return try() == nil }, Patience, Soon)
}

// Close lets it refuse connections.
func (r *Receiver) Close() {
	r.mu.Lock()
	server := r.server
	r.server = nil
	r.mu.Unlock()
	if server != nil {
		_ = server.Close() // who is served hears nothing
	}
}

// Answer changes what messages are answered.
func (r *Receiver) Answer(answer func(Told, http.ResponseWriter) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var t Told
	if err == nil {
		err = json.Unmarshal(body, &t)
	}
	r.mu.Lock()
	secret, answer := r.secret, r.answer
	r.mu.Unlock()
	if wh, bad := standardwebhooks.NewWebhook(secret); bad == nil && err == nil {
		err = wh.Verify(body, req.Header)
	}
	if err == nil && req.Header.Get("Webhook-Id") != t.ID {
		err = fmt.Errorf("webhook-id %s", req.Header.Get("Webhook-Id"))
	}
	t.Cause, t.Attempt, t.At, t.Status = req.Header.Get("Holdfast-Cause"), req.Header.Get("Holdfast-Attempt"), time.Now(), http.StatusNoContent
	if answer != nil {
		t.Status = answer(t, w)
	}
	r.mu.Lock()
	if err != nil {
		r.invalid = append(r.invalid, fmt.Sprintf("%v: %s", err, body))
	}
	r.told = append(r.told, t)
	r.mu.Unlock()
	w.WriteHeader(t.Status)
}

// Told is everything that it was told until now, each message signed by us.
func (r *Receiver) Told() []Told {
	r.ten.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(r.ten.t, r.invalid)
	return append([]Told{}, r.told...)
}

// Accepted are the messages that it took, in order.
func (r *Receiver) Accepted() []Told {
	r.ten.t.Helper()
	var taken []Told
	for _, t := range r.Told() {
		if t.Status/100 == 2 {
			taken = append(taken, t)
		}
	}
	return taken
}

// WaitAccepted waits until what it took fits.
func (r *Receiver) WaitAccepted(what string, fits func([]Told) bool) []Told {
	r.ten.t.Helper()
	var taken []Told
	require.Eventually(r.ten.t, func() bool {
		taken = r.Accepted()
		return fits(taken)
	}, 2*Patience, Soon, "%s", what)
	return taken
}
