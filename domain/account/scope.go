package account

import (
	"slices"
	"strings"
)

// Scope is how far a permission reaches, from oneself to the whole installation.
type Scope string

// The scopes, narrowest first. Team is the teams that a user leads, or belongs to as
// their administrator; division and organization are those of the user's tenant.
const (
	Own          Scope = "own"
	Team         Scope = "team"
	Tenant       Scope = "tenant"
	Division     Scope = "division"
	Organization Scope = "organization"
	System       Scope = "system"
)

// Scopes lists the scopes, narrowest first.
func Scopes() []Scope { return []Scope{Own, Team, Tenant, Division, Organization, System} }

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return slices.Contains(Scopes(), s) }

// Covers reports whether s reaches at least as far as other. No scope at all covers
// nothing and is covered by every scope.
func (s Scope) Covers(other Scope) bool {
	return s.Valid() && slices.Index(Scopes(), s) >= slices.Index(Scopes(), other)
}

// At is the permission with a scope: "calls:read" at team is "calls:read:team".
func (p Permission) At(s Scope) Permission { return p.Action() + ":" + Permission(s) }

// Action is the permission without its scope.
func (p Permission) Action() Permission {
	if a, _, scoped := p.cut(); scoped {
		return a
	}
	return p
}

// Scope is how far the permission reaches; empty if it names none.
func (p Permission) Scope() Scope {
	_, s, _ := p.cut()
	return s
}

func (p Permission) cut() (action Permission, s Scope, scoped bool) {
	parts := strings.Split(string(p), ":")
	if len(parts) != 3 {
		return p, "", false
	}
	return Permission(parts[0] + ":" + parts[1]), Scope(parts[2]), true
}

// Covers reports whether who holds p may do what asks for other: the same action, as
// far at least. Asked without a scope, any reach will do.
func (p Permission) Covers(other Permission) bool {
	return p.Action() == other.Action() && p.Scope().Covers(other.Scope())
}

// ReachOf is how far the permissions reach for an action: the widest scope; empty for not at all.
func ReachOf(held []Permission, action Permission) Scope {
	var widest Scope
	for _, p := range held {
		if p.Action() == action.Action() && p.Scope().Covers(widest) {
			widest = p.Scope()
		}
	}
	return widest
}

// Kind is AsterCC's sort of an account (SEED-41): what its permissions reach.
type Kind string

// The kinds of account.
const (
	SystemKind Kind = "system_administrator" // manages the whole system (SEED-42)
	TeamKind   Kind = "team_administrator"   // manages one team (SEED-43)
	UserKind   Kind = "user"                 // manages nobody's accounts, or those of its own tenant (SEED-44)
)

// KindOf tells the kind of an account by how far its administration of users reaches.
func KindOf(held []Permission) Kind {
	switch ReachOf(held, UsersUpdate) {
	case System:
		return SystemKind
	case Team:
		return TeamKind
	}
	return UserKind
}
