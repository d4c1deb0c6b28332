package tenancy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two documents, in words.
type Change struct {
	Sign   string // + created, ~ changed, - removed
	Object string // "agent 1001"
	Detail string // for ~: the fields that changed
}

// String is the line that apply prints.
func (c Change) String() string {
	if c.Detail == "" {
		return c.Sign + " " + c.Object
	}
	return fmt.Sprintf("%s %s: %s", c.Sign, c.Object, c.Detail)
}

// entry is one named thing of a document, by its JSON fields.
type entry struct {
	object string
	fields map[string]any
}

// Compare lists what changes when old becomes wanted; both must be complete (see
// Complete), with secrets as what is kept of them.
func Compare(old, wanted Document) []Change {
	var changes []Change
	for _, p := range pairs(old, wanted) {
		switch {
		case p.was == nil:
			changes = append(changes, Change{Sign: "+", Object: p.is.object})
		case p.is == nil:
			changes = append(changes, Change{Sign: "-", Object: p.was.object})
		default:
			changes = append(changes, Change{Sign: "~", Object: p.is.object, Detail: words(p.names, p.was.fields, p.is.fields)})
		}
	}
	return changes
}

// Difference is one thing in which two documents differ, for programs.
type Difference struct {
	Sign   string // as of a Change
	Kind   string // "agent"
	Name   string
	Fields []string // that differ, or that it has if it is created or removed, by their JSON names
}

// Differences lists what Compare does, for programs.
func Differences(old, wanted Document) []Difference {
	var list []Difference
	for _, p := range pairs(old, wanted) {
		d, e := Difference{Sign: "~", Fields: p.names}, p.is
		switch {
		case p.was == nil:
			d.Sign, d.Fields = "+", slices.Sorted(maps.Keys(p.is.fields))
		case p.is == nil:
			d.Sign, d.Fields, e = "-", slices.Sorted(maps.Keys(p.was.fields)), p.was
		}
		d.Kind, d.Name, _ = strings.Cut(e.object, " ")
		list = append(list, d)
	}
	return list
}

// pair is a thing that differs, as it was and is to be; nil: there is none.
type pair struct {
	was, is *entry
	names   []string // of the fields that differ, if there are both
}

func pairs(old, wanted Document) []pair {
	before, after := old.entries(), wanted.entries()
	var list []pair
	for i := range after {
		at := slices.IndexFunc(before, func(b entry) bool { return b.object == after[i].object })
		if at < 0 {
			list = append(list, pair{is: &after[i]})
			continue
		}
		if names := differing(before[at].fields, after[i].fields); len(names) > 0 {
			list = append(list, pair{was: &before[at], is: &after[i], names: names})
		}
	}
	for i := range before {
		if !slices.ContainsFunc(after, func(a entry) bool { return a.object == before[i].object }) {
			list = append(list, pair{was: &before[i]})
		}
	}
	return list
}

// entries lists a document's things; a document without a domain has none.
func (d Document) entries() []entry {
	if d.Tenant.Domain == "" {
		return nil
	}
	list := []entry{
		of("organization", d.Organization.Name, d.Organization), of("division", d.Division.Name, d.Division),
		of("tenant", string(d.Tenant.Domain), d.Tenant),
	}
	for _, t := range d.Teams {
		list = append(list, of("team", string(t.Name), t))
	}
	for _, r := range d.Roles {
		list = append(list, of("role", string(r.Name), r))
	}
	for _, u := range d.Users {
		list = append(list, of("user", string(u.Name), u))
	}
	for _, a := range d.Agents {
		list = append(list, of("agent", string(a.Number), a))
	}
	for _, v := range d.Devices {
		list = append(list, of("device", string(v.Name), v))
	}
	for _, q := range d.Queues {
		list = append(list, of("queue", string(q.Name), q))
	}
	for _, t := range d.Trunks {
		list = append(list, of("trunk", t.Name, t))
	}
	for _, s := range d.Skills {
		list = append(list, of("skill", s.Name, s))
	}
	for _, p := range d.Dispositions {
		list = append(list, of("disposition", p.Name, p))
	}
	for _, m := range d.Music {
		list = append(list, of("music", m.Name, m))
	}
	for _, n := range d.Numbers {
		list = append(list, of("number", n.Number, n))
	}
	for _, f := range d.ContactFields {
		list = append(list, of("contact_field", f.Key, f))
	}
	for _, t := range d.Tariffs {
		list = append(list, of("tariff", t.Prefix, t))
	}
	for _, w := range d.Webhooks {
		list = append(list, of("webhook", w.Name, w))
	}
	return list
}

func of(kind, name string, v any) entry {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("tenancy: %s %s can't be encoded: %v", kind, name, err))
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		panic(fmt.Sprintf("tenancy: %s %s can't be decoded: %v", kind, name, err))
	}
	return entry{object: kind + " " + name, fields: fields}
}

// differing are the names of the fields whose values differ, in order.
func differing(a, b map[string]any) []string {
	var names []string
	for name := range a {
		if text(a[name]) != text(b[name]) {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// secrets, and what is too long to be read, are shown by name only.
var secrets = []string{"password_hash", "ha1_md5", "ha1_sha256", "carrier_md5", "carrier_sha256", "password", "audio"}

func words(names []string, a, b map[string]any) string {
	s := ""
	for i, name := range names {
		if i > 0 {
			s += ", "
		}
		if slices.Contains(secrets, name) {
			s += name + " changes"
			continue
		}
		s += fmt.Sprintf("%s %s → %s", name, text(a[name]), text(b[name]))
	}
	return s
}

func text(v any) string {
	if v == nil {
		return "none"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
