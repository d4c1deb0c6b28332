package described

import (
	"encoding/json"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// known are names of things that the tenant has, and of ones that it hasn't.
var known = []string{"1001", "1002", "support", "8000", "service", "carrier", "admin", "supervisor", "regular_agent", "nobody", "new-one", "Zoë", "+4930123456", "2026-11-21T10:00:00Z", "2026-11-21"}

// nasty are texts that software has stumbled over.
var nasty = []string{
	"", " ", "\x00", "a\x00b", "\r\nX-Injected: yes", "'; DROP TABLE users; --", `" OR ""="`, "$1", "%s%n", "%00", "../../etc/passwd", "<script>alert(1)</script>",
	"{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "=1+1", "\u202eabc", "👩‍👩‍👧‍👦", "Ａ", "İ", "ß", "\ufeff", "\u0000", "e\u0301", strings.Repeat("a", 300), strings.Repeat("é", 70_000), "null", "undefined",
	"-1", "1e999", "9223372036854775808", "0x7f", "NaN", "1970-01-01", "9999-12-31T23:59:60Z", "true", "\x7f", "\u2028", "sip:a@b", "a@b@c", "*", "\\", "/",
}

// numbers are numbers that software has stumbled over.
var numbers = []any{
	0, -1, 1, 2, 0.5, json.Number("-0"), math.MaxInt32, math.MaxInt32 + 1, math.MinInt32 - 1, int64(math.MaxInt64), uint64(math.MaxUint64), json.Number("9223372036854775808"),
	math.MaxFloat64, -math.MaxFloat64, json.Number("1e400"), json.Number("0.1e-400"), json.Number("123456789012345678901234567890"),
}

// wrong draws a value of any kind, whatever the schema says.
func wrong() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return rapid.SampledFrom(nasty).Draw(t, "nasty text") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.SampledFrom(numbers).Draw(t, "number") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
		rapid.SampledFrom([]any{nil, true, false, []any{}, []any{nil}, map[string]any{}, []any{[]any{[]any{}}}, map[string]any{"a": map[string]any{"": nil}}}),
	)
}

// maybe is true in so many of a hundred cases.
func maybe(t *rapid.T, percent int, what string) bool {
	return rapid.IntRange(0, 99).Draw(t, what) < percent
}

// value draws a value of a schema; some are wrong somewhere.
func (d *document) value(t *rapid.T, s schema, depth int) any {
	s = d.resolved(s)
	if maybe(t, 8, "wrong here") {
		return wrong().Draw(t, "wrong")
	}
	if len(s.Enum) > 0 {
		return rapid.SampledFrom(s.Enum).Draw(t, "one of")
	}
	switch s.kind() {
	case "string":
		return text(t, s)
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "integer", "number":
		low, high := 0, 100
		if s.Minimum != nil {
			low = int(*s.Minimum)
		}
		if s.Maximum != nil {
			high = int(min(*s.Maximum, math.MaxInt32))
		}
		return rapid.IntRange(low, max(low, high)).Draw(t, "number")
	case "array":
		list := []any{}
		if s.Items != nil && depth < 4 {
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				list = append(list, d.value(t, *s.Items, depth+1))
			}
		}
		return list
	}
	return d.object(t, s, depth)
}

func (d *document) object(t *rapid.T, s schema, depth int) any {
	fields := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		needed := slices.Contains(s.Required, name)
		if name == "$schema" || depth > 4 || !needed && !maybe(t, 40, "with "+name) || needed && maybe(t, 3, "without "+name) {
			continue
		}
		fields[name] = d.value(t, s.Properties[name], depth+1)
	}
	if maybe(t, 3, "with a field too many") {
		fields[rapid.SampledFrom(nasty).Draw(t, "field")] = wrong().Draw(t, "its value")
	}
	return fields
}

func text(t *rapid.T, s schema) string {
	switch s.Format {
	case "date-time":
		return "2026-11-2" + rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "day") + "T10:00:00Z"
	case "date":
		return "2026-11-2" + rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "day")
	}
	v := rapid.SampledFrom(known).Draw(t, "known")
	if s.Pattern != "" && maybe(t, 50, "as the pattern says") {
		v = rapid.StringMatching(s.Pattern).Draw(t, "matching")
	}
	if s.MaxLength != nil && len(v) > *s.MaxLength {
		v = v[:*s.MaxLength]
	}
	return v
}

// request is one that is drawn.
type request struct {
	method, path string
	headers      []string
	body         any // nil: none
}

// draw draws a request for an operation.
func (d *document) draw(t *rapid.T, op operation) request {
	r := request{method: op.method, path: op.path}
	query := url.Values{}
	for _, p := range op.Parameters {
		switch p.In {
		case "path":
			v := rapid.SampledFrom(known).Draw(t, p.Name)
			if maybe(t, 25, "strange "+p.Name) {
				v = strings.ReplaceAll(rapid.SampledFrom(nasty).Draw(t, "nasty "+p.Name), "/", "%2F") + "x"
			}
			r.path = strings.ReplaceAll(r.path, "{"+p.Name+"}", url.PathEscape(short(v)))
		case "query":
			if p.Required || maybe(t, 35, "with "+p.Name) {
				query.Set(p.Name, short(plain(d.value(t, p.Schema, 0))))
			}
		case "header":
			if v := plain(d.value(t, p.Schema, 0)); maybe(t, 35, "with "+p.Name) && fitsHeader(v) {
				r.headers = append(r.headers, p.Name, v)
			}
		}
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	if op.Body != nil {
		d.drawBody(t, op, &r)
	}
	return r
}

// broken are bodies that are no JSON, or too much of it.
var broken = []string{
	"", "{", "[", `{"a":}`, "\xff\xfe", `{"a":"\ud800"}`, "null", "[]", "true", "1", `"x"`, strings.Repeat("[", 20_000), `{"a":` + strings.Repeat(`{"a":`, 5_000),
	`{"name":"a","name":"b"}`, "{}{}", strings.Repeat(" ", 70_000) + "{}", "<xml/>", "a=b&c=d", `{"name":"` + strings.Repeat("x", 80_000) + `"}`,
}

func (d *document) drawBody(t *rapid.T, op operation, r *request) {
	media := rapid.SampledFrom(slices.Sorted(maps.Keys(op.Body.Content))).Draw(t, "content type")
	of := op.Body.Content[media].Schema
	switch {
	case maybe(t, 8, "broken"):
		r.body = rapid.SampledFrom(broken).Draw(t, "body")
	case !strings.HasSuffix(media, "json"):
		r.body = rapid.SampledFrom(append(broken, "name\na\nb", "name;roles\n=1+1;regular_agent\n")).Draw(t, "body")
	default:
		r.body = d.value(t, of, 0)
	}
	if maybe(t, 5, "with another content type") {
		media = rapid.SampledFrom([]string{"text/plain", "application/xml", "multipart/form-data", "application/json; charset=latin1", "x"}).Draw(t, "wrong type")
	}
	r.headers = append(r.headers, "Content-Type", media)
}

// short is a text that fits into the address: a longer one is refused before any endpoint sees it.
func short(v string) string { return v[:min(len(v), 2000)] }

// plain is a value as a query or a header has it.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}

// fitsHeader reports that Go's client lets a header through: what it refuses never reaches a server.
func fitsHeader(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) && len(v) < 100_000
}
