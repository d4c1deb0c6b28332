package httpapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

const tenant = id.Tenant("demo.localhost")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// commands is a double of the sessions and calls: it answers what the test says
// and keeps what it was asked.
type commands struct {
	mu      sync.Mutex
	asked   []agent.Event
	refs    []agent.Ref
	hungUp  []call.HangUp
	views   map[agent.Ref]agent.View
	created bool
	refuse  error // answered to the next commands
	away    error // answered to everything
}

func (c *commands) SignIn(_ context.Context, ref agent.Ref, _ id.User, e agent.SignIn) (agent.View, bool, error) {
	v, err := c.take(ref, e)
	return v, c.created, err
}

func (c *commands) Agent(_ context.Context, ref agent.Ref, e agent.Event) (agent.View, error) {
	return c.take(ref, e)
}

func (c *commands) take(ref agent.Ref, e agent.Event) (agent.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.refs = append(c.asked, e), append(c.refs, ref)
	if err := c.failure(); err != nil {
		return agent.View{}, err
	}
	return c.view(ref)
}

func (c *commands) failure() error {
	if c.away != nil {
		return c.away
	}
	return c.refuse
}

func (c *commands) view(ref agent.Ref) (agent.View, error) {
	v, ok := c.views[ref]
	if !ok {
		return agent.View{}, fault.E(fault.NotFound, "find session", fmt.Errorf("no workflow of %s", ref.Agent))
	}
	return v, nil
}

func (c *commands) AgentView(_ context.Context, ref agent.Ref) (agent.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return agent.View{}, c.away
	}
	return c.view(ref)
}

func (c *commands) HangUp(_ context.Context, ref call.Ref, e call.HangUp) (call.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp = append(c.hungUp, e)
	if err := c.failure(); err != nil {
		return call.View{}, err
	}
	return call.View{Tenant: ref.Tenant, ID: ref.Call, Phase: call.Ended, Cause: leg.Forced}, nil
}

func (c *commands) last(t *testing.T) agent.Event {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.NotEmpty(t, c.asked)
	return c.asked[len(c.asked)-1]
}

// reader is a double of directory and records.
type reader struct {
	mu       sync.Mutex
	users    map[id.User]account.User
	devices  []record.DeviceStatus
	calls    []call.View
	kept     []call.Segment // of every call
	queries  []record.CallQuery
	presence []agent.View
	queues   map[id.Queue]record.QueueLive
	log      []event.Event
	gone     int64 // events up to it were deleted
	audited  []record.AuditEntry
	away     error
}

func (r *reader) lock() func() {
	r.mu.Lock()
	return r.mu.Unlock
}

func (r *reader) User(_ context.Context, t id.Tenant, name id.User) (account.User, error) {
	defer r.lock()()
	u, ok := r.users[name]
	switch {
	case r.away != nil:
		return account.User{}, r.away
	case !ok || t != tenant:
		return account.User{}, fault.E(fault.NotFound, "read user", fmt.Errorf("no row"))
	}
	return u, nil
}

func (r *reader) Devices(context.Context, agent.Ref) ([]record.DeviceStatus, error) {
	defer r.lock()()
	return r.devices, r.away
}

func (r *reader) Choice(context.Context, agent.Ref) (record.Choice, error) {
	defer r.lock()()
	c := record.Choice{Mode: agent.Dynamic, Interfaces: []string{agent.Web, agent.Phone}, Devices: map[id.Device]record.Offered{}}
	for _, d := range r.devices {
		c.Devices[d.Name] = record.Offered{Now: true}
	}
	return c, r.away
}

func (r *reader) Calls(_ context.Context, t id.Tenant, q record.CallQuery) ([]record.Call, string, error) {
	defer r.lock()()
	r.queries = append(r.queries, q)
	var found []record.Call
	for _, v := range r.calls {
		of := q.Of == nil || slices.ContainsFunc(q.Of, func(a id.Agent) bool { return has(v, a) })
		if v.Tenant == t && of && (q.Agent == "" || has(v, q.Agent)) && (q.Live == nil || *q.Live == (v.Phase != call.Ended)) {
			found = append(found, record.Call{View: v})
		}
	}
	return found, "", r.away
}

