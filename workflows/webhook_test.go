package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/domain/fault"
	"holdfast/domain/webhook"
	"holdfast/workflows"
)

var crm = webhook.Ref{Tenant: "acme.example", Name: "crm"}

// sender is a Webhook on the virtual clock: what each run of sending answers, and when it
// began.
type sender struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	runs  []webhook.Drained
	errs  []error
	began []time.Duration
	// during is called within each run.
	during func(n int)
}

func newSender(t *testing.T, runs ...webhook.Drained) *sender {
	t.Helper()
	s := &sender{TestWorkflowEnvironment: virtual(), t: t, runs: runs}
	var all *activities.Webhooks
	s.RegisterActivity(&activities.Webhooks{})
	start := s.Now()
	s.OnActivity(all.Drain, mock.Anything, crm).Return(func(context.Context, webhook.Ref) (webhook.Drained, error) {
		n := len(s.began)
		s.began = append(s.began, s.Now().Sub(start).Round(time.Second))
		if s.during != nil {
			s.during(n)
		}
		if n < len(s.errs) && s.errs[n] != nil {
			return webhook.Drained{}, s.errs[n]
		}
		require.Less(t, n, len(s.runs), "one run too many, at %s", s.began[n])
		return s.runs[n], nil
	})
	return s
}

func (s *sender) run() {
	s.ExecuteWorkflow(workflows.Webhook, crm)
	require.True(s.t, s.IsWorkflowCompleted())
}

var nothing = webhook.Drained{Next: -1}

func TestWebhook_NothingIsPending_ItEnds(t *testing.T) {
	t.Parallel()
	s := newSender(t, nothing)
	s.run()
	require.NoError(t, s.GetWorkflowError())
	require.Len(t, s.began, 1)
}

// It sleeps by a timer until the next try, and what is new wakes it before.
func TestWebhook_SleepsUntilTheNextTry_OrUntilThereIsMore(t *testing.T) {
	t.Parallel()
	s := newSender(t, webhook.Drained{Refused: 1, Next: time.Hour}, webhook.Drained{Refused: 1, Next: 3 * time.Hour}, webhook.Drained{Delivered: 2, Next: 2 * time.Hour}, nothing)
	s.RegisterDelayedCallback(func() { s.SignalWorkflow(workflows.SignalMore, nil) }, 90*time.Minute)
	s.run()
	require.NoError(t, s.GetWorkflowError())
	require.Equal(t, []time.Duration{0, time.Hour, 90 * time.Minute, 210 * time.Minute}, s.began)
}

// A signal that comes while a run is at work is not lost with the end of the workflow.
func TestWebhook_MoreComesWhileItSends_ItSendsAgain(t *testing.T) {
	t.Parallel()
	s := newSender(t, nothing, nothing)
	s.during = func(n int) {
		if n == 0 {
			s.SignalWorkflow(workflows.SignalMore, nil)
		}
	}
	s.run()
	require.NoError(t, s.GetWorkflowError())
	require.Len(t, s.began, 2)
}

// A defect of ours does not end it: it tries again after a while.
func TestWebhook_ARunFails_ItTriesAgain(t *testing.T) {
	t.Parallel()
	s := newSender(t, nothing, nothing)
	s.errs = []error{activities.Carry(fault.E(fault.Invalid, "send", errors.New("a defect")))}
	s.run()
	require.NoError(t, s.GetWorkflowError())
	require.Equal(t, []time.Duration{0, time.Minute}, s.began)
}

// The care of all webhooks goes its round each hour.
func TestWebhookCare_GoesItsRoundEachHour(t *testing.T) {
	t.Parallel()
	env := virtual()
	var all *activities.Webhooks
	env.RegisterActivity(&activities.Webhooks{})
	start, rounds := env.Now(), []time.Duration{}
	env.OnActivity(all.Keep, mock.Anything).Return(func(context.Context) (activities.Kept, error) {
		rounds = append(rounds, env.Now().Sub(start).Round(time.Second))
		return activities.Kept{Woken: 1}, nil
	})
	env.RegisterDelayedCallback(env.CancelWorkflow, 150*time.Minute)
	env.ExecuteWorkflow(workflows.WebhookCare)
	require.True(t, env.IsWorkflowCompleted())
	require.Equal(t, []time.Duration{0, time.Hour, 2 * time.Hour}, rounds)
	require.False(t, workflow.IsContinueAsNewError(env.GetWorkflowError()))
}
