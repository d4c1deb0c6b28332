package httpapi

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// linePattern is text without control characters: CR, LF and NUL would end or split
// a SIP header that the value may come to stand in.
const linePattern = `^[^\x00-\x1f\x7f]*$`

// maxLine bounds every text of a request that has no tighter bound of its own, in characters.
const maxLine = 255

// line is text on one line. Every text of a request is a line, a closed set or a
// password: a test holds the request types to that.
type line string

// Schema implements huma.SchemaProvider.
func (line) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            linePattern,
		PatternDescription: "text on one line, without control characters",
		MaxLength:          ptr(maxLine),
	}
}

// oneLine makes a line of what a client sent unasked, at most that long.
func oneLine(s string, most int) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "") {
		if unicode.IsPrint(r) && b.Len()+utf8.RuneLen(r) <= most {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clean returns the line without the spaces around it.
func (l line) clean() string { return strings.TrimSpace(string(l)) }

func ptr[T any](v T) *T { return &v }

// prosePattern is text without control characters but line breaks and tabs.
const prosePattern = `^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$`

// prose is text of several lines, for people only: it is stored and shown, and stands in
// no header. A test holds the request types to it or to line.
type prose string

// Schema implements huma.SchemaProvider.
func (prose) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            prosePattern,
		PatternDescription: "text without control characters",
		MaxLength:          ptr(10_000),
	}
}
