package activities

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"

	"holdfast/domain/id"
	"holdfast/domain/record"
)

// Attic is where things are kept for as long as their tenants say; *db.DB satisfies it.
type Attic interface {
	// Tenants lists all tenants there are.
	Tenants(ctx context.Context) ([]id.Tenant, error)
	// RemoveOld deletes some of what is older than it is to be kept, and says where it stands.
	RemoveOld(ctx context.Context, r record.Removal) (record.Removal, error)
}

// Retention holds the activity that deletes what is old.
type Retention struct {
	Attic Attic
	Log   *slog.Logger
	// Every is how often it is done; 0 or less: not at all.
	Every time.Duration
	// Removed is told how many rows of something were deleted; nil: nobody is.
	Removed func(of record.Kept, rows int)
}

const (
	// removeFor is how long one run deletes at most: then its workflow begins the next,
	// perhaps in another process.
	removeFor = time.Minute
	// removeRest is the shortest rest between two transactions. Each is followed by a rest
	// as long as itself, so that calls have the database at least half of the time.
	removeRest = 2 * time.Millisecond
	// unasked is after how long it is looked again whether to delete, where that is off.
	unasked = time.Hour
)

// Removed is what a run of deleting did.
type Removed struct {
	Rows int `json:"rows"`
	// Next is when the next run is due; 0: at once, for there may be more.
	Next time.Duration `json:"next"`
}

// Remove deletes what is older than its tenant keeps it, and what has expired, for a minute
// at most. What it did not come to, or a worker that dies leaves, the next run does.
func (a *Retention) Remove(ctx context.Context) (Removed, error) {
	if a.Every <= 0 {
		return Removed{Next: unasked}, nil
	}
	defer beating(ctx)()
	done := Removed{Next: a.Every}
	until := time.Now().Add(removeFor)
	tenants, err := a.Attic.Tenants(ctx)
	if err != nil {
		return done, Carry(err)
	}
	for _, t := range append([]id.Tenant{""}, tenants...) {
		rows, more, err := a.removeOf(ctx, t, until)
		done.Rows += rows
		if err != nil {
			return done, Carry(err)
		}
		if more {
			done.Next = 0
			break
		}
	}
	return done, nil
}

// removeOf deletes what is old of one tenant, or of none (""). more: time was up before.
func (a *Retention) removeOf(ctx context.Context, t id.Tenant, until time.Time) (rows int, more bool, err error) {
	began, of := time.Now(), record.KeptOfTenants
	if t == "" {
		of = record.KeptOfNobody
	}
	words := []any{"tenant", t}
	defer func() {
		if rows > 0 {
			a.Log.Info("What was older than it is to be kept was deleted.", append(words, "took_ms", time.Since(began).Milliseconds())...)
		}
	}()
	for _, k := range of {
		n := 0
		for r := (record.Removal{Tenant: t, Of: k, More: true}); r.More && !more; {
			before := time.Now()
			if r, err = a.Attic.RemoveOld(ctx, r); err != nil {
				break
			}
			n += r.Rows
			more = !rest(ctx, max(time.Since(before), removeRest)) || r.More && time.Now().After(until)
		}
		if rows += n; n > 0 {
			words = append(words, string(k), n)
			if a.Removed != nil {
				a.Removed(k, n)
			}
		}
		if err != nil || more {
			return rows, more, err
		}
	}
	return rows, false, nil
}

// rest waits for d; false: the worker is to stop, or ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-activity.GetWorkerStopChannel(ctx):
		return false
	case <-t.C:
		return true
	}
}
