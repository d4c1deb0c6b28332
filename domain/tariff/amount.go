package tariff

import (
	"fmt"
	"strconv"
	"strings"
)

// Amount is money in millionths of a unit of the tenant's currency: 120000 is 0.12. There
// are no floating-point numbers anywhere: what is summed up is what was booked.
type Amount int64

// unit is how many millionths a unit has; places are its decimal places, wholes those
// before the point that MaxRate needs.
const (
	unit   = 1_000_000
	places = 6
	wholes = 7
)

// MaxRate is the most that a minute or a call may cost: a million units.
const MaxRate Amount = 1_000_000 * unit

// NotAnAmount says that a text is no amount that can be. It is always a pointer.
type NotAnAmount struct{ Text string }

// Error implements error: a sentence for whoever wrote the text.
func (e *NotAnAmount) Error() string {
	return fmt.Sprintf("%q is not an amount from 0 to %s with up to %d decimal places, such as 0.12", e.Text, MaxRate, places)
}

// ParseAmount reads an amount as people write it: digits, and up to six decimal places
// after a point, without sign, at most MaxRate: "0.12". The error is a *NotAnAmount.
func ParseAmount(text string) (Amount, error) {
	whole, fraction, point := strings.Cut(text, ".")
	if !digits(whole, wholes) || point && !digits(fraction, places) {
		return 0, &NotAnAmount{text}
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", places-len(fraction)), 10, 64)
	if err != nil || Amount(n) > MaxRate {
		return 0, &NotAnAmount{text}
	}
	return Amount(n), nil
}

// digits reports whether s is one digit or more, and not more than most.
func digits(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// String writes an amount with a point and as few decimal places as it needs: "0.12", "3".
func (a Amount) String() string {
	sign, n := "", uint64(a)
	if a < 0 {
		sign, n = "-", -n
	}
	s := sign + strconv.FormatUint(n/unit, 10)
	if rest := n % unit; rest != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%0*d", places, rest), "0")
	}
	return s
}

// MarshalText writes what String does.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseAmount does.
func (a *Amount) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAmount(string(text))
	return err
}
