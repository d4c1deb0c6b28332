package worker

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/workflows"
)

const (
	// announceWithin bounds one try to tell the guard.
	announceWithin = 5 * time.Second
	// lookAfter is how often a node looks whether its guard still watches it.
	lookAfter = 15 * time.Second
)

// announce tells the node's guard that this run began, and again whenever the guard
// does not watch it any more, until ctx ends.
func announce(ctx context.Context, c client.Client, node *activities.Node, log *slog.Logger) {
	told := false
	for ctx.Err() == nil {
		if told && activities.Guarded(node) {
			pause(ctx, lookAfter)
			continue
		}
		err := boot(ctx, c, node)
		if err != nil {
			log.Warn("The node's guard can't be told yet.", "node", node.Name, "err", err)
			pause(ctx, longPause)
			continue
		}
		told = true
		pause(ctx, lookAfter)
	}
}

func boot(ctx context.Context, c client.Client, node *activities.Node) error {
	ctx, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	options := workflows.StartNodeGuard(node.Name)
	_, err := c.SignalWithStartWorkflow(ctx, options.ID, workflows.SignalBooted, workflows.Booted{Boot: node.Boot},
		options, workflows.TypeNodeGuard, workflows.Guarded{Node: node.Name})
	return err
}
