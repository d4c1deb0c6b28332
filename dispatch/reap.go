package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/activities"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/workflows"
)

// A session signs itself out. One that an operator terminates, or that dies, does not:
// its row would say Ready for ever, or stay reserved for an offer of which its call
// never hears. The reaper finds the first by the workflows that were closed, the second
// by the offer's own deadline.

const (
	// reapLookback is how far the first look goes back; each later one begins a
	// little before the last, for what the visibility store shows late.
	reapLookback = 24 * time.Hour
	reapOverlap  = time.Minute
	// reapWithin bounds one look at Temporal or the database.
	reapWithin = 5 * time.Second
)

// reap looks after what dead sessions left, until the dispatcher stops.
func (d *Dispatcher) reap(ctx context.Context) {
	since := d.conf.Now().Add(-reapLookback)
	var due time.Time // when reservations are looked at next
	told := map[id.Offer]bool{}
	for pause(ctx, d.conf.ReapEvery) {
		now := d.conf.Now()
		if d.buryDead(ctx, since) == nil {
			since = now.Add(-reapOverlap)
		}
		if now.Before(due) {
			continue
		}
		if next, err := d.takeBack(ctx, now, told); err == nil {
			due = next
		}
	}
}

// buryDead signs those out whose sessions were closed from outside since then.
func (d *Dispatcher) buryDead(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, reapWithin)
	defer cancel()
	var page []byte
	for {
		found, err := d.conf.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled') AND CloseTime > '%s'",
				workflows.TypeAgentSession, since.UTC().Format(time.RFC3339)),
			NextPageToken: page,
		})
		if err != nil {
			return err
		}
		for _, w := range found.GetExecutions() {
			if t, a, ok := id.SessionOf(w.GetExecution().GetWorkflowId()); ok {
				if err := d.buryIfDead(ctx, agent.Ref{Tenant: t, Agent: a}); err != nil {
					return err
				}
			}
		}
		if page = found.GetNextPageToken(); len(page) == 0 {
			return nil
		}
	}
}

func (d *Dispatcher) buryIfDead(ctx context.Context, ref agent.Ref) error {
	closed, err := d.closedAt(ctx, ref)
	if err != nil || closed.IsZero() {
		return err // it has signed in again
	}
	return d.bury(ctx, ref, closed)
}

// closedAt is when the agent's last session ended; the zero time if it runs.
func (d *Dispatcher) closedAt(ctx context.Context, ref agent.Ref) (time.Time, error) {
	w, err := d.conf.Temporal.DescribeWorkflowExecution(ctx, id.AgentWorkflow(ref.Tenant, ref.Agent), "")
	var never *serviceerror.NotFound
	if errors.As(err, &never) { // it is forgotten already
		return d.conf.Now(), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	info := w.GetWorkflowExecutionInfo()
	if info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return time.Time{}, nil
	}
	return info.GetCloseTime().AsTime(), nil
}

// bury signs the agent of an ended session out and takes back what it was offered.
func (d *Dispatcher) bury(ctx context.Context, ref agent.Ref, closed time.Time) error {
	offer, found, err := d.conf.Ledger.Bury(ctx, ref, closed)
	if err != nil || !found {
		return err
	}
	d.log.Warn("A session ended without signing out: its agent was signed out.", "agent", ref.Agent, "tenant", ref.Tenant)
	if offer != "" {
		d.refuse(ref, offer, leg.Unreachable)
	}
	return nil
}

// refuse gives an offer back in place of the agent's session: the call goes on from its
// old place in line.
func (d *Dispatcher) refuse(ref agent.Ref, offer id.Offer, c leg.Cause) {
	d.Report(call.Ref{Tenant: ref.Tenant, Call: offer.Call()}, call.OfferRefused{Offer: offer, Agent: ref.Agent, Cause: c})
}

// takeBack ends the reservations whose lease is long over, and returns when to look
// again: no offer that is made from now on will be overdue before. Each is taken back
// once: what stays although both sides were told, as that of a call whose workflow was
// terminated, would only be told again and again. told are those.
func (d *Dispatcher) takeBack(ctx context.Context, now time.Time, told map[id.Offer]bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, reapWithin)
	defer cancel()
	overdue, next, err := d.conf.Ledger.Overdue(ctx, now.Add(-d.conf.ReapAfter), d.boot())
	if err != nil {
		return now, err
	}
	d.forgetAnswers(now)
	maps.DeleteFunc(told, func(o id.Offer, _ bool) bool {
		return !slices.ContainsFunc(overdue, func(r record.Reservation) bool { return r.Offer == o })
	})
	for _, r := range overdue {
		if told[r.Offer] || d.wasAnswered(r.Offer) {
			continue
		}
		if err := d.expire(ctx, r); err != nil {
			return now, err
		}
		told[r.Offer] = true
	}
	due := now.Add(d.conf.ReapAfter)
	if next = next.Add(d.conf.ReapAfter); next.After(now) && next.Before(due) {
		due = next
	}
	return due, nil
}

// expire ends one reservation. A session that lives and does not know of it gives its
// row free; one that is gone is buried.
func (d *Dispatcher) expire(ctx context.Context, r record.Reservation) error {
	closed, err := d.closedAt(ctx, r.Session)
	if err != nil {
		return err
	}
	d.log.Warn("A reservation was overdue: it is taken back.", "agent", r.Session.Agent, "call", r.Offer.Call())
	if !closed.IsZero() {
		if err := d.bury(ctx, r.Session, closed); err != nil {
			return err
		}
		d.refuse(r.Session, r.Offer, leg.Unreachable) // the row may have named another offer, or none
		return nil
	}
	ended := agent.OfferEnded{Offer: r.Offer, Cause: leg.NoAnswer}
	m, err := activities.NewMessage(d.conf.Now(), string(ended.Kind()), ended)
	if err != nil {
		return err
	}
	d.courier.send(id.AgentWorkflow(r.Session.Tenant, r.Session.Agent), call.Ref{}, fact{Message: m})
	d.refuse(r.Session, r.Offer, leg.NoAnswer)
	return nil
}

// boot names the run of the local node; "" if there is none.
func (d *Dispatcher) boot() string {
	if p := d.phone.Load(); p != nil {
		if r, ok := p.Phone.(activities.Renewed); ok {
			return r.Boot()
		}
	}
	return ""
}

// answersKept is how long it is remembered that an offer was answered here: while no
// worker is there nobody else knows, and its reservation looks overdue.
const answersKept = time.Hour

// noteAnswer remembers that an offer was answered. The caller holds d.mu.
func (d *Dispatcher) noteAnswer(e call.Event) {
	if ended, ok := e.(call.RingEnded); ok && ended.Outcome == call.RingAnswered {
		d.answers[ended.Offer] = d.conf.Now()
	}
}

func (d *Dispatcher) wasAnswered(o id.Offer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, answered := d.answers[o]
	return answered
}

func (d *Dispatcher) forgetAnswers(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.answers, func(_ id.Offer, at time.Time) bool { return now.Sub(at) > answersKept })
}
