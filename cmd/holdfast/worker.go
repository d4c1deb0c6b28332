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
				d := dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Desks: g.db, Journal: g.db, Log: g.log})
				return newWorker(g, d), nil
			})
		},
	}
}

// workerRole is the worker of the shared task queue, and the sweeper that starts
// what a dead process left without a workflow. It also tells sessions what changed in
// the directory.
type workerRole struct {
	taskRole
	herald *dispatch.Herald
}

func newWorker(g *ground, d *dispatch.Dispatcher) *workerRole {
	r := &workerRole{herald: dispatch.NewHerald(g.temporal, g.db, g.log)}
	r.ground, r.dispatcher, r.worker, r.metrics = g, d, worker.Shared(g.temporal, g.db, g.log), newMetrics()
	return r
}

func (r *workerRole) start(ctx context.Context) error {
	if err := r.begin(ctx, func(context.Context) error { return nil }, r.stop); err != nil {
		return err
	}
	r.herald.Start()
	return nil
}

func (r *workerRole) stop(ctx context.Context) {
	r.herald.Stop()
	r.end(ctx)
}
