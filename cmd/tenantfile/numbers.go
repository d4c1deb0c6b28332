package tenantfile

import (
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml/ast"
)

// plainNumber is a number that YAML reads as what stands there.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// mangled returns, with its line, the first unquoted number that YAML would read as
// another one than stands there, or "": +4930123 loses its plus, 007 its zeros.
// Telephone numbers are texts.
func mangled(root ast.Node) string {
	finder := &numberFinder{}
	ast.Walk(finder, root)
	return finder.sentence
}

// numberFinder finds the first mangled number.
type numberFinder struct{ sentence string }

// Visit implements ast.Visitor.
func (f *numberFinder) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if t := n.GetToken(); f.sentence == "" && !plainNumber.MatchString(t.Value) {
			f.sentence = fmt.Sprintf("line %d: put %s in quotes, or it is not read as it stands there", t.Position.Line, t.Value)
		}
	}
	return f
}
