// Package directory holds the words of administration: the kinds of things that a
// tenant's directory keeps, how they are listed, and how they are changed.
package directory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// Kind is a kind of thing.
type Kind string

// The kinds, as the audit trail names them.
const (
	User   Kind = "user"
	Role   Kind = "role"
	Team   Kind = "team"
	Agent  Kind = "agent"
	Queue  Kind = "queue"
	Number Kind = "number"
	Trunk  Kind = "trunk"
	Device Kind = "device"

	Reason      Kind = "reason"
	Skill       Kind = "skill"
	Disposition Kind = "disposition"
	Tariff      Kind = "tariff" // the price of calls to numbers that begin so
	Music       Kind = "music"  // what callers hear who wait

	// The levels above what a tenant holds (SEED-37). A division is named
	// organization:division.
	Organization Kind = "organization"
	Division     Kind = "division"
	Tenant       Kind = "tenant"
	Key          Kind = "key"           // of the API
	OIDC         Kind = "oidc"          // the tenant's OpenID Connect provider: one, named "oidc"
	Contact      Kind = "contact"       // a customer (SEED-63)
	ContactField Kind = "contact_field" // what the tenant keeps of its customers besides
	Webhook      Kind = "webhook"
)

// reserved are names that users and devices can't have: /v1/users/export is all of them as
// a file, and not the user of that name.
var reserved = []string{"export", "import"}

// Reserved reports whether no new thing of a kind can have a name, for the API has something
// else under it.
func Reserved(of Kind, name string) bool {
	return (of == User || of == Device) && slices.Contains(reserved, name)
}

// Thing is one entry of the directory. Body is the JSON object that the API shows,
// without secrets.
type Thing struct {
	Kind    Kind
	Name    string
	Body    json.RawMessage
	Version int64 // counts its changes, from 1
	Created time.Time
	Updated time.Time
	Deleted time.Time // zero: it is there
}

// Ref names a thing among those of its tenant.
type Ref struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// Author is who reads or changes, from where, and what for.
type Author struct {
	account.User
	Source string // the address of the client
	// Needs are the permissions of what is done. Each must reach the thing: the whole
	// tenant's, or that of its team.
	Needs []account.Permission
}

// Query says which things are listed, and in which order.
type Query struct {
	Kind    Kind
	Search  string            // in name and display name, whatever the case
	Filters map[string]string // by name of the filter; "" filters nothing
	Sort    string            // a sort of the kind, descending after "-"; "": by name
	Limit   int
	Cursor  string
	Deleted bool // those that were deleted and can be restored, instead of those that are there
}

// Change is what becomes of one thing. Set holds the fields that change, by their names
// in Body and of secrets; a field that is not in it stays.
type Change struct {
	Kind    Kind
	Name    string
	Set     map[string]any
	Version int64 // what the author has seen; 0: whichever there is
	// Secrets are fields of Set that are written and never shown or told to the trail.
	Secrets []string
}

// mostNamed is how many of what uses a thing a sentence names.
const mostNamed = 10

// InUse says what a thing is used by, so that it can't be deleted. It is always a pointer.
type InUse struct{ By []Ref }

// Error implements error.
func (e *InUse) Error() string {
	var words []string
	for _, r := range e.By[:min(mostNamed, len(e.By))] {
		words = append(words, string(r.Kind)+" "+r.Name)
	}
	if more := len(e.By) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return "used by " + strings.Join(words, ", ")
}

// Refuse is a refusal because the thing is in use: fault.Conflict, code in_use.
func (e *InUse) Refuse(k Kind, name string) error {
	return &fault.Error{Kind: fault.Conflict, Code: "in_use", Err: e,
		Sentence: fmt.Sprintf("%s %s is %s; change these first.", k, name, e.Error())}
}

// Newer says that a thing was changed since its author saw it. It is always a pointer.
type Newer struct{ Now Thing }

// Error implements error.
func (e *Newer) Error() string {
	return fmt.Sprintf("%s %s has version %d", e.Now.Kind, e.Now.Name, e.Now.Version)
}

// Refuse is the refusal of a change of what was seen: fault.Conflict, code version_changed.
func (e *Newer) Refuse() error {
	return &fault.Error{Kind: fault.Conflict, Code: "version_changed", Err: e,
		Sentence: "Somebody changed it meanwhile; look at what it is now, and decide again."}
}

// Neighbor is a tenant as an author of another one sees it.
type Neighbor struct {
	Tenant       id.Tenant
	Organization string
	Division     string
	DisplayName  string
	Shared       account.Scope // the closest level that both belong to
}

// SharedLevel is the closest level that two tenants share: the tenant itself, its
// division, its organization, or the system.
func SharedLevel(a, b Neighbor) account.Scope {
	switch {
	case a.Tenant == b.Tenant:
		return account.Tenant
	case a.Organization == b.Organization && a.Division == b.Division:
		return account.Division
	case a.Organization == b.Organization:
		return account.Organization
	}
	return account.System
}
