package worker

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/domain/id"
	"holdfast/workflows"
)

const (
	// announceWithin bounds one try to tell the guard.
	announceWithin = 5 * time.Second
	// lookAfter is how long a node's guard may be away before it is told again, and
	// lookEvery how often the node looks.
	lookAfter = 15 * time.Second
	lookEvery = time.Second
)

// announce tells the node's guard that this run began, and again whenever the guard
// does not watch it any more, or the node goes on as another run, until ctx ends.
func announce(ctx context.Context, c client.Client, node *activities.Node, log *slog.Logger) {
	told, well := "", time.Time{}
	for ctx.Err() == nil {
		boot := activities.BootOf(node)
		if told == boot && activities.Guarded(node) {
			well = time.Now()
		}
		if told == boot && time.Since(well) < lookAfter {
			pause(ctx, lookEvery)
			continue
		}
		err := booted(ctx, c, node.Name, boot)
		if err != nil {
			log.Warn("The node's guard can't be told yet.", "node", node.Name, "err", err)
			pause(ctx, longPause)
			continue
		}
		told, well = boot, time.Now()
	}
}

func booted(ctx context.Context, c client.Client, node id.Node, boot string) error {
	ctx, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	options := workflows.StartNodeGuard(node)
	_, err := c.SignalWithStartWorkflow(ctx, options.ID, workflows.SignalBooted, workflows.Booted{Boot: boot},
		options, workflows.TypeNodeGuard, workflows.Guarded{Node: node})
	return err
}
