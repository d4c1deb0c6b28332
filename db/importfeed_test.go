package db_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/id"
)

// While thousands of contacts are imported that a webhook is told of, what else happens is
// seen in a small part of the time that the import takes: a seventh of it was the wait for
// its events before.
func TestTail_WhileContactsAreImported_OtherEventsComePromptly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", nil)
	file := directory.File{Kind: directory.Contact}
	for n := range 1500 {
		file.Rows = append(file.Rows, directory.Row{Number: n + 2, Name: string(id.NewContact()), New: true, Set: map[string]any{"display_name": fmt.Sprint("Customer ", n)}})
	}
	after, err := w.End(t.Context())
	require.NoError(t, err)
	var done atomic.Bool
	took := make(chan time.Duration, 1)
	go func() {
		defer done.Store(true)
		began := time.Now()
		if _, err := w.Import(t.Context(), w.ada(), file); err != nil {
			t.Error(err)
		}
		took <- time.Since(began)
	}()
	var worst time.Duration
	seen := 0
	for !done.Load() {
		seen++
		w.tell(event.Stream("call:a"), seen, "Queued", `{}`)
		for at, found := time.Now(), false; !found; worst = max(worst, time.Since(at)) {
			events, next, err := w.Tail(t.Context(), after, 10)
			require.NoError(t, err)
			after, found = next, len(events) > 0
		}
	}
	whole := <-took
	t.Logf("the import took %s; of %d other events the slowest was seen after %s", whole, seen, worst)
	require.Greater(t, seen, 5)
	require.Less(t, worst, whole/10)
}
