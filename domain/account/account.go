// Package account holds the words about people and what they may do.
package account

import (
	"slices"

	"holdfast/domain/id"
)

// Permission is "resource:action", e.g. "calls:monitor" (SEED-110); as a role holds it,
// its scope follows: "calls:monitor:team".
type Permission string

// Role is a named set of permissions.
type Role string

// The built-in roles (SEED-2).
const (
	BusinessAdmin Role = "business_administrator"
	ITAdmin       Role = "it_administrator"
	Supervisor    Role = "supervisor_agent"
	Regular       Role = "regular_agent"
)

// The roles of AsterCC's administrators (SEED-41), given to every tenant as well.
const (
	SystemAdmin Role = "system_administrator" // manages the whole system (SEED-42)
	TeamAdmin   Role = "team_administrator"   // manages its teams' accounts and agents (SEED-43)
)

// User is a person's account, the only thing that signs in (SEED-1).
type User struct {
	Tenant       id.Tenant    `json:"tenant"`
	Name         id.User      `json:"name"`
	DisplayName  string       `json:"display_name"`
	Roles        []Role       `json:"roles"`
	Permissions  []Permission `json:"permissions"`
	Agent        id.Agent     `json:"agent,omitempty"` // at most one (SEED-15)
	Teams        []id.Team    `json:"teams,omitempty"` // the scope of what reaches a team
	Home         id.Tenant    `json:"home,omitempty"`  // whose user it is, if it works in another tenant (SEED-40)
	Disabled     bool         `json:"disabled,omitempty"`
	Key          string       `json:"-"` // the API key that acts, by its name; empty: a person
	PasswordHash string       `json:"-"`
}

// May reports whether u holds permission p, as far at least as p's scope if it has one.
func (u User) May(p Permission) bool {
	return slices.ContainsFunc(u.Permissions, func(held Permission) bool { return held.Covers(p) })
}

// Reach is how far u may do p; empty: not at all.
func (u User) Reach(p Permission) Scope { return ReachOf(u.Permissions, p) }

// MayFor reports whether u may do p to what belongs to team: everything of the tenant,
// or what is its teams'.
func (u User) MayFor(p Permission, team id.Team) bool {
	switch r := u.Reach(p); {
	case r.Covers(Tenant):
		return true
	case r == Team:
		return team != "" && slices.Contains(u.Teams, team)
	}
	return false
}
