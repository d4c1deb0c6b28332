// Package tests proves Holdfast against its own promises: the shape of the house,
// the table of behaviours, and the running system with real phones.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The limits of the house (CONTRIBUTING.md).
const (
	maxFileLines     = 500
	maxFunctionLines = 70
	maxMethods       = 10
	maxParameters    = 5 // a context and four
)

// room is one package of the house, or a tree of them ("telephony/...").
type room struct {
	path string
	// may lists what the room may import of the house besides itself; "..." matches a tree.
	may []string
	// never lists foreign modules that must not appear, with the reason.
	never map[string]string
}

const (
	whyPure      = "a machine without I/O can be replayed, carried and simulated"
	whyTemporal  = "only floors 4 to 6 know Temporal, so that everything else can be tested and read without it"
	whySIP       = "only the telephony tower knows SIP"
	whySQL       = "only the db tower knows SQL"
	whyTowers    = "towers stand beside each other, unaware of each other"
	whyHTTP      = "only the httpapi tower speaks HTTP frameworks"
	temporalSDK  = "go.temporal.io/"
	sipgoModule  = "github.com/emiago/sipgo"
	bunModule    = "github.com/uptrace/bun"
	ginModule    = "github.com/gin-gonic/gin"
	humaModule   = "github.com/danielgtaylor/huma"
	domainFloors = "domain/..."
)

// house lists the rooms from the ground up. A room that isn't listed is an error: say where it stands.
var house = []room{
	{"domain/id", nil, pure()},
	{"domain/fault", nil, pure()},
	{"domain/decode", []string{"domain/fault"}, pure()},
	{"domain/leg", []string{"domain/id"}, pure()},
	{"domain/account", []string{"domain/id"}, pure()},
	{"domain/device", []string{"domain/id", "domain/fault", "domain/leg"}, pure()},
	{"domain/dialplan", nil, pure()},
	{"domain/agent", []string{"domain/id", "domain/fault", "domain/decode", "domain/leg"}, pure()},
	{"domain/call", []string{"domain/id", "domain/fault", "domain/decode", "domain/leg"}, pure()},
	{"domain/queue", []string{"domain/id", "domain/fault"}, pure()},
	{"domain/tenancy", []string{domainFloors}, pure()},
	{"domain/event", []string{"domain/id", "domain/leg", "domain/agent", "domain/call"}, pure()},
	{"domain/record", []string{domainFloors}, pure()},
	{"domain/simulation", []string{domainFloors}, pure()},
	{"domain/internal/...", []string{domainFloors}, pure()},
	{"domain/...", []string{domainFloors}, pure()},
	{"activities", []string{domainFloors}, only(temporalSDK)},
	{"workflows/...", []string{domainFloors, "activities", "workflows/..."}, only(temporalSDK)},
	{"dispatch", []string{domainFloors, "activities", "workflows"}, only(temporalSDK)},
	{"worker", []string{domainFloors, "activities", "workflows"}, only(temporalSDK)},
	{"telephony/media/...", []string{"telephony/media/...", "domain/sound/..."}, only()},
	{"telephony/...", []string{domainFloors, "telephony/..."}, only(sipgoModule)},
	{"db/cluster", []string{"domain/fault"}, only()},
	{"db/...", []string{domainFloors, "db/..."}, only(bunModule)},
	{"fence", nil, only()},
	{"httpapi/...", []string{domainFloors, "fence", "httpapi/...", "web/..."}, only(ginModule, humaModule)},
	{"feed", []string{domainFloors}, only()},
	{"postbox", []string{domainFloors, "fence"}, only()},
	{"web/...", nil, only()},
	{"demo", nil, only()},
	{"docs/examples/...", nil, only()},
	{"cmd/...", []string{"..."}, nil},
	{"bench/...", []string{"..."}, nil},
	{"tests/...", []string{"..."}, nil},
}

// pure forbids every foreign framework.
func pure() map[string]string {
	m := only()
	m["net/http"] = whyPure
	m["database/sql"] = whyPure
	return m
}

// only forbids the frameworks of the other towers.
func only(allowed ...string) map[string]string {
	m := map[string]string{temporalSDK: whyTemporal, sipgoModule: whySIP, bunModule: whySQL, ginModule: whyHTTP, humaModule: whyHTTP}
	for _, a := range allowed {
		delete(m, a)
	}
	return m
}

// badNames are package names that say nothing.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "models", "types", "misc", "shared", "base", "core", "manager"}

func TestHouse_EveryPackageImportsOnlyWhatStandsBelowIt(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		r, ok := roomOf(dir)
		require.True(t, ok, "package %s has no place in the house: add it to the table in tests/house_test.go", dir)
		for _, f := range files {
			if strings.HasSuffix(f.name, "_test.go") {
				continue // tests may look at anything
			}
			for _, imp := range f.ast.Imports {
				checkImport(t, r, dir, f.name, strings.Trim(imp.Path.Value, `"`))
			}
		}
	}
}

func checkImport(t *testing.T, r room, dir, file, imp string) {
	t.Helper()
	if inside, ok := strings.CutPrefix(imp, "holdfast/"); ok {
		allowed := inside == dir || slices.ContainsFunc(r.may, func(p string) bool { return matches(p, inside) })
		require.True(t, allowed, "%s imports %s: %s", file, imp, whyTowers)
		return
	}
	for module, why := range r.never {
		require.False(t, strings.HasPrefix(imp, module), "%s imports %s: %s", file, imp, why)
	}
}

