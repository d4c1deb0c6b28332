package account

import (
	"slices"
)

// Roles are the roles that a tenant has made itself, by what they permit.
type Roles map[Role][]Permission

// Permissions is what a user of these roles may do, sorted, each once: whatever any of
// them may. A role that neither is given nor the tenant's adds nothing.
func (own Roles) Permissions(roles []Role) []Permission {
	all := []Permission{}
	for _, r := range roles {
		if given, ok := builtIn[r]; ok {
			all = append(all, given...)
		} else {
			all = append(all, own[r]...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Knows reports whether a role is given or the tenant's.
func (own Roles) Knows(r Role) bool {
	_, given := builtIn[r]
	_, made := own[r]
	return given || made
}

// Ungrantable lists what somebody who holds held can't give to others: whatever they
// don't hold themselves. What reaches only oneself gives no power over anybody, so it
// may be given by all who may give.
func Ungrantable(held, wanted []Permission) []Permission {
	var missing []Permission
	for _, w := range wanted {
		if w.Scope() != Own && !slices.ContainsFunc(held, func(h Permission) bool { return h.Covers(w) }) {
			missing = append(missing, w)
		}
	}
	return missing
}

// Added are the permissions of after that before doesn't cover.
func Added(before, after []Permission) []Permission {
	var added []Permission
	for _, a := range after {
		if !slices.ContainsFunc(before, func(b Permission) bool { return b.Covers(a) }) {
			added = append(added, a)
		}
	}
	return added
}

// administers is what it takes to bring a tenant into order again, whatever happened:
// to change users, and to give them roles.
var administers = at(Tenant, UsersUpdate, UsersAssign)

// Administers reports whether who holds these permissions is an administrator of the
// tenant. The last one can't be removed.
func Administers(held []Permission) bool {
	return len(Added(held, administers)) == 0
}

// Visiting is what is left of somebody's permissions in another tenant that shares, at
// the closest, the named scope with theirs: what reaches that far (SEED-40). Nothing is
// left to those who may not switch there.
func Visiting(held []Permission, shared Scope) []Permission {
	left := []Permission{}
	if !shared.Covers(Division) || !ReachOf(held, TenantsSwitch).Covers(shared) {
		return left
	}
	for _, p := range held {
		if p.Scope().Covers(shared) {
			left = append(left, p)
		}
	}
	return left
}
