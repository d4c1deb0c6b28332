package dispatch

import (
	"context"

	"go.temporal.io/sdk/client"
)

// answered asks the last run of a workflow that is over for its answer to an update that
// it took: a repeat whose first answer was lost gets the same. It reports whether there
// was one.
func (d *Dispatcher) answered(ctx context.Context, u client.UpdateWorkflowOptions, reply any) bool {
	handle := d.conf.Temporal.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{WorkflowID: u.WorkflowID, UpdateID: u.UpdateID})
	return handle.Get(ctx, reply) == nil
}
