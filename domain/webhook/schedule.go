package webhook

import (
	"fmt"
	"time"
)

// State is where a delivery stands.
type State string

// The states.
const (
	Pending   State = "pending"   // waits for its first try, for the next, or for the one before it of its subject
	Delivered State = "delivered" // the receiver answered 2xx
	Failed    State = "failed"    // given up
)

// Cause is why a message is sent.
type Cause string

// The causes.
const (
	ByEvent      Cause = "event"
	ByReplay     Cause = "replay"
	ByRedelivery Cause = "redelivery"
	ByTest       Cause = "test"
)

// Reason is why a webhook was disabled by us.
type Reason string

// The reasons.
const (
	Gone    Reason = "gone"    // its receiver answered 410
	Failing Reason = "failing" // nothing was accepted for so many days
)

// The schedule: each pause is thrice the one before, and a fifth longer or shorter by
// chance, so that not all come back at once.
const (
	growth = 3
	jitter = 0.2
)

// Schedule says when a message that was not accepted is tried again.
type Schedule struct {
	First   time.Duration // pause after the first try
	Longest time.Duration // longest pause
	GiveUp  time.Duration // age at which the last try is made
}

// DefaultSchedule tries after 5 s, 15 s, 45 s, 2¼ min, 6¾ min, 20 min, 1 h, 3 h, and then
// each 6 h until the message is 72 h old.
func DefaultSchedule() Schedule {
	return Schedule{First: 5 * time.Second, Longest: 6 * time.Hour, GiveUp: 72 * time.Hour}
}

// Validate says in words what is wrong with s.
func (s Schedule) Validate() error {
	if s.First <= 0 || s.Longest < s.First || s.GiveUp < s.First {
		return fmt.Errorf("the schedule of webhooks must have 0 < first ≤ longest and first ≤ give up, and is %s, %s, %s", s.First, s.Longest, s.GiveUp)
	}
	return nil
}

// Attempt is one try and how it ended.
type Attempt struct {
	Number     int           // counting from 1
	Age        time.Duration // of the message in its webhook's line
	Status     int           // of HTTP; 0: there was no answer
	RetryAfter time.Duration // asked for by the receiver; 0: nothing
}

// Verdict is what follows from a try.
type Verdict struct {
	State   State
	Wait    time.Duration // of what is pending: until the next try
	Pause   time.Duration // the whole webhook's: its receiver asked for it
	Disable Reason        // empty: the webhook goes on
}

// Judge says what follows from a try; chance is a random number in [0, 1). Any 2xx is
// success and everything else failure, redirections too; 410 disables the webhook; 429
// and 503 with Retry-After hold the whole webhook as long as the receiver asks, though
// not longer than the longest pause.
func (s Schedule) Judge(a Attempt, chance float64) Verdict {
	switch {
	case a.Status >= 200 && a.Status < 300:
		return Verdict{State: Delivered}
	case a.Status == 410:
		return Verdict{State: Failed, Disable: Gone}
	case a.Age >= s.GiveUp:
		return Verdict{State: Failed}
	}
	v := Verdict{State: Pending, Wait: s.pause(a.Number, chance)}
	if (a.Status == 429 || a.Status == 503) && a.RetryAfter > 0 {
		v.Pause = min(a.RetryAfter, s.Longest)
		v.Wait = max(v.Wait, v.Pause)
	}
	v.Wait = min(v.Wait, s.GiveUp-a.Age) // the last try is made at the end, not before
	return v
}

func (s Schedule) pause(number int, chance float64) time.Duration {
	p := s.First
	for range number - 1 {
		if p = p * growth; p >= s.Longest {
			p = s.Longest
			break
		}
	}
	return time.Duration(float64(p) * (1 - jitter + 2*jitter*chance))
}
