package main

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/dispatch"
	"holdfast/worker"
)

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Short: "Run the workflows and what they write", GroupID: "run",
		Long: "Runs the Temporal worker of the shared task queue: agent sessions, calls, guards of the nodes.\nConfigured by the environment: holdfast help environment.",
		RunE: func(c *cobra.Command, _ []string) error {
			return runRole(c, "worker", func(g *ground) (role, error) {
				d := dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Journal: g.db, Log: g.log})
				return newWorker(g, d), nil
			})
		},
	}
}

// workerRole is the worker of the shared task queue, and the sweeper that starts
// what a dead process left without a workflow.
type workerRole struct {
	ground     *ground
	dispatcher *dispatch.Dispatcher
	worker     *worker.Worker
	health     *health
}

func newWorker(g *ground, d *dispatch.Dispatcher) *workerRole {
	return &workerRole{ground: g, dispatcher: d, worker: worker.Shared(g.temporal, g.db, g.log)}
}

func (r *workerRole) start(ctx context.Context) (err error) {
	if r.health, err = startHealth(r.ground, newMetrics()); err != nil {
		return err
	}
	r.worker.Start()
	select {
	case <-r.worker.Ready():
	case <-ctx.Done():
		r.stop(ctx)
		return ctx.Err()
	}
	r.dispatcher.Start()
	return nil
}

func (r *workerRole) stop(context.Context) {
	r.dispatcher.Stop()
	r.worker.Stop()
	r.health.stop()
}

func (r *workerRole) addresses() map[string]string { return r.health.addresses() }
