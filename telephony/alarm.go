package telephony

import (
	"slices"
	"time"
)

// alarm is something due at a time. The zero value is not set.
type alarm struct {
	at time.Time
	do func()
}

// alarms are the few deadlines of one call. One goroutine uses them.
type alarms struct {
	set   []*alarm
	timer *time.Timer
}

func newAlarms() *alarms {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &alarms{timer: t}
}

// arm sets a to do f at the time given, in place of what it was set to.
func (s *alarms) arm(a *alarm, at time.Time, f func()) {
	if a.do == nil {
		s.set = append(s.set, a)
	}
	a.at, a.do = at, f
	s.wind()
}

// disarm takes a out; it need not be set.
func (s *alarms) disarm(a *alarm) {
	if a.do == nil {
		return
	}
	a.do = nil
	s.set = slices.DeleteFunc(s.set, func(b *alarm) bool { return a == b })
	s.wind()
}

// fire does what is due.
func (s *alarms) fire(now time.Time) {
	for {
		i := slices.IndexFunc(s.set, func(a *alarm) bool { return !a.at.After(now) })
		if i < 0 {
			break
		}
		a := s.set[i]
		f := a.do
		s.disarm(a)
		f()
	}
	s.wind()
}

// wind sets the timer to the earliest alarm.
func (s *alarms) wind() {
	if len(s.set) == 0 {
		s.timer.Stop()
		return
	}
	first := slices.MinFunc(s.set, func(a, b *alarm) int { return a.at.Compare(b.at) })
	s.timer.Reset(max(0, time.Until(first.at)))
}
