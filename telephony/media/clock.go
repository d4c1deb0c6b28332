package media

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock counts nanoseconds since the start of the engine on the monotonic clock,
// and converts them to wall time as it was at the start: a step of the system's
// clock never shows in RTP or RTCP.
type clock struct {
	base time.Time
	mono int64 // CLOCK_MONOTONIC at base, ns
}

func newClock() clock {
	var ts unix.Timespec
	base := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("media: no monotonic clock: " + err.Error()) // Linux always has one
	}
	return clock{base: base, mono: ts.Nano()}
}

// now is the time since the start, at least 1: a zero time means "never".
func (c clock) now() int64 { return int64(time.Since(c.base)) + 1 }

// wall is the time of day at t, with its monotonic reading.
func (c clock) wall(t int64) time.Time { return c.base.Add(time.Duration(t)) }

// ntpEpoch is the number of seconds between 1900 and 1970 (RFC 3550 §4).
const ntpEpoch = 2208988800

// ntp is t as a 64-bit NTP timestamp (RFC 3550 §4).
func (c clock) ntp(t int64) uint64 {
	w := c.base.UnixNano() + t
	sec, frac := uint64(w/1e9), uint64(w%1e9)
	return (sec+ntpEpoch)<<32 | frac<<32/1e9
}

// samples converts a duration in ns to ticks of an RTP clock of rate Hz.
func samples(ns int64, rate uint32) uint32 {
	return uint32(ns / 1000 * int64(rate) / 1e6)
}

// span is the inverse of samples.
func span(n, rate uint32) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(uint64(n) * uint64(time.Second) / uint64(rate))
}
