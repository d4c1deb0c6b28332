package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Watch follows a tenant's event stream as a supervisor does, and keeps the newest
// view of each session and call. Waiting on it never polls.
type Watch struct {
	client *Client
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	sessions map[string]Session
	calls    map[string]CallView
	history  map[string][]string  // agent number → the states it went through, doubles left out
	passed   map[string][]Session // agent number → the views since the one that was last waited for
	err      error
	changed  chan struct{}
	last     string // id of the last event seen: a new connection goes on from there
}

type snapshot struct {
	Session  *Session   `json:"session"` // one's own
	Presence []Session  `json:"presence"`
	Calls    []CallView `json:"calls"`
}

// Watch follows the events that the client's user may see; Close it.
func (c *Client) Watch() *Watch { return c.watch(context.Background()) }

// watch opens the stream; it reconnects while the API is away, until Close.
func (c *Client) watch(ctx context.Context) *Watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{
		client: c, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}),
		sessions: map[string]Session{}, calls: map[string]CallView{}, history: map[string][]string{}, passed: map[string][]Session{},
	}
	go w.run(ctx)
	return w
}

// Close ends the stream.
func (w *Watch) Close() {
	w.cancel()
	<-w.done
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.done)
	for ctx.Err() == nil {
		err := w.follow(ctx)
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		backoff(ctx)
	}
}

// follow reads one connection to its end.
func (w *Watch) follow(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.client.base+"/v1/events", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.client.token)
	if w.last != "" {
		req.Header.Set("Last-Event-ID", w.last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /v1/events: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	kind := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			w.last = value
		case "event":
			kind = value
		case "data":
			w.take(kind, []byte(value))
		}
	}
	return lines.Err()
}

// take keeps what is newer than what is known.
func (w *Watch) take(kind string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch kind {
	case "snapshot":
		var s snapshot
		if json.Unmarshal(data, &s) == nil {
			if s.Session != nil {
				w.session(*s.Session)
			}
			for _, p := range s.Presence {
				w.session(p)
			}
			for _, c := range s.Calls {
				w.call(c)
			}
		}
	case "presence", "session":
		var s Session
		if json.Unmarshal(data, &s) == nil {
			w.session(s)
		}
	case "call":
		var c CallView
		if json.Unmarshal(data, &c) == nil {
			w.call(c)
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *Watch) session(s Session) {
	old, known := w.sessions[s.Agent]
	if known && s.Version <= old.Version && !(old.State == "LoggedOff" && s.Version < old.Version) {
		return
	}
	w.sessions[s.Agent] = s
	w.passed[s.Agent] = append(w.passed[s.Agent], s)
	label := s.State
	if s.Reason != "" {
		label += "(" + s.Reason + ")"
	}
	if h := w.history[s.Agent]; len(h) == 0 || h[len(h)-1] != label {
		w.history[s.Agent] = append(h, label)
	}
}

func (w *Watch) call(c CallView) {
	if old, known := w.calls[c.ID]; !known || c.Version > old.Version {
		w.calls[c.ID] = c
	}
}

// States are the states that an agent went through, as far as the stream showed them.
func (w *Watch) States(agent string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.history[agent]...)
}

// Session is the agent's newest view.
func (w *Watch) Session(agent string) Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions[agent]
}

// WaitSession returns the agent's view as soon as it fits; fits must not ask the Watch. A wrap-up that is over already is found as well, if nothing
// later was waited for: on a busy machine it may have been short.
func (w *Watch) WaitSession(ctx context.Context, agent, what string, fits func(Session) bool) (Session, error) {
	for {
		w.mu.Lock()
		s, found := w.fitting(agent, fits)
		changed, err, history := w.changed, w.err, w.history[agent]
		w.mu.Unlock()
		if found {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, errors.Join(fmt.Errorf("agent %s should %s, but is %s %s (went through %v)", agent, what, s.State, s.Reason, history), err)
		}
	}
}

// WaitStates returns when the latest states that the agent went through are these.
func (w *Watch) WaitStates(ctx context.Context, agent string, states []string) error {
	for {
		w.mu.Lock()
		history, changed, err := w.history[agent], w.changed, w.err
		w.mu.Unlock()
		if slices.Equal(states, history[max(0, len(history)-len(states)):]) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("agent %s should go through %v, but went through %v", agent, states, history), err)
		}
	}
}

// fitting is the agent's newest view if it fits, or a wrap-up that has passed; else the newest and false.
func (w *Watch) fitting(agent string, fits func(Session) bool) (Session, bool) {
	newest, known := w.sessions[agent]
	if known && fits(newest) {
		w.passed[agent] = nil
		return newest, true
	}
	for i, s := range w.passed[agent] {
		if s.State == "WorkingAfterCall" && fits(s) {
			w.passed[agent] = w.passed[agent][i+1:]
			return s, true
		}
	}
	return newest, false
}

// WaitCall returns the newest view of the first call that fits; fits must not ask the Watch.
func (w *Watch) WaitCall(ctx context.Context, what string, fits func(CallView) bool) (CallView, error) {
	for {
		w.mu.Lock()
		changed, err, n := w.changed, w.err, len(w.calls)
		var last CallView
		for _, c := range w.calls {
			if last = c; fits(c) {
				w.mu.Unlock()
				return c, nil
			}
		}
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return last, errors.Join(fmt.Errorf("a call should %s; of %d calls one is %+v", what, n, last), err)
		}
	}
}

// Knows reports whether the stream has shown the call.
func (w *Watch) Knows(call string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.calls[call]
	return known
}
