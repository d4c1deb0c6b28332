package transaction

import "time"

// Timers are the base timers of RFC 3261 §17.1.1.1. A zero field takes the RFC's value. All other timers derive
// from them: B, F, H, J, L, M = 64·T1, D = 64·T1 (32 s), I, K = T4.
type Timers struct {
	// T1 is the round-trip estimate, 500 ms.
	T1 time.Duration
	// T2 is the longest interval between repetitions of a non-INVITE request, an INVITE's final response or
	// a 2xx, 4 s.
	T2 time.Duration
	// T4 is how long a message stays in the network, 5 s.
	T4 time.Duration
}

func (t Timers) orDefault() Timers {
	if t.T1 <= 0 {
		t.T1 = 500 * time.Millisecond
	}
	if t.T2 <= 0 {
		t.T2 = 4 * time.Second
	}
	if t.T4 <= 0 {
		t.T4 = 5 * time.Second
	}
	return t
}

// limit is 64·T1, the life of a transaction that gets no answer (RFC 3261 Timer B, F, H, J; RFC 6026 L, M).
func (t Timers) limit() time.Duration { return 64 * t.T1 }
