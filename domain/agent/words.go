package agent

import "time"

// clock is a time of day as the sentences have it (UTC).
func clock(at time.Time) string { return at.UTC().Format("15:04:05") }
