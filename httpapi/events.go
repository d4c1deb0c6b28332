package httpapi

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/account"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// maxBacklog is how many missed events a stream catches up with; beyond it
	// starts from a snapshot, which is shorter by then.
	maxBacklog = 1000
	// maxStreamsPerUser bounds the open streams of one user: tabs, programs.
	maxStreamsPerUser = 16
	// queueDelay is how long changes of a queue are collected before it is shown anew.
	queueDelay = 200 * time.Millisecond
	// streamWrite is how long a client may take to take one message.
	streamWrite = 10 * time.Second
)

type eventsInput struct {
	LastEventID line `header:"Last-Event-ID" maxLength:"32" doc:"The id of the last message received: the stream goes on behind it."`
}

// deviceEvent is what happened to a registration of a device.
type deviceEvent struct {
	Device        id.Device     `json:"device"`
	Change        device.Change `json:"change" enum:"registered,moved,unregistered,replaced,expired,lost"`
	At            time.Time     `json:"at"`
	Address       string        `json:"address" example:"192.0.2.7:5060"`
	Transport     string        `json:"transport"`
	UserAgent     string        `json:"user_agent"`
	Node          id.Node       `json:"node"`
	Registrations int           `json:"registrations" doc:"How many there are now."`
	Times         int           `json:"times,omitempty" doc:"Of a device with more than a hundred changes in an hour: for how many this event, which has the last, stands."`
}

// snapshotView is the first message of a stream that does not resume.
type snapshotView struct {
	Session  *sessionView   `json:"session,omitempty" doc:"One's own, if signed in as agent."`
	Calls    []callView     `json:"calls" doc:"Live calls that calls:read shows: one's own, those of one's teams, or all."`
	Presence []presenceView `json:"presence" doc:"With presence:read: the sessions of one's teams."`
	Queues   []queueView    `json:"queues" doc:"With queues:watch: those with calls or sessions shown here."`
}

func (a *API) registerEvents() {
	register(a, "events", a.events)
	describeEvents(a.huma)
}

// describeEvents tells the reference what the stream's messages carry.
func describeEvents(api huma.API) {
	op := api.OpenAPI().Paths["/v1/events"].Get
	op.Description = "Messages have `event`, `id` and `data`. The first is `snapshot` (unless the stream resumes behind `Last-Event-ID`), " +
		"then `session` (one's own), `call`, `presence` and `queue` follow, each a whole view: one with a version not above the last seen is old; and `device` (with devices:read), when a registration came, moved or ended. " +
		"Comments keep a quiet stream alive. A reader that falls behind is disconnected; so is everybody when the access token expires. Connect again with `Last-Event-ID`."
	schemas := api.OpenAPI().Components.Schemas
	var messages []*huma.Schema
	for _, v := range []any{snapshotView{}, sessionView{}, callView{}, presenceView{}, queueView{}, deviceEvent{}} {
		messages = append(messages, schemas.Schema(reflect.TypeOf(v), true, ""))
	}
	op.Responses["200"] = &huma.Response{
		Description: "A stream of messages; the schema is that of their data.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{OneOf: messages}}},
	}
}

// events opens a stream. What it needs is read before the first byte is sent, so
// that a failure is an answer like any other.
func (a *API) events(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	p := personOf(ctx)
	release, err := a.streams.open(p.id())
	if err != nil {
		return nil, err
	}
	s := &stream{api: a, person: p, versions: map[event.Stream]int64{}, calls: map[id.Call]bool{}, dirty: map[id.Queue]int64{}, release: release}
	if err := s.prepare(ctx, in.LastEventID.clean()); err != nil {
		s.close()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { s.serve(hc) }}, nil
}

// stream is one client's stream of events.
type stream struct {
	api    *API
	person person
	live   <-chan event.Event
	stop   func()
	after  int64 // events up to it are known to the client

	snapshot *snapshotView // to be sent first, if any
	backlog  []event.Event // to be sent first otherwise
	versions map[event.Stream]int64
	sight    sight
	calls    map[id.Call]bool // shown while an agent whose calls one sees had to do with them: their leaving is shown too
	dirty    map[id.Queue]int64
	release  func()
}

func (s *stream) close() {
	if s.stop != nil {
		s.stop()
	}
	s.release()
}

