package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"holdfast/domain/account"
	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

// ownColumn begins the name of a column of one of the tenant's own fields.
const ownColumn = "fields."

// mostOwnColumns is how many of the tenant's own fields a file has at most.
const mostOwnColumns = 200

// tailored is a sheet with the columns of the tenant's own fields, if its things have some.
func (a *API) tailored(ctx context.Context, s sheet) (sheet, error) {
	if s.kind != directory.Contact {
		return s, nil
	}
	s.columns = slices.DeleteFunc(slices.Clone(s.columns), func(c column) bool { return c.name == "fields" })
	by := a.author(ctx, "list-contact_fields", nil)
	by.Needs = []account.Permission{} // who has the contacts has their fields
	fields, _, err := a.config.Directory.Things(ctx, by, directory.Query{Kind: directory.ContactField, Limit: mostOwnColumns})
	if err != nil {
		return s, unavailable("list the fields of contacts", err)
	}
	for _, t := range fields {
		var f contactFieldView
		if err := json.Unmarshal(t.Body, &f); err != nil {
			return s, fault.E(fault.Internal, "list the fields of contacts", err)
		}
		c := column{name: ownColumn + f.Key}
		switch contact.Type(f.Type) {
		case contact.Number:
			c.kind = cellDecimal
		case contact.Boolean:
			c.kind = cellYes
		}
		s.columns = append(s.columns, c)
	}
	return s, nil
}

// own is the tenant's own field that a column is of.
func (c column) own() (key string, is bool) { return strings.CutPrefix(c.name, ownColumn) }

// of is what a thing has in a column.
func (c column) of(thing map[string]any) any {
	key, own := c.own()
	if !own {
		return thing[c.name]
	}
	fields, _ := thing["fields"].(map[string]any)
	return fields[key]
}

// put sets a field of a row; one of the tenant's own among the others of them.
func (c column) put(cells map[string]any, v any) {
	key, own := c.own()
	if !own {
		cells[c.name] = v
		return
	}
	fields, _ := cells["fields"].(map[string]any)
	if fields == nil {
		fields = map[string]any{}
		cells["fields"] = fields
	}
	fields[key] = v
}
