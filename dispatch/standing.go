package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"holdfast/workflows"
)

// standWithin bounds one try to start a standing workflow.
const standWithin = 5 * time.Second

// Standing starts the workflow of which there is one for all and always, the deletion of
// what is old, unless it runs; while Temporal is away it tries again.
type Standing struct {
	temporal client.Client
	log      *slog.Logger

	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
}

// NewStanding is a Standing that does not run yet.
func NewStanding(c client.Client, log *slog.Logger) *Standing {
	s := &Standing{temporal: c, log: log}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Start begins to try. It is safe twice.
func (s *Standing) Start() {
	s.once.Do(func() {
		if s.life.Err() == nil {
			s.running.Go(s.run)
		}
	})
}

// Stop ends it and waits; what was started goes on. It is safe twice and before Start.
func (s *Standing) Stop() {
	s.end()
	s.running.Wait()
}

func (s *Standing) run() {
	for wait := firstPause; ; wait = min(2*wait, longPause) {
		err := s.stand()
		if err == nil {
			return
		}
		if wait == firstPause && s.life.Err() == nil {
			s.log.Warn("The deletion of what is old can't be started yet.", "err", err)
		}
		if !pause(s.life, wait) {
			return
		}
	}
}

func (s *Standing) stand() error {
	ctx, cancel := context.WithTimeout(s.life, standWithin)
	defer cancel()
	_, err := s.temporal.ExecuteWorkflow(ctx, workflows.StartRetention(), workflows.TypeRetention)
	return err
}
