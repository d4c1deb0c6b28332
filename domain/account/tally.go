package account

import "time"

// Tally counts wrong passwords of one kind, e.g. those for one account from one
// address. The zero value is that of nobody.
type Tally struct {
	Failures int       // in a row
	Last     time.Time // when the last of them was
	Until    time.Time // the next try is heard from here on
	Good     time.Time // when a right password came last; zero: never
}
