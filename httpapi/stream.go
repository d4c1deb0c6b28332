package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"holdfast/domain/event"
	"holdfast/domain/id"
)

// message is one server-sent event (WHATWG HTML §9.2). An id of 0 is not sent: the
// client's last one stays.
type message struct {
	id    int64
	event string
	data  []byte // JSON on one line
}

// wire writes messages to one client.
type wire struct {
	out     http.ResponseWriter
	control *http.ResponseController
}

// send writes messages and flushes them; an error means that the client is gone or too slow.
func (w wire) send(messages ...message) error {
	if len(messages) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, m := range messages {
		if m.id != 0 {
			fmt.Fprintf(&b, "id: %d\n", m.id)
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", m.event, m.data)
	}
	return w.write(b.Bytes())
}

func (w wire) write(b []byte) error {
	_ = w.control.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer of a test has deadlines
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	return w.control.Flush()
}

// serve sends until the client leaves, falls behind, its token expires, its rights
// change, or we stop.
func (s *stream) serve(hc huma.Context) {
	defer s.close()
	g := humagin.Unwrap(hc)
	w := wire{g.Writer, http.NewResponseController(g.Writer)}
	_ = w.control.SetReadDeadline(time.Time{}) // the server's read timeout is for requests, not for streams
	h := g.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that collects the answer would hold events back
	hc.SetStatus(http.StatusOK)
	if err := s.first(hc.Context(), w); err != nil {
		return
	}
	heartbeat := time.NewTicker(s.api.config.Heartbeat)
	defer heartbeat.Stop()
	expiry := time.NewTimer(s.person.expires.Sub(s.api.now()))
	defer expiry.Stop()
	queues := time.NewTimer(queueDelay)
	defer queues.Stop()
	ctx := hc.Context()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.api.stopping:
			return
		case <-expiry.C:
			return
		case e, ok := <-s.live:
			if !ok {
				return
			}
			before := len(s.dirty)
			err = w.send(s.messages(ctx, e)...)
			if before == 0 && len(s.dirty) > 0 {
				queues.Reset(queueDelay)
			}
		case <-queues.C:
			if err = w.send(s.changedQueues(ctx)...); len(s.dirty) > 0 {
				queues.Reset(queueDelay)
			}
		case <-heartbeat.C:
			if !s.sameRights(ctx) {
				return
			}
			err = w.write([]byte(": alive\n\n"))
		}
		if err != nil {
			return
		}
	}
}

// first sends what the client starts from.
func (s *stream) first(ctx context.Context, w wire) error {
	if err := w.write([]byte("retry: 1000\n\n")); err != nil {
		return err
	}
	if s.snapshot != nil {
		data, err := json.Marshal(s.snapshot)
		if err != nil {
			return err
		}
		s.snapshot = nil // it may be large, and the stream lives long
		return w.send(message{id: s.after, event: "snapshot", data: data})
	}
	for _, e := range s.backlog {
		if err := w.send(s.messages(ctx, e)...); err != nil {
			return err
		}
	}
	s.backlog = nil
	return nil
}

// sameRights reports whether the person may still see what the stream shows. A
// moment without the database changes no rights.
func (s *stream) sameRights(ctx context.Context) bool {
	u, err := s.api.persons.again(ctx, s.person)
	if err != nil {
		return problemOf(err).Status == http.StatusServiceUnavailable
	}
	if s.sight.team { // agents may have moved who are not signed in
		if now, err := s.api.sightOf(ctx, s.person); err == nil {
			s.sight = now
		}
	}
	return slices.Equal(u.Permissions, s.person.Permissions) && slices.Equal(u.Teams, s.person.Teams) && u.Agent == s.person.Agent
}

// changedQueues shows the queues that were touched. One that can't be read now
// stays touched.
func (s *stream) changedQueues(ctx context.Context) []message {
	var m []message
	for q, seq := range s.dirty {
		live, err := s.api.boards.of(ctx, s.person.Tenant, q, seq)
		if err != nil {
			continue
		}
		delete(s.dirty, q)
		data, err := json.Marshal(queueOf(live, s.api.now(), s.seesAgent))
		if err != nil {
			s.api.log.Error("A queue could not be shown.", "queue", q, "err", err)
			continue
		}
		m = append(m, message{event: "queue", data: data})
	}
	return m
}

// remember notes which versions the client knows, so that older events are not sent.
func (s *stream) remember(stream event.Stream, version int64) { s.versions[stream] = version }

// rememberCall notes a call that the snapshot shows.
func (s *stream) rememberCall(c id.Call, version int64, own bool) {
	s.remember(event.CallStream(c), version)
	if own {
		s.calls[c] = true
	}
}
