package media

import (
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

// EventKind says what happened to a stream.
type EventKind uint8

// The kinds of event.
const (
	// Latched: the engine accepted Source as the address of the peer, the first
	// time or after it moved.
	Latched EventKind = iota + 1
	// FirstIn: the first packet of audio was accepted from the peer.
	FirstIn
	// FirstOut: the first packet of audio was sent to the peer.
	FirstOut
	// Flowing: the first packet of the partner was sent to the peer since Bridge.
	Flowing
	// Timeout: nothing came from the peer for Duration; repeated as often as the
	// limit passes again.
	Timeout
	// DigitStarted: the peer pressed Digit (RFC 4733). Repeated packets of one
	// press are one event.
	DigitStarted
	// DigitEnded: Digit was released after Duration, or its end was lost.
	DigitEnded
	// Report: an RTCP report came from the peer; at most one event per second.
	Report
	// Played: a clip made with Once came to its end.
	Played
)

var kindNames = [...]string{"", "latched", "first_in", "first_out", "flowing", "timeout",
	"digit_started", "digit_ended", "report", "played"}

// String returns the kind's name in lower case.
func (k EventKind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return "event " + strconv.Itoa(int(k))
}

// Event is something that happened to a stream.
type Event struct {
	Kind   EventKind
	Stream *Stream
	// At is when it happened, with a monotonic reading.
	At time.Time
	// Source is the peer's address (Latched).
	Source netip.AddrPort
	// Digit is one of 0-9 * # A-D, or ! for a hook flash (DigitStarted,
	// DigitEnded).
	Digit byte
	// Duration is that of the digit or of the silence (DigitEnded, Timeout).
	Duration time.Duration
}

// eventBacklog bounds the events that wait for Config.Events.
const eventBacklog = 4096

// eventQueue carries events from the shards to the housekeeper without ever
// holding a shard up: what does not fit is dropped and counted.
type eventQueue struct {
	queue   chan Event
	done    chan struct{}
	dropped atomic.Uint64
}

func newEventQueue() *eventQueue {
	return &eventQueue{queue: make(chan Event, eventBacklog), done: make(chan struct{})}
}

func (q *eventQueue) put(ev Event) {
	select {
	case q.queue <- ev:
	default:
		q.dropped.Add(1)
	}
}
