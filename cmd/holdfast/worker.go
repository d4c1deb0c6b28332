package main

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"holdfast/activities"
	"holdfast/db"
	"holdfast/dispatch"
	"holdfast/domain/record"
	"holdfast/domain/seal"
	"holdfast/httpapi"
	"holdfast/postbox"
	"holdfast/worker"
)

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Short: "Run the workflows and what they write", GroupID: "run",
		Long: "Runs the Temporal worker of the shared task queue: agent sessions, calls, guards of the nodes.\nConfigured by the environment: holdfast help environment.",
		RunE: func(c *cobra.Command, _ []string) error {
			return runRole(c, "worker", func(g *ground) (role, error) {
				d := dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Desks: g.db, Journal: g.db, Log: g.log})
				return newWorker(g, d)
			})
		},
	}
}

// workerRole is the worker of the shared task queue, and the sweeper that starts
// what a dead process left without a workflow. It also tells sessions what changed in
// the directory, and sends what webhooks wait for.
type workerRole struct {
	taskRole
	herald  *dispatch.Herald
	postman *dispatch.Postman
	keeping *dispatch.Standing
	sender  *worker.Worker
}

func newWorker(g *ground, d *dispatch.Dispatcher) (*workerRole, error) {
	r := &workerRole{herald: dispatch.NewHerald(g.temporal, g.db, g.log), keeping: dispatch.NewStanding(g.temporal, g.log)}
	r.ground, r.dispatcher, r.metrics = g, d, newMetrics()
	r.worker = worker.Shared(g.temporal, g.db, g.log, &activities.Retention{Attic: g.db, Log: g.log, Every: g.env.RetentionEvery, Removed: removedRows(r.metrics)})
	keys, err := seal.New(g.env.TokenKeys)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		g.log.Warn("HOLDFAST_TOKEN_KEY is not set: webhooks whose secrets are sealed will wait.")
	}
	box, err := postbox.New(postbox.Config{Outbox: g.db, Keys: keys, Fence: g.env.receivers(), Schedule: g.env.webhookSchedule(), Render: httpapi.EventData, Version: version(), Log: g.log})
	if err != nil {
		return nil, usage("HOLDFAST_WEBHOOK_FIRST_RETRY, _LONGEST_RETRY, _GIVE_UP: %w", err)
	}
	r.postman = dispatch.NewPostman(g.temporal, g.db, box.Poke, g.log)
	r.sender = worker.Webhooks(g.temporal, &activities.Webhooks{Postbox: box, Keeper: keeper{g.db, r.postman}}, g.log)
	return r, nil
}

// keeper looks after all webhooks.
type keeper struct {
	*db.DB
	*dispatch.Postman
}

// removedRows counts what is deleted for being old.
func removedRows(metrics *prometheus.Registry) func(record.Kept, int) {
	rows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_retention_removed_rows_total", Help: "Rows deleted because they are older than they are to be kept, by what they are of.",
	}, []string{"of"})
	for _, of := range slices.Concat(record.KeptOfTenants, record.KeptOfNobody) {
		rows.WithLabelValues(string(of))
	}
	metrics.MustRegister(rows)
	return func(of record.Kept, n int) { rows.WithLabelValues(string(of)).Add(float64(n)) }
}

func (r *workerRole) start(ctx context.Context) error {
	if err := r.begin(ctx, func(context.Context) error { return nil }, r.stop); err != nil {
		return err
	}
	r.herald.Start()
	r.sender.Start()
	r.postman.Start()
	r.keeping.Start()
	return nil
}

func (r *workerRole) stop(ctx context.Context) {
	r.keeping.Stop()
	r.postman.Stop()
	r.herald.Stop()
	r.sender.Stop()
	r.end(ctx)
}
