package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

// resource is a kind of things that is administered under /v1 by six routes of one
// pattern: list, get, create, update, delete, restore; a seventh says what uses it.
type resource struct {
	kind   directory.Kind
	path   string
	plural string
	// prepare turns fields as people give them into what is kept; nil: they are.
	prepare func(name string, set map[string]any) error
	// consult is prepare for what must be looked up; it comes first.
	consult func(ctx context.Context, a *API, name string, set map[string]any) error
	// secrets are kept fields that are never shown.
	secrets []string
	// named names a new thing whose maker doesn't; nil: its maker must.
	named func() string
	// begin adds what we make ourselves for a new thing; nil: nothing.
	begin func(set map[string]any)
	// revealed is the secret of begin that the answer to its making shows, once.
	revealed string
	// seal closes secrets before they are kept, last of all; nil: there are none to close.
	seal func(ctx context.Context, a *API, name string, set map[string]any)
}

// Stamp is what every thing has.
type Stamp struct {
	Version   int64      `json:"version" doc:"Counts the changes; send it as If-Match."`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at,omitempty" doc:"Of what was deleted and can be restored."`
}

func (s *Stamp) put(t directory.Thing) {
	s.Version, s.CreatedAt, s.UpdatedAt = t.Version, t.Created.UTC(), t.Updated.UTC()
	if !t.Deleted.IsZero() {
		s.DeletedAt = ptr(t.Deleted.UTC())
	}
}

// stamped is a view of a thing: a struct with a Stamp in it.
type stamped[V any] interface {
	*V
	put(directory.Thing)
}

// Listing is what every list takes.
type Listing struct {
	Search  line   `query:"q" maxLength:"100" doc:"Part of the name or the display name, whatever the case."`
	Sort    line   `query:"sort" maxLength:"40" doc:"name, display_name, updated_at or what the kind has besides; - before it turns it round." example:"-updated_at"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor  line   `query:"cursor" maxLength:"1024" doc:"The next_cursor of the page before."`
	Deleted string `query:"deleted" enum:"true,false" doc:"true: what was deleted and can be restored."`
}

func (l Listing) page() Listing { return l }

// lists is the input of a list: a Listing, with the kind's filters beside it.
type lists interface{ page() Listing }

type thingList[V any] struct {
	Items      []V    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Absent on the last page."`
}

type thingListOutput[V any] struct{ Body thingList[V] }

type thingOutput[V any] struct {
	ETag string `header:"ETag" doc:"The version, for If-Match."`
	Body V
}

