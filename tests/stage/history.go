package stage

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"holdfast/workflows/replay"
)

// release stands in the names of recorded histories (tests/histories/README.md).
const release = "v0.1"

// History waits until a workflow is complete and returns its history, which this build
// replays. With the variable HOLDFAST_RECORD it is kept there as the scenario's.
func (s *Stage) History(t testing.TB, scenario, workflow string) replay.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c := s.Client(t)
	require.NoError(t, c.GetWorkflow(ctx, workflow, "").Get(ctx, nil), workflow)
	h, err := replay.Fetch(ctx, c, workflow, "")
	require.NoError(t, err)
	require.NoError(t, replay.Replay(h))
	if dir := os.Getenv("HOLDFAST_RECORD"); dir != "" {
		require.NoError(t, replay.Record(dir, scenario+"."+release, h))
	}
	return h
}

// manyRuns bounds how many runs are replayed at the end.
const manyRuns = 2000

// replayed replays every history that the stage has made: whatever happened in the
// tests, a worker that takes a workflow over must come to the same state.
func (s *Stage) replayed(ctx context.Context) error {
	c, err := client.NewLazyClient(client.Options{
		HostPort: s.Temporal.Frontend(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	began := time.Now()
	all, err := replay.ByQuery(ctx, c, "", manyRuns)
	if err != nil {
		return err
	}
	var words bytes.Buffer
	if err := replay.All(&words, all); err != nil {
		return fmt.Errorf("of %d histories that the tests made, some diverge: %w", len(all), err)
	}
	fmt.Printf("%d histories of these tests replay (%s)\n", len(all), time.Since(began).Round(time.Millisecond))
	return nil
}
