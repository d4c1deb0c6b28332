package dispatch

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/activities"
	"holdfast/domain/fault"
)

// failure says in our words why Temporal did not do op. What a workflow refused
// comes with its view, which is read into view (may be nil).
func failure(op string, err error, view any) error {
	if err == nil {
		return nil
	}
	var details []any
	if view != nil {
		details = append(details, view)
	}
	if refused := activities.Deliver(err, details...); refused != nil {
		refused.Op = op
		return refused
	}
	switch {
	case closed(err):
		return &fault.Error{Kind: fault.NotFound, Op: op, Err: err}
	case passes(err):
		return &fault.Error{Kind: fault.Unavailable, Op: op, Sentence: "The service is busy or partly away: try again in a moment.", Err: err}
	}
	return fault.E(fault.Internal, op, err)
}

// closed reports whether err says that no such workflow is open.
func closed(err error) bool {
	var gone *serviceerror.NotFound
	var app *temporal.ApplicationError
	return errors.As(err, &gone) || errors.As(err, &app) && app.Type() == "AcceptedUpdateCompletedWorkflow"
}

// passes reports whether err is Temporal's being away or busy. Whether the request
// took effect is then unknown.
func passes(err error) bool {
	var (
		away     *serviceerror.Unavailable
		slow     *serviceerror.DeadlineExceeded
		busy     *serviceerror.ResourceExhausted
		unread   *serviceerror.QueryFailed
		ending   *serviceerror.Aborted
		notReady *serviceerror.WorkflowNotReady
		canceled *serviceerror.Canceled
		update   *client.WorkflowUpdateServiceTimeoutOrCanceledError
	)
	switch {
	case errors.As(err, &away), errors.As(err, &slow), errors.As(err, &busy), errors.As(err, &ending),
		errors.As(err, &notReady), errors.As(err, &canceled), errors.As(err, &update):
		return true
	case errors.As(err, &unread):
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// ends reports whether err says that the workflow was just ending when the request
// came.
func ends(err error) bool {
	var ending *serviceerror.Aborted
	return errors.As(err, &ending)
}
