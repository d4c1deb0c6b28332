package account

import (
	"time"

	"holdfast/domain/id"
)

// Method is how somebody proved who they are.
type Method string

// The methods of signing in.
const (
	ByPassword Method = "password"
	ByOIDC     Method = "oidc"
)

// Ended says why a login is over; empty: it is not.
type Ended string

// Why logins end before their time.
const (
	EndedLogout   Ended = "logout"   // its user logged out
	EndedRevoked  Ended = "revoked"  // its user ended it from another one
	EndedByOther  Ended = "ended"    // an administrator ended it
	EndedReuse    Ended = "reuse"    // a refresh token of it was used twice
	EndedPassword Ended = "password" // its user has a new password
	EndedDisabled Ended = "disabled" // its user was disabled
	EndedDeleted  Ended = "deleted"  // its user was deleted
)

// Login is one sign-in of a user, with all its tokens.
type Login struct {
	Tenant    id.Tenant // whose user it is
	ID        string
	User      id.User
	Method    Method
	UserAgent string // what the client says it is
	Address   string // where it was seen last
	Begun     time.Time
	Used      time.Time // when it began, or was refreshed last
	Expires   time.Time // unless it is refreshed before
}

// Refresh is the use of the refresh token number Turn of a login; 0 is whichever is good,
// for who proved by an access token to be in it.
type Refresh struct {
	Tenant    id.Tenant // whose user it is
	Login     string
	Turn      int64
	UserAgent string
	Address   string
	Grace     time.Duration // for how long the token before the present one is forgiven
	Life      time.Duration // of the next refresh token, within Longest
	Longest   time.Duration // of the login, from its beginning
}

// Refreshed is what became of a Refresh: the number of the token that is good now and
// until when, or why there is none.
type Refreshed struct {
	Turn    int64
	Expires time.Time
	Ended   Ended
}
