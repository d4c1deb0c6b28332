// Package tariff says what a call to the outside costs (SEED-44, SEED-47, SEED-50): by the
// number that is called, and by the time that was talked. It is pure: it reads no clock and
// no database.
package tariff

import (
	"regexp"
	"strings"
	"time"
)

// Tariff is the price of calls to the numbers that begin with its prefix.
type Tariff struct {
	Prefix    string        // of E.164 numbers: +4930; + is for all that have no other
	PerMinute Amount        // of the time charged
	PerCall   Amount        // of each call that was answered, however long
	First     time.Duration // charged at least, and for as long as it lasts
	Step      time.Duration // what follows is charged in steps that have begun
}

// The bounds of a tariff's times. What carriers write as 60/60 is a first of 60 s and steps
// of 60 s, and is what a tariff has that doesn't say; 1/1 charges by the second.
const (
	DefaultFirst = time.Minute
	DefaultStep  = time.Minute
	MaxSpan      = time.Hour
	LeastStep    = time.Millisecond
)

// MaxTalk is the longest call that is charged; who talks longer pays for as much. It keeps
// every price within 64 bits: with MaxRate they would last for 17 years.
const MaxTalk = 366 * 24 * time.Hour

// prefixForm is the beginning of an E.164 number: a plus and up to 15 digits, of which the
// first is no zero (E.164 §6.2.1).
var prefixForm = regexp.MustCompile(`^\+([1-9][0-9]{0,14})?$`)

// ValidPrefix reports whether s can be the prefix of a tariff.
func ValidPrefix(s string) bool { return prefixForm.MatchString(s) }

// Charged is the time that a call is charged for which was answered and lasted that long:
// whole milliseconds, the first span, and the steps that have begun.
func (t Tariff) Charged(talk time.Duration) time.Duration {
	ms := min(max(talk, 0), MaxTalk).Milliseconds()
	first, step := t.First.Milliseconds(), max(t.Step.Milliseconds(), 1)
	if ms <= first {
		return time.Duration(first) * time.Millisecond
	}
	return time.Duration(first+(ms-first+step-1)/step*step) * time.Millisecond
}

// Price is what a call costs that was answered and lasted that long: PerCall, and PerMinute
// for the time charged, rounded half up to a millionth, once.
func (t Tariff) Price(talk time.Duration) Amount {
	const minute = 60_000
	ms := t.Charged(talk).Milliseconds()
	// Whole minutes apart: they need no rounding, and nothing overflows.
	return t.PerCall + t.PerMinute*Amount(ms/minute) + (t.PerMinute*Amount(ms%minute)+minute/2)/minute
}

// Of is the tariff for a number, E.164: that with the longest prefix. There may be none.
func Of(all []Tariff, number string) (best Tariff, found bool) {
	for _, t := range all {
		if strings.HasPrefix(number, t.Prefix) && (!found || len(t.Prefix) > len(best.Prefix)) {
			best, found = t, true
		}
	}
	return best, found
}
