package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// informWithin is how long a workflow gets to take a fact by update. A worker that is
// there takes it in some 10 ms; one that was killed is not waited for.
const informWithin = 750 * time.Millisecond

// Inform tells a workflow facts, oldest first, and returns when its history holds
// them. It does so by an update, which costs Temporal one write where a signal costs
// three, and by a signal if no worker takes the update in time; then the facts may
// arrive twice, which their numbers tell, or which harms nobody.
//
// It waits for a workflow task of the workflow that it informs. Two workflows whose
// tasks inform each other would wait for one another: a call informs sessions, a
// session signals calls.
//
// The error is serviceerror.NotFound if no such workflow is open.
func Inform(ctx context.Context, c client.Client, workflow string, facts ...Message) error {
	name, payload := parcel(facts)
	err := inform(ctx, c, client.UpdateWorkflowOptions{
		WorkflowID: workflow, UpdateName: name, Args: []any{payload}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil || missing(err) {
		return err
	}
	return c.SignalWorkflow(ctx, workflow, "", name, payload)
}

// inform gives the update. A run that is just ending aborts it; whether the workflow
// is over or goes on as a new run, the signal learns.
func inform(ctx context.Context, c client.Client, u client.UpdateWorkflowOptions) error {
	ctx, cancel := context.WithTimeout(ctx, informWithin)
	defer cancel()
	handle, err := c.UpdateWorkflow(ctx, u)
	if err != nil {
		return err
	}
	return handle.Get(ctx, nil)
}

// parcel is what carries facts: a single one goes under its own name.
func parcel(facts []Message) (name string, payload any) {
	if len(facts) == 1 {
		return facts[0].Kind, facts[0]
	}
	return Bundle, facts
}

// missing reports whether err says that there is no such open workflow.
func missing(err error) bool {
	var gone *serviceerror.NotFound
	return errors.As(err, &gone)
}