type thingInput struct {
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

// Matched is the version that the client has seen (RFC 9110 §13.1.1).
type Matched struct {
	IfMatch string `header:"If-Match" maxLength:"24" pattern:"^(\\*|\"?[0-9]{1,18}\"?)$" patternDescription:"a version" doc:"The version that you have seen; if it is another one now, the answer is 409 with what is."`
}

func (m Matched) version() int64 {
	v, _ := strconv.ParseInt(strings.Trim(m.IfMatch, `"`), 10, 64) // "" and * are any: the pattern lets nothing else pass
	return v
}

type createInput[N any] struct {
	Keyed
	Body N
}

type updateInput[U any] struct {
	Keyed
	Matched
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body U
}

type deleteInput struct {
	Keyed
	Matched
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

type restoreInput struct {
	Keyed
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

// administer serves the routes of a resource: V is its view, N what makes one, U
// what changes one, L its list.
func administer[V any, P stamped[V], N, U any, L lists](a *API, r resource) {
	one := string(r.kind)
	showThings[V, P, L](a, r)
	register(a, "used-by-"+one, a.usedBy(r))
	register(a, "create-"+one, func(ctx context.Context, in *createInput[N]) (*thingOutput[V], error) {
		name, fields := given(reflect.ValueOf(in.Body))
		if name == "" && r.named != nil {
			name = r.named()
		}
		return shown[V, P](change(ctx, a, r, asked{"create-" + one, name, fields, 0}, a.config.Directory.Create))
	})
	changeThings[V, P, U](a, r)
	register(a, "restore-"+one, func(ctx context.Context, in *restoreInput) (*thingOutput[V], error) {
		return shown[V, P](change(ctx, a, r, asked{"restore-" + one, in.ID.clean(), nil, 0}, a.config.Directory.Restore))
	})
}

// showThings serves the routes that list and view things.
func showThings[V any, P stamped[V], L lists](a *API, r resource) {
	one := string(r.kind)
	register(a, "list-"+r.plural, func(ctx context.Context, in *L) (*thingListOutput[V], error) {
		things, next, err := a.config.Directory.Things(ctx, a.author(ctx, "list-"+r.plural, nil), query(r.kind, *in))
		if err != nil {
			return nil, inQuery(unavailable("list things", err))
		}
		out := &thingListOutput[V]{Body: thingList[V]{Items: []V{}, NextCursor: next}}
		for _, t := range things {
			v, err := viewOf[V, P](t)
			if err != nil {
				return nil, err
			}
			out.Body.Items = append(out.Body.Items, v)
		}
		return out, nil
	})
	register(a, "get-"+one, func(ctx context.Context, in *thingInput) (*thingOutput[V], error) {
		return shown[V, P](a.config.Directory.Thing(ctx, a.author(ctx, "get-"+one, nil), r.kind, in.ID.clean()))
	})
}

// changeThings serves the routes that change and delete things.
func changeThings[V any, P stamped[V], U any](a *API, r resource) {
	one := string(r.kind)
	register(a, "update-"+one, func(ctx context.Context, in *updateInput[U]) (*thingOutput[V], error) {
		_, fields := given(reflect.ValueOf(in.Body))
		return shown[V, P](change(ctx, a, r, asked{"update-" + one, in.ID.clean(), fields, in.version()}, a.config.Directory.Update))
	})
	register(a, "delete-"+one, func(ctx context.Context, in *deleteInput) (*struct{}, error) {
		_, err := change(ctx, a, r, asked{"delete-" + one, in.ID.clean(), nil, in.version()},
			func(ctx context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
				return directory.Thing{}, a.config.Directory.Delete(ctx, by, c)
			})
		return &struct{}{}, withView[V, P](err)
	})
}

// usedByOutput lists what keeps a thing from being deleted.
type usedByOutput struct {
	Body struct {
		Items []userOf `json:"items" doc:"What uses it, the first 200: what a refusal of its deletion names. Empty: nothing does."`
	}
}

type userOf struct {
	Kind directory.Kind `json:"kind" example:"agent"`
	Name string         `json:"name" example:"1001"`
}

// usedBy says what uses a thing, before somebody tries to delete it.
func (a *API) usedBy(r resource) func(context.Context, *thingInput) (*usedByOutput, error) {
	return func(ctx context.Context, in *thingInput) (*usedByOutput, error) {
		list, err := a.config.Directory.UsedBy(ctx, a.author(ctx, "used-by-"+string(r.kind), nil), directory.Ref{Kind: r.kind, Name: in.ID.clean()})
		if err != nil {
			return nil, unavailable("list what uses a thing", err)
		}
		out := &usedByOutput{}
		out.Body.Items = []userOf{}
		for _, u := range list {
			out.Body.Items = append(out.Body.Items, userOf(u))
		}
		return out, nil
	}
}

// asked is one change as a request asks for it.
type asked struct {
	route   string
	name    string
	fields  []field
	version int64
}

// author is who asks, with what the route and the fields given need.
func (a *API) author(ctx context.Context, route string, fields []field) directory.Author {
	p := personOf(ctx)
	by := directory.Author{User: p.User, Source: p.address}
	if permission, ok := a.byName[route].access.permission(); ok {
		by.Needs = append(by.Needs, permission)
	}
	for _, f := range fields {
		if permission, more := within[route][f.name]; more {
			by.Needs = append(by.Needs, permission)
		}
	}
	return by
}

// change carries a change to the directory. What was changed is in the audit trail by
// the same transaction; a refusal is added to it here.
func change(ctx context.Context, a *API, r resource, what asked,
	do func(context.Context, directory.Author, directory.Change) (directory.Thing, error),
) (directory.Thing, error) {
	t, err := tryChange(ctx, a, r, what, do)
	if err != nil {
		verb, _, _ := strings.Cut(what.route, "-")
		a.audit.add(personOf(ctx), string(r.kind)+"."+verb, string(r.kind)+":"+what.name, err)
	}
	return t, err
}

func tryChange(ctx context.Context, a *API, r resource, what asked,
	do func(context.Context, directory.Author, directory.Change) (directory.Thing, error),
) (directory.Thing, error) {
	for _, f := range what.fields {
		if permission, more := within[what.route][f.name]; more && !personOf(ctx).May(permission) {
			return directory.Thing{}, forbidden("action_forbidden", "You need the permission %s to set %s.", permission, f.name)
		}
		if again, is := twice(f.value); is {
			return directory.Thing{}, invalidField(f.name, "%s stands twice", again)
		}
	}
	c := directory.Change{Kind: r.kind, Name: what.name, Version: what.version, Set: map[string]any{}, Secrets: r.secrets}
	for _, f := range what.fields {
		c.Set[f.column] = f.value
	}
	if r.consult != nil {
		if err := r.consult(ctx, a, what.name, c.Set); err != nil {
			return directory.Thing{}, err
		}
	}
	verb, _, _ := strings.Cut(what.route, "-")
	if r.prepare != nil && (verb == "create" || verb == "update") {
		if err := r.prepare(what.name, c.Set); err != nil {
			return directory.Thing{}, err
		}
	}
	if r.begin != nil && verb == "create" {
		r.begin(c.Set)
	}
	secret, made := c.Set[r.revealed]
	if r.seal != nil {
		r.seal(ctx, a, what.name, c.Set)
	}
	t, err := do(ctx, a.author(ctx, what.route, what.fields), c)
	if r.kind == directory.User || r.kind == directory.Role || r.kind == directory.Tenant {
		a.persons.forget() // here at once; elsewhere after rightsLife
	}
	if made && err == nil {
		t.Body, err = with(t.Body, r.revealed, secret)
	}
	return t, unavailable("change a "+string(r.kind), err)
}

// with adds a field to a JSON object.
func with(body json.RawMessage, name string, value any) (json.RawMessage, error) {
	object := map[string]any{}
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fault.E(fault.Internal, "show a thing", err)
	}
	object[name] = value
	return json.Marshal(object)
}

// field is one field that a request gives.
type field struct {
	name   string // in JSON
	column string
	value  any
}

// given are the fields of a body that the client sent: those that are no nil pointers.
// The one that is marked as key is the thing's name.
func given(body reflect.Value) (name string, fields []field) {
	for i := range body.NumField() {
		f, v := body.Type().Field(i), body.Field(i)
		if f.Anonymous {
			inner, more := given(v)
			name, fields = name+inner, append(fields, more...)
			continue
		}
		word, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Tag.Get("key") != "" {
			if v.Kind() == reflect.Pointer {
				if v.IsNil() {
					continue
				}
				v = v.Elem()
			}
			name = strings.TrimSpace(v.String())
			continue
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		column := f.Tag.Get("column")
		if column == "" {
			column = word
		}
		fields = append(fields, field{word, column, plainValue(v)})
	}
	return name, fields
}

// set is what a body sets, by column.
func set(body any) map[string]any {
	_, fields := given(reflect.ValueOf(body))
	columns := map[string]any{}
	for _, f := range fields {
		columns[f.column] = f.value
	}
	return columns
}

// plainValue is a value without the types of this package.
func plainValue(v reflect.Value) any {
	switch v.Interface().(type) {
	case line:
		return v.Interface().(line).clean()
	case []line:
		texts := []string{}
		for _, l := range v.Interface().([]line) {
			texts = append(texts, l.clean())
		}
		return texts
	}
	return v.Interface()
}

// twice finds a text that stands twice in a list of texts: they all are sets. (It is looked
// for here because huma's uniqueItems panics at a list within a list.)
func twice(value any) (string, bool) {
	list, _ := value.([]string)
	for i, text := range list {
		if slices.Contains(list[:i], text) {
			return text, true
		}
	}
	return "", false
}

// query reads a list's input: what is no part of its Listing is a filter.
func query[L lists](k directory.Kind, in L) directory.Query {
	l := in.page()
	q := directory.Query{Kind: k, Search: l.Search.clean(), Sort: l.Sort.clean(), Limit: l.Limit, Cursor: l.Cursor.clean(), Deleted: l.Deleted == "true", Filters: map[string]string{}}
	v := reflect.ValueOf(in)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("query"); name != "" {
			q.Filters[name] = strings.TrimSpace(v.Field(i).String())
		}
	}
	return q
}

// inQuery says that a refusal is about the address, not the body.
func inQuery(err error) error {
	p := problemOf(err)
	for i := range p.Errors {
		p.Errors[i].In = "query"
	}
	return p
}

func viewOf[V any, P stamped[V]](t directory.Thing) (V, error) {
	var v V
	if err := json.Unmarshal(t.Body, &v); err != nil {
		return v, fault.E(fault.Internal, "show a thing", err)
	}
	P(&v).put(t)
	return v, nil
}

func shown[V any, P stamped[V]](t directory.Thing, err error) (*thingOutput[V], error) {
	if err != nil {
		return nil, withView[V, P](unavailable("show a thing", err))
	}
	v, err := viewOf[V, P](t)
	return &thingOutput[V]{ETag: fmt.Sprintf(`"%d"`, t.Version), Body: v}, err
}

// withView puts what is now, or what uses the thing, beside a refusal.
func withView[V any, P stamped[V]](err error) error {
	var newer *directory.Newer
	var use *directory.InUse
	switch {
	case err == nil:
		return nil
	case errors.As(err, &newer):
		p := problemOf(err)
		if v, err := viewOf[V, P](newer.Now); err == nil {
			p.View = v
		}
		return p
	case errors.As(err, &use):
		p := problemOf(err)
		p.View = map[string]any{"used_by": use.By}
		return p
	}
	return err
}

// crud are the routes of a resource, by the permissions to read, make, change and delete.
func crud(r resource, read, create, update, remove account.Permission) []route {
	one, list := string(r.kind), r.path
	each := list + "/{id}"
	return []route{
		{"list-" + r.plural, http.MethodGet, list, may(read), "List " + r.plural, 0},
		{"create-" + one, http.MethodPost, list, may(create), "Make a " + one, http.StatusCreated},
		{"get-" + one, http.MethodGet, each, may(read), "View a " + one, 0},
		{"used-by-" + one, http.MethodGet, each + "/used-by", may(read), "What keeps a " + one + " from being deleted", 0},
		{"update-" + one, http.MethodPatch, each, may(update), "Change fields of a " + one + "; what is left out stays", 0},
		{"delete-" + one, http.MethodDelete, each, may(remove), "Delete a " + one + " that nothing uses; it can be restored", http.StatusNoContent},
		{"restore-" + one, http.MethodPost, each + "/restore", may(remove), "Bring a deleted " + one + " back", 0},
	}
}
