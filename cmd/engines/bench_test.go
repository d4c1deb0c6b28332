package engines_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/engines"
	"holdfast/db/cluster"
)

// durable starts both engines as `holdfast dev` does, with every write on disk
// before it is confirmed.
func durable(b *testing.B) *engines.Temporal {
	b.Helper()
	c, err := cluster.Start(b.Context(), cluster.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Stop(context.Background())) })
	return start(b, engines.Config{Cluster: c, Headless: true})
}

// BenchmarkUpdate is one update at a time on an idle machine: request →
// workflow task → answer.
func BenchmarkUpdate(b *testing.B) {
	c := dial(b, durable(b))
	work(b, c)
	run(b, c, "bench")
	for range 20 {
		_, err := add(b.Context(), c, "bench")
		require.NoError(b, err)
	}
	var took []time.Duration
	id := "bench"
	for n := 0; b.Loop(); n++ {
		if n%1500 == 1499 { // a run takes 2,000 updates
			id = "bench" + strconv.Itoa(n)
			run(b, c, id)
		}
		since := time.Now()
		_, err := add(b.Context(), c, id)
		require.NoError(b, err)
		took = append(took, time.Since(since))
	}
	report(b, took)
}

// BenchmarkStart is one start of a workflow at a time.
func BenchmarkStart(b *testing.B) {
	c := dial(b, durable(b))
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		since := time.Now()
		run(b, c, "start"+strconv.Itoa(n))
		took = append(took, time.Since(since))
	}
	report(b, took)
}

func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
