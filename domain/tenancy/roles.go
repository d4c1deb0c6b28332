package tenancy

import (
	"fmt"
	"slices"

	"holdfast/domain/account"
)

// Role is a role that the tenant makes itself, from the permissions that there are.
type Role struct {
	Name        account.Role         `yaml:"name" json:"name"`
	DisplayName string               `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Permissions []account.Permission `yaml:"permissions" json:"permissions"` // each with its scope
}

// OwnRoles are the roles that the document makes, by what they permit.
func (d Document) OwnRoles() account.Roles {
	own := account.Roles{}
	for _, r := range d.Roles {
		own[r.Name] = r.Permissions
	}
	return own
}

// Administered reports whether somebody of the document could administer the tenant
// through the API: an enabled user with a role that allows it.
func (d Document) Administered() bool {
	own := d.OwnRoles()
	return slices.ContainsFunc(d.Users, func(u User) bool { return !u.Disabled && account.Administers(own.Permissions(u.Roles)) })
}

// roles checks what the document's roles permit.
func (c *check) roles(d Document) {
	for i, r := range d.Roles {
		path := fmt.Sprintf("roles[%d]", i)
		c.text(path+".display_name", r.DisplayName, 0, maxText)
		c.that(path+".name", !slices.Contains(account.Given(), r.Name), "%q is given to every tenant and stays as it is; take another name", r.Name)
		for j, p := range r.Permissions {
			field := fmt.Sprintf("%s.permissions[%d]", path, j)
			c.that(field, slices.Contains(account.All(), p.Action()), "there is no permission %q", p)
			c.that(field, p.Valid() || !slices.Contains(account.All(), p.Action()), "%q needs a scope that it can have: %v", p, account.ScopesOf(p))
			c.that(field, slices.Index(r.Permissions, p) == j, "stands twice")
		}
	}
}
