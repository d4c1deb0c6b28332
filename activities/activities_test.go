package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

func TestCarry_Refusal_ArrivesWithEverythingAndIsNotRetried(t *testing.T) {
	t.Parallel()
	refused := fault.Refuse("wrap_up_running", "Wrap-up runs for %s.", 10*time.Second)
	refused.Fields = []fault.Field{{Name: "action", Sentence: "too early"}}
	err := activities.Carry(refused, agent.View{State: agent.WorkingAfterCall})

	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.True(t, app.NonRetryable())
	require.Equal(t, temporal.ApplicationErrorCategoryBenign, app.Category(), "it is nothing for the log of errors")
	var view agent.View
	got := activities.Deliver(err, &view)
	require.Equal(t, refused, got)
	require.Equal(t, agent.WorkingAfterCall, view.State)
}

func TestCarry_WhatPasses_IsRetried(t *testing.T) {
	t.Parallel()
	for _, err := range []error{fault.E(fault.Unavailable, "save", errors.New("refused")), errors.New("a defect")} {
		var app *temporal.ApplicationError
		require.ErrorAs(t, activities.Carry(err), &app)
		require.False(t, app.NonRetryable())
		require.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
	}
	require.NoError(t, activities.Carry(nil))
	require.Nil(t, activities.Deliver(errors.New("of somebody else")))
	require.Equal(t, fault.Internal, activities.KindOf(errors.New("of somebody else")))
}

// rings is a node whose ring ends when the test says so, and a journal that may fail.
type rings struct {
	activities.Phone
	activities.Journal
	noted  chan string
	broken error
}

func (r *rings) Ring(_ context.Context, _ call.Ref, o call.Ring) (call.RingEnded, error) {
	<-r.noted
	return call.RingEnded{Offer: o.Offer, Outcome: call.RingAnswered}, nil
}

func (r *rings) SaveCall(_ context.Context, _ call.Ref, s call.Save) error {
	defer func() { r.noted <- s.Event }()
	return r.broken
}

func (r *rings) Place(context.Context, call.Ref, call.Place) (record.Placed, error) {
	return record.Placed{}, errors.New("not asked for")
}

func TestRing_WithANote_IsWrittenWhileItRings(t *testing.T) {
	t.Parallel()
	for _, broken := range []error{nil, errors.New("the database is away")} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		r := &rings{noted: make(chan string, 1), broken: broken}
		node := &activities.Node{Phone: r, Journal: r}
		env.RegisterActivity(node)
		answer, err := env.ExecuteActivity(node.Ring, call.Ref{}, call.Ring{Offer: "c1/1"}, &call.Save{Event: "Offered"})
		require.NoError(t, err)
		var rung activities.Rung
		require.NoError(t, answer.Get(&rung))
		require.Equal(t, call.RingAnswered, rung.Outcome)
		require.Equal(t, broken == nil, rung.Noted)
	}
}

func TestGuard_CleanStop_EndsWithoutAnErrorAndAnotherRunIsRefused(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	stopping := make(chan struct{})
	node := &activities.Node{Name: "node-1", Boot: "b1", Stopping: stopping}
	env.RegisterActivity(node)
	_, err := env.ExecuteActivity(node.Guard, "an older run")
	require.Equal(t, fault.NotFound, activities.KindOf(err))
	require.False(t, activities.Guarded(node))
	close(stopping)
	_, err = env.ExecuteActivity(node.Guard, "b1")
	require.NoError(t, err)
}