// prepare subscribes first and reads then: what happens in between arrives twice,
// never not at all.
func (s *stream) prepare(ctx context.Context, last string) error {
	from, live, stop, err := s.api.config.Feed.Subscribe(s.person.Tenant)
	if err != nil {
		return unavailable("follow events", err)
	}
	s.live, s.stop, s.after = live, stop, from
	if s.sight, err = s.api.sightOf(ctx, s.person); err != nil {
		return err
	}
	if after, err := strconv.ParseInt(last, 10, 64); err == nil && after >= 0 {
		if after >= from {
			s.after = after
			return nil
		}
		missed, err := s.api.config.Reader.Events(ctx, s.person.Tenant, after, maxBacklog)
		gone := fault.KindOf(err) == fault.NotFound // some were deleted, for their time is over
		if err != nil && !gone {
			return unavailable("read events", err)
		}
		if !gone && len(missed) < maxBacklog {
			// What lies above from comes by the subscription, in the safe order.
			s.backlog = slices.DeleteFunc(missed, func(e event.Event) bool { return e.Seq > from })
			s.after = after
			return nil
		}
	}
	s.snapshot, err = s.read(ctx)
	return err
}

// messages are what an event means to this client.
func (s *stream) messages(ctx context.Context, e event.Event) []message {
	if e.Seq <= s.after {
		return nil
	}
	s.after = e.Seq
	if e.Version != 0 && e.Version <= s.versions[e.Stream] {
		return nil // older than what the snapshot showed
	}
	if e.Version != 0 {
		s.versions[e.Stream] = e.Version
	}
	r := s.api.rendered.of(e)
	switch {
	case r.agent != nil:
		return s.ofAgent(ctx, e, r)
	case r.call != nil:
		return s.ofCall(e, r)
	case r.device != nil && s.person.May(account.DevicesRead):
		return []message{{id: e.Seq, event: "device", data: r.device}}
	}
	return nil
}

func (s *stream) ofAgent(ctx context.Context, e event.Event, r *rendering) []message {
	var m []message
	if r.agent.Agent == s.person.Agent {
		data := r.session
		if s.person.May(account.ContactsRead) {
			data = s.api.rendered.offered(ctx, r)
		}
		m = append(m, message{id: e.Seq, event: "session", data: data})
	}
	s.sight.note(r.agent.Agent, r.agent.Agent == s.person.Agent || r.agent.Team != "" && slices.Contains(s.person.Teams, r.agent.Team))
	if s.person.watches(r.agent.Team) {
		m = append(m, message{id: e.Seq, event: "presence", data: r.presence})
	}
	for _, q := range r.agent.Memberships {
		s.touch(q.Queue, e.Seq)
	}
	return m
}

func (s *stream) ofCall(e event.Event, r *rendering) []message {
	s.touch(r.call.Queue, e.Seq)
	sees, known := s.sight.sees(*r.call), s.calls[r.call.ID]
	if sees && !s.sight.all && r.call.Phase != call.Ended {
		s.calls[r.call.ID] = true
	} else {
		delete(s.calls, r.call.ID)
	}
	if !sees && !known {
		return nil
	}
	return []message{{id: e.Seq, event: "call", data: r.view}}
}

// touch notes that a queue must be shown anew.
func (s *stream) touch(q id.Queue, seq int64) {
	if q != "" && s.person.May(account.QueuesWatch) {
		s.dirty[q] = seq
	}
}

// streams counts the open streams.
type streams struct {
	most int
	mu   sync.Mutex
	all  int
	of   map[personID]int
}

func newStreams(most int) *streams { return &streams{most: most, of: map[personID]int{}} }

// open admits a stream; release must be called once it ended, and is safe twice.
func (s *streams) open(who personID) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[who] >= maxStreamsPerUser {
		return nil, slowDown(10*time.Second, "too_many_streams", "You have %d event streams open already; close one.", maxStreamsPerUser)
	}
	if s.all >= s.most {
		return nil, &fault.Error{Kind: fault.Unavailable, Code: "too_many_streams", Sentence: "This server holds as many event streams as it may; try again in a moment."}
	}
	s.all++
	s.of[who]++
	var once sync.Once
	return func() {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all--
			if s.of[who]--; s.of[who] == 0 {
				delete(s.of, who)
			}
		})
	}, nil
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
