package contact

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"holdfast/domain/fault"
)

// Type is what a tenant's own field holds.
type Type string

// The types of fields, and how JSON writes their values.
const (
	Text    Type = "text"    // a string on one line
	Number  Type = "number"  // a number
	Date    Type = "date"    // "2026-11-21" (RFC 3339 full-date)
	Choice  Type = "choice"  // one of the field's choices
	Boolean Type = "boolean" // true or false
)

// Types lists the types.
func Types() []Type { return []Type{Text, Number, Date, Choice, Boolean} }

// Field is one that a tenant keeps of its contacts besides those that all have.
type Field struct {
	Key      string
	Label    string
	Type     Type
	Required bool
	Choices  []string
}

// longestText bounds the text of a field, in characters.
const longestText = 1000

// Merged are the values of a contact after a change: those of before, with those that the
// change gives; null takes one away. What is wrong is named by its field ("fields.rank").
// Values of fields that are none any more stay, hidden, in case the field comes back.
func Merged(fields []Field, before, change map[string]any) (map[string]any, []fault.Field) {
	after := maps.Clone(before)
	if after == nil {
		after = map[string]any{}
	}
	var wrong []fault.Field
	refuse := func(key, sentence string, args ...any) {
		wrong = append(wrong, fault.Field{Name: "fields." + key, Sentence: fmt.Sprintf(sentence, args...)})
	}
	for _, key := range slices.Sorted(maps.Keys(change)) {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key })
		if i < 0 {
			refuse(key, "is no field of this tenant; see GET /v1/contact-fields")
			continue
		}
		if v := change[key]; v == nil || v == "" {
			delete(after, key)
		} else if sentence := fields[i].wrong(v); sentence != "" {
			refuse(key, "%s", sentence)
		} else {
			after[key] = v
		}
	}
	for _, f := range fields {
		if _, there := after[f.Key]; f.Required && !there && len(wrong) == 0 {
			refuse(f.Key, "is required")
		}
	}
	return after, wrong
}

// wrong says what is wrong with a value as JSON has it; empty: nothing.
func (f Field) wrong(v any) string {
	switch f.Type {
	case Number:
		if n, ok := v.(float64); !ok || math.IsInf(n, 0) || math.IsNaN(n) {
			return "must be a number, such as 12.5"
		}
	case Boolean:
		if _, ok := v.(bool); !ok {
			return "must be true or false"
		}
	case Date:
		s, _ := v.(string)
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return "must be a date, such as 2026-11-21"
		}
	case Choice:
		if s, ok := v.(string); !ok || !slices.Contains(f.Choices, s) {
			return "must be one of " + strings.Join(f.Choices, ", ")
		}
	default:
		s, ok := v.(string)
		if !ok || strings.ContainsFunc(s, unicode.IsControl) {
			return "must be text on one line"
		}
		if n := len([]rune(s)); n > longestText {
			return fmt.Sprintf("has %d characters, at most %d are allowed", n, longestText)
		}
	}
	return ""
}
