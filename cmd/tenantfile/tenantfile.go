// Package tenantfile reads and writes a tenant as YAML, strictly: an unknown field, a
// field that stands twice and a value of the wrong type are refused, and whatever is
// wrong is named with its line.
package tenantfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"holdfast/domain/fault"
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
	if wrong := mangled(file.Docs[0].Body); wrong != "" {
		return d, invalid(wrong)
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, &d, yaml.Strict()); err != nil {
		return d, invalid(located(file.Docs[0].Body, err))
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
		return fmt.Sprintf("line %d: %s", syntax.GetToken().Position.Line, syntax.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// located is sentence, and finds the line of a value that a type of ours refused: the
// YAML library does not tell it.
func located(root ast.Node, err error) string {
	var refused *tenancy.NotADuration
	if !errors.As(err, &refused) {
		return sentence(err)
	}
	finder := &valueFinder{text: refused.Text}
	ast.Walk(finder, root)
	return fmt.Sprintf("line %d, %s: %s", finder.line, finder.key, refused)
}

// valueFinder finds the first field with a certain text as value.
type valueFinder struct {
	text string
	line int
	key  string
}

// Visit implements ast.Visitor.
func (f *valueFinder) Visit(n ast.Node) ast.Visitor {
	if v, ok := n.(*ast.MappingValueNode); ok && f.line == 0 && v.Value != nil && v.Value.GetToken() != nil && v.Value.GetToken().Value == f.text {
		if _, scalar := v.Value.(ast.ScalarNode); scalar {
			f.line, f.key = v.Value.GetToken().Position.Line, v.Key.String()
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
