package main

import (
	"context"
	"fmt"
	"time"
)

// The pauses between tries to start an engine that does not come up.
const (
	keepPause = time.Second
	keepMost  = 5 * time.Second
)

// engine is a process beside ours: Postgres, or Temporal.
type engine interface {
	// Done is closed when the process that runs now has ended.
	Done() <-chan struct{}
	// Restart starts it again.
	Restart(ctx context.Context) error
}

// watch keeps an engine running until the site stops.
func (s *site) watch(ctx context.Context, name string, e engine) {
	ctx, dismiss := context.WithCancel(ctx)
	s.dismiss = append(s.dismiss, dismiss)
	s.keepers.Go(func() { s.keep(ctx, name, e) })
}

// keep starts an engine again whenever it ended by itself, until ctx ends.
func (s *site) keep(ctx context.Context, name string, e engine) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.Done():
		}
		if ctx.Err() != nil || !s.revive(ctx, name, e) {
			return
		}
	}
}

// revive starts an engine again and says so; false: ctx ended first. Why it can't be
// started is said once for each reason.
func (s *site) revive(ctx context.Context, name string, e engine) bool {
	since, pause, said := time.Now(), keepPause, ""
	s.log.Info("An engine ended by itself and is started again.", "engine", name)
	s.progress.note("!", name+" ended by itself and is started again.")
	for {
		err := e.Restart(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			s.log.Info("The engine runs again.", "engine", name, "took_ms", time.Since(since).Milliseconds())
			s.progress.note("✓", fmt.Sprintf("%s runs again after %.1f s.", name, time.Since(since).Seconds()))
			return true
		}
		if reason := sentence(err); reason != said {
			said = reason
			s.log.Info("The engine can't be started yet.", "engine", name, "err", err)
			s.progress.note("!", fmt.Sprintf("%s can't be started: %s. It is tried again.", name, reason))
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(2*pause, keepMost)
	}
}
