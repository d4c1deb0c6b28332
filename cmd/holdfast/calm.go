package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// calmPause is how long a message that was said is held back.
	calmPause = 10 * time.Second
	// calmMost bounds how many messages are remembered.
	calmMost = 512
)

// calm is a log for a person who looks on: a message is passed on the first time, then at
// most once in calmPause with the number of those that were held back. Messages are the
// same if their text and level are, whatever their attributes.
type calm struct {
	next slog.Handler
	said *said
}

type said struct {
	mu sync.Mutex
	by map[message]saying
}

type message struct {
	level slog.Level
	text  string
}

type saying struct {
	last time.Time
	held int
}

func newCalm(next slog.Handler) *calm {
	return &calm{next: next, said: &said{by: map[message]saying{}}}
}

// Enabled implements slog.Handler.
func (c *calm) Enabled(ctx context.Context, l slog.Level) bool { return c.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	held, pass := c.said.pass(message{r.Level, r.Message}, time.Now())
	if !pass {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", held))
	}
	return c.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c *calm) WithAttrs(a []slog.Attr) slog.Handler { return &calm{c.next.WithAttrs(a), c.said} }

// WithGroup implements slog.Handler.
func (c *calm) WithGroup(name string) slog.Handler { return &calm{c.next.WithGroup(name), c.said} }

// pass reports whether m is passed on now, and how often it was held back before.
func (s *said) pass(m message, now time.Time) (held int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.by[m]
	if known && now.Sub(before.last) < calmPause {
		before.held++
		s.by[m] = before
		return 0, false
	}
	if len(s.by) >= calmMost {
		clear(s.by) // texts are constant: so many do not occur
	}
	s.by[m] = saying{last: now}
	return before.held, true
}
