package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"holdfast/dispatch"
	"holdfast/domain/fault"
	"holdfast/httpapi"
	"holdfast/worker"
)

// role is a part of Holdfast that runs in this process.
type role interface {
	// start returns when the role serves. It undoes what it began when it fails.
	start(ctx context.Context) error
	// stop ends in order, within a bound of its own, or of ctx if that ends first. It
	// may be repeated.
	stop(ctx context.Context)
	// addresses says where the role serves, by name.
	addresses() map[string]string
}

// runRole is the life of a process with one role: read the environment, wait for
// what it stands on, serve until asked to stop.
func runRole(c *cobra.Command, name string, build func(*ground) (role, error)) error {
	ctx := c.Context()
	e, log, err := prepare(c.ErrOrStderr())
	if err != nil {
		return err
	}
	g, err := lay(ctx, e, log)
	if err != nil {
		if stopped(ctx, err) {
			return nil
		}
		return err
	}
	defer g.close()
	r, err := build(g)
	if err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		if stopped(ctx, err) {
			return nil
		}
		return err
	}
	tellReady(c.OutOrStdout(), name, r.addresses())
	log.Info("The role serves.", "role", name)
	<-ctx.Done()
	log.Info("The role stops.", "role", name)
	r.stop(context.WithoutCancel(ctx))
	return nil
}

// prepare reads the environment and makes the log.
func prepare(w io.Writer) (environment, *slog.Logger, error) {
	e, err := readEnvironment()
	if err != nil {
		return e, nil, err
	}
	log := e.logger(w)
	for _, name := range unknown(environ()) {
		log.Warn("A variable is not known and not read; see holdfast help environment.", "name", name)
	}
	return e, log, nil
}

// tellReady prints one line of JSON, by which scripts know that the role serves.
func tellReady(w io.Writer, name string, addresses map[string]string) {
	line := map[string]any{"ready": true, "role": name, "pid": os.Getpid()}
	for k, v := range addresses {
		line[k] = v
	}
	b, _ := json.Marshal(line) // words and numbers always marshal
	fmt.Fprintln(w, string(b))
}

// endWithin bounds the end of what a role runs besides calls: the worker takes 5 s for
// its tasks, an api 10 s for its requests.
const endWithin = 15 * time.Second

// finish runs end and waits for it, at most until limit has passed or ctx ended: then the
// process ends without it.
func finish(ctx context.Context, log *slog.Logger, limit time.Duration, end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		end()
	}()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-done:
	case <-limited.Done():
		log.Warn("Not everything ended in time; it is left behind.")
	}
}

// taskRole is what each role with a task queue has: its worker, its dispatcher, and where
// it is asked for its health.
type taskRole struct {
	ground     *ground
	dispatcher *dispatch.Dispatcher
	worker     *worker.Worker
	metrics    *prometheus.Registry
	health     *health
	draining   atomic.Bool // asked to stop: /readyz says so
}

// drains is the check of a role that was asked to stop: nobody should send it anything
// new, though it finishes what it has in hand.
func (r *taskRole) drains(context.Context) error {
	if !r.draining.Load() {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "check", Sentence: "This process was asked to stop: it finishes what it has in hand and takes nothing new."}
}

// begin is the one way in which such a role comes up: it can be asked for its health, then
// open makes it serve, then its worker polls, then its dispatcher sweeps. Asked to stop
// meanwhile, it calls stop, since calls may have come already.
func (r *taskRole) begin(ctx context.Context, open func(context.Context) error, stop func(context.Context)) (err error) {
	if r.health, err = startHealth(r.ground, r.metrics, httpapi.Check{Name: "draining", Run: r.drains}); err != nil {
		return err
	}
	if err := open(ctx); err != nil {
		r.health.stop()
		return err
	}
	r.worker.Start()
	select {
	case <-r.worker.Ready():
	case <-ctx.Done():
		stop(context.WithoutCancel(ctx))
		return ctx.Err()
	}
	r.dispatcher.Start()
	return nil
}

// end stops what begin started.
func (r *taskRole) end(ctx context.Context) {
	r.draining.Store(true)
	finish(ctx, r.ground.log, endWithin, func() {
		r.worker.Stop()
		r.dispatcher.Stop()
		r.health.stop()
	})
}

func (r *taskRole) addresses() map[string]string { return r.health.addresses() }