func (r *reader) Call(_ context.Context, ref call.Ref) (record.Call, error) {
	defer r.lock()()
	for _, v := range r.calls {
		if v.Tenant == ref.Tenant && v.ID == ref.Call {
			return record.Call{View: v, Kept: r.kept}, r.away
		}
	}
	return record.Call{}, fault.E(fault.NotFound, "read call", fmt.Errorf("no row"))
}

func (r *reader) Timeline(context.Context, call.Ref) ([]record.TimelineEntry, error) {
	return []record.TimelineEntry{{At: noon, Kind: "Queued", Sentence: "Waits in support."}}, nil
}

func (r *reader) QueueLive(_ context.Context, _ id.Tenant, q id.Queue) (record.QueueLive, error) {
	defer r.lock()()
	live, ok := r.queues[q]
	if !ok {
		return live, fault.E(fault.NotFound, "read queue", fmt.Errorf("no row"))
	}
	return live, r.away
}

func (r *reader) Presence(context.Context, id.Tenant) ([]agent.View, error) {
	defer r.lock()()
	return r.presence, r.away
}

func (r *reader) Events(_ context.Context, t id.Tenant, after int64, limit int) ([]event.Event, error) {
	defer r.lock()()
	var found []event.Event
	for _, e := range r.log {
		if e.Tenant == t && e.Seq > after && len(found) < limit {
			found = append(found, e)
		}
	}
	if after < r.gone {
		return nil, &fault.Error{Kind: fault.NotFound, Code: "events_gone"}
	}
	return found, r.away
}

func (r *reader) Audit(_ context.Context, e record.AuditEntry) error {
	defer r.lock()()
	r.audited = append(r.audited, e)
	return nil
}

// source is a double of the feed: the test sends the events itself.
type source struct {
	mu      sync.Mutex
	from    int64
	events  chan event.Event
	stopped int
	away    error
}

func (s *source) Subscribe(id.Tenant) (int64, <-chan event.Event, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return 0, nil, nil, s.away
	}
	stop := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stopped++
	}
	return s.from, s.events, stop, nil
}

// house is an API with its doubles.
type house struct {
	t        *testing.T
	api      *API
	commands *commands
	reader   *reader
	things   *things
	vault    *vault
	logins   *logins
	feed     *source
	now      func() time.Time
	names    map[string][]netip.Addr // what names resolve to
}

var (
	hashOnce sync.Once
	hashDemo string
)

// demoHash is the stored form of the demo password; made once, for it is made to be slow.
func demoHash(t *testing.T) string {
	t.Helper()
	hashOnce.Do(func() {
		h, err := HashPassword("holdfast-demo")
		if err != nil {
			panic(err)
		}
		hashDemo = h
	})
	return hashDemo
}

