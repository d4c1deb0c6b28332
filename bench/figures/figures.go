// Package calls measures whole queue calls on the running system.
package calls

import (
	"slices"
	"time"
)

// Figures are the durations of one measured thing.
type Figures []time.Duration

// At is the p-quantile (0 to 1) by the nearest rank.
func (f Figures) At(p float64) time.Duration {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// Ms is the p-quantile in milliseconds, as benchmarks report it.
func (f Figures) Ms(p float64) float64 { return float64(f.At(p).Microseconds()) / 1000 }
