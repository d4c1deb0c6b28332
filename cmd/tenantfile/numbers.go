package tenantfile

import (
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml/ast"
)

// plainNumber is a number that YAML reads as what stands there.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// mangled returns, with their lines, the unquoted numbers that YAML would read as others
// than stand there: +4930123 loses its plus, 007 its zeros. Telephone numbers are texts.
func mangled(root ast.Node) []string {
	finder := &numberFinder{}
	ast.Walk(finder, root)
	return finder.sentences
}

// numberFinder finds mangled numbers.
type numberFinder struct{ sentences []string }

// Visit implements ast.Visitor.
func (f *numberFinder) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if t := n.GetToken(); !plainNumber.MatchString(t.Value) && len(f.sentences) < mostFaults {
			f.sentences = append(f.sentences, fmt.Sprintf("line %d: put %s in quotes, or it is not read as it stands there", t.Position.Line, t.Value))
		}
	}
	return f
}
