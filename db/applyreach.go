package db

import (
	"context"
	"reflect"
	"slices"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// mayApply refuses a document that its author may not apply. What it says nothing of stays.
func mayApply(ctx context.Context, tx bun.Tx, by directory.Author, current, wanted tenancy.Document) error {
	if err := doesNotExceed(by, current, wanted); err != nil {
		return err
	}
	wanted = unsaid(wanted, current)
	if err := mayAll(by, current, wanted); err != nil {
		return err
	}
	return webhooksStay(ctx, tx, by, current, wanted)
}

// doesNotExceed refuses a document by which its author would reach further than it does: one
// that moves the tenant, or that makes, changes or removes users or roles who hold what
// the author doesn't.
func doesNotExceed(by directory.Author, current, wanted tenancy.Document) error {
	if current.Tenant.Domain == "" {
		return &fault.Error{Kind: fault.NotFound, Code: "no_such_tenant", Sentence: "There is no such tenant."}
	}
	if current.Organization != wanted.Organization || current.Division != wanted.Division {
		return &fault.Error{Kind: fault.Forbidden, Code: "out_of_reach", Sentence: "A tenant's organization and division stand above it: the document must leave them as they are."}
	}
	was, is := current.OwnRoles(), wanted.OwnRoles()
	for _, roles := range []account.Roles{was, is} {
		for name := range roles {
			if !reflect.DeepEqual(was[name], is[name]) && exceeds(by, slices.Concat(was[name], is[name])) {
				return &fault.Error{Kind: fault.Forbidden, Code: "more_powerful", Sentence: "Role " + string(name) + " permits, or is to permit, what you don't hold."}
			}
		}
	}
	before, after := usersOf(current), usersOf(wanted)
	for _, users := range []map[id.User]tenancy.User{before, after} {
		for name := range users {
			if reflect.DeepEqual(before[name], after[name]) {
				continue
			}
			if exceeds(by, slices.Concat(was.Permissions(before[name].Roles), is.Permissions(after[name].Roles))) {
				return &fault.Error{Kind: fault.Forbidden, Code: "more_powerful", Sentence: "User " + string(name) + " holds, or is to hold, what you don't."}
			}
		}
	}
	return nil
}

// ExportBy reads the author's tenant as a document. Of users who hold what the author doesn't,
// and whose password it therefore may not set, it doesn't get the hash to try passwords on.
func (d *DB) ExportBy(ctx context.Context, by directory.Author) (tenancy.Document, error) {
	doc, err := d.Export(ctx, by.Tenant)
	roles := doc.OwnRoles()
	for i, u := range doc.Users {
		if u.PasswordHash != "" && exceeds(by, roles.Permissions(u.Roles)) {
			doc.Users[i].PasswordHash = tenancy.KeptPassword
		}
	}
	return doc, err
}

// exceeds reports whether permissions are more than the author may give.
func exceeds(by directory.Author, permissions []account.Permission) bool {
	return len(account.Ungrantable(by.Permissions, permissions)) > 0
}

func usersOf(d tenancy.Document) map[id.User]tenancy.User {
	users := map[id.User]tenancy.User{}
	for _, u := range d.Users {
		users[u.Name] = u
	}
	return users
}