func newHouse(t *testing.T, change ...func(*Config)) *house {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	h := &house{t: t, commands: &commands{views: map[agent.Ref]agent.View{}, created: true}, feed: &source{events: make(chan event.Event, 16)}}
	h.vault, h.things = newVault(), &things{}
	h.logins = &logins{vault: h.vault, now: func() time.Time { return h.api.now() }, known: map[string]*knownLogin{}}
	h.reader = &reader{users: map[id.User]account.User{}, queues: map[id.Queue]record.QueueLive{}}
	for name, u := range map[id.User]account.User{
		"1001":       {Agent: "1001", Roles: []account.Role{account.Regular}},
		"1002":       {Agent: "1002", Roles: []account.Role{account.Regular}},
		"supervisor": {Agent: "2001", Roles: []account.Role{account.Supervisor}, Teams: []id.Team{"first"}},
		"admin":      {Roles: []account.Role{account.BusinessAdmin, account.ITAdmin}},
		"gone":       {Agent: "1009", Roles: []account.Role{account.Regular}, Disabled: true},
	} {
		u.Tenant, u.Name, u.DisplayName, u.PasswordHash = tenant, name, "Name of "+string(name), demoHash(t)
		for _, r := range u.Roles {
			u.Permissions = append(u.Permissions, r.Permissions()...)
		}
		h.reader.users[name] = u
	}
	for _, a := range []id.Agent{"1001", "1002"} {
		h.commands.views[agent.Ref{Tenant: tenant, Agent: a}] = sessionFixture(a, "first")
	}
	h.commands.views[agent.Ref{Tenant: tenant, Agent: "1003"}] = sessionFixture("1003", "second")
	c := Config{
		Commands: h.commands, Reader: h.reader, Directory: h.things, Clerk: h.things, Customers: h.things, Vault: h.vault, Logins: h.logins, APIKeys: h.logins, Identities: h.logins, Feed: h.feed, Webhooks: h.things, Keys: []ed25519.PrivateKey{key},
		Logs:       h.things,
		Sounds:     h.things,
		Documents:  paper{},
		TemporalUI: "http://127.0.0.1:8233", Heartbeat: time.Hour,
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) { return h.names[host], nil },
	}
	for _, f := range change {
		f(&c)
	}
	h.api, err = New(c)
	require.NoError(t, err)
	h.now = h.api.now
	return h
}

func sessionFixture(a id.Agent, team id.Team) agent.View {
	return agent.View{
		Tenant: tenant, Agent: a, User: id.User(a), Name: "Agent " + string(a), Team: team,
		State: agent.NotReady, Reason: agent.ReasonLogin, Since: noon,
		Memberships: []agent.Membership{{Queue: "support", CheckedIn: true}},
		Binding:     agent.Binding{Interface: "phone", Mode: "fixed", Addresses: []leg.Address{{Device: id.Device(a), Kind: leg.SIP}}},
		Devices:     []id.Device{id.Device(a)}, Version: 3,
	}
}

// token signs a user in without the cost of a password.
func (h *house) token(user id.User) string {
	h.t.Helper()
	token, err := h.api.tokens.issue(h.reader.users[user], "login of "+string(user), accessLife)
	require.NoError(h.t, err)
	return token
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	body map[string]any
}

func (a answer) fields() map[string]string {
	found := map[string]string{}
	all, _ := a.body["errors"].([]any)
	for _, e := range all {
		f := e.(map[string]any)
		found[f["in"].(string)+":"+f["name"].(string)] = f["detail"].(string)
	}
	return found
}

// ask sends a request as user ("" = nobody); headers are pairs.
func (h *house) ask(user id.User, method, path, body string, headers ...string) answer {
	h.t.Helper()
	return h.askFrom("127.0.0.9", user, method, path, body, headers...)
}

func (h *house) askFrom(address string, user id.User, method, path, body string, headers ...string) answer {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	r.RemoteAddr = address + ":4000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+h.token(user))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.api.Handler().ServeHTTP(w, r)
	a := answer{ResponseRecorder: w}
	if b := w.Body.Bytes(); len(b) > 0 && bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		require.NoError(h.t, json.Unmarshal(b, &a.body), "body %s", b)
	}
	if w.Code >= http.StatusBadRequest {
		require.Equal(h.t, "application/problem+json", w.Header().Get("Content-Type"), "%s %s: %s", method, path, w.Body)
		require.NotEmpty(h.t, a.body["code"], "%s %s: %s", method, path, w.Body)
		require.NotEmpty(h.t, a.body["detail"], "%s %s: %s", method, path, w.Body)
		require.EqualValues(h.t, w.Code, a.body["status"])
	}
	return a
}

// audited returns the lines of the audit trail after everything added was written.
func (h *house) audited() []record.AuditEntry {
	h.api.audit.stop()
	h.api.audit.run()
	defer h.reader.lock()()
	return h.reader.audited
}

func recorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
