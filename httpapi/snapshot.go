package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// maxLiveCalls bounds the live calls in a snapshot.
const maxLiveCalls = 1000

// read makes the snapshot of what the person may see.
func (s *stream) read(ctx context.Context) (*snapshotView, error) {
	v := &snapshotView{Calls: []callView{}, Presence: []presenceView{}, Queues: []queueView{}}
	if err := s.readAgents(ctx, v); err != nil {
		return nil, err
	}
	live, err := s.readCalls(ctx)
	if err != nil {
		return nil, err
	}
	queues := map[id.Queue]bool{}
	for _, c := range live {
		v.Calls = append(v.Calls, listedOf(c))
		s.rememberCall(c.ID, c.Version, !s.sight.all)
		queues[c.Queue] = true
	}
	for _, p := range v.Presence {
		for _, m := range p.Memberships {
			queues[m.Queue] = true
		}
	}
	delete(queues, "")
	if !s.person.May(account.QueuesWatch) {
		return v, nil
	}
	for q := range queues {
		live, err := s.api.config.Reader.QueueLive(ctx, s.person.Tenant, q)
		if fault.KindOf(err) == fault.NotFound {
			continue // deleted since
		}
		if err != nil {
			return nil, unavailable("read queue", err)
		}
		v.Queues = append(v.Queues, queueOf(live, s.api.now(), s.seesAgent))
	}
	slices.SortFunc(v.Queues, func(a, b queueView) int {
		if a.Queue < b.Queue {
			return -1
		}
		return 1
	})
	return v, nil
}

// readAgents puts one's own session and those of one's teams into v.
func (s *stream) readAgents(ctx context.Context, v *snapshotView) error {
	if !s.person.May(account.PresenceRead) {
		if s.person.Agent == "" {
			return nil // neither agent nor supervisor: there is no session to show
		}
		own, err := s.api.config.Commands.AgentView(ctx, agent.Ref{Tenant: s.person.Tenant, Agent: s.person.Agent})
		if fault.KindOf(err) == fault.NotFound {
			return nil // not signed in
		}
		if err != nil {
			return unavailable("read session", err)
		}
		s.showOwn(ctx, v, own)
		return nil
	}
	all, err := s.api.config.Reader.Presence(ctx, s.person.Tenant)
	if err != nil {
		return unavailable("list presence", err)
	}
	for _, a := range all {
		if a.Agent == s.person.Agent && a.Agent != "" {
			s.showOwn(ctx, v, a)
		}
		if s.person.watches(a.Team) {
			v.Presence = append(v.Presence, presenceOf(a))
			s.remember(event.AgentStream(a.Agent), a.Version)
		}
	}
	return nil
}

func (s *stream) showOwn(ctx context.Context, v *snapshotView, own agent.View) {
	v.Session = ptr(sessionOf(own))
	if o := v.Session.Offer; o != nil && s.person.May(account.ContactsRead) {
		o.Customer = s.api.customerOf(ctx, s.person.Tenant, o.CallID)
	}
	s.remember(event.AgentStream(own.Agent), own.Version)
}

// seesAgent reports whether the person may see a session on a queue's board.
func (s *stream) seesAgent(v agent.View) bool {
	return v.Agent == s.person.Agent || s.person.watches(v.Team)
}

// readCalls lists the live calls that the person may see.
func (s *stream) readCalls(ctx context.Context) ([]record.Call, error) {
	q := record.CallQuery{Live: ptr(true), Limit: 200}
	if !s.sight.all {
		if len(s.sight.agents) == 0 {
			return nil, nil
		}
		q.Of = s.sight.agents
	}
	var all []record.Call
	for {
		page, next, err := s.api.config.Reader.Calls(ctx, s.person.Tenant, q)
		if err != nil {
			return nil, unavailable("list calls", err)
		}
		all = append(all, page...)
		if next == "" || len(all) >= maxLiveCalls {
			return all, nil
		}
		q.Cursor = next
	}
}

// rendering is an event ready to be sent: read and written once, however many
// streams show it.
type rendering struct {
	once     sync.Once
	asked    sync.Once // for offered
	agent    *agent.View
	call     *call.View
	session  []byte // sessionView
	offered  []byte // the same with the customer of the offer, for the agent who may see it
	presence []byte // presenceView
	view     []byte // callView
	device   []byte // deviceEvent
}

// renderings keeps the last events' renderings.
type renderings struct {
	mu   sync.Mutex
	kept map[int64]*rendering
	ring [1024]int64
	next int

	// customer looks up who an offered call is with; nil: nobody is known.
	customer func(context.Context, id.Tenant, id.Call) *customerView
}

func newRenderings() *renderings { return &renderings{kept: map[int64]*rendering{}} }

// offered is the agent's own view with the customer of the offer, looked up once.
func (r *renderings) offered(ctx context.Context, v *rendering) []byte {
	if v.agent.Offer == nil || r.customer == nil {
		return v.session
	}
	v.asked.Do(func() {
		s := sessionOf(*v.agent)
		s.Offer.Customer = r.customer(context.WithoutCancel(ctx), v.agent.Tenant, v.agent.Offer.Call)
		v.offered, _ = json.Marshal(s) // views hold nothing that can't be marshalled
	})
	return v.offered
}

// of returns the rendering of e. An event whose view can't be read shows nothing.
func (r *renderings) of(e event.Event) *rendering {
	r.mu.Lock()
	v, ok := r.kept[e.Seq]
	if !ok {
		v = &rendering{}
		delete(r.kept, r.ring[r.next])
		r.ring[r.next] = e.Seq
		r.next = (r.next + 1) % len(r.ring)
		r.kept[e.Seq] = v
	}
	r.mu.Unlock()
	v.once.Do(func() { v.render(e) })
	return v
}

func (r *rendering) render(e event.Event) {
	var a agent.View
	var c call.View
	switch kind, _, _ := cut(e.Stream); kind {
	case "agent":
		if json.Unmarshal(e.View, &a) != nil {
			return
		}
		r.session, _ = json.Marshal(sessionOf(a))   // views hold nothing that can't be marshalled
		r.presence, _ = json.Marshal(presenceOf(a)) // likewise
		r.agent = &a
	case "call":
		if json.Unmarshal(e.View, &c) != nil {
			return
		}
		r.view, _ = json.Marshal(callOf(c)) // likewise
		r.call = &c
	case "device":
		var v deviceEvent
		if json.Unmarshal(e.View, &v) != nil {
			return
		}
		v.At = v.At.UTC()
		r.device, _ = json.Marshal(v) // likewise
	}
}