func TestHouse_FilesAndFunctionsStaySmall(t *testing.T) {
	t.Parallel()
	for _, files := range packages(t) {
		for _, f := range files {
			lines := f.set.File(f.ast.Pos()).LineCount()
			require.LessOrEqual(t, lines, maxFileLines, "%s has %d lines: split it by what it holds", f.name, lines)
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					checkFunction(t, f, fn)
				}
			}
		}
	}
}

func checkFunction(t *testing.T, f file, fn *ast.FuncDecl) {
	t.Helper()
	if n := parameters(fn); !strings.HasSuffix(f.name, "_test.go") {
		require.LessOrEqual(t, n, maxParameters, "%s: %s has %d parameters: make a struct", f.name, fn.Name.Name, n)
	}
	if fn.Body == nil || isStepSwitch(fn) {
		return
	}
	n := f.set.Position(fn.Body.End()).Line - f.set.Position(fn.Body.Pos()).Line
	require.LessOrEqual(t, n, maxFunctionLines, "%s: %s has %d lines: name its parts", f.name, fn.Name.Name, n)
}

// parameters counts what a caller must give; a variadic rest may be left out.
func parameters(fn *ast.FuncDecl) int {
	n := fn.Type.Params.NumFields()
	if n == 0 {
		return 0
	}
	if _, rest := fn.Type.Params.List[len(fn.Type.Params.List)-1].Type.(*ast.Ellipsis); rest {
		n--
	}
	return n
}

// isStepSwitch reports whether fn is a machine's switch with one statement per
// case: it may be as long as there are events.
func isStepSwitch(fn *ast.FuncDecl) bool {
	long := true
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok && len(c.Body) > 1 {
			long = false
		}
		return true
	})
	return long && (strings.HasSuffix(strings.ToLower(fn.Name.Name), "step") || fn.Name.Name == "Decode" || fn.Name.Name == "apply")
}

func TestHouse_InterfacesStaySmallAndPackagesAreNamedAndDocumented(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		documented := false
		for _, f := range files {
			documented = documented || f.ast.Doc != nil
			require.NotContains(t, badNames, f.ast.Name.Name, "%s: the name says nothing", f.name)
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if i, ok := n.(*ast.InterfaceType); ok {
					require.LessOrEqual(t, i.Methods.NumFields(), maxMethods, "%s: an interface of %d methods", f.name, i.Methods.NumFields())
				}
				return true
			})
		}
		require.NotContains(t, badNames, path.Base(dir), "%s: the name says nothing", dir)
		require.True(t, documented, "package %s has no doc comment", dir)
	}
}

func TestHouse_NoTestSleepsAndNoneUsesAFixedPort(t *testing.T) {
	t.Parallel()
	for _, files := range packages(t) {
		for _, f := range files {
			if !strings.HasSuffix(f.name, "_test.go") || imports(f, "testing/synctest") {
				continue // in a bubble of synctest time is virtual, and sleeping is how it passes
			}
			for _, at := range sleeps(f.ast) {
				t.Errorf("%s: a test sleeps: wait on a signal, a condition, or what is to be heard", f.set.Position(at))
			}
		}
	}
}

// sleeps are the places where a file lets time pass: time.Sleep, and a time.After that
// nothing else can end, because it doesn't stand in a select.
func sleeps(f *ast.File) (at []token.Pos) {
	bounds := map[ast.Node]bool{} // what the cases of selects wait for
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause:
			if s, ok := n.Comm.(*ast.ExprStmt); ok {
				bounds[s.X] = true
			}
		case *ast.UnaryExpr:
			if c, ok := n.X.(*ast.CallExpr); ok && n.Op == token.ARROW && !bounds[n] && isTime(c.Fun, "After") {
				at = append(at, n.Pos())
			}
		case *ast.SelectorExpr:
			if isTime(n, "Sleep") {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}

func isTime(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "time"
}

// What the rule about sleeping catches, and what it lets pass.
func TestHouse_SleepsAreFound(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "", `package p
func f() {
	time.Sleep(1)
	<-time.After(1)
	_ = <-time.After(1)
	select { case <-time.After(1): <-time.After(1); case <-done: }
	later := time.After(1)
}`, 0)
	require.NoError(t, err)
	require.Len(t, sleeps(f), 4)
}

func imports(f file, path string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(path) })
}

func TestHouse_HasTheCustomersFolders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"workflows", "activities", "worker", "telephony", "httpapi", "db", "tests", "go.mod", "go.sum", "docker-compose.yml"} {
		_, err := os.Stat(filepath.Join("..", name))
		require.NoError(t, err, "the customer fixed this name")
	}
}

type file struct {
	name string
	ast  *ast.File
	set  *token.FileSet
}

// packages parses every Go file of the main module, by folder.
func packages(t *testing.T) map[string][]file {
	t.Helper()
	found := map[string][]file{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, own := os.Stat(filepath.Join(p, "go.mod"))
			if p != ".." && (own == nil || strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules" || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(p, ".."+string(filepath.Separator)))
		found[path.Dir(rel)] = append(found[path.Dir(rel)], file{rel, f, set})
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func roomOf(dir string) (room, bool) {
	for _, r := range house {
		if matches(r.path, dir) {
			return r, true
		}
	}
	return room{}, false
}

func matches(pattern, dir string) bool {
	tree, ok := strings.CutSuffix(pattern, "...")
	if !ok {
		return pattern == dir
	}
	return strings.HasPrefix(dir+"/", tree)
}
