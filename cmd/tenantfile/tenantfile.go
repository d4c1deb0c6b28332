// Package tenantfile reads and writes a tenant as YAML, strictly: an unknown field, a
// field that stands twice and a value of the wrong type are refused, and whatever is
// wrong is named with its line.
package tenantfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"holdfast/domain/fault"
	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// maxFile bounds a tenant's file, in bytes.
const maxFile = 16 << 20

// Read reads a document and checks it. Everything wrong is named at once, each line as
// "line 12, agents[0].user: there is no user …"; the error is a *fault.Error of kind Invalid.
func Read(data []byte) (tenancy.Document, error) {
	var d tenancy.Document
	if len(data) > maxFile {
		return d, invalid(fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(data), maxFile))
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return d, invalid(sentence(err))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return d, invalid("the file must hold one YAML document with a tenant")
	}
	if wrong := append(mangled(file.Docs[0].Body), decode(file.Docs[0].Body, &d)...); len(wrong) > 0 {
		return d, invalid(strings.Join(wrong, "\n"))
	}
	fields := d.Validate()
	if len(fields) == 0 {
		return d, nil
	}
	var lines []string
	for i := range fields {
		if line := lineOf(file.Docs[0].Body, fields[i].Name); line > 0 {
			lines = append(lines, fmt.Sprintf("line %d, %s: %s", line, fields[i].Name, fields[i].Sentence))
		} else {
			lines = append(lines, fmt.Sprintf("%s: %s", fields[i].Name, fields[i].Sentence))
		}
	}
	return d, &fault.Error{Kind: fault.Invalid, Op: "read the tenant's file", Code: "tenant_file", Sentence: strings.Join(lines, "\n"), Fields: fields}
}

// mostFaults is how many fields that can't be read are named at once.
const mostFaults = 20

// decode reads what can be read, and says of each other field why not. The YAML library
// tells the first fault only: what it tells of is cut out, and the rest read again.
func decode(root ast.Node, d *tenancy.Document) (wrong []string) {
	for {
		*d = tenancy.Document{}
		err := yaml.NodeToValue(root, d, yaml.Strict())
		if err == nil {
			return wrong
		}
		wrong = append(wrong, located(root, err))
		cut := &cutter{at: faultToken(root, err)}
		if ast.Walk(cut, root); !cut.done || len(wrong) == mostFaults {
			return wrong
		}
	}
}

// cutter takes out the field whose name or value begins with a token.
type cutter struct {
	at   *token.Token
	done bool
}

// Visit implements ast.Visitor.
func (c *cutter) Visit(n ast.Node) ast.Visitor {
	m, ok := n.(*ast.MappingNode)
	if !ok || c.done || c.at == nil {
		return c
	}
	for i, v := range m.Values {
		if c.begins(v.Key) || c.begins(v.Value) {
			m.Values = slices.Delete(m.Values, i, i+1)
			c.done = true
			return nil
		}
	}
	return c
}

func (c *cutter) begins(n ast.Node) bool {
	return n != nil && n.GetToken() != nil && n.GetToken().Position.Offset == c.at.Position.Offset
}

// faultToken is what err tells of; nil: nothing that could be found.
func faultToken(root ast.Node, err error) *token.Token {
	var syntax yaml.Error
	if text, words := refusal(err); words != nil {
		return findValue(root, text).at
	}
	if errors.As(err, &syntax) {
		return syntax.GetToken()
	}
	return nil
}

// Write writes a document as YAML that Read reads back to the same.
func Write(d tenancy.Document) ([]byte, error) {
	out, err := yaml.MarshalWithOptions(d, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("write the tenant as YAML: %w", err)
	}
	return out, nil
}

func invalid(sentence string) error {
	return &fault.Error{Kind: fault.Invalid, Op: "read the tenant's file", Code: "tenant_file", Sentence: sentence}
}

// sentence is the first line of what the YAML library says, with the line's number.
func sentence(err error) string {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return fmt.Sprintf("line %d: %s", syntax.GetToken().Position.Line, inWords(syntax))
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// wrongType is what the YAML library says of a value of the wrong type, in Go's terms.
var wrongType = regexp.MustCompile(`^cannot unmarshal .* of type (\S+)$`)

// inWords is the message of the YAML library for who does not know Go.
func inWords(err yaml.Error) string {
	m := wrongType.FindStringSubmatch(err.GetMessage())
	if m == nil {
		return err.GetMessage()
	}
	must := "something else"
	switch {
	case strings.HasPrefix(m[1], "int"):
		must = "a whole number"
	case m[1] == "bool":
		must = "true or false"
	}
	return fmt.Sprintf("%q must be %s here", err.GetToken().Value, must)
}

// located is sentence, and finds the line of a value that a type of ours refused: the
// YAML library does not tell it.
func located(root ast.Node, err error) string {
	text, words := refusal(err)
	if words == nil {
		return sentence(err)
	}
	found := findValue(root, text)
	if found.at == nil {
		return words.Error()
	}
	return fmt.Sprintf("line %d, %s: %s", found.at.Position.Line, found.key, words)
}

// refusal is the value that a type of ours refused, and why; nil: none did.
func refusal(err error) (text string, words error) {
	var span *tenancy.NotADuration
	var amount *tariff.NotAnAmount
	var sound *tenancy.NotBase64
	switch {
	case errors.As(err, &span):
		return span.Text, span
	case errors.As(err, &amount):
		return amount.Text, amount
	case errors.As(err, &sound):
		return sound.Text, sound
	}
	return "", nil
}

func findValue(root ast.Node, text string) *valueFinder {
	finder := &valueFinder{text: text}
	ast.Walk(finder, root)
	return finder
}

// valueFinder finds the first field with a certain text as value.
type valueFinder struct {
	text string
	at   *token.Token
	key  string
}

// Visit implements ast.Visitor.
func (f *valueFinder) Visit(n ast.Node) ast.Visitor {
	if v, ok := n.(*ast.MappingValueNode); ok && f.at == nil && v.Value != nil && v.Value.GetToken() != nil && v.Value.GetToken().Value == f.text {
		if _, scalar := v.Value.(ast.ScalarNode); scalar {
			f.at, f.key = v.Value.GetToken(), v.Key.String()
		}
	}
	return f
}

var index = regexp.MustCompile(`\[(\d+)\]`)

// lineOf is the line of a field's path, or of the nearest of its parents that is there.
func lineOf(root ast.Node, path string) int {
	for {
		p, err := yaml.PathString("$." + path)
		if err == nil {
			if n, err := p.FilterNode(root); err == nil && n != nil && n.GetToken() != nil {
				return n.GetToken().Position.Line
			}
		}
		cut := max(strings.LastIndexByte(path, '.'), lastIndex(path))
		if cut <= 0 {
			return 0
		}
		path = path[:cut]
	}
}

// lastIndex is where the last [n] of a path begins, if the path ends with it.
func lastIndex(path string) int {
	if !strings.HasSuffix(path, "]") {
		return -1
	}
	all := index.FindAllStringIndex(path, -1)
	if len(all) == 0 {
		return -1
	}
	return all[len(all)-1][0]
}
