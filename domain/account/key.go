package account

import (
	"time"

	"holdfast/domain/id"
)

// Key is an API key: it acts for itself, and its maker answers for it.
type Key struct {
	Tenant      id.Tenant
	Name        string
	Maker       id.User
	Permissions []Permission
	Addresses   []string  // the networks from which it may be used; none: from everywhere
	Expires     time.Time // zero: never
}

// Principal is the name under which a key acts. No user can have it.
func (k Key) Principal() id.User { return id.User("key:" + k.Name) }

// Lent is what is left of permissions that were lent by somebody who holds held: each as
// far as both reach. What the lender lost, the borrower has lost.
func Lent(held, lent []Permission) []Permission {
	left := []Permission{}
	for _, p := range lent {
		reach := ReachOf(held, p)
		if reach.Covers(p.Scope()) {
			reach = p.Scope()
		}
		if narrowed := p.At(reach); reach.Valid() && narrowed.Valid() {
			left = append(left, narrowed)
		}
	}
	return left
}

// Lendable reports whether an API key can hold p. What reaches only oneself is an agent's,
// and a key is none; it is at home in its tenant, and can make no further keys.
func Lendable(p Permission) bool {
	return p.Valid() && p.Scope() != Own && p.Action() != TenantsSwitch && p.Action() != KeysWrite
}
