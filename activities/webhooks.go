package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"holdfast/domain/webhook"
)

// Postbox sends what waits for webhooks; *postbox.Postbox satisfies it.
type Postbox interface {
	// Drain sends what is due of a webhook until nothing is due any more, or enough is
	// closed, and says when something is.
	Drain(ctx context.Context, of webhook.Ref, enough <-chan struct{}) (webhook.Drained, error)
}

// Keeper looks after all webhooks; *db.DB and whoever wakes their workflows satisfy it.
type Keeper interface {
	// ClearDeliveries removes what is older than its webhook keeps it, some of it at a
	// time; more: there may be more.
	ClearDeliveries(ctx context.Context) (more bool, err error)
	// WakeAll wakes the workflow of every webhook that has something to send.
	WakeAll(ctx context.Context) (int, error)
}

// Webhooks holds the activities of the task queue of webhooks.
type Webhooks struct {
	Postbox Postbox
	Keeper  Keeper
}

const (
	// drainBeat is how often a run of sending shows that it lives, drainFor how long it
	// lasts at most: then its workflow begins the next, perhaps in another process.
	drainBeat = 2 * time.Second
	drainFor  = time.Minute
)

// Drain sends what is due of a webhook, for a minute at most.
func (w *Webhooks) Drain(ctx context.Context, of webhook.Ref) (webhook.Drained, error) {
	defer beating(ctx)()
	enough := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		limit := time.NewTimer(drainFor)
		defer limit.Stop()
		select {
		case <-limit.C:
		case <-activity.GetWorkerStopChannel(ctx):
		case <-ended:
			return
		}
		close(enough)
	}()
	defer close(ended)
	done, err := w.Postbox.Drain(ctx, of, enough)
	return done, Carry(err)
}

// beating shows Temporal that an activity lives, until the function is called that it
// returns.
func beating(ctx context.Context) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	activity.RecordHeartbeat(ctx)
	go func() {
		defer close(stopped)
		ticks := time.NewTicker(drainBeat)
		defer ticks.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticks.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// Kept is what the care of all webhooks did.
type Kept struct {
	Woken int `json:"woken"` // webhooks that have something to send
}

// Keep removes old deliveries, and wakes the workflows of webhooks that have something to
// send: one that an operator terminated, or whose waking was lost.
func (w *Webhooks) Keep(ctx context.Context) (Kept, error) {
	defer beating(ctx)()
	for more := true; more; {
		var err error
		if more, err = w.Keeper.ClearDeliveries(ctx); err != nil {
			return Kept{}, Carry(err)
		}
	}
	woken, err := w.Keeper.WakeAll(ctx)
	return Kept{Woken: woken}, Carry(err)
}
