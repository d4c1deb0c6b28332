// Package account holds the words about people and what they may do.
package account

import (
	"slices"

	"holdfast/domain/id"
)

// Permission is "resource:action", e.g. "calls:monitor" (SEED-110).
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

// User is a person's account, the only thing that signs in (SEED-1).
type User struct {
	Tenant       id.Tenant    `json:"tenant"`
	Name         id.User      `json:"name"`
	DisplayName  string       `json:"display_name"`
	Roles        []Role       `json:"roles"`
	Permissions  []Permission `json:"permissions"`
	Agent        id.Agent     `json:"agent,omitempty"` // at most one (SEED-15)
	Teams        []id.Team    `json:"teams,omitempty"` // supervisor's scope
	Disabled     bool         `json:"disabled,omitempty"`
	PasswordHash string       `json:"-"`
}

// May reports whether u holds permission p.
func (u User) May(p Permission) bool { return slices.Contains(u.Permissions, p) }
