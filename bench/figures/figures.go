// Package figures makes quantiles of what benchmarks measure.
package figures

import (
	"slices"
	"testing"
	"time"
)

// Durations are the durations of one measured thing.
type Durations []time.Duration

// At is the p-quantile (0 to 1) by the nearest rank.
func (f Durations) At(p float64) time.Duration {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// Ms is the p-quantile in milliseconds, as benchmarks report it.
func (f Durations) Ms(p float64) float64 { return float64(f.At(p).Microseconds()) / 1000 }

// Report publishes the quantiles that the aims name.
func (f Durations) Report(b *testing.B, name string) {
	b.Helper()
	if len(f) == 0 {
		b.Fatalf("nothing was measured of %s", name)
	}
	b.ReportMetric(f.Ms(0.50), name+"-p50-ms")
	b.ReportMetric(f.Ms(0.95), name+"-p95-ms")
	b.ReportMetric(f.Ms(0.99), name+"-p99-ms")
	b.ReportMetric(f.Ms(1), name+"-max-ms")
	b.ReportMetric(0, "ns/op") // the length of an iteration says nothing here
}

// Pace calls step n times, at the given rate in steps per second; it does not wait for
// what a step began.
func Pace(rate float64, n int, step func(i int)) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for i := range n {
		step(i)
		<-tick.C
	}
}
