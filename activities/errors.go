package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"holdfast/domain/fault"
)

// Carry turns err into what Temporal can carry to another process: an application
// error whose type is the fault's kind and whose first detail is the fault. What a
// repetition can't cure (invalid, forbidden, not found, refused by the state) is not
// retried. What is gone, or refused by the state, is an answer of everyday life: the SDK
// doesn't log it as an error of ours. More details may be added, e.g. a view. Nil stays nil.
func Carry(err error, details ...any) error {
	if err == nil {
		return nil
	}
	f := fault.Error{Kind: fault.KindOf(err), Sentence: fault.Sentence(err)}
	var cause *fault.Error
	if errors.As(err, &cause) {
		f.Code, f.Op, f.Fields = cause.Code, cause.Op, cause.Fields
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(f.Kind), temporal.ApplicationErrorOptions{
		NonRetryable: final(f.Kind),
		Category:     category(f.Kind),
		Details:      append([]any{f}, details...),
	})
}

func final(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict:
		return true
	}
	return false
}

func category(k fault.Kind) temporal.ApplicationErrorCategory {
	if k == fault.NotFound || k == fault.Conflict {
		return temporal.ApplicationErrorCategoryBenign
	}
	return temporal.ApplicationErrorCategoryUnspecified
}

// Deliver reads what Carry wrote out of an error chain of the SDK; further details
// are read into the given pointers. It returns nil if err carries no fault.
func Deliver(err error, details ...any) *fault.Error {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !fault.Kind(app.Type()).Valid() {
		return nil
	}
	f := &fault.Error{Kind: fault.Kind(app.Type())}
	if app.HasDetails() {
		read := &fault.Error{}
		if app.Details(append([]any{read}, details...)...) == nil {
			f = read
		}
	}
	if f.Sentence == "" {
		f.Err = err
	}
	return f
}

// KindOf is the kind of failure that an activity's error carries, Internal if it
// carries none (a timeout, a panic).
func KindOf(err error) fault.Kind {
	if f := Deliver(err); f != nil {
		return f.Kind
	}
	return fault.KindOf(err)
}
